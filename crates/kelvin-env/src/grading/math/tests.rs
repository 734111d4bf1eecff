//! The rules of docs/grading.md, each with what must and what must not be equal.

mod bounds;
mod cases;

use cases::{DIFFERENT, EQUAL};
use kelvin_core::seed::{Draws, Seed};
use proptest::prelude::*;

use super::*;

fn verdict(gold: &str, answer: &str) -> Verdict {
    equal(gold, answer, &Options::default())
}

#[test]
fn what_says_the_same_is_equal() {
    let wrong: Vec<_> = EQUAL
        .iter()
        .flat_map(|(a, b)| [(a, b), (b, a)])
        .filter(|(gold, answer)| verdict(gold, answer) != Verdict::Equal)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_says_something_else_is_not() {
    let wrong: Vec<_> = DIFFERENT
        .iter()
        .flat_map(|(a, b)| [(a, b), (b, a)])
        .filter(|(gold, answer)| verdict(gold, answer) == Verdict::Equal)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn switches_are_for_what_people_disagree_about() {
    let with = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        move |gold: &str, answer: &str| equal(gold, answer, &options) == Verdict::Equal
    };
    let ordered = with(|it| it.lists = Order::Kept);
    assert!(!ordered("10, 4, -2", "4, 10, -2") && ordered("10, 4, -2", "10,4,-2"));
    let no_brackets = with(|it| it.brackets = Brackets::Ignored);
    assert!(
        no_brackets("(1,3)", "\\{1,3\\}") && no_brackets("(1,3)", "1,3") && no_brackets("(1,3)", "[1,3]")
    );
    assert!(!no_brackets("(3,1)", "\\{1,3\\}"));
    let share = with(|it| it.percent = Percent::AlsoShare);
    assert!(share("60\\%", "0.6") && share("0.6", "60\\%") && share("60\\%", "60") && !share("60\\%", "6"));
    let rounded = with(|it| it.rounded_decimals = Some(3));
    assert!(rounded("\\frac{\\sqrt{3}}{3}", "0.577") && !rounded("\\frac{\\sqrt{3}}{3}", "0.578"));
    assert!(rounded("1/3", "0.333") && !rounded("1/3", "0.33"));
    assert!(rounded("(\\frac35,\\frac83]", "(0.6,2.6667]"));
    let exact = with(|it| it.rounded_decimals = None);
    assert!(!exact("\\frac{1}{12}", "0.0833333333333333") && exact("1/4", "0.25"));
}

#[test]
fn words_for_mathematics_are_unparsable() {
    for answer in ["", "  ", "\\boxed{}", "five", "I do not know", "the answer"] {
        assert_eq!(verdict("5", answer), Verdict::Unparsable, "{answer}");
    }
    for (gold, answer) in
        [("5", "6"), ("Evelyn", "Carla"), ("\\text{yes}", "5"), ("5", "1, 2"), ("[0,1]", "x")]
    {
        assert_eq!(verdict(gold, answer), Verdict::Different, "{gold} {answer}");
    }
}

/// Texts whose value, depth or expansion is out of proportion to their length.
fn hostile() -> Vec<String> {
    let within = |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    let list = |item: &str| vec![item; 120].join(",");
    vec![
        within("{", 3000, "}"),
        within("(", 64, ")"),
        within("\\frac{1}{1+", 60, "}"),
        within("\\sqrt{1+", 60, "}"),
        within("|", 100, "|"),
        "9^".repeat(60) + "9",
        "2^{2^{2^{2^{2^{2}}}}}".to_owned(),
        "10^{10^{10^{10}}}".to_owned(),
        "((((9^9)^9)^9)^9)^9".to_owned(),
        "1000!".to_owned(),
        "999!!!!".to_owned(),
        "(999!)!".to_owned(),
        "5000!+1".to_owned(),
        "\\binom{1000}{500}".to_owned(),
        "\\binom{10^9}{5}".to_owned(),
        "\\sum_{k=1}^{10^9} k".to_owned(),
        "\\sum_{a=1}^{200}\\sum_{b=1}^{200}\\sum_{c=1}^{200} abc".to_owned(),
        "(a+b+c+d+e+f)^{500}".to_owned(),
        "(1+x)".repeat(150),
        (1..200).map(|it| format!("\\frac{{1}}{{{it}x+1}}+")).collect::<String>() + "1",
        "\\pm".repeat(60) + "1",
        list("1\\pm\\sqrt{2}"),
        list("\\frac{x+1}{x+2}"),
        list("(1,2)"),
        "1e4000+x".to_owned(),
        "1e99999999999999999999".to_owned(),
        "7".repeat(1900),
        "7".repeat(1_000_000),
        "x_".repeat(500),
        "\\begin{pmatrix}".repeat(50),
        "\\begin{pmatrix}".to_owned() + &"1&".repeat(300) + "1\\end{pmatrix}",
        "-".repeat(1900) + "1",
        "\\text{".repeat(300),
        "\\sin".repeat(300) + "x",
        "1/0".to_owned(),
        "0^0".to_owned(),
        "0^{-1}".to_owned(),
        "\\log_1 5".to_owned(),
        "\\sqrt[0]{5}".to_owned(),
        "x>".repeat(200) + "1",
    ]
}

/// Every pair ends: the test would not, if a bound were missing.
#[test]
fn hostile_answers_take_bounded_work() {
    let hostile = hostile();
    for (at, gold) in hostile.iter().enumerate() {
        // Each is equal to itself in another layout, or cannot be told; it is never equal to its neighbour.
        verdict(gold, &format!("\\displaystyle {gold}+0"));
        assert_eq!(verdict(gold, gold), Verdict::Equal, "{gold:.80}");
        let other = &hostile[(at + 1) % hostile.len()];
        assert_ne!(verdict(gold, other), Verdict::Equal, "{gold:.80} {other:.80}");
    }
}

/// Real answers with a sign removed, doubled or exchanged for one of another answer.
#[test]
fn mutated_answers_are_read() {
    let golds: Vec<&str> = EQUAL.iter().chain(DIFFERENT).flat_map(|it| [it.0, it.1]).collect();
    for index in 0..4000 {
        let mut draws = Seed::new(21).nth(index).draws();
        let gold = *draws.pick(&golds);
        let mut signs: Vec<char> = gold.chars().collect();
        for _ in 0..draws.between(1, 3) {
            let at = draws.below(signs.len());
            match draws.below(3) {
                0 if 1 < signs.len() => drop(signs.remove(at)),
                1 => signs.insert(at, signs[at]),
                _ => {
                    let other: Vec<char> = draws.pick(&golds).chars().collect();
                    signs[at] = other[draws.below(other.len())];
                }
            }
        }
        let mutated: String = signs.into_iter().collect();
        let (there, back) = (verdict(gold, &mutated), verdict(&mutated, gold));
        assert_eq!(there == Verdict::Equal, back == Verdict::Equal, "{gold} {mutated}");
        assert_eq!(verdict(gold, &mutated), there, "a verdict is always the same");
    }
}

/// Fractions in different spellings: equal exactly where their values are.
#[test]
fn equality_of_numbers_is_equality_of_values() {
    let mut draws = Seed::new(22).draws();
    let spelled = |draws: &mut Draws, above: i64, below: i64| {
        let scale = draws.between(1, 4);
        let (a, b) = (above * scale, below * scale);
        match draws.below(6) {
            0 => format!("{a}/{b}"),
            1 => format!("\\frac{{{a}}}{{{b}}}"),
            2 => format!("{a}\\cdot\\frac{{1}}{{{b}}}"),
            3 => format!("\\frac{{{a}\\sqrt{{2}}}}{{{b}\\sqrt 2}}"),
            4 => format!("x = \\left({a}\\right) / {b} \\text{{ cm}}"),
            _ => format!("\\frac{{{}+t}}{{{b}}} - \\frac{{t+1}}{{{b}}}", a + 1),
        }
    };
    for _ in 0..1500 {
        let (a, b, c, d) =
            (draws.between(-6, 6), draws.between(1, 6), draws.between(-6, 6), draws.between(1, 6));
        let (left, right) = (spelled(&mut draws, a, b), spelled(&mut draws, c, d));
        assert_eq!(verdict(&left, &right) == Verdict::Equal, a * d == c * b, "{left} {right}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged(gold in any::<String>(), answer in any::<String>()) {
        verdict(&gold, &answer);
        prop_assert_eq!(verdict(&answer, &answer) == Verdict::Equal, !committed(&answer).is_empty());
    }
}
