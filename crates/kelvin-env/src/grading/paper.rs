//! What the papers' code does instead of [`super::extract`], [`super::choice`] and [`super::math`], flaws included, where
//! its rules are known exactly (evaluation.md sections 3 and 4). For comparison with published numbers, never for a reward.

use kelvin_core::seed::Seed;

use super::{
    last_boxed,
    math::{self, Options, Order, Verdict},
};

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
/// `\text{Answer: C}` is A; where there is none, a letter by lot.
pub fn r_zero_choice(response: &str, seed: Seed) -> char {
    let said = |marker: &str| response.split_once(marker).and_then(|(_, after)| after.lines().next());
    let answer = last_boxed(response).or_else(|| said("Final Answer:")).or_else(|| said("The answer is:"));
    let named = answer.and_then(|answer| ('A'..='J').find(|letter| answer.contains(*letter)));
    named.unwrap_or_else(|| char::from(b'A' + seed.below(10) as u8))
}

/// MMLU-Pro's choice: the letter of the first "answer is (X)", else of the last "Answer: X", else the last letter that
/// stands alone. The original then draws an option; who wants its score draws where this is none.
pub fn mmlu_pro_choice(response: &str) -> Option<char> {
    let option = |text: &str| text.chars().next().filter(|it| ('A'..='J').contains(it));
    let is_said = |(at, phrase): (usize, &str)| {
        let after = &response[at + phrase.len()..];
        option(after.strip_prefix('(').unwrap_or(after))
    };
    let mut marked: Vec<(usize, &str)> = response.match_indices("nswer:").collect();
    marked.retain(|it| response[..it.0].ends_with(['a', 'A']));
    let is_marked = |(at, marker): &(usize, &str)| option(response[at + marker.len()..].trim_start());
    let is_word = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let lone = |(at, letter): (usize, char)| {
        option(letter.encode_utf8(&mut [0; 4]))?;
        let stands_alone =
            !is_word(response[..at].chars().next_back()) && !is_word(response[at + 1..].chars().next());
        stands_alone.then_some(letter)
    };
    (response.match_indices("answer is ").find_map(is_said))
        .or_else(|| marked.iter().rev().find_map(is_marked))
        .or_else(|| response.char_indices().rev().find_map(lone))
}

/// The equality of the MATH data set (Hendrycks and others 2021): of normalised texts.
pub fn hendrycks_equal(gold: &str, answer: &str) -> bool {
    hendrycks_text(gold) == hendrycks_text(answer)
}

/// The equality of PRM800K, MathRuler and R-Zero's rewards: of normalised texts, else of values, but two fractions have to
/// be written alike, an integer is no formula, and tuples go member by member in order. Our own arithmetic stands for
/// the computer algebra behind it.
pub fn prm800k_equal(gold: &str, answer: &str) -> bool {
    let (gold, answer) = (hendrycks_text(gold), hendrycks_text(answer));
    if gold == answer {
        return true;
    }
    if answer.is_empty() {
        return false;
    }
    let (golds, answers) = (members(&gold), members(&answer));
    let brackets = |text: &str| (text.chars().next(), text.chars().next_back());
    if 1 < golds.len() && brackets(&gold) != brackets(&answer) || golds.len() != answers.len() {
        return false;
    }
    golds.iter().zip(&answers).all(|(gold, answer)| gold == answer || same_member(gold, answer))
}

fn same_member(gold: &str, answer: &str) -> bool {
    let is_fraction = |text: &str| {
        let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        let inside = text.trim_start_matches('-').strip_prefix("\\frac{").and_then(|it| it.strip_suffix('}'));
        inside.and_then(|it| it.split_once("}{")).is_some_and(|(above, below)| digits(above) && digits(below))
    };
    let is_integer = |text: &str| text.replace(',', "").parse::<i64>().is_ok();
    if is_fraction(gold) && is_fraction(answer) || is_integer(gold) != is_integer(answer) {
        return false;
    }
    // The original leaves powers of several digits and formulas of more than two letters alone.
    let is_left_alone = |text: &str| {
        let mut letters: Vec<char> = text.replace("sqrt", "").replace("frac", "").chars().collect();
        letters.retain(|it| it.is_alphabetic());
        letters.sort_unstable();
        letters.dedup();
        let long_power = text.match_indices('^').any(|(at, _)| {
            let power = &text[at + 1..];
            power.starts_with('{') || power.bytes().take_while(u8::is_ascii_digit).count() >= 2
        });
        2 < letters.len() || long_power
    };
    let options = Options { lists: Order::Kept, rounded_decimals: None, ..Options::default() };
    !is_left_alone(gold) && !is_left_alone(answer) && math::equal(gold, answer, &options) == Verdict::Equal
}

