//! Equality and order of values. Both compare a key: a normal form in which sets and dictionaries are sorted and
//! numbers are exact, so that comparing two values costs one sort and no quadratic search.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};
use serde::{Deserialize, Serialize};

use super::Value;

/// When two values count as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Equality {
    /// As [`Equality::Python`], but a `bool`, an `int`, a `float` and a `complex` never equal one another, inside
    /// containers neither (azr.md section 1.5, `strict_types`).
    Strict,
    /// CPython's `==`: `1 == 1.0 == True`, sets and dictionaries without order, a set equals a frozen set.
    Python,
}

impl Equality {
    /// The name used in configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Equality::Strict => "strict",
            Equality::Python => "python",
        }
    }
}

impl fmt::Display for Equality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Equality {
    type Err = String;

    fn from_str(name: &str) -> Result<Equality, String> {
        match name {
            "strict" => Ok(Equality::Strict),
            "python" => Ok(Equality::Python),
            other => Err(format!("unknown equality `{other}`: one of strict, python")),
        }
    }
}

impl Value {
    /// Whether the two values are the same. There is no tolerance for floats; `0.0` equals `-0.0`.
    pub fn equals(&self, other: &Value, equality: Equality) -> bool {
        self.key(equality) == other.key(equality)
    }

    /// Whether the two are the same but for floats and complex numbers that lie apart by at most `tolerance`, or by
    /// `tolerance` times the larger of them where that is more. Integers, members of sets and keys of dictionaries are
    /// held to [`Value::equals`], which is also what a tolerance of 0 means.
    pub fn is_near(&self, other: &Value, equality: Equality, tolerance: f64) -> bool {
        let all = |left: &[Value], right: &[Value]| {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| left.is_near(right, equality, tolerance))
        };
        match (self, other) {
            (Value::Tuple(left), Value::Tuple(right)) | (Value::List(left), Value::List(right)) => {
                all(left, right)
            }
            (Value::Dict(left), Value::Dict(right)) => {
                let (left, right) = (by_key(left, equality), by_key(right, equality));
                left.len() == right.len()
                    && left.iter().zip(&right).all(|(left, right)| {
                        left.0 == right.0 && left.1.is_near(right.1, equality, tolerance)
                    })
            }
            (left, right) => left.equals(right, equality) || are_near(left, right, equality, tolerance),
        }
    }

    /// The value's normal form: two values are equal exactly if their keys are.
    pub(crate) fn key(&self, equality: Equality) -> Key<'_> {
        let number = |re: Real, im: Real, class: NumberClass| {
            let class = match equality {
                Equality::Strict => class,
                Equality::Python => NumberClass::Any,
            };
            Key::Number { re, im, class }
        };
        match self {
            Value::None => Key::None,
            Value::Bool(truth) => number(Real::from(BigInt::from(*truth)), Real::zero(), NumberClass::Bool),
            Value::Int(integer) => number(Real::from(integer.clone()), Real::zero(), NumberClass::Int),
            Value::Float(float) => number(Real::from(*float), Real::zero(), NumberClass::Float),
            Value::Complex { re, im } => number(Real::from(*re), Real::from(*im), NumberClass::Complex),
            Value::Str(text) => Key::Str(text),
            Value::Bytes(bytes) => Key::Bytes(bytes),
            Value::Tuple(items) => Key::Tuple(items.iter().map(|item| item.key(equality)).collect()),
            Value::List(items) => Key::List(items.iter().map(|item| item.key(equality)).collect()),
            Value::Set(items) | Value::FrozenSet(items) => {
                let mut keys: Vec<Key<'_>> = items.iter().map(|item| item.key(equality)).collect();
                keys.sort_unstable();
                Key::Set(keys)
            }
            Value::Dict(pairs) => {
                let mut keys: Vec<(Key<'_>, Key<'_>)> =
                    pairs.iter().map(|(key, value)| (key.key(equality), value.key(equality))).collect();
                keys.sort_unstable();
                Key::Dict(keys)
            }
        }
    }
}

/// The values of a dictionary in the order of their keys.
fn by_key(pairs: &[(Value, Value)], equality: Equality) -> Vec<(Key<'_>, &Value)> {
    let mut sorted: Vec<_> = pairs.iter().map(|(key, value)| (key.key(equality), value)).collect();
    sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    sorted
}

/// Whether both are numbers, one of them not whole by type, and close.
fn are_near(left: &Value, right: &Value, equality: Equality, tolerance: f64) -> bool {
    let is_inexact = |it: &Value| matches!(it, Value::Float(_) | Value::Complex { .. });
    let may_compare = match equality {
        Equality::Strict => std::mem::discriminant(left) == std::mem::discriminant(right),
        Equality::Python => true,
    };
    let (Some(a), Some(b)) = (parts(left), parts(right)) else { return false };
    let is_close = |a: f64, b: f64| (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0);
    may_compare && (is_inexact(left) || is_inexact(right)) && is_close(a.0, b.0) && is_close(a.1, b.1)
}

