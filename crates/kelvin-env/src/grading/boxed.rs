//! The boxed expression that a mathematical answer ends in.

/// The inside of the last `\boxed{..}` or `\fbox{..}` whose braces are closed; escaped braces do not count.
pub fn last_boxed(text: &str) -> Option<&str> {
    let opened = |command: &'static str| text.rmatch_indices(command).map(move |(at, _)| at + command.len());
    let mut places: Vec<usize> = opened("\\boxed").chain(opened("\\fbox")).collect();
    places.sort_unstable_by(|left, right| right.cmp(left));
    // A box inside a box is the later match, but the outer one is meant.
    let mut found: Option<(usize, &str)> = None;
    for place in places {
        let Some(inside) = braced(text[place..].trim_start()) else { continue };
        let end = inside.as_ptr() as usize - text.as_ptr() as usize + inside.len();
        match found {
            Some((inner_end, _)) if end <= inner_end => break,
            Some(_) | None => found = Some((end, inside)),
        }
    }
    found.map(|(_, inside)| inside)
}

/// The inside of the brace pair that `text` starts with.
fn braced(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?;
    let mut depth = 0usize;
    let mut escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(&inside[..at]),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
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
        assert_eq!(last_boxed("no box"), None);
    }
}