/// The members of a tuple or interval; any other text is one.
fn members(text: &str) -> Vec<String> {
    let inside = text.strip_prefix(['(', '[']).and_then(|it| it.strip_suffix([')', ']']));
    match inside {
        Some(inside) if !inside.contains(['(', ')', '[', ']']) => {
            inside.split(',').map(str::to_owned).collect()
        }
        Some(_) | None => vec![text.to_owned()],
    }
}

/// The normal form: layout, units in `\text`, degree, dollar and percent signs go, a short name before an equals sign
/// too; fractions and roots get their braces.
fn hendrycks_text(text: &str) -> String {
    let mut text = text.replace('\n', "").replace("\\!", "").replace("\\\\", "\\");
    for (from, to) in [
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("^{\\circ}", ""),
        ("^\\circ", ""),
        ("\\$", ""),
    ] {
        text = text.replace(from, to);
    }
    if let Some((value, _)) = text.split_once("\\text{ ").filter(|(_, unit)| !unit.contains("\\text{ ")) {
        text = value.to_owned();
    }
    text = text.replace("\\%", "").replace('%', "").replace(" .", " 0.").replace("{.", "{0.");
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    let named = text.split_once('=').filter(|(name, value)| name.len() <= 2 && !value.contains('='));
    if let Some((_, value)) = named {
        text = value.to_owned();
    }
    text = with_braces(&text, "\\sqrt", 1).replace(' ', "");
    text = with_braces(&text, "\\frac", 2);
    if text == "0.5" {
        return "\\frac{1}{2}".to_owned();
    }
    match text.split_once('/').map(|(above, below)| (above.parse::<i64>(), below.parse::<i64>())) {
        Some((Ok(above), Ok(below))) if text == format!("{above}/{below}") => {
            format!("\\frac{{{above}}}{{{below}}}")
        }
        _ => text,
    }
}

/// The text with braces around the single characters behind a command.
fn with_braces(text: &str, command: &str, n_arguments: usize) -> String {
    let mut parts = text.split(command);
    let mut braced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        braced.push_str(command);
        let mut rest = part;
        for _ in 0..n_arguments {
            match rest.chars().next() {
                Some(one) if !"{[".contains(one) => {
                    braced.push_str(&format!("{{{one}}}"));
                    rest = &rest[one.len_utf8()..];
                }
                // Behind a group in braces the other argument is as it should be, or not.
                Some('{') => match rest.find('}') {
                    Some(end) if n_arguments == 2 && !rest[1..end].contains('{') => {
                        braced.push_str(&rest[..=end]);
                        rest = &rest[end + 1..];
                    }
                    Some(_) | None => break,
                },
                Some(_) | None => break,
            }
        }
        braced.push_str(rest);
    }
    braced
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
        let seed = Seed::new(3);
        assert_eq!(r_zero_choice("\\boxed{\\text{Answer: C}}", seed), 'A');
        assert_eq!(r_zero_choice("The answer is: (D) iron\nB", seed), 'D');
        let drawn: std::collections::BTreeSet<char> =
            (0..200).map(|at| r_zero_choice("", seed.nth(at))).collect();
        assert_eq!(drawn, ('A'..='J').collect());
        assert_eq!(mmlu_pro_choice("I think the answer is (C). Answer: D"), Some('C'));
        assert_eq!(mmlu_pro_choice("Answer: B, no, Answer:  D"), Some('D'));
        assert_eq!(mmlu_pro_choice("A or maybe E it is"), Some('E'));
        assert_eq!(mmlu_pro_choice("BAD ÄB"), None);
    }

    #[test]
    fn texts_are_compared_as_in_the_math_data_set() {
        for (a, b) in [
            ("\\tfrac83", "\\frac{8}{3}"),
            ("\\left(1, 2\\right)", "(1,2)"),
            ("10\\sqrt3", "10 \\sqrt{3}"),
            ("x = 5", "5"),
            ("90^\\circ", "90"),
            ("1/2", "\\frac12"),
            ("0.5", "1/2"),
            ("5 \\text{ cm}", "5"),
            (".4", "0.4"),
            ("28\\%", "28"),
        ] {
            assert!(hendrycks_equal(a, b) && prm800k_equal(a, b), "{a} {b}");
        }
        for (a, b) in [("1,2", "2,1"), ("5", "6"), ("2/4", "1/2"), ("\\sqrt{4}", "2")] {
            assert!(!hendrycks_equal(a, b) && !prm800k_equal(a, b), "{a} {b}");
        }
        for (a, b) in
            [("x+1", "1+x"), ("\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"), ("(1,x+1)", "(1,1+x)")]
        {
            assert!(!hendrycks_equal(a, b) && prm800k_equal(a, b), "{a} {b}");
        }
        for (a, b) in
            [("a+b+c", "c+b+a"), ("x^{2}", "x \\cdot x"), ("(1,2)", "[1,2]"), ("4", "\\sqrt{16}"), ("5", "")]
        {
            assert!(!prm800k_equal(a, b), "{a} {b}");
        }
    }
}
