//! What a number is counted in. A unit is dropped where only one side names it; known units of one kind are converted,
//! and those of different kinds differ, as other words do.

use std::collections::{BTreeMap, BTreeSet};

use super::latex::{Kind, Token};
use crate::grading::number::Number;

/// What is counted: a product of powers of measures, and words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    measures: BTreeMap<Dimension, i64>,
    /// How many of the smallest units of the table it is.
    size: Number,
    /// The words that are not in the table, in the singular.
    words: BTreeSet<String>,
    /// Those of them that it is divided by.
    divisors: BTreeSet<String>,
}

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dimension {
    Length,
    Time,
    /// Months have no length in days.
    Calendar,
    Mass,
    Volume,
    Money,
    Euro,
    Degree,
    Radian,
    Celsius,
    Fahrenheit,
}

impl Unit {
    fn none() -> Unit {
        Unit {
            measures: BTreeMap::new(),
            size: Number::from(1u64),
            words: BTreeSet::new(),
            divisors: BTreeSet::new(),
        }
    }

    /// What a degree sign says.
    pub(super) fn degree() -> Unit {
        Unit { measures: BTreeMap::from([(Dimension::Degree, 1)]), ..Unit::none() }
    }

    /// A unit with the money whose sign stands in front of or behind its number.
    pub(super) fn of_money(unit: Option<Unit>, sign: char) -> Unit {
        let (money, size) = match sign {
            '€' => (Dimension::Euro, Number::from(1u64)),
            _ => (Dimension::Money, Number::from(100u64)),
        };
        let mut unit = unit.unwrap_or_else(Unit::none);
        if !unit.measures.contains_key(&money)
            && let Some(size) = unit.size.times(&size)
        {
            unit.measures.insert(money, 1);
            unit.size = size;
        }
        unit
    }

    /// Whether it says nothing of what is counted: `units`.
    pub(super) fn is_none(&self) -> bool {
        self.measures.is_empty() && self.words.is_empty() && self.divisors.is_empty()
    }

    /// Whether it is a sign beside a number, which says less than a word: degrees, money.
    pub(super) fn is_sign(&self) -> bool {
        let is_sign = |it| matches!(it, Dimension::Degree | Dimension::Money | Dimension::Euro);
        self.words.is_empty()
            && self.divisors.is_empty()
            && self.measures.iter().all(|(kind, n)| is_sign(*kind) && *n == 1)
    }

    /// The sizes of both in one unit; none where they are of different kinds. What is counted may be said in more words by
    /// one of them: `ways`, `different ways`.
    pub(super) fn sizes<'a>(&'a self, other: &'a Unit) -> Option<(&'a Number, &'a Number)> {
        if self.is_none() || other.is_none() {
            return Some((&self.size, &self.size));
        }
        let same_measures = self.measures == other.measures || self.is_heat(other) || other.is_heat(self);
        let same_words = self.words.is_subset(&other.words) || other.words.is_subset(&self.words);
        (same_measures && same_words && self.divisors == other.divisors).then_some((&self.size, &other.size))
    }

    /// Whether it says degrees, and the other of which thermometer.
    fn is_heat(&self, other: &Unit) -> bool {
        self.measures == BTreeMap::from([(Dimension::Degree, 1)])
            && [Dimension::Celsius, Dimension::Fahrenheit]
                .into_iter()
                .any(|it| other.measures == BTreeMap::from([(it, 1)]))
    }
}

