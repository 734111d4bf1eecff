//! Text to value. Nothing is evaluated: a tree that is not a literal is refused, whatever it would evaluate to.

use std::collections::{HashMap, HashSet};
use std::fmt;

use num_bigint::BigInt;
use ruff_python_ast::{Expr, ExprNumberLiteral, Keyword, Number, Operator, StringLiteral, UnaryOp};
use ruff_text_size::Ranged;

use super::Value;
use super::equality::{Equality, Key};
use crate::syntax;

/// The longest integer, in decimal digits: CPython's `sys.get_int_max_str_digits`.
pub const MAX_INT_DIGITS: usize = 4300;

/// Why a text is no value. The detail names what stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiteralError {
    /// Python cannot parse the text.
    Unparsable(String),
    /// Python can parse it, but it is not made of literals (`nan`, a name, a call, `{[1]}`).
    NotLiteral(String),
}

impl LiteralError {
    /// The reason as `exec grade` names it.
    pub fn as_str(&self) -> &'static str {
        match self {
            LiteralError::Unparsable(_) => "unparsable",
            LiteralError::NotLiteral(_) => "not_literal",
        }
    }

    /// What stands in the way.
    pub fn detail(&self) -> &str {
        match self {
            LiteralError::Unparsable(detail) | LiteralError::NotLiteral(detail) => detail,
        }
    }
}

impl fmt::Display for LiteralError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.as_str(), self.detail())
    }
}

impl std::error::Error for LiteralError {}

const NOT_A_SIGN: &str = "an operator that is not the sign of a number";

fn not_literal<T>(detail: impl Into<String>) -> Result<T, LiteralError> {
    Err(LiteralError::NotLiteral(detail.into()))
}

/// Reads a literal: what `ast.literal_eval` accepts, and also `set([1])`, `frozenset({1})`, `dict(k=1)`. White space
/// around it, line breaks inside brackets and comments are fine; a tuple needs no parentheses. The signs of
/// a complex number belong to its parts, so that text written by `repr` reads back to the same bits.
///
/// # Errors
/// [`LiteralError::Unparsable`] for a syntax error or a breached limit, [`LiteralError::NotLiteral`] for any other
/// expression, unhashable elements, floats out of range, lone surrogates and integers over [`MAX_INT_DIGITS`].
pub fn parse_literal(text: &str) -> Result<Value, LiteralError> {
    let source = syntax::normalise(text);
    let expr = syntax::parse_expression(&source).map_err(LiteralError::Unparsable)?;
    value_of(&source, &expr)
}

/// The value of one expression of `source`.
pub(crate) fn value_of(source: &str, expr: &Expr) -> Result<Value, LiteralError> {
    let items =
        |items: &[Expr]| items.iter().map(|item| value_of(source, item)).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::NoneLiteral(_) => Ok(Value::None),
        Expr::BooleanLiteral(literal) => Ok(Value::Bool(literal.value)),
        Expr::NumberLiteral(literal) => number(source, literal, ""),
        Expr::UnaryOp(unary) => match (unary.op, unary.operand.as_ref()) {
            (UnaryOp::USub, Expr::NumberLiteral(literal)) => number(source, literal, "-"),
            (UnaryOp::UAdd, Expr::NumberLiteral(literal)) => number(source, literal, ""),
            (UnaryOp::USub | UnaryOp::UAdd | UnaryOp::Not | UnaryOp::Invert, _) => not_literal(NOT_A_SIGN),
        },
        Expr::BinOp(binary) => match (binary.op, binary.right.as_ref()) {
            (Operator::Add, Expr::NumberLiteral(im)) => complex(source, &binary.left, im, ""),
            (Operator::Sub, Expr::NumberLiteral(im)) => complex(source, &binary.left, im, "-"),
            _ => not_literal(NOT_A_SIGN),
        },
        Expr::StringLiteral(literal) => {
            if literal.value.iter().any(|part| has_surrogate(source, part)) {
                return not_literal("a string with a lone surrogate");
            }
            Ok(Value::Str(literal.value.to_str().to_owned()))
        }
        Expr::BytesLiteral(literal) => Ok(Value::Bytes(literal.value.bytes().collect())),
        Expr::Tuple(tuple) => Ok(Value::Tuple(items(&tuple.elts)?)),
        Expr::List(list) => Ok(Value::List(items(&list.elts)?)),
        Expr::Set(set) => Ok(Value::Set(unique(items(&set.elts)?)?)),
        Expr::Dict(dict) => {
            let mut pairs = Vec::with_capacity(dict.items.len());
            for item in &dict.items {
                match &item.key {
                    Some(key) => pairs.push((value_of(source, key)?, value_of(source, &item.value)?)),
                    None => return not_literal("an unpacked dictionary"),
                }
            }
            Ok(Value::Dict(unique_keys(pairs)?))
        }
        Expr::Call(call) => match call.func.as_ref() {
            Expr::Name(name) => constructor(source, &name.id, &call.arguments.args, &call.arguments.keywords),
            _ => not_literal("a call"),
        },
        Expr::Name(name) => not_literal(format!("the name `{}`", name.id)),
        Expr::FString(_) => not_literal("an f-string"),
        Expr::Starred(_) => not_literal("an unpacked value"),
        Expr::EllipsisLiteral(_) => not_literal("`...`"),
        _ => not_literal("an expression that is not a literal"),
    }
}

