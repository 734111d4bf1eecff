//! Canonical text: what CPython's `repr` writes, on one line, with sets in the order of their keys.

use std::fmt::Write;

use super::equality::Equality;
use super::printable::is_printable;
use super::{Value, equality};

impl Value {
    /// The value's text, exactly as CPython's `repr` writes it, except that sets and frozen sets are sorted:
    /// `None` first, then numbers by size, strings by code point, bytes, tuples item by item, frozen sets.
    /// [`super::parse_literal`] and CPython's `eval` both read it back.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        write_value(&mut text, self);
        text
    }
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(integer) => push(out, format_args!("{integer}")),
        Value::Float(float) => {
            let text = float_digits(*float);
            out.push_str(&text);
            if float.is_finite() && !text.contains(['.', 'e']) {
                out.push_str(".0");
            }
        }
        Value::Complex { re, im } => write_complex(out, *re, *im),
        Value::Str(text) => write_str(out, text),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::Tuple(items) => {
            out.push('(');
            write_items(out, items.iter());
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        Value::List(items) => {
            out.push('[');
            write_items(out, items.iter());
            out.push(']');
        }
        Value::Dict(pairs) => {
            out.push('{');
            for (pair_idx, (key, item)) in pairs.iter().enumerate() {
                out.push_str(if pair_idx == 0 { "" } else { ", " });
                write_value(out, key);
                out.push_str(": ");
                write_value(out, item);
            }
            out.push('}');
        }
        Value::Set(items) if items.is_empty() => out.push_str("set()"),
        Value::FrozenSet(items) if items.is_empty() => out.push_str("frozenset()"),
        Value::Set(items) => write_set(out, items),
        Value::FrozenSet(items) => {
            out.push_str("frozenset(");
            write_set(out, items);
            out.push(')');
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

fn write_items<'a>(out: &mut String, items: impl Iterator<Item = &'a Value>) {
    for (item_idx, item) in items.enumerate() {
        out.push_str(if item_idx == 0 { "" } else { ", " });
        write_value(out, item);
    }
}

fn write_set(out: &mut String, items: &[Value]) {
    let mut sorted: Vec<(equality::Key<'_>, &Value)> =
        items.iter().map(|item| (item.key(Equality::Python), item)).collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push('{');
    write_items(out, sorted.into_iter().map(|(_, item)| item));
    out.push('}');
}

/// CPython's `float_repr_style` short, format code `r`: the shortest digits that read back to the same float, in
/// exponent form where the decimal point is more than 16 places after the first digit or more than 4 before it.
fn float_digits(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    let sign = if float.is_sign_negative() { "-" } else { "" };
    if float.is_infinite() {
        return format!("{sign}inf");
    }
    let scientific = scientific(float.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("`e` format writes an exponent");
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().expect("`e` format writes a small integer");
    match exponent {
        -4..=-1 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        0..=15 => {
            let n_whole = exponent as usize + 1;
            if digits.len() <= n_whole {
                format!("{sign}{digits}{}", "0".repeat(n_whole - digits.len()))
            } else {
                format!("{sign}{}.{}", &digits[..n_whole], &digits[n_whole..])
            }
        }
        _ => {
            let exponent_sign = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs())
        }
    }
}

/// The shortest digits; where two of that length are equally near, the even ones. The `e` format alone takes the
/// greater ones.
fn scientific(float: f64) -> String {
    let shortest = format!("{float:e}");
    let n_digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let nearest = format!("{float:.*e}", n_digits - 1);
    if nearest.parse() == Ok(float) { nearest } else { shortest }
}

fn write_complex(out: &mut String, re: f64, im: f64) {
    if re == 0.0 && re.is_sign_positive() {
        push(out, format_args!("{}j", float_digits(im)));
    } else {
        let plus = if im.is_sign_negative() { "" } else { "+" };
        push(out, format_args!("({}{plus}{}j)", float_digits(re), float_digits(im)));
    }
}

/// Single quotes, unless the text has single quotes and no double ones.
fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn write_str(out: &mut String, text: &str) {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == '\\' || c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                code @ 0..=0xff => push(out, format_args!("\\x{code:02x}")),
                code @ 0x100..=0xffff => push(out, format_args!("\\u{code:04x}")),
                code => push(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte == b'\\' || char::from(byte) == quote => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            byte => push(out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
}
