//! Types of the generated programs' values, and the inputs drawn for each kind of argument.

use kelvin_core::seed::Draws;

/// The type of an expression in a generated program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Type {
    /// `int`
    Int,
    /// `bool`
    Bool,
    /// `str`
    Str,
    /// A `str` of one character.
    Char,
    /// `list[int]`
    Ints,
}

impl Type {
    /// The word that a message uses for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Type::Int => "number",
            Type::Bool => "bool",
            Type::Str | Type::Char => "string",
            Type::Ints => "list",
        }
    }

    /// What a loop over such a value gives, where a loop makes sense.
    pub(crate) fn element(self) -> Option<Type> {
        match self {
            Type::Ints => Some(Type::Int),
            Type::Str => Some(Type::Char),
            Type::Int | Type::Bool | Type::Char => None,
        }
    }
}

/// Where the values of one argument come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Domain {
    /// 0 to 20.
    Int,
    /// 1 to 5: how often to do something.
    Size,
    /// 2 to 5 letters.
    Str,
    /// 2 to 4 numbers from 0 to 9.
    Ints,
}

impl Domain {
    /// The type of the argument.
    pub(crate) fn argument_type(self) -> Type {
        match self {
            Domain::Int | Domain::Size => Type::Int,
            Domain::Str => Type::Str,
            Domain::Ints => Type::Ints,
        }
    }

    /// The literal of a fresh value.
    pub(crate) fn literal(self, draws: &mut Draws) -> String {
        match self {
            Domain::Int => draws.between(0, 20).to_string(),
            Domain::Size => draws.between(1, 5).to_string(),
            Domain::Str => {
                let n_letters = draws.between(2, 5);
                let word: String = (0..n_letters).map(|_| letter(draws)).collect();
                quoted(&word)
            }
            Domain::Ints => {
                let n_items = draws.between(2, 4);
                let items: Vec<String> = (0..n_items).map(|_| draws.between(0, 9).to_string()).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

/// A letter of the inputs, few enough that programs that look for one find it.
pub(crate) fn letter(draws: &mut Draws) -> &'static str {
    one_of("abcde", draws)
}

/// A letter that no input has.
pub(crate) fn other_letter(draws: &mut Draws) -> &'static str {
    one_of("xyz", draws)
}

fn one_of(letters: &'static str, draws: &mut Draws) -> &'static str {
    let at = draws.below(letters.len());
    &letters[at..=at]
}

/// A string literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{text}'")
}