/// The value without the unit behind it, and the unit; none where there is none.
pub(super) fn split(tokens: &[Token]) -> Option<(&[Token], Unit)> {
    let (rest, power) = raised(tokens);
    let mut start = rest.len();
    while let Some(token) = start.checked_sub(1).and_then(|at| rest.get(at)) {
        let is_word = match token.kind {
            Kind::Word if token.text.len() == 1 => is_unit_letter(&rest[..start - 1], token),
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
    if words.iter().all(|it| is_power(it))
        || words[0] == "/"
        || !(is_known || is_text || is_lone_word)
        || !ends_in_number(value)
    {
        return None;
    }
    Some((value, unit(&words, power)))
}

/// Whether a letter is a unit: in upright type behind a number, or behind a unit and a slash, or a degree sign.
fn is_unit_letter(before: &[Token], letter: &Token) -> bool {
    let is_upright = letter.is_upright && UPRIGHT.contains(letter.text.as_str());
    if is_upright && ends_in_number(before) && before.iter().all(|it| it.kind != Kind::Word) {
        return true;
    }
    match before {
        [.., unit, slash] if slash.is('/') => {
            unit.kind == Kind::Text || unit.kind == Kind::Word && is_listed(&unit.text)
        }
        [.., mark, close] => {
            let is_degree = |it: &Token| it.is('°') || it.is_command("circ");
            ["C", "F"].contains(&letter.text.as_str())
                && (is_degree(close) || is_degree(mark) && close.is('}'))
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
fn raised(tokens: &[Token]) -> (&[Token], Option<i64>) {
    let power = |it: &Token| it.text.parse::<i64>().ok().filter(|it| (1..=3).contains(it));
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
    COUNTED.contains(&word)
        || is_power(word)
        || ABBREVIATIONS.iter().any(|it| it.0 == word)
        || known(word).is_some()
}

fn is_power(word: &str) -> bool {
    POWERS_BEFORE.iter().chain(POWERS_BEHIND).any(|it| it.0 == word)
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

fn unit(words: &[&str], power: Option<i64>) -> Unit {
    let mut factors = factors(words);
    if let (Some(power), Some((_, n))) = (power, factors.last_mut()) {
        *n = n.signum() * power;
    }
    let mut unit = Unit::none();
    for (name, n) in factors {
        if name == "unit" || name == "units" {
            continue;
        }
        let size = known(&name).and_then(|(kind, size)| {
            let size = Number::literal(size).expect("sizes of the table are numbers");
            Some((kind, size.power(n)?.times(&unit.size)?))
        });
        match size {
            Some((kind, size)) => {
                *unit.measures.entry(kind).or_default() += n;
                unit.size = size;
            }
            None if n < 0 => drop(unit.divisors.insert(singular(&name).to_owned())),
            None => drop(unit.words.insert(singular(&name).to_owned())),
        }
    }
    unit.measures.retain(|_, n| *n != 0);
    // `20 degrees Celsius` are of one kind.
    if [Dimension::Celsius, Dimension::Fahrenheit].iter().any(|it| unit.measures.contains_key(it)) {
        unit.measures.remove(&Dimension::Degree);
    }
    unit
}

/// The names in a unit with their powers, which are negative behind a slash.
fn factors(words: &[&str]) -> Vec<(String, i64)> {
    let spelled = words
        .iter()
        .map(|it| it.to_lowercase())
        .map(|word| ABBREVIATIONS.iter().find(|it| it.0 == word).map_or(word, |it| it.1.to_owned()));
    let text = spelled.collect::<Vec<_>>().join(" ").replace('/', " / ").replace('-', " ");
    let (mut factors, mut sign, mut next): (Vec<(String, i64)>, i64, i64) = (Vec::new(), 1, 1);
    for word in text.split_whitespace() {
        let word = word.trim_end_matches('.');
        if word == "/" || word == "per" {
            sign = -1;
        } else if let Some((_, power)) = POWERS_BEFORE.iter().find(|it| it.0 == word) {
            next = *power;
        } else if let Some((_, power)) = POWERS_BEHIND.iter().find(|it| it.0 == word) {
            factors.last_mut().into_iter().for_each(|it| it.1 *= power);
        } else if !word.is_empty() {
            let (name, power) = match word.strip_suffix(['2', '3']) {
                Some(name) => (name.trim_end_matches('^'), word[name.len()..].parse().unwrap_or(1)),
                None => (word, 1),
            };
            factors.push((name.to_owned(), sign * next * power));
            next = 1;
        }
    }
    factors
}

/// A word without the ending of its plural.
fn singular(word: &str) -> &str {
    word.strip_suffix('s').filter(|it| 2 < it.len() || word == "lbs").unwrap_or(word)
}

fn known(name: &str) -> Option<(Dimension, &'static str)> {
    let folded = name.to_lowercase();
    let singular = singular(&folded);
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
    (Dimension::Calendar, "1", &["month"]),
    (Dimension::Calendar, "12", &["year"]),
    (Dimension::Mass, "1", &["g", "gram"]),
    (Dimension::Mass, "1000", &["kg", "kilogram"]),
    (Dimension::Mass, "453.59237", &["lb", "pound"]),
    (Dimension::Mass, "28.349523125", &["oz", "ounce"]),
    (Dimension::Volume, "1", &["ml", "milliliter", "millilitre"]),
    (Dimension::Volume, "1000", &["l", "liter", "litre"]),
    (Dimension::Volume, "3785.411784", &["gallon"]),
    (Dimension::Money, "1", &["cent"]),
    (Dimension::Money, "100", &["dollar", "usd"]),
    (Dimension::Euro, "1", &["euro"]),
    (Dimension::Degree, "1", &["degree", "deg"]),
    (Dimension::Radian, "1", &["radian", "rad"]),
    (Dimension::Celsius, "1", &["c", "celsius"]),
    (Dimension::Fahrenheit, "1", &["f", "fahrenheit"]),
];

/// The signs of money.
pub(super) const MONEY: &str = "$€";

/// Words that raise the unit that follows, and the one that they follow.
const POWERS_BEFORE: &[(&str, i64)] = &[("square", 2), ("sq", 2), ("cubic", 3)];
const POWERS_BEHIND: &[(&str, i64)] = &[("squared", 2), ("cubed", 3)];

/// Units of several words in one.
const ABBREVIATIONS: &[(&str, &str)] = &[("mph", "mi / h"), ("kmh", "km / h"), ("kph", "km / h")];

/// Other words that count something, where they stand bare behind a number.
const COUNTED: &[&str] = &["unit", "units", "percent", "people", "ways", "per", "newton", "newtons"];

/// Letters that are units where they stand upright behind a number: those of the table and of the International System
/// of Units, but for `e` and `i`, which are numbers.
const UPRIGHT: &str = "mgshlLtAKNJWVCFTHS";

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
