//! Answers whose depth or number of readings is out of proportion to their length: each ends, on a test's small stack.

use proptest::prelude::*;

use super::{super::*, verdict};

/// How often a piece is repeated: far past the limit on an answer's length, and within it.
const REPEATS: [usize; 5] = [20, 60, 200, 1_700, 100_000];

fn nested(open: &str, inside: &str, close: &str) -> impl Iterator<Item = String> {
    REPEATS.into_iter().map(move |n| format!("{}{inside}{}", open.repeat(n), close.repeat(n)))
}

/// Judged against a number and, where it is not far too long, against itself in two layouts.
fn judge(answer: &str) {
    verdict("5", answer);
    if 10_000 < answer.len() {
        return;
    }
    verdict(answer, "5");
    verdict(answer, &format!("\\boxed{{\\displaystyle {answer}+0}}"));
    assert_eq!(verdict(answer, answer), Verdict::Equal, "{answer:.80}");
}

#[test]
fn a_matrix_is_looked_for_once() {
    let matrix = "\\begin{pmatrix}1\\end{pmatrix}";
    for answer in
        nested("2(", matrix, ")").chain(nested("-(", matrix, ")")).chain(nested("\\frac{", matrix, "}{2}"))
    {
        judge(&answer);
    }
    assert_eq!(verdict("5", &format!("{}{matrix}{}", "2(".repeat(60), ")".repeat(60))), Verdict::Different);
    let double = format!("{}{matrix}{}", "2(".repeat(10), ")".repeat(10));
    assert_eq!(verdict("\\begin{pmatrix}1024\\end{pmatrix}", &double), Verdict::Equal);
    let wide = format!("\\begin{{pmatrix}}{}1\\end{{pmatrix}}", "1&".repeat(300));
    for answer in nested("x(", &wide, ")") {
        judge(&answer);
    }
}

#[test]
fn chains_do_not_grow_deep_trees() {
    for (start, piece, end) in [
        ("5", "!", ""),
        ("5", "!°", ""),
        ("5", "^\\circ", ""),
        ("5", "!^2", ""),
        ("x", "'", ""),
        ("1", "/1", ""),
        ("1", "/-1", ""),
        ("2^", "-", "1"),
        ("2", "^-2", ""),
        ("x", "^{2}", ""),
        ("", "-", "1"),
        ("", "\\pm", "1"),
        ("", "(1/1/1/1)/", "1"),
        ("", "\\sin", "x"),
        ("", "\\sqrt", "x"),
        ("x", "_2", ""),
        ("x", "=x", "=1"),
        ("1", ":1", ""),
        ("[0,1]", "\\cup[0,1]", ""),
        ("1", "\\setminus 1", ""),
    ] {
        for n in REPEATS {
            judge(&format!("{start}{}{end}", piece.repeat(n)));
        }
    }
    for (open, inside, close) in [
        ("(", "1", "/1/1/1/1/1/1/1)!!!!!!"),
        ("|", "AB", "|=1"),
        ("|", "AB", "|"),
        ("2^{-", "1", "}"),
        ("\\sum_{k=\\sin\\sin\\sin\\sin\\sin\\sin ", "1", "}^{2} k"),
        ("\\sum_{k=", "1", "}^{2} k"),
    ] {
        nested(open, inside, close).for_each(|it| judge(&it));
    }
    // What people write stays within.
    assert_eq!(verdict("\\frac{1}{2^{10}}", &format!("1{}", "/2".repeat(10))), Verdict::Equal);
    assert_eq!(verdict("2", "2^{--1}"), Verdict::Equal);
    assert_eq!(verdict("\\frac12", "2^-1"), Verdict::Equal);
}

#[test]
fn types_and_texts_inside_one_another_end() {
    let deep = format!("\\boxed{{{}1{}", "\\mathbf{".repeat(5000), "}".repeat(5001));
    assert_eq!(verdict("1", &deep), Verdict::Unparsable);
    judge(&deep);
    for (open, inside, close) in [
        ("\\mathbf{", "1", "}"),
        ("\\bm{", "1", "}"),
        ("\\bm{)", "1", "}"),
        ("\\text{", "1", "}"),
        ("\\text{(\\text{", "1", "})}"),
        ("\\text{((((\\text{", "1", "}))))}"),
        ("\\text{\\{1,", "1", "\\}}"),
        ("[", "1", ",]"),
        ("(", "1", ",)"),
        ("\\{", "1", ",\\}"),
        ("(1,", "1", ")"),
        ("\\{1,2,", "1", "\\}"),
        ("{x|", "1", "}"),
        ("\\{x|", "x>1", "\\}"),
        ("x\\in\\{", "1", "\\}"),
        ("(", "", ")"),
        ("\\boxed{", "1", "}"),
    ] {
        nested(open, inside, close).for_each(|it| judge(&it));
    }
    assert_eq!(verdict("1", "\\mathbf{\\mathrm{\\bm{1}}}"), Verdict::Equal);
}

/// Pieces of LaTeX that open, close, repeat or bind.
const PIECES: &[&str] = &[
    "1",
    "2",
    "0.5",
    "x",
    "y",
    "e",
    "i",
    "+",
    "-",
    "\\pm",
    "*",
    "/",
    "^",
    "_",
    "!",
    "'",
    "°",
    "%",
    "=",
    "<",
    "\\le",
    "\\approx",
    ",",
    ";",
    ":",
    "|",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\\{",
    "\\}",
    "\\frac",
    "\\sqrt",
    "\\sin",
    "\\log_",
    "\\sum_{k=1}^{3}",
    "\\binom",
    "\\text{",
    "\\mathrm{",
    "\\mathbf{",
    "\\boxed{",
    "\\begin{pmatrix}",
    "&",
    "\\\\",
    "\\end{pmatrix}",
    "\\cup",
    "\\in",
    "\\setminus",
    "\\mathbb{R}",
    "\\infty",
    "\\text{ cm}",
    "\\$",
    " or ",
    " and ",
    "\\left(",
    "\\right)",
    "^\\circ",
    "\\pi",
    "1,000",
    "\\lfloor",
    "\\rfloor",
    "\\langle",
    "\\rangle",
];

fn repeated() -> impl Strategy<Value = String> {
    let piece = prop::collection::vec(prop::sample::select(PIECES), 1..4).prop_map(|it| it.concat());
    let run = (piece, 1usize..120).prop_map(|(piece, n)| piece.repeat(n));
    prop::collection::vec(run, 1..5).prop_map(|it| it.concat())
}

fn mirrored() -> impl Strategy<Value = String> {
    let pieces = || prop::collection::vec(prop::sample::select(PIECES), 0..4).prop_map(|it| it.concat());
    (pieces(), pieces(), pieces(), 1usize..120)
        .prop_map(|(open, inside, close, n)| format!("{}{inside}{}", open.repeat(n), close.repeat(n)))
}

proptest! {
    /// Neither a panic nor work without end: the test would not end, if a bound were missing.
    #[test]
    fn nested_and_repeated_pieces_are_judged(gold in prop_oneof![repeated(), mirrored()], answer in prop_oneof![repeated(), mirrored()]) {
        verdict(&gold, &answer);
        verdict(&gold, &format!("\\displaystyle {gold}+0"));
    }
}
