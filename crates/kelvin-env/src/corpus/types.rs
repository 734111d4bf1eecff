//! Types of the generated programs' values, and the inputs drawn for each kind of argument.

use kelvin_core::seed::Draws;

/// The type of an expression in a generated program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Type {
    /// `int`
    Int,
    /// `bool`
    Bool,
    /// A `str` without spaces.
    Str,
    /// A `str` of one character.
    Char,
    /// A `str` of words between spaces.
    Text,
    /// `list[int]`
    Ints,
    /// `list[str]`
    Strs,
    /// A `tuple` of two.
    Pair,
    /// `dict[str, int]`
    Dict,
}

impl Type {
    /// The word that a message uses for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Type::Int => "number",
            Type::Bool => "bool",
            Type::Str | Type::Char => "string",
            Type::Text => "words",
            Type::Ints | Type::Strs => "list",
            Type::Pair => "pair",
            Type::Dict => "dict",
        }
    }

    /// What a loop over such a value gives, where a loop makes sense.
    pub(crate) fn element(self) -> Option<Type> {
        match self {
            Type::Ints => Some(Type::Int),
            Type::Str => Some(Type::Char),
            Type::Strs => Some(Type::Str),
            Type::Int | Type::Bool | Type::Char | Type::Text | Type::Pair | Type::Dict => None,
        }
    }
}

/// Where the values of one argument come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Domain {
    /// -9 to 20, small ones more often.
    Int,
    /// 1 to 6: how often to do something.
    Size,
    /// 1 to 40: what a `while` loop takes apart.
    Positive,
    /// `True` or `False`.
    Flag,
    /// A word, or 2 to 6 letters.
    Str,
    /// One letter.
    Letter,
    /// 2 or 3 words.
    Text,
    /// 2 to 5 numbers from 0 to 9, sometimes -5 to 15.
    Ints,
    /// 2 to 4 words.
    Strs,
    /// 2 or 3 letters with numbers from 0 to 9.
    Dict,
}

const WORDS: &[&str] = &[
    "cat", "dog", "sun", "red", "map", "bee", "tea", "ant", "egg", "sea", "moon", "bird", "tree", "bead",
    "deed", "noon", "cab", "abba", "add", "blue", "fish", "apple", "level", "radar", "banana", "to", "be",
    "ab", "bad", "Cat", "Bob", "Ed", "AbC",
];

impl Domain {
    /// The type of the argument.
    pub(crate) fn argument_type(self) -> Type {
        match self {
            Domain::Int | Domain::Size | Domain::Positive => Type::Int,
            Domain::Flag => Type::Bool,
            Domain::Str => Type::Str,
            Domain::Letter => Type::Char,
            Domain::Text => Type::Text,
            Domain::Ints => Type::Ints,
            Domain::Strs => Type::Strs,
            Domain::Dict => Type::Dict,
        }
    }

    /// The literal of a fresh value.
    pub(crate) fn literal(self, draws: &mut Draws) -> String {
        match self {
            Domain::Int if draws.chance(0.7) => draws.between(0, 12).to_string(),
            Domain::Int => draws.between(-9, 20).to_string(),
            Domain::Size => draws.between(1, 6).to_string(),
            Domain::Positive if draws.chance(0.6) => draws.between(1, 12).to_string(),
            Domain::Positive => draws.between(1, 40).to_string(),
            Domain::Flag if draws.chance(0.5) => "True".to_string(),
            Domain::Flag => "False".to_string(),
            Domain::Str => quoted(&word(draws)),
            Domain::Letter => quoted(letter(draws)),
            Domain::Text => {
                let n_words = draws.between(2, 3) as usize;
                let words: Vec<&str> = (0..n_words).map(|_| *draws.pick(WORDS)).collect();
                quoted(&words.join(" "))
            }
            Domain::Ints => {
                let (low, high) = if draws.chance(0.8) { (0, 9) } else { (-5, 15) };
                let n_items = draws.between(2, 5);
                list((0..n_items).map(|_| draws.between(low, high).to_string()))
            }
            Domain::Strs => {
                let n_items = draws.between(2, 4);
                list((0..n_items).map(|_| quoted(&word(draws))))
            }
            Domain::Dict => {
                let n_items = draws.between(2, 3) as usize;
                let keys = draws.distinct(n_items, 5);
                let items: Vec<String> = keys
                    .iter()
                    .map(|&key| format!("'{}': {}", &"abcde"[key..=key], draws.between(0, 9)))
                    .collect();
                format!("{{{}}}", items.join(", "))
            }
        }
    }
}

/// A letter that generated programs and inputs share often enough to meet.
pub(crate) fn letter(draws: &mut Draws) -> &'static str {
    let letters = if draws.chance(0.8) { "abcde" } else { "nortxyz" };
    let at = draws.below(letters.len());
    &letters[at..=at]
}

/// A string literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{text}'")
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn word(draws: &mut Draws) -> String {
    if draws.chance(0.45) {
        return (*draws.pick(WORDS)).to_string();
    }
    let n_letters = draws.between(2, 5);
    (0..n_letters).map(|_| letter(draws)).collect()
}
