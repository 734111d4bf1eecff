//! Conformance vectors and properties of grading.

use kelvin_core::seed::{Draws, Seed};
use proptest::prelude::*;

use super::*;

#[test]
fn errors_are_compared_by_name() {
    assert!(grade_error("ZeroDivisionError", "zerodivisionerror: division by zero").correct);
    assert!(grade_error("NoError", " NoError\n").correct);
    assert!(grade_error("Größe", "GRÖSSE").miss == Some(Miss::Wrong) && grade_error("Öl", "öL: x").correct);
    assert_eq!(grade_error("NoError", "ValueError").miss, Some(Miss::Wrong));
    assert_eq!(grade_error("NoError", "  ").miss, Some(Miss::Unparsable));
}

#[test]
fn numbers_are_compared_exactly() {
    for (gold, answer) in [
        ("0.5", "\\frac{1}{2}"),
        ("1/2", "$.50$"),
        ("1234", "\\boxed{1,234}"),
        ("-3", "so x is \\boxed{4}, no, \\boxed{-3.0}"),
        ("1e3", "1000"),
        ("7", "\\(+7.\\)"),
        ("x+1", "$x + 1$"),
        ("100000000000000000000000000000001", "100000000000000000000000000000001.0"),
    ] {
        assert!(grade_math(gold, answer).correct, "{gold} {answer}");
    }
    for (gold, answer, miss) in [
        ("0.3", "0.30000000000000004", Miss::Wrong),
        ("12", "1,2", Miss::Wrong),
        ("5", "", Miss::Unparsable),
        ("1/3", "0.333", Miss::Wrong),
        ("100000000000000000000000000000001", "100000000000000000000000000000000", Miss::Wrong),
        ("0", "1/0", Miss::Wrong),
    ] {
        let grade = grade_math(gold, answer);
        assert_eq!((grade.correct, grade.miss), (false, Some(miss)), "{gold} {answer}");
    }
}

/// A canonical form, and answers that have it.
type Forms = &'static [(&'static str, &'static [&'static str])];

/// Vectors of r-zero.md section 3.1, and numbers as people write them.
const NUMBERS: Forms = &[
    ("1/2", &["1/2", "0.5", ".5", "\\frac{1}{2}", "\\dfrac12", "\\frac1{2}", "$\\frac{1}{2}$", "{1}/{2}"]),
    // The original compares literal fractions as text, so that 2/4 is not 1/2; equality is of values here.
    ("1/2", &["2/4", "\\frac{2}{4}", "3/6"]),
    ("12", &["12", "12.0", "12.", "+12", "(12)", "\\text{12}", "\\boxed{12}", "{12}", "24/2", "1.2e1"]),
    (
        "5",
        &[
            "x=5",
            "x = 5",
            "5 \\text{ cm}",
            "5 cm^2",
            "5\\mathrm{ cm}^{2}",
            "$5$",
            "\\$5",
            "5 dollars",
            "\\theta = 5",
        ],
    ),
    // A percent sign is a unit, as in the original: half of the answers to "what percent" leave it out.
    ("50", &["50%", "50\\%", "50 percent", "50^\\circ", "50^{\\circ}", "50°", "50 \\text{ degrees}"]),
    ("none", &["None", "none", "\\text{None}"]),
    ("1234567", &["1,234,567", "1234567", "1{,}234{,}567", "1\\,234\\,567", "1,\\!234,\\!567", "1 234 567"]),
    ("31/4", &["7\\frac{3}{4}", "7 3/4", "7.75", "7\\frac34"]),
    ("-31/4", &["-7\\frac{3}{4}", "-7 3/4", "\u{2212}7.75"]),
    (
        "2*\\sqrt{3}",
        &[
            "2\\sqrt{3}",
            "\\sqrt{12}",
            "2\\sqrt3",
            "\\sqrt 3 \\cdot 2",
            "6/\\sqrt{3}",
            "2√3",
            "2\\cdot 3^{1/2}",
        ],
    ),
    ("1+\\sqrt{2}", &["\\sqrt{2}+1", "1+2^{1/2}", "\\frac{1}{\\sqrt{2}-1}"]),
    ("2", &["\\sqrt[3]{8}", "\\sqrt{4}", "2^{1}", "4^{1/2}", "\\sqrt{2}\\sqrt{2}"]),
    ("1/6", &["0.1\\overline{6}", "\\frac{1}{6}"]),
    ("1/3", &["0.\\overline{3}"]),
];

