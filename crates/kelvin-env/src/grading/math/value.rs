//! A value of a formula: a rational number as long as that is exact and short, else a float with its error. Where the
//! float comes from rational arithmetic alone, its remainder by a large prime is known too, which tells apart what floats
//! cannot: two rational functions that agree there at several points are the same.

use super::approx::Approx;
use crate::grading::number::{Number, Prime};

/// 2^61 - 31. Powers of 2 come around in it only after more steps than any exponent that is computed.
const PRIME: Prime = Prime((1 << 61) - 31);

#[derive(Clone, Debug)]
pub(super) enum Value {
    Exact(Number),
    Float { approx: Approx, residue: Option<u64> },
}

impl Value {
    /// A float that no rational arithmetic made.
    pub(super) fn float(approx: Approx) -> Value {
        Value::Float { approx, residue: None }
    }

    /// A rational number whose multiples stay one word long.
    pub(super) fn short(number: &Number) -> Value {
        Value::Float { approx: Approx::real(number.to_f64()), residue: number.residue(PRIME) }
    }

    pub(super) fn approx(&self) -> Approx {
        match self {
            Value::Exact(number) => Approx::real(number.to_f64()),
            Value::Float { approx, .. } => *approx,
        }
    }

    fn residue(&self) -> Option<u64> {
        match self {
            Value::Exact(number) => number.residue(PRIME),
            Value::Float { residue, .. } => *residue,
        }
    }

    fn combined(approx: Approx, residue: Option<u64>) -> Option<Value> {
        Some(Value::Float { approx: approx.finite()?, residue })
    }

    /// Whether the two are the same; none where that cannot be told.
    pub(super) fn agrees(&self, other: &Value) -> Option<bool> {
        if let (Value::Exact(a), Value::Exact(b)) = (self, other) {
            return Some(a == b);
        }
        let near = self.approx().finite()?.agrees(other.approx().finite()?);
        match (near, self.residue(), other.residue()) {
            (Some(false), _, _) => Some(false),
            (_, Some(a), Some(b)) => Some(a == b),
            (near, _, _) => near,
        }
    }

    pub(super) fn plus(&self, other: &Value) -> Option<Value> {
        if let (Value::Exact(a), Value::Exact(b)) = (self, other)
            && let Some(sum) = a.plus(b)
        {
            return Some(Value::Exact(sum));
        }
        let residue = self.residue().zip(other.residue()).map(|(a, b)| PRIME.plus(a, b));
        Value::combined(self.approx().plus(other.approx()), residue)
    }

    pub(super) fn times(&self, other: &Value) -> Option<Value> {
        if let (Value::Exact(a), Value::Exact(b)) = (self, other)
            && let Some(product) = a.times(b)
        {
            return Some(Value::Exact(product));
        }
        let residue = self.residue().zip(other.residue()).map(|(a, b)| PRIME.times(a, b));
        Value::combined(self.approx().times(other.approx()), residue)
    }

    pub(super) fn negated(self) -> Value {
        match self {
            Value::Exact(number) => Value::Exact(number.negated()),
            Value::Float { approx, residue } => {
                Value::Float { approx: approx.negated(), residue: residue.map(|it| PRIME.negated(it)) }
            }
        }
    }

    pub(super) fn over(&self, other: &Value) -> Option<Value> {
        let reciprocal = match other {
            Value::Exact(number) => Value::Exact(number.reciprocal()?),
            Value::Float { residue: Some(0), .. } => return None,
            Value::Float { approx, residue } => {
                Value::combined(approx.reciprocal()?, residue.and_then(|it| PRIME.reciprocal(it)))?
            }
        };
        self.times(&reciprocal)
    }

    /// A power by an integer; none of zero to a negative one.
    pub(super) fn integer_power(&self, exponent: i64) -> Option<Value> {
        if let Value::Exact(number) = self {
            if number.is_zero() && exponent < 0 {
                return None;
            }
            if let Some(power) = number.power(exponent) {
                return Some(Value::Exact(power));
            }
        }
        let base =
            if exponent < 0 { self.residue().and_then(|it| PRIME.reciprocal(it)) } else { self.residue() };
        let residue = base.map(|it| PRIME.power(it, exponent.unsigned_abs()));
        Value::combined(self.approx().integer_power(exponent)?, residue)
    }

    /// The integer that it is.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Value::Exact(number) => number.as_i64(),
            Value::Float { .. } => None,
        }
    }

    /// Whether it is a negative real number.
    pub(super) fn is_negative(&self) -> bool {
        match self {
            Value::Exact(number) => number.is_negative(),
            Value::Float { approx, .. } => approx.im == 0.0 && approx.re < 0.0,
        }
    }

    pub(super) fn floor(&self) -> Option<Value> {
        match self {
            Value::Exact(number) => Some(Value::Exact(number.floor())),
            Value::Float { approx, .. } => {
                // Too near an integer, it may lie on either side.
                let is_clear = approx.im == 0.0 && approx.error < (approx.re - approx.re.round()).abs();
                let is_small = approx.re.abs() < 1e15;
                (is_clear && is_small).then(|| integer(approx.re.floor() as i64))
            }
        }
    }

    /// The absolute value, or the sign.
    pub(super) fn magnitude_or_sign(&self, wants_sign: bool) -> Option<Value> {
        match self {
            Value::Exact(number) if wants_sign => Some(match (number.is_zero(), number.is_negative()) {
                (true, _) => exact(0),
                (false, true) => integer(-1),
                (false, false) => exact(1),
            }),
            Value::Float { approx, .. } if wants_sign => {
                (approx.im == 0.0 && !approx.may_be_zero()).then(|| integer(approx.re.signum() as i64))
            }
            value if value.is_negative() => Some(value.clone().negated()),
            Value::Float { approx, .. } if approx.im != 0.0 => {
                Some(Value::float(Approx { re: approx.magnitude(), im: 0.0, error: approx.error }))
            }
            value => Some(value.clone()),
        }
    }
}

pub(super) fn exact(value: u64) -> Value {
    Value::Exact(Number::from(value))
}

pub(super) fn integer(value: i64) -> Value {
    let magnitude = Number::from(value.unsigned_abs());
    Value::Exact(if value < 0 { magnitude.negated() } else { magnitude })
}

pub(super) fn real(value: f64) -> Value {
    Value::float(Approx::real(value))
}
