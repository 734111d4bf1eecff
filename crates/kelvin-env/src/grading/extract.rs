//! Which part of a response is its final answer.

/// What follows the last `</think>`; all of a text without one.
pub fn after_thinking(response: &str) -> &str {
    response.rsplit_once("</think>").map_or(response, |(_, after)| after)
}

/// The rest of the line behind the last `####`; none where it is blank.
pub fn after_hashes(text: &str) -> Option<&str> {
    let (_, after) = text.rsplit_once("####")?;
    Some(after.lines().next()?.trim()).filter(|it| !it.is_empty())
}

/// What stands behind the last "answer is" or "answer:", in any case, up to the end of the sentence.
pub fn answer_phrase(text: &str) -> Option<&str> {
    let at = ["answer is", "answer:"]
        .iter()
        .filter_map(|it| Some(last_ignoring_case(text, it)? + it.len()))
        .max()?;
    Some(sentence(text[at..].trim_start_matches([':', ' ', '*']))).filter(|it| !it.is_empty())
}

/// The text up to the end of the line, or to a period that ends a sentence outside of mathematics.
fn sentence(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let mut is_in_math = false;
    for (at, sign) in line.char_indices() {
        match sign {
            '$' if !line[..at].ends_with('\\') => is_in_math = !is_in_math,
            '.' if !is_in_math && line[at + 1..].chars().next().is_none_or(char::is_whitespace) => {
                return line[..at].trim();
            }
            _ => {}
        }
    }
    line.trim()
}

fn last_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.as_bytes().windows(needle.len()).rposition(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_end() {
        for (text, hashes, phrase) in [
            ("Janet has 9 left.\n#### 1,800\n", Some("1,800"), None),
            ("**Final Answer:** $x = 0.5$. I hope so.", None, Some("$x = 0.5$")),
            (
                "The answer is 3. No, the final answer is \\((-6, 10)\\). I hope so.",
                None,
                Some("\\((-6, 10)\\)"),
            ),
            ("1 #### 2 answer is 3", Some("2 answer is 3"), Some("3")),
            ("", None, None),
            ("####", None, None),
            ("answer is", None, None),
        ] {
            assert_eq!((after_hashes(text), answer_phrase(text)), (hashes, phrase), "{text}");
        }
        assert_eq!(after_thinking("<think>5</think> so </think>7"), "7");
        assert_eq!(after_thinking("<think>5"), "<think>5");
    }
}
