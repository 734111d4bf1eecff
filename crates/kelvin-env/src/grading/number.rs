//! Exact rational numbers of short answers, in lowest terms.

use std::fmt;

use num_bigint::{BigInt, Sign};

/// The largest power of ten and the most digits that a literal may have: beyond it a short text would stand for
/// megabytes of digits.
const LITERAL_DIGITS_MAX: i64 = 4096;
/// The longest numerator or denominator of a fraction that arithmetic may make, in bits. It bounds the work of one answer.
const COMPUTED_BITS_MAX: u64 = 2048;
/// The longest integer, which takes no search for a common divisor.
const INTEGER_BITS_MAX: u64 = 8192;
/// The largest number under a square root: its square factors are found by 10^4 divisions.
pub(super) const RADICAND_MAX: u64 = 1_000_000_000_000;

/// A rational number in lowest terms; the denominator is positive. Equality is exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    numerator: BigInt,
    denominator: BigInt,
}

/// A square root as `factor` times the root of a number without square factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Surd {
    pub(super) factor: Number,
    pub(super) radicand: u64,
}

impl Number {
    /// Digits with an optional fraction and exponent; no sign.
    pub(super) fn literal(text: &str) -> Option<Number> {
        let (mantissa, exponent) = match text.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        if LITERAL_DIGITS_MAX < exponent.checked_abs()? || LITERAL_DIGITS_MAX < digits.len() as i64 {
            return None;
        }
        let mantissa: BigInt = digits.parse().ok()?;
        let shift = exponent - fraction.len() as i64;
        let scale = BigInt::from(10).pow(shift.unsigned_abs() as u32);
        Some(if shift < 0 { ratio(mantissa, scale) } else { ratio(mantissa * scale, BigInt::from(1)) })
    }

    /// A decimal whose last digits repeat for ever, as `0.1` and `6` for one sixth.
    pub(super) fn repeating(start: &str, period: &str) -> Option<Number> {
        let (_, fraction) = start.split_once('.').unwrap_or((start, ""));
        let shift = Number::literal(&format!("1e{}", fraction.len()))?;
        let nines = Number::literal(&"9".repeat(period.len()))?;
        let tail = Number::literal(period)?.times(&shift.times(&nines)?.reciprocal()?)?;
        Number::literal(start)?.plus(&tail)
    }

    pub(super) fn plus(&self, other: &Number) -> Option<Number> {
        let numerator = &self.numerator * &other.denominator + &other.numerator * &self.denominator;
        bounded(numerator, &self.denominator * &other.denominator)
    }

    pub(super) fn times(&self, other: &Number) -> Option<Number> {
        bounded(&self.numerator * &other.numerator, &self.denominator * &other.denominator)
    }

    pub(super) fn negated(self) -> Number {
        Number { numerator: -self.numerator, ..self }
    }

    /// None of zero.
    pub(super) fn reciprocal(&self) -> Option<Number> {
        (!self.is_zero()).then(|| ratio(self.denominator.clone(), self.numerator.clone()))
    }

    /// None of a zero to a negative power, and of what would be too long.
    pub(super) fn power(&self, exponent: i64) -> Option<Number> {
        let base = if exponent < 0 { self.reciprocal()? } else { self.clone() };
        let n = exponent.unsigned_abs();
        // A number of b bits, b over 1, has more than (b - 1) n bits when raised to n.
        let bits = base.numerator.bits().max(base.denominator.bits());
        let bits_max = if base.is_integer() { INTEGER_BITS_MAX } else { COMPUTED_BITS_MAX };
        if bits_max < bits.saturating_sub(1).saturating_mul(n) {
            return None;
        }
        let n = u32::try_from(n).ok()?;
        bounded(base.numerator.pow(n), base.denominator.pow(n))
    }

    /// The root of this degree, where it is rational.
    pub(super) fn root(&self, degree: u32) -> Option<Number> {
        if self.is_negative() && degree.is_multiple_of(2) || !(1..=64).contains(&degree) {
            return None;
        }
        let root = ratio(self.numerator.nth_root(degree), self.denominator.nth_root(degree));
        (root.power(i64::from(degree)).as_ref() == Some(self)).then_some(root)
    }

    /// The square root, with a radicand of 1 where it is rational. None of negative numbers and of long ones that are no
    /// squares.
    pub(super) fn square_root(&self) -> Option<Surd> {
        if let Some(factor) = self.root(2) {
            return Some(Surd { factor, radicand: 1 });
        }
        // The root of a / b is the root of a b, over b.
        let mut rest = u64::try_from(&self.numerator * &self.denominator).ok()?;
        if RADICAND_MAX < rest {
            return None;
        }
        let (mut outside, mut radicand) = (1u64, 1u64);
        for factor in 2.. {
            if rest < factor * factor * factor {
                break;
            }
            while rest.is_multiple_of(factor * factor) {
                rest /= factor * factor;
                outside *= factor;
            }
            if rest.is_multiple_of(factor) {
                rest /= factor;
                radicand *= factor;
            }
        }
        // What is left has at most two prime factors.
        match rest.isqrt() {
            root if root * root == rest => outside *= root,
            _ => radicand *= rest,
        }
        let factor = ratio(BigInt::from(outside), self.denominator.clone());
        Some(Surd { factor, radicand })
    }

    pub(super) fn is_zero(&self) -> bool {
        self.numerator.sign() == Sign::NoSign
    }

    pub(super) fn is_negative(&self) -> bool {
        self.numerator.sign() == Sign::Minus
    }

    pub(super) fn is_integer(&self) -> bool {
        self.denominator == BigInt::from(1)
    }

