//! Programs in completions, and how code benchmarks compare what programs give (docs/grading.md). Nothing runs
//! here; what EvalPlus does to a completion is `kelvin_python::sanitize`.

use kelvin_python::{Equality, Value};

const FENCE: &str = "```";

/// The program as LiveCodeBench finds it: the lines between the last two that hold three backticks; none where there are
/// fewer. An unclosed last fence loses the answer, as in the original.
pub fn between_last_fences(response: &str) -> Option<String> {
    let lines: Vec<&str> = response.split('\n').collect();
    let mut fences =
        lines.iter().enumerate().rev().filter(|(_, line)| line.contains(FENCE)).map(|(at, _)| at);
    let (end, start) = (fences.next()?, fences.next()?);
    Some(lines[start + 1..end].join("\n"))
}

/// What stands between fences, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the opening backticks, in lower case: a language, or nothing.
    pub tag: String,
    /// The lines between.
    pub inside: String,
}

/// The fenced blocks of a text that hold more than blanks. A fence that opens and never closes goes to the end; one with a
/// language opens a block, whatever was left open before it.
pub fn blocks(response: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in response.lines() {
        let fence = line.trim_start().strip_prefix(FENCE);
        match (fence, &mut open) {
            (None, Some((_, inside))) => inside.push(line),
            (None, None) => {}
            (Some(tag), before) => {
                let tag = tag.trim().to_lowercase();
                let opens = before.is_none() || !tag.is_empty();
                found.extend(before.take());
                *before = opens.then(|| (tag, Vec::new()));
            }
        }
    }
    found.extend(open);
    let found = found.into_iter().map(|(tag, inside)| Block { tag, inside: inside.join("\n") });
    found.filter(|it| !it.inside.trim().is_empty()).collect()
}

/// The last fenced block that is a program: tagged as Python if any is, else any.
pub fn last_block(response: &str) -> Option<String> {
    let blocks = blocks(response);
    let is_python = |it: &&Block| matches!(it.tag.as_str(), "python" | "py" | "python3");
    (blocks.iter().rfind(is_python)).or_else(|| blocks.last()).map(|it| it.inside.clone())
}

/// Whether a program printed what a test expects, by LiveCodeBench's rule: as many lines, each the same without blanks
/// at its ends, or the same decimal numbers, exactly (`1.0` is `1.00`, `0.333` is not `0.3333`).
pub fn printed_agrees(printed: &str, expected: &str) -> bool {
    let lines = |text: &str| text.trim().split('\n').map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (printed, expected) = (lines(printed), lines(expected));
    let numbers = |line: &str| line.split_whitespace().map(decimal).collect::<Option<Vec<_>>>();
    printed.len() == expected.len()
        && printed.iter().zip(&expected).all(|(a, b)| {
            a == b || matches!((numbers(a), numbers(b)), (Some(a), Some(b)) if a == b && !a.is_empty())
        })
}

/// A decimal numeral as sign, digits without zeros at their ends, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let folded = unsigned.to_ascii_lowercase();
    if matches!(folded.as_str(), "inf" | "infinity") {
        return Some((is_negative, folded[..3].to_owned(), 0));
    }
    let (mantissa, exponent) = match folded.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (folded.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let short = digits.trim_end_matches('0');
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let exponent = exponent.checked_add(i64::try_from(digits.len() - short.len()).ok()?)?;
    let short = short.trim_start_matches('0');
    if short.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((is_negative, short.to_owned(), exponent))
}

/// Whether a function returned what a test expects, by LiveCodeBench's rule: Python's `==`, where a tuple counts as a list
/// (at the top only), without tolerance for floats.
pub fn returned_agrees(returned: &Value, expected: &Value) -> bool {
    match returned {
        Value::Tuple(items) => Value::List(items.clone()).equals(expected, Equality::Python),
        other => other.equals(expected, Equality::Python),
    }
}

/// EvalPlus's comparison of returned values over the tests of one task, in their order: `tolerance` begins as the task's
/// `atol`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closeness {
    tolerance: f64,
}

/// What the tolerance becomes where a task has none and floats are expected.
const FLOAT_TOLERANCE: f64 = 1e-6;
/// The part of the tolerance that grows with the expected value.
const RELATIVE_TOLERANCE: f64 = 1e-7;

impl Closeness {
    /// For a task with this `atol`.
    pub fn new(atol: f64) -> Closeness {
        Closeness { tolerance: atol }
    }

    /// Whether `returned` is `expected`: equal by Python's `==`, or of the same type and length and near in each number.
    /// Once a float or a list of floats is expected, the tolerance stays for the tests that follow, as in the original.
    pub fn agrees(&mut self, returned: &Value, expected: &Value) -> bool {
        if self.tolerance == 0.0 && is_floats(expected) {
            self.tolerance = FLOAT_TOLERANCE;
        }
        returned.equals(expected, Equality::Python)
            || self.tolerance != 0.0
                && returned.type_name() == expected.type_name()
                && self.is_near(returned, expected)
    }

