//! Fenced blocks and other markers in a model's text.

const FENCE: &str = "```";

/// The insides of all blocks that open with three backticks and `tag`, in any case, closed by the next three
/// backticks.
pub(super) fn tagged<'text>(text: &'text str, tag: &str) -> Vec<&'text str> {
    let opening = format!("{FENCE}{tag}");
    let mut blocks = Vec::new();
    let mut from = 0;
    for at in find_ignoring_case(text, &opening) {
        let inside = &text[at + opening.len()..];
        let word_goes_on = inside.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        if at < from || word_goes_on {
            continue;
        }
        if let Some(end) = inside.find(FENCE) {
            blocks.push(&inside[..end]);
            from = at + opening.len() + end + FENCE.len();
        }
    }
    blocks
}

/// The insides of all blocks whose opening backticks are followed by a blank or the end of the line.
pub(super) fn untagged(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, opened)) = rest.split_once(FENCE) {
        let Some((inside, after)) = opened.split_once(FENCE) else { break };
        if inside.starts_with(char::is_whitespace) {
            blocks.push(inside);
        }
        rest = after;
    }
    blocks
}

/// What stands between the first `opening`, in any case, and the next `closing`.
pub(super) fn between<'text>(text: &'text str, opening: &str, closing: &str) -> Option<&'text str> {
    let at = *find_ignoring_case(text, opening).first()?;
    let inside = &text[at + opening.len()..];
    Some(&inside[..*find_ignoring_case(inside, closing).first()?])
}

/// What follows the first `marker`, in any case, up to a fence or the end.
pub(super) fn after_marker<'text>(text: &'text str, marker: &str) -> Option<&'text str> {
    let at = *find_ignoring_case(text, marker).first()?;
    let after = &text[at + marker.len()..];
    Some(after.split_once(FENCE).map_or(after, |(before, _)| before))
}

/// Where `needle`, which is ASCII, occurs in any case.
pub(super) fn find_ignoring_case(text: &str, needle: &str) -> Vec<usize> {
    let windows = text.as_bytes().windows(needle.len()).enumerate();
    windows.filter(|(_, window)| window.eq_ignore_ascii_case(needle.as_bytes())).map(|(at, _)| at).collect()
}
