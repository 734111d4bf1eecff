//! The values a program may take and return: what Python writes as a literal, and nothing else. Infinities and NaN
//! have no literal, so no [`Value`] that was parsed holds one.

mod canonical;
mod equality;
mod literal;
mod printable;

pub use equality::Equality;
pub use literal::{LiteralError, MAX_INT_DIGITS, parse_literal};
pub(crate) use literal::{keyword_values, value_of};
use num_bigint::BigInt;

/// A Python literal.
///
/// What [`parse_literal`] gives keeps three promises that the type does not: floats are finite, set elements and
/// dictionary keys are hashable, and none of them is twice there (by Python's `==`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of any size up to [`MAX_INT_DIGITS`].
    Int(BigInt),
    /// A finite float.
    Float(f64),
    /// A complex number, such as `(1+2j)`.
    Complex {
        /// Real part.
        re: f64,
        /// Imaginary part.
        im: f64,
    },
    /// Text. Python's strings may also hold lone surrogates; those are refused.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary, in its order of insertion.
    Dict(Vec<(Value, Value)>),
    /// A set, in the order of its text.
    Set(Vec<Value>),
    /// A frozen set, in the order of its text.
    FrozenSet(Vec<Value>),
}

impl Value {
    /// The name of the value's class in Python, such as `int` or `NoneType`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Complex { .. } => "complex",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::Tuple(_) => "tuple",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
            Value::Set(_) => "set",
            Value::FrozenSet(_) => "frozenset",
        }
    }

    /// Whether Python can hash the value, so that it may stand in a set or be a key.
    pub(crate) fn is_hashable(&self) -> bool {
        match self {
            Value::List(_) | Value::Dict(_) | Value::Set(_) => false,
            Value::Tuple(items) => items.iter().all(Value::is_hashable),
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Complex { .. }
            | Value::Str(_)
            | Value::Bytes(_)
            | Value::FrozenSet(_) => true,
        }
    }
}
