//! The boxed expression that a mathematical answer ends in.

use std::collections::HashSet;

/// The inside of the last `\boxed{..}` or `\fbox{..}` whose braces are closed; escaped braces do not count.
pub fn last_boxed(text: &str) -> Option<&str> {
    // A box inside a box is the later match, but the outer one is meant.
    let mut found: Option<(usize, usize)> = None;
    for (start, end) in closed_boxes(text) {
        match found {
            Some((_, inner_end)) if end <= inner_end => break,
            Some(_) | None => found = Some((start, end)),
        }
    }
    found.map(|(start, end)| &text[start..end])
}

/// The insides of boxes whose braces are closed, the one that begins last first. One pass over the text.
fn closed_boxes(text: &str) -> Vec<(usize, usize)> {
    let opens = |command: &'static str| {
        text.match_indices(command).filter_map(move |(at, _)| {
            let rest = &text[at + command.len()..];
            let inside = rest.trim_start().strip_prefix('{')?;
            Some(text.len() - inside.len())
        })
    };
    let starts: HashSet<usize> = opens("\\boxed").chain(opens("\\fbox")).collect();
    let (mut boxes, mut open, mut escaped) = (Vec::new(), Vec::new(), false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => open.push(at + 1),
            b'}' => boxes.extend(open.pop().filter(|start| starts.contains(start)).map(|start| (start, at))),
            _ => {}
        }
    }
    boxes.sort_unstable_by(|left, right| right.cmp(left));
    boxes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outermost_box_counts() {
        assert_eq!(last_boxed("\\boxed{1} then \\boxed{\\frac{1}{2}}."), Some("\\frac{1}{2}"));
        assert_eq!(last_boxed("\\boxed{a \\boxed{b} c}"), Some("a \\boxed{b} c"));
        assert_eq!(last_boxed("\\boxed{1} \\boxed{2"), Some("1"));
        assert_eq!(last_boxed("\\boxed{\\{1\\}}"), Some("\\{1\\}"));
        assert_eq!(last_boxed("\\fbox {3}"), Some("3"));
        assert_eq!(last_boxed("} {\\boxed{1}"), Some("1"));
        assert_eq!(last_boxed("no box"), None);
        let deep = "\\boxed{".repeat(200_000);
        assert_eq!(last_boxed(&deep), None);
        assert_eq!(
            last_boxed(&format!("{deep}1{}", "}".repeat(200_000))).map(str::len),
            Some(199_999 * 8 + 1)
        );
    }
}