/// `set()`, `set([1])`, `frozenset()`, `frozenset({1})`, `dict(k=1)`.
fn constructor(source: &str, name: &str, args: &[Expr], keywords: &[Keyword]) -> Result<Value, LiteralError> {
    match (name, args, keywords) {
        ("dict", [], keywords) => {
            let pairs = keyword_values(source, keywords)?;
            Ok(Value::Dict(pairs.into_iter().map(|(key, value)| (Value::Str(key), value)).collect()))
        }
        ("set", [], []) => Ok(Value::Set(Vec::new())),
        ("frozenset", [], []) => Ok(Value::FrozenSet(Vec::new())),
        ("set" | "frozenset", [arg], []) => {
            let items = match value_of(source, arg)? {
                Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
                    items
                }
                other => return not_literal(format!("`{name}` of a {}", other.type_name())),
            };
            let items = unique(items)?;
            Ok(if name == "set" { Value::Set(items) } else { Value::FrozenSet(items) })
        }
        _ => not_literal(format!("a call of `{name}`")),
    }
}

/// The keyword arguments of a call, in order.
pub(crate) fn keyword_values(
    source: &str,
    keywords: &[Keyword],
) -> Result<Vec<(String, Value)>, LiteralError> {
    let mut names = HashSet::new();
    let mut pairs = Vec::with_capacity(keywords.len());
    for keyword in keywords {
        let Some(name) = &keyword.arg else {
            return not_literal("an unpacked dictionary");
        };
        if !names.insert(name.as_str()) {
            return Err(LiteralError::Unparsable(format!("keyword argument repeated: {name}")));
        }
        pairs.push((name.as_str().to_owned(), value_of(source, &keyword.value)?));
    }
    Ok(pairs)
}

/// A number as its token writes it: the tree's own copy of a long integer is text as well.
fn number(source: &str, literal: &ExprNumberLiteral, sign: &str) -> Result<Value, LiteralError> {
    let flip = |float: f64| if sign == "-" { -float } else { float };
    match &literal.value {
        Number::Int(_) => integer(&source[literal.range()], sign),
        Number::Float(float) if float.is_finite() => Ok(Value::Float(flip(*float))),
        // The real part of `-1j` is zero with either sign; `repr` writes `-1j` for the positive one.
        Number::Complex { imag, .. } if imag.is_finite() => Ok(Value::Complex { re: 0.0, im: flip(*imag) }),
        Number::Float(_) | Number::Complex { .. } => not_literal("a number out of the range of floats"),
    }
}

