//! What a number is counted in. A unit is dropped where only one side names it; two known units of one kind are
//! converted, and two of different kinds differ.

use super::latex::{Kind, Token};
use crate::grading::number::Number;

/// A unit behind a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unit {
    /// A unit of the table, with its power.
    Known { kind: Dimension, size: Number, power: u32 },
    /// Any other words.
    Other,
}

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Length,
    Time,
    Mass,
    Volume,
    Money,
    Angle,
    Celsius,
    Fahrenheit,
}

/// The value without the unit behind it, and the unit; none where there is none.
pub(super) fn split(tokens: &[Token]) -> Option<(&[Token], Unit)> {
    let (rest, power) = raised(tokens);
    let mut start = rest.len();
    while let Some(token) = start.checked_sub(1).and_then(|at| rest.get(at)) {
        let is_word = match token.kind {
            Kind::Word if token.text.len() == 1 => is_unit_letter(&rest[..start - 1], &token.text),
            Kind::Word => !is_no_unit(&token.text),
            Kind::Text => is_phrase(&token.text),
            // `km/h`, `cm^2 per s`: what stands between two words of a unit.
            Kind::Sign => token.is('/') && start < rest.len(),
            Kind::Number | Kind::Command => false,
        };
        if !is_word {
            break;
        }
        start -= 1;
    }
    let (value, words) = rest.split_at(start);
    let words: Vec<&str> =
        words.iter().flat_map(|it| it.text.split(' ')).filter(|it| !it.is_empty()).collect();
    let is_known =
        !words.is_empty() && words.iter().all(|it| *it == "/" || is_listed(it) || it.chars().count() == 1);
    let is_text = rest[start..].iter().any(|it| it.kind == Kind::Text);
    let is_lone_word = words.len() == 1 && rest[start].spaced && 3 <= words[0].len() && is_lower(words[0]);
    let is_power = |word: &&str| POWERS.iter().any(|it| it.0 == *word);
    if words.iter().all(is_power)
        || words[0] == "/"
        || !(is_known || is_text || is_lone_word)
        || !ends_in_number(value)
    {
        return None;
    }
    Some((value, unit(&words, power)))
}

/// Whether a letter is a unit by what stands before it: a unit and a slash, or a degree sign.
fn is_unit_letter(before: &[Token], letter: &str) -> bool {
    match before {
        [.., unit, slash] if slash.is('/') => {
            unit.kind == Kind::Text || unit.kind == Kind::Word && is_listed(&unit.text)
        }
        [.., mark, close] => {
            let is_degree = |it: &Token| it.is('°') || it.is_command("circ");
            ["C", "F"].contains(&letter) && (is_degree(close) || is_degree(mark) && close.is('}'))
        }
        _ => false,
    }
}

/// Whether something that can be counted stands there: a number, or what ends in a bracket or a constant.
fn ends_in_number(value: &[Token]) -> bool {
    let is_number = |it: &Token| it.kind == Kind::Number || it.is_command("pi");
    value.last().is_some_and(|it| is_number(it) || it.is_any(")}°") || it.is_command("circ"))
        && value.iter().any(is_number)
}

/// The signs without a power at their end, and the power.
fn raised(tokens: &[Token]) -> (&[Token], Option<u32>) {
    let power = |it: &Token| it.text.parse::<u32>().ok().filter(|it| (1..=3).contains(it));
    match tokens {
        [rest @ .., raised, number] if raised.is('^') && may_be_unit(rest) => (rest, power(number)),
        [rest @ .., raised, open, number, close]
            if raised.is('^') && open.is('{') && close.is('}') && may_be_unit(rest) =>
        {
            (rest, power(number))
        }
        _ => (tokens, None),
    }
}

fn may_be_unit(tokens: &[Token]) -> bool {
    tokens.last().is_some_and(|it| it.kind == Kind::Text || it.kind == Kind::Word && is_listed(&it.text))
}

fn is_lower(word: &str) -> bool {
    word.chars().all(char::is_lowercase)
}

fn is_listed(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    COUNTED.contains(&word) || POWERS.iter().any(|it| it.0 == word) || known(word).is_some()
}

/// Whether a passage may be a unit: words, none of which says more than what is counted.
fn is_phrase(text: &str) -> bool {
    let is_sign = |it: char| it.is_alphabetic() || " .^/23-".contains(it);
    text.chars().all(is_sign)
        && !text.split([' ', '-']).any(is_no_unit)
        && text.chars().any(char::is_alphabetic)
}

/// Whether a word behind a number says more than what is counted.
pub(super) fn is_no_unit(word: &str) -> bool {
    NO_UNITS.contains(&word.trim_end_matches('.').to_lowercase().as_str())
}

