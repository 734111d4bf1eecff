//! How equations and answers may be spelled. Letters of either case and blanks anywhere:
//!
//! ```text
//! equation := term mul term eqv "1" modulus        mul := "*" | "·" | "×" | "\times" | "\cdot"
//! term     := integer | "x" | "y"                  eqv := "=" | "≡" | "\equiv"
//! modulus  := "(mod" P ")" | "\pmod{" P "}" | "\pmod" P | "\bmod" P | "mod" P
//! P        := integer | "p"
//! ```
//!
//! all of it also within `\[ \]`, `\( \)`, `$`, `\boxed{}` or braces, and with doubled braces.

use kelvin_core::task::{Reason, Rejection};
use num_bigint::BigInt;

use super::Blank;
use crate::grading::canonical_answer;

/// An equation as it was written, true or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Equation {
    /// x, y and p.
    pub(super) slots: [Slot; 3],
}

/// What stands in one place of an equation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// An integer; `None` for what is negative or beyond 32 bits.
    Integer(Option<u32>),
    /// A letter.
    Letter,
}

impl Equation {
    /// Reads an equation that is all of `text`.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn parse(text: &str) -> Result<Equation, Rejection> {
        let text = text.to_lowercase();
        let equation = tokens(unwrapped(&text)).and_then(|tokens| equation(&tokens));
        equation.ok_or_else(|| Rejection::new(Reason::ParseError, "no equation a * b = 1 (mod c)"))
    }

    /// The numbers that it leaves out.
    pub(super) fn blanks(&self) -> Vec<Blank> {
        let all = [Blank::X, Blank::Y, Blank::P].into_iter().zip(self.slots);
        all.filter(|(_, slot)| *slot == Slot::Letter).map(|(blank, _)| blank).collect()
    }
}

/// Reads the answer for `blank` that is all of `text`: an integer, after `x =` or `x ≡` of its letter or without.
pub(super) fn parse_answer(text: &str, blank: Blank) -> Option<BigInt> {
    let text = text.to_lowercase();
    let bare = unwrapped(&text);
    let is_equal = |rest: &'_ str| -> Option<String> {
        let rest = rest.trim_start();
        ["=", "≡", "\\equiv"].into_iter().find_map(|it| rest.strip_prefix(it)).map(str::to_owned)
    };
    let number = match bare.strip_prefix(blank.letter()) {
        Some(rest) => is_equal(rest)?,
        None => bare.to_owned(),
    };
    // An answer may name its own letter, not another one.
    let number = unwrapped(&number);
    if number.contains('=') { None } else { canonical_answer(number).parse().ok() }
}

/// The text without what may stand around it.
fn unwrapped(text: &str) -> &str {
    const WRAPPERS: [(&str, &str); 5] =
        [("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"), ("\\boxed{", "}"), ("{", "}")];
    let mut text = text.trim();
    while let Some(inside) = WRAPPERS.iter().find_map(|(open, close)| inside(text, open, close)) {
        text = inside.trim();
    }
    text
}

fn inside<'text>(text: &'text str, open: &str, close: &str) -> Option<&'text str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Integer(Option<u32>),
    /// x or y.
    Term,
    /// p.
    Prime,
    Times,
    Equals,
    Mod,
    PMod,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
}

/// What is read letter by letter; of two that begin alike the longer comes first.
const SIGNS: [(&str, Token); 18] = [
    ("\\times", Token::Times),
    ("\\cdot", Token::Times),
    ("*", Token::Times),
    ("·", Token::Times),
    ("×", Token::Times),
    ("\\equiv", Token::Equals),
    ("=", Token::Equals),
    ("≡", Token::Equals),
    ("\\pmod", Token::PMod),
    ("\\bmod", Token::Mod),
    ("mod", Token::Mod),
    ("(", Token::Open),
    (")", Token::Close),
    ("{", Token::OpenBrace),
    ("}", Token::CloseBrace),
    ("x", Token::Term),
    ("y", Token::Term),
    ("p", Token::Prime),
];

/// More tokens than any equation has; a longer text is none.
const TOKENS_MAX: usize = 16;

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, after) = match SIGNS.iter().find_map(|(sign, it)| Some((*it, rest.strip_prefix(sign)?))) {
            Some(read) => read,
            None => integer(rest)?,
        };
        tokens.push(token);
        if TOKENS_MAX < tokens.len() {
            return None;
        }
        rest = after.trim_start();
    }
    Some(tokens)
}

fn integer(text: &str) -> Option<(Token, &str)> {
    let (negative, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, after) = digits.split_at(end);
    let value = digits.parse().ok().filter(|_| !negative);
    (!digits.is_empty()).then_some((Token::Integer(value), after))
}

fn equation(tokens: &[Token]) -> Option<Equation> {
    let [x, Token::Times, y, Token::Equals, Token::Integer(Some(1)), modulus @ ..] = tokens else {
        return None;
    };
    let (x, y) = (slot(*x, Token::Term)?, slot(*y, Token::Term)?);
    Some(Equation { slots: [x, y, slot(modulus_of(modulus)?, Token::Prime)?] })
}

/// An integer, or the letter of this place.
fn slot(token: Token, letter: Token) -> Option<Slot> {
    if let Token::Integer(value) = token {
        return Some(Slot::Integer(value));
    }
    (token == letter).then_some(Slot::Letter)
}

fn modulus_of(tokens: &[Token]) -> Option<Token> {
    use Token::{Close, CloseBrace, Mod, Open, OpenBrace, PMod};
    let ([Mod | PMod, modulus]
    | [Open, Mod, modulus, Close]
    | [PMod, OpenBrace, modulus, CloseBrace]
    | [PMod, OpenBrace, OpenBrace, modulus, CloseBrace, CloseBrace]) = tokens
    else {
        return None;
    };
    Some(*modulus)
}
