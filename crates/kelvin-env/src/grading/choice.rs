//! Which option of a multiple-choice question a response chooses. A response that names none has none: nothing is
//! guessed.

use super::{extract, last_boxed};

/// The index of the option that a response chooses, of `options` in the order of their letters. The last closed box is
/// read, or else what stands behind the last "answer is", or else the last line. It may say a letter alone, `(C)`, `C.` and
/// `\text{C}` included, the text of exactly one option, or, but for the last line, which may end a list of the options, a
/// letter and behind a mark and a blank any text (`C: iron`). A letter that is also another option's text is the letter.
pub fn chosen(response: &str, options: &[&str]) -> Option<usize> {
    let text = extract::after_thinking(response);
    let committed = last_boxed(text).or_else(|| extract::answer_phrase(text));
    let read = committed.or_else(|| text.lines().map(str::trim).rfind(|line| !line.is_empty()))?;
    (letter(read, options, false))
        .or_else(|| spelled_out(read, options))
        .or_else(|| committed.and_then(|it| letter(it, options, true)))
}

/// The option whose letter an answer says; text may follow it where `explains`.
fn letter(answer: &str, options: &[&str], explains: bool) -> Option<usize> {
    let mut text = bare(answer);
    for word in ["final answer", "the answer is", "answer is", "answer", "option", "choice"] {
        if text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            text = bare(text[word.len()..].trim_start_matches([' ', ':']));
        }
    }
    let is_open = text.starts_with(['(', '[']);
    let text = text.trim_start_matches(['(', '[']);
    let letter = text.chars().next().filter(char::is_ascii_uppercase)?;
    let rest = &text[1..];
    let closed = rest.strip_prefix([')', ']']).filter(|_| is_open);
    // Not the initial of a name, as in `B.F. Skinner`.
    let mark = rest.strip_prefix([')', '.', ':']).filter(|it| it.starts_with(char::is_whitespace));
    let index = usize::from(letter as u8 - b'A');
    // Who goes on with another letter has not chosen, unless that is how the option reads.
    let is_one = |it: &str| !names_a_letter(it, options.len()) || Some(index) == spelled_out(it, options);
    let is_marked = explains && closed.or(mark).is_some_and(is_one);
    let says_only_that = bare(closed.unwrap_or(rest)).is_empty();
    ((is_marked || says_only_that) && index < options.len()).then_some(index)
}

/// Whether one of the options' letters stands alone in a text.
fn names_a_letter(text: &str, n_options: usize) -> bool {
    let mut words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
    words.any(|it| matches!(it.as_bytes(), [letter @ b'A'..=b'Z'] if usize::from(letter - b'A') < n_options))
}

/// The one option that the answer writes out.
fn spelled_out(answer: &str, options: &[&str]) -> Option<usize> {
    let folded = |text: &str| bare(text).split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let answer = folded(answer);
    let mut same =
        options.iter().enumerate().filter(|(_, option)| folded(option) == answer && !answer.is_empty());
    match (same.next(), same.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

/// A text without what marks it up: dollars, stars, `\text{..}`, a period at its end.
fn bare(text: &str) -> &str {
    let mut text = text;
    loop {
        let before = text;
        text = text.trim().trim_matches(['$', '*', '`', '"']).trim_end_matches('.').trim();
        for command in ["\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\boxed{"] {
            text = text.strip_prefix(command).and_then(|it| it.strip_suffix('}')).unwrap_or(text);
        }
        if text == before {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METALS: &[&str] = &["gold", "iron", "A mixture", "10", "20"];

    #[test]
    fn letters_and_written_options_are_read() {
        for (response, index) in [
            ("\\boxed{B}", 1),
            ("<think>\\boxed{A}</think>So \\boxed{\\text{(B)}}.", 1),
            ("It is A or B. The answer is (B).", 1),
            ("**Answer: B**", 1),
            ("\\boxed{\\text{Answer: C}}", 2),
            ("\\boxed{B. iron}", 1),
            ("\\boxed{B) iron}", 1),
            ("\\boxed{C. A mixture}", 2),
            ("\\boxed{Iron}", 1),
            ("\\boxed{a mixture}", 2),
            ("\\boxed{10}", 3),
            ("Weighing both,\nI choose\nE", 4),
            ("Weighing both,\n(B)", 1),
        ] {
            assert_eq!(chosen(response, METALS), Some(index), "{response}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for response in [
            "",
            "\\boxed{}",
            "\\boxed{F}",
            "\\boxed{A or B}",
            "\\boxed{(A) or (B)}",
            "The answer is (B), or (C).",
            "The answer is: A) gold or B) iron",
            "\\boxed{B. iron and C. a mixture}",
            "\\boxed{copper}",
            "\\boxed{A good one}",
            "I do not know",
            "The answer is unknown.",
            "<think>\\boxed{B}</think>",
        ] {
            assert_eq!(chosen(response, METALS), None, "{response}");
        }
        assert_eq!(chosen("\\boxed{same}", &["same", "same"]), None);
        assert_eq!(chosen("\\boxed{B}", &["B", "A"]), Some(1));
        let list = "A. gold\nB. iron\nC. a mixture of both";
        assert_eq!(chosen(list, METALS), None);
        let people = ["A. Adler's", "Freud's", "B.F. Skinner's theory", "E. coli"];
        assert_eq!(chosen("\\boxed{B.F. Skinner's theory}", &people), Some(2));
        assert_eq!(chosen("\\boxed{B.F. Skinner's view}", &people), None);
        assert_eq!(chosen("\\boxed{E. coli}", &people), Some(3));
    }
}