fn integer(token: &str, sign: &str) -> Result<Value, LiteralError> {
    let digits = token.replace('_', "");
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(_) | None => (10, digits.as_str()),
    };
    let significant = digits.trim_start_matches('0');
    // CPython refuses the text of such a decimal number; in other bases it reads the number and cannot write it.
    let detail = format!("an integer of more than {MAX_INT_DIGITS} digits");
    if radix == 10 && significant.len() > MAX_INT_DIGITS {
        return Err(LiteralError::Unparsable(detail));
    }
    // A decimal digit is less than four binary ones.
    if significant.len() > 4 * MAX_INT_DIGITS {
        return not_literal(detail);
    }
    let number = BigInt::parse_bytes(format!("{sign}0{significant}").as_bytes(), radix)
        .ok_or_else(|| LiteralError::Unparsable(format!("invalid integer `{token}`")))?;
    if radix != 10 && number.magnitude().to_string().len() > MAX_INT_DIGITS {
        return not_literal(detail);
    }
    Ok(Value::Int(number))
}

/// `1+2j`. A real part of `-0` is the float `-0.0`, since `repr` writes it so.
fn complex(source: &str, re: &Expr, im: &ExprNumberLiteral, sign: &str) -> Result<Value, LiteralError> {
    let (re, re_sign) = match re {
        Expr::NumberLiteral(literal) => (literal, 1.0),
        Expr::UnaryOp(unary) => match (unary.op, unary.operand.as_ref()) {
            (UnaryOp::USub, Expr::NumberLiteral(literal)) => (literal, -1.0),
            (UnaryOp::UAdd, Expr::NumberLiteral(literal)) => (literal, 1.0),
            _ => return not_literal(NOT_A_SIGN),
        },
        _ => return not_literal(NOT_A_SIGN),
    };
    let re: f64 = match number(source, re, "")? {
        Value::Float(float) => float,
        Value::Int(integer) => integer.to_string().parse().expect("a float reads any decimal integer"),
        _ => return not_literal(NOT_A_SIGN),
    };
    match number(source, im, sign)? {
        Value::Complex { im, .. } if re.is_finite() => Ok(Value::Complex { re: re_sign * re, im }),
        Value::Complex { .. } => not_literal("a number out of the range of floats"),
        _ => not_literal(NOT_A_SIGN),
    }
}

/// Whether the literal spells a surrogate, which Rust's strings cannot hold.
fn has_surrogate(source: &str, part: &StringLiteral) -> bool {
    if part.flags.prefix().is_raw() {
        return false;
    }
    let mut rest = &source[part.range()];
    while let Some(backslash) = rest.find('\\') {
        let escape = &rest[backslash + 1..];
        let n_digits = match escape.chars().next() {
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let code = escape.get(1..1 + n_digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if matches!(code, Some(0xd800..=0xdfff)) {
            return true;
        }
        // Step over the escaped character, which may be a backslash itself.
        rest = escape.get(escape.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    false
}

/// Set elements as Python keeps them: of equal ones the first.
fn unique(items: Vec<Value>) -> Result<Vec<Value>, LiteralError> {
    let is_first: Vec<bool> = {
        let mut seen: HashSet<Key<'_>> = HashSet::with_capacity(items.len());
        items.iter().map(|item| Ok(seen.insert(hashable_key(item)?))).collect::<Result<_, LiteralError>>()?
    };
    Ok(items.into_iter().zip(is_first).filter_map(|(item, is_first)| is_first.then_some(item)).collect())
}

/// Dictionary entries as Python keeps them: of equal keys the first, with the last one's value.
fn unique_keys(pairs: Vec<(Value, Value)>) -> Result<Vec<(Value, Value)>, LiteralError> {
    let slots: Vec<usize> = {
        let mut seen: HashMap<Key<'_>, usize> = HashMap::with_capacity(pairs.len());
        let mut slot_of = |key| {
            let n_seen = seen.len();
            Ok(*seen.entry(hashable_key(key)?).or_insert(n_seen))
        };
        pairs.iter().map(|(key, _)| slot_of(key)).collect::<Result<_, LiteralError>>()?
    };
    let mut kept: Vec<(Value, Value)> = Vec::new();
    for ((key, value), slot) in pairs.into_iter().zip(slots) {
        match kept.get_mut(slot) {
            Some((_, last)) => *last = value,
            None => kept.push((key, value)),
        }
    }
    Ok(kept)
}

fn hashable_key(value: &Value) -> Result<Key<'_>, LiteralError> {
    if value.is_hashable() {
        Ok(value.key(Equality::Python))
    } else {
        not_literal(format!("an unhashable {} in a set or as a key", value.type_name()))
    }
}
