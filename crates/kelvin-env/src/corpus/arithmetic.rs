//! Questions in words with an integer answer, and equations modulo a prime: small shares of the corpus, so that
//! recipes on questions and on prime inversion start from the same base model.

use kelvin_core::seed::Draws;

use crate::prime_inversion::{Blank, Inversion, compact_propose_prompt, compact_solve_prompt};

/// A question, the lines that work it out, and its answer.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) working: Vec<String>,
    pub(crate) answer: i64,
}

/// Names, and things that can be counted.
const NAMES: &[&str] = &["Ann", "Ben", "Eva", "Tom", "Mia", "Sam"];
const THINGS: &[&str] = &["apples", "books", "coins", "pens", "cards", "eggs"];

/// A question of one or two operations.
pub(crate) fn question(draws: &mut Draws) -> Question {
    let name = *draws.pick(NAMES);
    let thing = *draws.pick(THINGS);
    let (a, b, c) = (draws.between(2, 20), draws.between(2, 12), draws.between(2, 9));
    let (more, less) = (a.max(b), a.min(b));
    let small = draws.between(2, 9);
    match draws.below(14) {
        0 => one(format!("What is {a} + {b}?"), a + b),
        1 => one(format!("What is {a} - {b}?"), a - b),
        2 => one(format!("What is {small} * {b}?"), small * b),
        3 => one(format!("What is the remainder of {a} divided by {c}?"), a % c),
        4 => one(format!("x + {less} = {more}. What is x?"), more - less),
        5 => one(format!("{small} * x = {}. What is x?", small * b), b),
        6 => one(format!("{name} has {a} {thing} and gets {b} more. How many {thing} now?"), a + b),
        7 => one(
            format!("{name} has {more} {thing} and gives away {less}. How many {thing} are left?"),
            more - less,
        ),
        8 => {
            one(format!("There are {small} bags with {b} {thing} each. How many {thing} in all?"), small * b)
        }
        9 => one(
            format!("{name} shares {} {thing} among {small} people. How many {thing} each?", small * b),
            b,
        ),
        10 => two(format!("What is {small} * {b} + {c}?"), (small, '*', b), ('+', c)),
        11 => two(format!("What is ({a} + {b}) * {c}?"), (a, '+', b), ('*', c)),
        12 => two(
            format!(
                "{name} buys {small} bags with {b} {thing} each and finds {c} more. How many {thing} now?"
            ),
            (small, '*', b),
            ('+', c),
        ),
        _ => two(
            format!(
                "{name} has {a} {thing}, gets {b} more and loses {}. How many {thing} are left?",
                c.min(a)
            ),
            (a, '+', b),
            ('-', c.min(a)),
        ),
    }
}

fn one(text: String, answer: i64) -> Question {
    Question { text, working: Vec::new(), answer }
}

fn two(text: String, (left, first, right): (i64, char, i64), (second, last): (char, i64)) -> Question {
    let apply = |left: i64, sign: char, right: i64| match sign {
        '+' => left + right,
        '-' => left - right,
        _ => left * right,
    };
    let middle = apply(left, first, right);
    let answer = apply(middle, second, last);
    let working =
        vec![format!("{left} {first} {right} = {middle}"), format!("{middle} {second} {last} = {answer}")];
    Question { text, working, answer }
}

/// A question to solve: prompt and response.
pub(crate) fn question_solution(draws: &mut Draws) -> (String, String) {
    let question = question(draws);
    let lines: String = question.working.iter().map(|line| format!("{line}\n")).collect();
    let response = format!("{lines}\\boxed{{{}}}", question.answer);
    (format!("### question\n{}\n### answer\n", question.text), response)
}

/// A question to pose, mostly after none and sometimes after one or two others: prompt and response.
pub(crate) fn question_proposal(draws: &mut Draws) -> (String, String) {
    let question = question(draws);
    let n_references = [0, 0, 1, 2][draws.below(4)];
    let references: String =
        (0..n_references).map(|_| format!("### question\n{}\n", self::question(draws).text)).collect();
    let response = format!("{}\nanswer: \\boxed{{{}}}", question.text, question.answer);
    (format!("{references}### propose question\n"), response)
}

/// An equation whose numbers and the letter that stands for one of them are drawn, none of them withheld.
fn inversion(draws: &mut Draws) -> (Inversion, Blank) {
    loop {
        let p = *draws.pick(PRIMES);
        let x = draws.between(1, i64::from(p) - 1) as u32;
        let inversion = Inversion::of(x, p).expect("a number below a prime has an inverse");
        let blank = *draws.pick(&[Blank::X, Blank::Y, Blank::P]);
        if !inversion.is_withheld() {
            return (inversion, blank);
        }
    }
}

/// The primes of the equations.
const PRIMES: &[u32] = &[5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43];

/// An equation to solve: prompt and response.
pub(crate) fn inversion_solution(draws: &mut Draws) -> (String, String) {
    let (inversion, blank) = inversion(draws);
    (compact_solve_prompt(&inversion, blank), inversion.value(blank).to_string())
}

/// An equation to pose after up to two others: prompt and response.
pub(crate) fn inversion_proposal(draws: &mut Draws) -> (String, String) {
    let (inversion, blank) = inversion(draws);
    let n_references = draws.below(3);
    let references: Vec<Inversion> = (0..n_references).map(|_| self::inversion(draws).0).collect();
    (compact_propose_prompt(&references, blank), inversion.with(blank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kelvin_core::seed::Seed;

    #[test]
    fn equations_hold_and_none_is_withheld() {
        for index in 0..2000 {
            let (inversion, _) = inversion(&mut Seed::new(3).nth(index).draws());
            assert_eq!(inversion.x * inversion.y % inversion.p, 1);
            assert!(!inversion.is_withheld());
        }
    }

    #[test]
    fn the_answer_completes_the_equation() {
        for index in 0..500 {
            let (prompt, response) = inversion_solution(&mut Seed::new(3).nth(index).draws());
            let (equation, letter) =
                prompt.strip_prefix("### inversion\n").unwrap().split_once("\n### ").unwrap();
            let numbers: Vec<u32> = equation
                .replace(letter.trim_end(), &response)
                .split(|it: char| !it.is_ascii_digit())
                .filter_map(|it| it.parse().ok())
                .collect();
            assert_eq!((numbers.len(), numbers[0] * numbers[1] % numbers[3]), (4, numbers[2]), "{equation}");
        }
    }

    #[test]
    fn workings_end_in_the_answer() {
        let mut n_worked = 0;
        for index in 0..500 {
            let question = question(&mut Seed::new(4).nth(index).draws());
            assert!(question.text.ends_with('?'), "{}", question.text);
            if let Some(last) = question.working.last() {
                n_worked += 1;
                assert!(last.ends_with(&format!("= {}", question.answer)));
            }
        }
        assert!(100 < n_worked);
    }
}
