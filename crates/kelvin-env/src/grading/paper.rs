//! What the papers' code does instead of [`super::extract`], [`super::choice`] and [`super::math`], flaws included, where
//! its rules are known exactly (docs/grading.md). For comparison with published numbers, never for a reward.

use kelvin_core::seed::Seed;

use super::last_boxed;

/// AZR's final answer: the box in the last `<answer>`, else that answer; without one the last box of the text, else the
/// first displayed formula on one line, else nothing.
pub fn azr_answer(response: &str) -> &str {
    if let Some((_, answer)) = response.rsplit_once("<answer>") {
        let answer = answer.split_once("</answer>").map_or(answer, |(before, _)| before);
        return last_boxed(answer).unwrap_or(answer).trim();
    }
    last_boxed(response).or_else(|| displayed(response)).unwrap_or_default()
}

/// The first `\[ .. \]` that begins and ends on one line.
fn displayed(text: &str) -> Option<&str> {
    text.lines().find_map(|line| Some(line.split_once("\\[")?.1.split_once("\\]")?.0.trim()))
}

/// R-Zero's final answer: what follows the first `\boxed{` up to the last `}` on its line. Of `\boxed{5} or \boxed{6}` that
/// is `5} or \boxed{6`.
pub fn r_zero_answer(response: &str) -> Option<&str> {
    response.match_indices("\\boxed{").find_map(|(at, command)| {
        let line = response[at + command.len()..].lines().next()?;
        Some(&line[..line.rfind('}')?])
    })
}

/// R-Zero's choice: of the answer's letters A to J the first of the alphabet, wherever it stands, so that
/// `\text{Answer: C}` is A; where there is none, [`r_zero_lot`] draws one.
pub fn r_zero_choice(response: &str) -> Option<char> {
    let said = |marker: &str| response.split_once(marker).and_then(|(_, after)| after.lines().next());
    let answer = last_boxed(response).or_else(|| said("Final Answer:")).or_else(|| said("The answer is:"));
    answer.and_then(|answer| ('A'..='J').find(|letter| answer.contains(*letter)))
}

/// The letter that R-Zero draws for a response without one.
pub fn r_zero_lot(seed: Seed) -> char {
    char::from(b'A' + seed.below(10) as u8)
}

/// MMLU-Pro's choice: the letter of the first "answer is (X)", else of the last "Answer: X" on the first line that has
/// one, else the last letter that stands alone. The original then draws an option.
pub fn mmlu_pro_choice(response: &str) -> Option<char> {
    let option = |text: &str| text.chars().next().filter(|it| ('A'..='J').contains(it));
    let is_said = |(at, phrase): (usize, &str)| {
        let after = &response[at + phrase.len()..];
        option(after.strip_prefix('(').unwrap_or(after))
    };
    (response.match_indices("answer is ").find_map(is_said))
        .or_else(|| marked_choice(response))
        .or_else(|| response.char_indices().rev().find_map(|it| lone_choice(response, it)))
}

fn marked_choice(response: &str) -> Option<char> {
    let mut found: Option<(usize, char)> = None;
    for (at, marker) in response.match_indices("nswer:") {
        let is_new_line = found.is_some_and(|it| response[it.0..at].contains('\n'));
        if is_new_line {
            break;
        }
        let letter = response[at + marker.len()..].trim_start().chars().next();
        if let Some(letter) =
            letter.filter(|it| ('A'..='J').contains(it) && response[..at].ends_with(['a', 'A']))
        {
            found = Some((at, letter));
        }
    }
    found.map(|it| it.1)
}

fn lone_choice(text: &str, (at, letter): (usize, char)) -> Option<char> {
    let is_word = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let is_lone = ('A'..='J').contains(&letter)
        && !is_word(text[..at].chars().next_back())
        && !is_word(text[at + 1..].chars().next());
    is_lone.then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_as_the_papers_find_them() {
        assert_eq!(azr_answer("<answer>1</answer> <answer>so \\boxed{2}</answer>"), "2");
        assert_eq!(azr_answer("<answer> 7 "), "7");
        assert_eq!(azr_answer("\\boxed{1}, \\boxed{2}"), "2");
        assert_eq!(azr_answer("thus\n\\[ x = 3 \\]\n\\[ 4 \\]"), "x = 3");
        assert_eq!(azr_answer("no answer"), "");
        assert_eq!(r_zero_answer("\\boxed{5} or \\boxed{6}"), Some("5} or \\boxed{6"));
        assert_eq!(r_zero_answer("\\boxed{\\frac{1}{2}}.\n}"), Some("\\frac{1}{2}"));
        assert_eq!(r_zero_answer("\\boxed{"), None);
    }

    #[test]
    fn choices_are_found_as_the_papers_find_them() {
        assert_eq!(r_zero_choice("\\boxed{\\text{Answer: C}}"), Some('A'));
        assert_eq!(r_zero_choice("The answer is: (D) iron\nB"), Some('D'));
        assert_eq!(r_zero_choice("B"), None);
        let drawn: std::collections::BTreeSet<char> =
            (0..200).map(|at| r_zero_lot(Seed::new(3).nth(at))).collect();
        assert_eq!(drawn, ('A'..='J').collect());
        for (response, choice) in [
            ("I think the answer is (C). Answer: D", Some('C')),
            ("the answer is none. The answer is B", Some('B')),
            ("Answer: B, no, Answer:  D\nAnswer: E", Some('D')),
            ("A or maybe E it is", Some('E')),
            ("BAD ÄB", None),
        ] {
            assert_eq!(mmlu_pro_choice(response), choice, "{response}");
        }
    }
}