/// Real and imaginary part of a number.
fn parts(value: &Value) -> Option<(f64, f64)> {
    match value {
        Value::Bool(truth) => Some((f64::from(u8::from(*truth)), 0.0)),
        Value::Int(integer) => Some((integer.to_f64()?, 0.0)),
        Value::Float(float) => Some((*float, 0.0)),
        Value::Complex { re, im } => Some((*re, *im)),
        Value::None
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Tuple(_)
        | Value::List(_)
        | Value::Set(_)
        | Value::FrozenSet(_)
        | Value::Dict(_) => None,
    }
}

/// A value's normal form. The derived order is the order of sets in canonical text: `None`, numbers by size (of
/// complex ones the real part first), strings by code point, bytes, tuples item by item, frozen sets as their sorted
/// items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key<'a> {
    None,
    Number { re: Real, im: Real, class: NumberClass },
    Str(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Key<'a>>),
    List(Vec<Key<'a>>),
    Set(Vec<Key<'a>>),
    Dict(Vec<(Key<'a>, Key<'a>)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum NumberClass {
    Any,
    Bool,
    Int,
    Float,
    Complex,
}

/// A real number, exactly: what is whole is an integer, whichever type it had.
#[derive(Clone, Debug)]
pub(crate) enum Real {
    Whole(BigInt),
    Fraction(f64),
}

impl Real {
    fn zero() -> Real {
        Real::Whole(BigInt::ZERO)
    }
}

impl From<BigInt> for Real {
    fn from(integer: BigInt) -> Real {
        Real::Whole(integer)
    }
}

impl From<f64> for Real {
    fn from(float: f64) -> Real {
        match BigInt::from_f64(float) {
            Some(integer) if float.fract() == 0.0 => Real::Whole(integer),
            Some(_) | None => Real::Fraction(float),
        }
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Real) -> Ordering {
        match (self, other) {
            (Real::Whole(a), Real::Whole(b)) => a.cmp(b),
            (Real::Fraction(a), Real::Fraction(b)) => a.total_cmp(b),
            (Real::Whole(a), Real::Fraction(b)) => whole_to_fraction(a, *b),
            (Real::Fraction(a), Real::Whole(b)) => whole_to_fraction(b, *a).reverse(),
        }
    }
}

/// A fraction is never whole, so its floor decides.
fn whole_to_fraction(whole: &BigInt, fraction: f64) -> Ordering {
    match BigInt::from_f64(fraction.floor()) {
        Some(floor) if *whole <= floor => Ordering::Less,
        Some(_) => Ordering::Greater,
        // Infinities and NaN, by their sign: only values made by hand hold them.
        None if fraction.is_sign_positive() => Ordering::Less,
        None => Ordering::Greater,
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Real) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Real) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Real {}

impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Real::Whole(integer) => integer.hash(state),
            Real::Fraction(float) => float.to_bits().hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::parse_literal;

    fn near(left: &str, right: &str, equality: Equality, tolerance: f64) -> bool {
        let [left, right] = [left, right].map(|it| parse_literal(it).unwrap());
        assert_eq!(
            left.is_near(&right, equality, tolerance),
            right.is_near(&left, equality, tolerance),
            "{left:?} {right:?}"
        );
        left.is_near(&right, equality, tolerance)
    }

    #[test]
    fn a_tolerance_is_for_floats_alone() {
        for (left, right) in [
            ("0.3", "0.30000000000000004"),
            ("[1, (2.0, {'a': 0.1})]", "[1, (2.0000001, {'a': 0.1})]"),
            ("1e20", "1.0000001e20"),
            ("{'b': 1.0, 'a': 2.0}", "{'a': 2.0000001, 'b': 1.0}"),
            ("1+2j", "1.0000001+2j"),
        ] {
            assert!(near(left, right, Equality::Strict, 1e-6), "{left} {right}");
            assert!(!near(left, right, Equality::Strict, 0.0), "{left} {right}");
        }
        for (left, right) in [
            ("1.0", "1.1"),
            ("1", "2"),
            ("{1.0}", "{1.0000001}"),
            ("{1.0: 1}", "{1.0000001: 1}"),
            ("[1.0]", "[1.0, 1.0]"),
            ("'1.0'", "'1.0000001'"),
            ("1.0", "None"),
        ] {
            assert!(!near(left, right, Equality::Python, 1e-6), "{left} {right}");
        }
        assert!(!near("1", "1.0000001", Equality::Strict, 1e-6));
        assert!(near("1", "1.0000001", Equality::Python, 1e-6));
        assert!(near("True", "1", Equality::Python, 0.0));
    }
}