    /// The largest integer that is not larger.
    pub(super) fn floor(&self) -> Number {
        let mut quotient = &self.numerator / &self.denominator;
        if self.is_negative() && !self.is_integer() {
            quotient -= 1;
        }
        Number { numerator: quotient, denominator: 1.into() }
    }

    /// The denominator, where it fits.
    pub(super) fn denominator(&self) -> Option<u64> {
        u64::try_from(&self.denominator).ok()
    }

    /// The nearest float, to a few units in the last place; infinite where it is too large.
    pub(super) fn to_f64(&self) -> f64 {
        let leading = |it: &BigInt| {
            let shift = it.bits().saturating_sub(64);
            let top = u64::try_from(it.magnitude() >> shift).expect("64 bits");
            (top as f64, shift as i32)
        };
        let ((above, above_shift), (below, below_shift)) =
            (leading(&self.numerator), leading(&self.denominator));
        // In two steps, since half of a shift is always a float.
        let shift = above_shift - below_shift;
        let magnitude = above / below * 2f64.powi(shift / 2) * 2f64.powi(shift - shift / 2);
        if self.is_negative() { -magnitude } else { magnitude }
    }

    /// What is left when a prime is divided out; none where the prime divides the denominator.
    pub(super) fn residue(&self, prime: Prime) -> Option<u64> {
        let residue = |it: &BigInt| u64::try_from(it.magnitude() % prime.0).expect("less than the prime");
        let quotient = prime.times(residue(&self.numerator), prime.reciprocal(residue(&self.denominator))?);
        Some(if self.is_negative() { prime.negated(quotient) } else { quotient })
    }

    /// The value, where it is an integer that fits.
    pub(super) fn as_i64(&self) -> Option<i64> {
        (self.denominator == BigInt::from(1)).then(|| i64::try_from(&self.numerator).ok())?
    }
}

/// The numbers modulo a prime below 2^62: they tell rational numbers apart at the price of one word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prime(pub(super) u64);

impl Prime {
    pub(super) fn plus(self, a: u64, b: u64) -> u64 {
        (a + b) % self.0
    }

    pub(super) fn negated(self, a: u64) -> u64 {
        (self.0 - a) % self.0
    }

    pub(super) fn times(self, a: u64, b: u64) -> u64 {
        (u128::from(a) * u128::from(b) % u128::from(self.0)) as u64
    }

    pub(super) fn power(self, base: u64, mut exponent: u64) -> u64 {
        let (mut square, mut power) = (base, 1);
        while 0 < exponent {
            if exponent % 2 == 1 {
                power = self.times(power, square);
            }
            square = self.times(square, square);
            exponent /= 2;
        }
        power
    }

    /// None of 0.
    pub(super) fn reciprocal(self, a: u64) -> Option<u64> {
        (a != 0).then(|| self.power(a, self.0 - 2))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number { numerator: value.into(), denominator: 1.into() }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator == BigInt::from(1) {
            true => write!(f, "{}", self.numerator),
            false => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

fn bounded(numerator: BigInt, denominator: BigInt) -> Option<Number> {
    if denominator == BigInt::from(1) {
        return (numerator.bits() <= INTEGER_BITS_MAX).then_some(Number { numerator, denominator });
    }
    let number = ratio(numerator, denominator);
    (number.numerator.bits().max(number.denominator.bits()) <= COMPUTED_BITS_MAX).then_some(number)
}

/// Lowest terms of a quotient; the denominator is not zero.
fn ratio(numerator: BigInt, denominator: BigInt) -> Number {
    let (mut a, mut b) = (numerator.magnitude().clone(), denominator.magnitude().clone());
    while b.bits() != 0 {
        (a, b) = (b.clone(), a % b);
    }
    let divisor = match denominator.sign() {
        Sign::Minus => -BigInt::from(a),
        Sign::NoSign | Sign::Plus => BigInt::from(a),
    };
    Number { numerator: numerator / &divisor, denominator: denominator / divisor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kelvin_core::seed::Seed;

    #[test]
    fn roots_are_free_of_squares() {
        for (text, factor, radicand) in
            [("8", "2", 2), ("0.5", "1/2", 2), ("999999000000", "3000", 111_111), ("2.25", "3/2", 1)]
        {
            let surd = Number::literal(text).unwrap().square_root().unwrap();
            assert_eq!((surd.factor.to_string().as_str(), surd.radicand), (factor, radicand), "{text}");
        }
        let mut draws = Seed::new(4).draws();
        for _ in 0..100 {
            let n = draws.between(2, 1_000_000) as u64 * draws.between(1, 1_000_000) as u64;
            let surd = Number::from(n).square_root().unwrap();
            let square = surd.factor.power(2).unwrap().times(&Number::from(surd.radicand)).unwrap();
            assert_eq!(square, Number::from(n));
            let has_square = (2..1000).any(|it: u64| surd.radicand.is_multiple_of(it * it));
            assert!(!has_square, "{n} {surd:?}");
        }
        assert_eq!(Number::from(2).negated().square_root(), None);
        assert_eq!(Number::from(RADICAND_MAX + 2).square_root(), None);
    }

    #[test]
    fn long_numbers_are_refused_before_they_are_made() {
        assert_eq!(Number::from(10).power(1_000_000_000_000), None);
        assert_eq!(Number::literal("1e5000"), None);
        assert_eq!(Number::literal("1e99999999999999999999"), None);
        let long = Number::literal("1e2000").unwrap();
        assert_eq!(long.times(&long), None);
        assert_eq!(Number::from(1).power(i64::MAX), None);
    }
}