/// Expressions, tuples, sets, intervals and words.
const OTHERS: Forms = &[
    ("3000000", &["3 million", "3\\times 10^6", "3 \\cdot 10^{6}", "3e6"]),
    ("1/2*\\pi", &["\\frac{\\pi}{2}", "\\pi/2", "0.5\\pi", "π/2", "\\frac12 pi"]),
    ("1+2*x", &["2x+1", "1 + 2x", "1+x*2", "1+x+x", "y = 2x + 1"]),
    ("1+2*x+x^{2}", &["(x+1)^2", "x^2+2x+1", "x²+2x+1", "(1+x)(1+x)"]),
    ("2*x*y", &["2xy", "2yx", "2 x y"]),
    (
        "(1,2)",
        &["(1,2)", "(1, 2)", "\\left( 1, \\frac{4}{2} \\right)", "(x, y) = (1, 2)", "\\langle 1,2\\rangle"],
    ),
    (
        "\\{1,2\\}",
        &[
            "1, 2",
            "2,1",
            "\\{2, 1\\}",
            "x=1 or x=2",
            "x = 2 \\text{ or } x = 1",
            "1 and 2",
            "{1,2}",
            "2, 1, and 1",
        ],
    ),
    ("5", &["\\{5\\}", "5, 5"]),
    ("\\{\\}", &["\\emptyset", "\\varnothing", "∅", "\\{\\}"]),
    ("[0,\\infty)", &["[0, \\infty)", "x \\in [0,∞)", "\\left[0,\\infty\\right)"]),
    ("(-\\infty,1)\\cup (2,3]", &["(2,3] \\cup (-\\infty, 1)", "(-∞,1)∪(2,3]"]),
    ("(1,234)", &["(1, 234)", "(1,234)"]),
    ("\\{1,234\\}", &["1, 234"]),
    ("\\{x=1,y=2\\}", &["x = 1, y = 2", "y=2 and x=1"]),
    ("no solution", &["no solution", "No  Solution", "\\text{No solution.}"]),
    ("\\{blue,red\\}", &["red and blue", "Blue, red"]),
    ("\\sin(x)", &["\\sin(x)", "\\sin (x)", "y = \\sin(x)"]),
    ("1/2x", &["1/2x", "1 / 2x"]),
    ("", &["", "  ", "$$"]),
];

#[test]
fn equal_answers_have_one_form() {
    for (form, answers) in NUMBERS.iter().chain(OTHERS) {
        for answer in *answers {
            assert_eq!(canonical_answer(answer), *form, "{answer}");
        }
    }
}

