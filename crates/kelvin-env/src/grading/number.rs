//! Numbers as people write them in answers, read as exact rationals.

use num_bigint::BigInt;

/// The largest power of ten that is read: beyond it a short text would stand for megabytes of digits.
const MAX_EXPONENT: i64 = 4096;

/// A rational number. Equality is exact.
#[derive(Clone, Debug)]
pub struct Number {
    numerator: BigInt,
    /// Positive.
    denominator: BigInt,
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        &self.numerator * &other.denominator == &other.numerator * &self.denominator
    }
}

impl Number {
    /// Reads an integer, a decimal with or without exponent, or a fraction `a/b`, `\frac{a}{b}` of such numbers.
    /// Dollar signs, TeX spacing, thousands separators and a final period are ignored.
    pub fn parse(text: &str) -> Option<Number> {
        let mut plain = text.to_owned();
        for ignored in ["$", "\\(", "\\)", "\\[", "\\]", "\\,", "\\!", "\\;", "\\ ", "{,}", " ", "\n", "\t"] {
            let replacement = if ignored == "{,}" { "," } else { "" };
            plain = plain.replace(ignored, replacement);
        }
        let plain = plain.replace('\u{2212}', "-");
        let (negative, magnitude) = match plain.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
        };
        let magnitude = magnitude.strip_suffix('.').unwrap_or(magnitude);
        let number = match tex_fraction(magnitude).or_else(|| magnitude.split_once('/')) {
            Some((above, below)) => quotient(signed_decimal(above)?, signed_decimal(below)?)?,
            None => decimal(magnitude)?,
        };
        Some(if negative { Number { numerator: -number.numerator, ..number } } else { number })
    }

    /// Its value, where that is an integer.
    pub fn integer(&self) -> Option<BigInt> {
        let is_whole = &self.numerator % &self.denominator == BigInt::ZERO;
        is_whole.then(|| &self.numerator / &self.denominator)
    }
}

/// The two braces of `\frac{a}{b}`, or the two digits of `\frac12`.
fn tex_fraction(text: &str) -> Option<(&str, &str)> {
    let rest = ["\\frac", "\\dfrac", "\\tfrac"].into_iter().find_map(|command| text.strip_prefix(command))?;
    if let Some(inside) = rest.strip_prefix('{') {
        let (above, rest) = inside.split_once("}{")?;
        return Some((above, rest.strip_suffix('}')?));
    }
    (rest.len() == 2 && rest.bytes().all(|it| it.is_ascii_digit())).then(|| rest.split_at(1))
}

fn quotient(above: Number, below: Number) -> Option<Number> {
    let zero = BigInt::ZERO;
    if below.numerator == zero {
        return None;
    }
    let numerator = above.numerator * &below.denominator;
    let denominator = above.denominator * below.numerator;
    Some(if denominator < zero {
        Number { numerator: -numerator, denominator: -denominator }
    } else {
        Number { numerator, denominator }
    })
}

fn signed_decimal(text: &str) -> Option<Number> {
    match text.strip_prefix('-') {
        Some(magnitude) => decimal(magnitude).map(|it| Number { numerator: -it.numerator, ..it }),
        None => decimal(text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Digits with optional thousands separators, fraction and exponent; no sign.
fn decimal(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = without_separators(whole)?;
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    if MAX_EXPONENT < exponent.checked_abs()? || MAX_EXPONENT < digits.len() as i64 {
        return None;
    }
    let mantissa: BigInt = digits.parse().ok()?;
    let shift = exponent - fraction.len() as i64;
    let scale = BigInt::from(10).pow(shift.unsigned_abs() as u32);
    Some(if shift < 0 {
        Number { numerator: mantissa, denominator: scale }
    } else {
        Number { numerator: mantissa * scale, denominator: BigInt::from(1) }
    })
}

/// `1,234,567` as `1234567`; a comma elsewhere separates two numbers, which is not a number.
fn without_separators(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.is_empty() || 3 < first.len() {
            return None;
        }
        digits.push_str(group);
    }
    Some(digits)
}
