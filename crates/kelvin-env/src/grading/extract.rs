//! Which part of a response is its final answer.

use super::last_boxed;

/// How a final answer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the last closed box.
    Boxed,
    /// Behind the last `####`, as in GSM8K.
    Hashes,
    /// Behind the last "answer is" or "answer:".
    Phrase,
    /// The last number of the text, when nothing else says what the answer is.
    LastNumber,
}

/// What follows the last `</think>`; all of a text without one.
pub fn after_thinking(response: &str) -> &str {
    response.rsplit_once("</think>").map_or(response, |(_, after)| after)
}

/// The final answer of a response: the last closed box behind the thinking, or else what stands behind the last
/// `####`, or behind the last "answer is", or the last number.
pub fn final_answer(response: &str) -> Option<(Place, &str)> {
    let text = after_thinking(response);
    let found = |place| move |it| (place, it);
    (last_boxed(text).map(found(Place::Boxed)))
        .or_else(|| after_hashes(text).map(found(Place::Hashes)))
        .or_else(|| answer_phrase(text).map(found(Place::Phrase)))
        .or_else(|| last_number(text).map(found(Place::LastNumber)))
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

/// The last number, with its sign, thousands separators and decimals.
pub fn last_number(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(u8::is_ascii_digit)? + 1;
    let is_part = |at: usize| match bytes[at] {
        b'0'..=b'9' => true,
        b'.' | b',' => bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
        _ => false,
    };
    let mut start = end - 1;
    while 0 < start && is_part(start - 1) {
        start -= 1;
    }
    let is_signed =
        0 < start && bytes[start - 1] == b'-' && (start < 2 || !bytes[start - 2].is_ascii_alphanumeric());
    Some(text[start - usize::from(is_signed)..end].trim_start_matches(','))
}

fn last_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.as_bytes().windows(needle.len()).rposition(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_deliberate_place_wins() {
        for (response, place, answer) in [
            ("1 #### 2 answer is 3 \\boxed{4} 5", Place::Boxed, "4"),
            ("<think>\\boxed{9}</think> the answer is 7.", Place::Phrase, "7"),
            ("Janet has 9 left.\n#### 1,800\n", Place::Hashes, "1,800"),
            ("**Final Answer:** $x = 0.5$. I hope so.", Place::Phrase, "$x = 0.5$"),
            ("The final answer is \\((-6, 10)\\). I hope it is correct.", Place::Phrase, "\\((-6, 10)\\)"),
            ("so 3 of 12 make -1,250.5.", Place::LastNumber, "-1,250.5"),
            ("from 10-12", Place::LastNumber, "12"),
        ] {
            assert_eq!(final_answer(response), Some((place, answer)), "{response}");
        }
        for response in ["", "no number", "####", "answer is", "<think>5</think>"] {
            assert_eq!(final_answer(response), None, "{response}");
        }
    }
}