fn unit(words: &[&str], power: Option<u32>) -> Unit {
    let mut power = power;
    let mut names = Vec::new();
    for word in words {
        let (word, raised) = word.split_once('^').map_or((*word, None), |(word, n)| (word, n.parse().ok()));
        let (word, raised) = match word.strip_suffix(['2', '3']) {
            Some(rest) if raised.is_none() => (rest, word[rest.len()..].parse().ok()),
            _ => (word, raised),
        };
        match POWERS.iter().find(|it| it.0 == word.trim_end_matches('.')) {
            Some((_, n)) => power = Some(*n),
            None => names.push(word.trim_end_matches('.')),
        }
        power = raised.or(power);
    }
    let [name] = names[..] else { return Unit::Other };
    let Some((kind, size)) = known(name) else { return Unit::Other };
    let size = Number::literal(size).expect("sizes of the table are numbers");
    Unit::Known { kind, size, power: power.unwrap_or(1) }
}

fn known(name: &str) -> Option<(Dimension, &'static str)> {
    let folded = name.to_lowercase();
    let singular = folded.strip_suffix('s').filter(|it| 2 < it.len()).unwrap_or(&folded);
    let row = KNOWN.iter().find(|row| row.2.iter().any(|it| *it == folded || *it == singular))?;
    Some((row.0, row.1))
}

/// The dimension, the size in its smallest unit here, and the names.
const KNOWN: &[(Dimension, &str, &[&str])] = &[
    (Dimension::Length, "1", &["mm", "millimeter", "millimetre"]),
    (Dimension::Length, "10", &["cm", "centimeter", "centimetre"]),
    (Dimension::Length, "1000", &["m", "meter", "metre"]),
    (Dimension::Length, "1000000", &["km", "kilometer", "kilometre"]),
    (Dimension::Length, "25.4", &["in", "inch", "inches"]),
    (Dimension::Length, "304.8", &["ft", "foot", "feet"]),
    (Dimension::Length, "914.4", &["yd", "yard"]),
    (Dimension::Length, "1609344", &["mi", "mile"]),
    (Dimension::Time, "1", &["s", "sec", "second"]),
    (Dimension::Time, "60", &["min", "minute", "mins"]),
    (Dimension::Time, "3600", &["h", "hr", "hour"]),
    (Dimension::Time, "86400", &["day"]),
    (Dimension::Time, "604800", &["week"]),
    (Dimension::Mass, "1", &["g", "gram"]),
    (Dimension::Mass, "1000", &["kg", "kilogram"]),
    (Dimension::Volume, "1", &["ml", "milliliter", "millilitre"]),
    (Dimension::Volume, "1000", &["l", "liter", "litre"]),
    (Dimension::Money, "1", &["cent"]),
    (Dimension::Money, "100", &["dollar", "usd"]),
    (Dimension::Angle, "1", &["degree", "deg"]),
    (Dimension::Celsius, "1", &["c", "celsius"]),
    (Dimension::Fahrenheit, "1", &["f", "fahrenheit"]),
];

/// Words that raise the unit beside them.
const POWERS: &[(&str, u32)] = &[("square", 2), ("sq", 2), ("squared", 2), ("cubic", 3), ("cubed", 3)];

/// Other words that count something, where they stand bare behind a number.
const COUNTED: &[&str] = &[
    "unit", "units", "month", "months", "year", "years", "pound", "pounds", "lb", "lbs", "ounce", "ounces",
    "oz", "gallon", "gallons", "mph", "kmh", "euro", "euros", "percent", "people", "ways", "per", "radians",
    "rad", "newton", "newtons",
];

/// Words behind a number that say more than what is counted.
const NO_UNITS: &[&str] = &[
    "am",
    "pm",
    "a.m",
    "p.m",
    "noon",
    "midnight",
    "thousand",
    "million",
    "billion",
    "trillion",
    "hundred",
    "dozen",
    "and",
    "or",
    "if",
    "is",
    "are",
    "where",
    "when",
    "for",
    "all",
    "any",
    "some",
    "no",
    "not",
    "to",
    "from",
    "then",
    "with",
    "over",
    "plus",
    "minus",
    "divided",
    "times",
    "by",
    "root",
    "choose",
    "mod",
    "modulo",
    "factorial",
    "less",
    "more",
    "than",
    "at",
    "only",
    "but",
    "even",
    "odd",
    "integer",
    "real",
    "otherwise",
    "such",
    "that",
    "half",
    "third",
    "quarter",
    "base",
    "sqrt",
    "pi",
    "does",
];