    fn is_near(&self, returned: &Value, expected: &Value) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= self.tolerance + RELATIVE_TOLERANCE * b.abs();
        match (returned, expected) {
            (Value::List(a) | Value::Tuple(a), Value::List(b) | Value::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.is_near(a, b))
            }
            (a, b) => matches!((number(a), number(b)), (Some(a), Some(b)) if near(a, b)),
        }
    }
}

fn is_floats(value: &Value) -> bool {
    match value {
        Value::Float(_) => true,
        Value::List(items) | Value::Tuple(items) => {
            !items.is_empty() && items.iter().all(|it| matches!(it, Value::Float(_)))
        }
        _ => false,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Int(integer) => integer.to_string().parse().ok(),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kelvin_python::parse_literal;

    use super::*;

    #[test]
    fn programs_lie_between_fences() {
        let two = "Try\n```python\na = 1\n```\nor\n```\nb = 2\n```\ndone";
        assert_eq!(between_last_fences(two).as_deref(), Some("b = 2"));
        assert_eq!(last_block(two).as_deref(), Some("a = 1"), "only the first says that it is Python");
        let prose_last = "```python\na = 1\n```\nInput:\n```\n5\n```";
        assert_eq!(between_last_fences(prose_last).as_deref(), Some("5"), "the original's flaw");
        assert_eq!(last_block(prose_last).as_deref(), Some("a = 1"));
        let unclosed = "```python\na = 1\n```\n```python\nb = 2";
        assert_eq!(between_last_fences(unclosed).as_deref(), Some(""), "the original's flaw");
        assert_eq!(last_block(unclosed).as_deref(), Some("b = 2"));
        let again = "```python\na = 1\n\nBetter:\n```python\nb = 2\n```\nThat is all.";
        assert_eq!(last_block(again).as_deref(), Some("b = 2"));
        for none in ["", "a = 1", "```python"] {
            assert_eq!((between_last_fences(none), last_block(none)), (None, None), "{none}");
        }
    }

    #[test]
    fn printed_lines_agree_as_text_or_as_decimals() {
        for (printed, expected) in [
            ("1 2\n3\n", "1 2 \n 3"),
            ("1.0", "1.00"),
            ("1e3", "1000"),
            ("0", "-0.0"),
            ("YES", "YES"),
            ("", "\n"),
            ("+.5 2", "0.50  2.0"),
        ] {
            assert!(printed_agrees(printed, expected), "{printed:?} {expected:?}");
        }
        for (printed, expected) in [
            ("0.333333", "0.3333333"),
            ("yes", "YES"),
            ("1\n\n2", "1\n2"),
            ("1 2", "12"),
            ("nan", "NaN"),
            ("-1", "1"),
            ("10", "1"),
        ] {
            assert!(!printed_agrees(printed, expected), "{printed:?} {expected:?}");
        }
    }

    fn value(text: &str) -> Value {
        parse_literal(text).unwrap()
    }

    #[test]
    fn returned_values_agree_without_tolerance() {
        assert!(returned_agrees(&value("(1, 2)"), &value("[1, 2]")));
        assert!(!returned_agrees(&value("[(1, 2)]"), &value("[[1, 2]]")));
        assert!(!returned_agrees(&value("0.30000000000000004"), &value("0.3")));
        assert!(returned_agrees(&value("1.0"), &value("1")));
    }

    #[test]
    fn closeness_is_by_type_and_stays() {
        let agrees = |atol, returned: &str, expected: &str| {
            Closeness::new(atol).agrees(&value(returned), &value(expected))
        };
        assert!(agrees(0.0, "0.3000001", "0.3"));
        assert!(!agrees(0.0, "0.30001", "0.3"));
        assert!(agrees(0.0, "[1.0, 2.0000001]", "[1.0, 2.0]"));
        assert!(!agrees(0.0, "[1.0]", "[1.0, 2.0]"));
        assert!(!agrees(0.0, "[1.0, 2.1]", "(1.0, 2.0)"), "the types differ");
        assert!(agrees(0.0, "1", "1.0"), "equal is equal");
        assert!(!agrees(0.0, "[1, 0.3000001]", "[1, 0.3]"), "not all are floats, so there is no tolerance");
        assert!(agrees(1e-3, "[1, 0.3000001]", "[1, 0.3]"));
        assert!(!agrees(1e-3, "'a'", "'b'"));
        let mut task = Closeness::new(0.0);
        assert!(!task.agrees(&value("[1, 0.3000001]"), &value("[1, 0.3]")));
        assert!(task.agrees(&value("1.0"), &value("1.0")));
        assert!(task.agrees(&value("[1, 0.3000001]"), &value("[1, 0.3]")), "the tolerance has stayed");
    }
}