#[test]
fn different_answers_have_different_forms() {
    for (a, b) in [
        ("12", "1, 2"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("1/3", "0.333"),
        ("x=1, y=2", "x=2, y=1"),
        ("\\sqrt{2}", "1.41421356"),
        ("3 am", "3 pm"),
        ("no solution", "no real roots"),
        ("x2", "2x"),
        ("1/2x", "x/2"),
        ("1011_2", "1011_3"),
        ("0", "1/0"),
        ("\\pm 3", "3"),
        ("xy", "yx"),
        ("3:4", "4:3"),
        ("None", "0"),
    ] {
        assert_ne!(canonical_answer(a), canonical_answer(b), "{a} {b}");
    }
}

/// Pieces that answers are made of, and what breaks parsers.
const PIECES: &[&str] = &[
    "0",
    "1",
    "2",
    "12",
    "345",
    "1.5",
    ".5",
    "1e3",
    "1,234",
    "x",
    "y",
    "xy",
    "e",
    "i",
    "or",
    "and",
    "cm",
    "million",
    "no",
    "pm",
    "Σ",
    "İ",
    "²",
    "+",
    "-",
    "*",
    "/",
    "^",
    "_",
    "=",
    ",",
    ".",
    "%",
    "!",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "{,}",
    "\\{",
    "\\}",
    "\\frac",
    "\\sqrt",
    "\\sqrt[3]",
    "\\text",
    "\\text{or}",
    "\\overline{3}",
    "\\pi",
    "\\infty",
    "\\cup",
    "\\in",
    "\\circ",
    "\\emptyset",
    "\\left",
    "\\",
    "\\,",
    "$",
    " ",
    " ",
    "√",
    "∞",
    "°",
    "\u{2212}",
    "\0",
];

/// Half of the brackets that open are closed.
fn drawn(draws: &mut Draws, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..draws.between(1, 7) {
        match draws.below(6) {
            0 if 0 < depth => {
                let (open, close) = *draws.pick(&[
                    ("(", ")"),
                    ("[", ")"),
                    ("{", "}"),
                    ("\\{", "\\}"),
                    ("\\frac{", "}{2}"),
                    ("\\sqrt{", "}"),
                    ("\\text{", "}"),
                ]);
                text.push_str(&format!("{open}{}{close}", drawn(draws, depth - 1)));
            }
            1 => text.push_str(&draws.between(0, 3000).to_string()),
            _ => text.push_str(PIECES[draws.below(PIECES.len())]),
        }
    }
    text
}

#[test]
fn a_canonical_form_is_its_own() {
    let mut n_read = 0;
    for index in 0..20_000 {
        let text = drawn(&mut Seed::new(11).nth(index).draws(), 3);
        let form = canonical_answer(&text);
        assert_eq!(canonical_answer(&form), form, "{text}");
        n_read += usize::from(form != text);
    }
    assert!(5_000 < n_read, "most draws are left as they are: {n_read}");
}

/// Values through different spellings: equal exactly when the values are.
#[test]
fn equality_is_equality_of_values() {
    let mut draws = Seed::new(12).draws();
    let spelled = |draws: &mut Draws, above: i64, below: i64| {
        let scale = draws.between(1, 4);
        let (a, b) = (above * scale, below * scale);
        match draws.below(4) {
            0 => format!("{a}/{b}"),
            1 => format!("\\frac{{{a}}}{{{b}}}"),
            2 => format!("{a}\\cdot\\frac{{1}}{{{b}}}"),
            _ => format!("x = \\left({a}\\right) / {b} \\text{{ cm}}"),
        }
    };
    for _ in 0..2000 {
        let (a, b, c, d) =
            (draws.between(-6, 6), draws.between(1, 6), draws.between(-6, 6), draws.between(1, 6));
        let (left, right) = (spelled(&mut draws, a, b), spelled(&mut draws, c, d));
        let equal = canonical_answer(&left) == canonical_answer(&right);
        assert_eq!(equal, a * d == c * b, "{left} {right}");
        assert_eq!(grade_math(&left, &right).correct, equal);
    }
}

#[test]
fn hostile_answers_are_read_in_bounded_work() {
    let deep = |n: usize| format!("{}1{}", "{".repeat(n), "}".repeat(n));
    assert_eq!(canonical_answer(&deep(10_000)), deep(10_000));
    assert_eq!(canonical_answer(&deep(20)), "1");
    assert_eq!(canonical_answer(&deep(100)), deep(100));
    let fraction = format!("{}1{}", "\\frac{1}{1+".repeat(70), "}".repeat(70));
    let tower = format!("{}2", "2^".repeat(500));
    let roots = format!("{}2{}", "\\sqrt{(1+".repeat(30), ")^8}".repeat(30));
    let products = "(a+b+c+d+e+f)".repeat(70);
    let sums: String = (1..200).map(|it| format!("1/{}+", it * 2 + 1)).collect::<String>() + "1";
    let long = "7".repeat(2_000_000);
    for text in
        [fraction, tower, roots, products, sums, "9^".repeat(400) + "{-999999999999}", long, "-".repeat(1000)]
    {
        let form = canonical_answer(&text);
        assert_eq!(canonical_answer(&form), form);
    }
    assert_eq!(canonical_answer("x^{-9223372036854775808}"), "x^{-9223372036854775808}");
}

proptest! {
    #[test]
    fn any_text_has_a_form(text in any::<String>()) {
        let form = canonical_answer(&text);
        prop_assert_eq!(canonical_answer(&form), form);
    }
}
