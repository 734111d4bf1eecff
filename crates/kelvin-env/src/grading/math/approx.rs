//! Complex floats that know how wrong they may be: each operation adds the error of its arguments and of its rounding.
//! Two values are told apart only by more than their errors, and agree only where the errors are small.

use std::f64::consts::PI;

/// A bound on the rounding of one operation, relative to its result: a few units in the last place.
const ROUNDING: f64 = 1e-15;
/// The largest error, relative to the values (or to 1 where they are smaller), at which agreement says anything.
const ERROR_MAX: f64 = 1e-9;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Approx {
    pub(super) re: f64,
    pub(super) im: f64,
    /// A bound on the distance from the true value.
    pub(super) error: f64,
}

impl Approx {
    /// A real number, rounded once.
    pub(super) fn real(value: f64) -> Approx {
        Approx { re: value, im: 0.0, error: ROUNDING * value.abs() }
    }

    pub(super) fn complex(re: f64, im: f64, error: f64) -> Approx {
        Approx { re, im, error: error + ROUNDING * re.hypot(im) }
    }

    pub(super) fn magnitude(self) -> f64 {
        self.re.hypot(self.im)
    }

    /// The value, where it is one.
    pub(super) fn finite(self) -> Option<Approx> {
        (self.re.is_finite() && self.im.is_finite() && self.error.is_finite()).then_some(self)
    }

    /// Whether the two are the same; none where the errors are too large to say so.
    pub(super) fn agrees(self, other: Approx) -> Option<bool> {
        let distance = (self.re - other.re).hypot(self.im - other.im);
        let error = self.error + other.error;
        if error < distance {
            return Some(false);
        }
        let scale = self.magnitude().max(other.magnitude()).max(1.0);
        (error <= ERROR_MAX * scale).then_some(true)
    }

    /// Whether it is zero as far as can be told.
    pub(super) fn may_be_zero(self) -> bool {
        self.magnitude() <= self.error
    }

    pub(super) fn plus(self, other: Approx) -> Approx {
        Approx::complex(self.re + other.re, self.im + other.im, self.error + other.error)
    }

    pub(super) fn negated(self) -> Approx {
        Approx { re: -self.re, im: -self.im, error: self.error }
    }

    pub(super) fn times(self, other: Approx) -> Approx {
        let (re, im) = (self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re);
        let (a, b) = (self.magnitude(), other.magnitude());
        let cancelled = if self.im == 0.0 || other.im == 0.0 { 0.0 } else { ROUNDING * a * b };
        Approx::complex(re, im, a * other.error + b * self.error + self.error * other.error + cancelled)
    }

    /// None of what may be zero.
    pub(super) fn reciprocal(self) -> Option<Approx> {
        let magnitude = self.magnitude();
        if self.may_be_zero() {
            return None;
        }
        let square = magnitude * magnitude;
        let error = self.error / (magnitude * (magnitude - self.error));
        Approx::complex(self.re / square, -self.im / square, error + ROUNDING / magnitude).finite()
    }

    pub(super) fn exp(self) -> Approx {
        let size = self.re.exp();
        // The error of the exponent is relative in the power.
        let error = size * self.error.exp_m1() + ROUNDING * size * self.magnitude();
        match self.im == 0.0 {
            true => Approx::complex(size, 0.0, error),
            false => Approx::complex(size * self.im.cos(), size * self.im.sin(), error),
        }
    }

    /// The principal logarithm.
    pub(super) fn ln(self) -> Option<Approx> {
        let magnitude = self.magnitude();
        if self.may_be_zero() {
            return None;
        }
        let angle = if self.im == 0.0 && 0.0 < self.re { 0.0 } else { self.im.atan2(self.re) };
        let error = self.error / (magnitude - self.error);
        Some(Approx::complex(magnitude.ln(), angle, error + ROUNDING))
    }

    /// An integer power, by squaring.
    pub(super) fn integer_power(self, exponent: i64) -> Option<Approx> {
        let base = if exponent < 0 { self.reciprocal()? } else { self };
        let (mut n, mut square, mut power) = (exponent.unsigned_abs(), base, Approx::real(1.0));
        while 0 < n {
            if n % 2 == 1 {
                power = power.times(square);
            }
            square = square.times(square);
            n /= 2;
        }
        power.finite()
    }

    /// The principal power.
    pub(super) fn power(self, exponent: Approx) -> Option<Approx> {
        self.ln()?.times(exponent).exp().finite()
    }

    /// The sine of any number; the cosine is that of a quarter turn more.
    pub(super) fn sin(self) -> Approx {
        let error = self.error * self.im.cosh() + ROUNDING * self.magnitude() * self.im.cosh();
        match self.im == 0.0 {
            true => Approx::complex(self.re.sin(), 0.0, error + ROUNDING),
            false => Approx::complex(
                self.re.sin() * self.im.cosh(),
                self.re.cos() * self.im.sinh(),
                error + ROUNDING,
            ),
        }
    }

    pub(super) fn cos(self) -> Approx {
        self.plus(Approx::real(PI / 2.0)).sin()
    }

    /// A real function, with its derivative at the value; none of what is not real.
    pub(super) fn through(self, value: fn(f64) -> f64, derivative: fn(f64) -> f64) -> Option<Approx> {
        if self.im != 0.0 {
            return None;
        }
        let error = derivative(self.re).abs() * self.error;
        Approx::complex(value(self.re), 0.0, error + ROUNDING).finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_alike_agrees_and_what_differs_does_not() {
        let root = |x: f64| Approx::real(x).power(Approx::real(0.5)).unwrap();
        let product = root(2.0).times(root(3.0));
        assert_eq!(product.agrees(root(6.0)), Some(true));
        assert_eq!(product.agrees(Approx::real(2.449_489_742_79)), Some(false));
        // A difference that cancels says nothing about its last digits.
        let tiny = root(2.0).plus(Approx::real(2f64.sqrt()).negated());
        assert!(tiny.may_be_zero());
        assert_eq!(tiny.reciprocal(), None);
        let turn = Approx::complex(0.0, PI, 0.0).exp();
        assert_eq!(turn.agrees(Approx::real(-1.0)), Some(true));
        let large = Approx::real(1e20).sin();
        assert_eq!(large.agrees(large), None, "the sine of a number whose last digits are lost is unknown");
        assert_eq!(
            Approx::real(1.0).exp().integer_power(3).unwrap().agrees(Approx::real(3.0).exp()),
            Some(true)
        );
    }
}
