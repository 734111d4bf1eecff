//! The value of a formula where its unknowns have values: exact as long as arithmetic is, else a float with its error.

use std::f64::consts::{E, PI};

use super::{
    approx::Approx,
    tree::{Expr, Function},
    value::{Value, exact, integer, real},
};
use crate::grading::number::Number;

/// The most terms of one sum over an index.
const TERMS_MAX: i64 = 200;
/// The largest number whose factorial is computed (its value has 8,530 bits, which is past the limit on integers).
const FACTORIAL_MAX: i64 = 1000;

/// Which numbers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Even roots and logarithms of negative numbers have no value.
    Real,
    Complex,
}

/// What the base of a logarithm is where it is not written: school means 10, elsewhere it is the natural one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogBase {
    E,
    Ten,
}

/// Where a formula is evaluated.
pub(super) struct Point<'names> {
    pub(super) values: Vec<(&'names str, Value)>,
    pub(super) field: Field,
    pub(super) log_base: LogBase,
}

/// How many more nodes may be evaluated, copied or compared: the bound on the work of a pair.
#[derive(Debug)]
pub(super) struct Budget(pub(super) u32);

impl Budget {
    /// Pays for so much work; none where the budget does not reach.
    pub(super) fn spend(&mut self, n: u32) -> Option<()> {
        self.0 = self.0.checked_sub(n)?;
        Some(())
    }
}

/// The value at a point; none where it has none, or where the budget is spent.
pub(super) fn evaluate(expr: &Expr, point: &Point<'_>, budget: &mut Budget) -> Option<Value> {
    Evaluation { point, indices: Vec::new(), budget, is_angle: false }.value(expr)
}

struct Evaluation<'at, 'names, 'budget> {
    point: &'at Point<'names>,
    /// The indices of open sums, innermost last.
    indices: Vec<(String, i64)>,
    budget: &'budget mut Budget,
    /// Whether a degree sign turns into radians: inside of a trigonometric function.
    is_angle: bool,
}

impl Evaluation<'_, '_, '_> {
    fn value(&mut self, expr: &Expr) -> Option<Value> {
        self.budget.spend(1)?;
        match expr {
            Expr::Number(number) | Expr::Decimal(number, _) => Some(Value::Exact(number.clone())),
            Expr::Symbol(name) => self.symbol(name),
            Expr::Sum(terms) => terms.iter().try_fold(exact(0), |sum, term| sum.plus(&self.value(term)?)),
            Expr::Product(factors) => {
                factors.iter().try_fold(exact(1), |product, factor| product.times(&self.value(factor)?))
            }
            Expr::Quotient(above, below) => {
                let above = self.value(above)?;
                above.over(&self.value(below)?)
            }
            Expr::Negative(inside) => Some(self.value(inside)?.negated()),
            Expr::Power(base, exponent) => self.power(base, exponent),
            Expr::Root(degree, radicand) => {
                let (degree, radicand) = (self.value(degree)?, self.value(radicand)?);
                self.raised(&radicand, &exact(1).over(&degree)?)
            }
            Expr::Degrees(inside) => match self.is_angle {
                true => self.value(inside)?.times(&real(PI / 180.0)),
                false => self.value(inside),
            },
            Expr::Call(function, arguments) => self.call(*function, arguments),
            Expr::Applied(name, arguments) => self.applied(name, arguments),
            Expr::Series { is_product, index, low, high, body } => {
                let (low, high) = (self.value(low)?.integer()?, self.value(high)?.integer()?);
                self.series(*is_product, index, low..=high, body)
            }
            Expr::Based { .. } | Expr::PlusMinus(..) | Expr::Matrix(_) => None,
        }
    }

    fn symbol(&self, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.indices.iter().rev().find(|it| it.0 == name) {
            return Some(integer(*value));
        }
        match name {
            "pi" => Some(real(PI)),
            "e" => Some(real(E)),
            "i" => (self.point.field == Field::Complex).then_some(Value::float(Approx {
                re: 0.0,
                im: 1.0,
                error: 0.0,
            })),
            name => {
                let (_, value) = self.point.values.iter().find(|it| it.0 == name)?;
                Some(value.clone())
            }
        }
    }

    fn series(
        &mut self,
        is_product: bool,
        index: &str,
        range: std::ops::RangeInclusive<i64>,
        body: &Expr,
    ) -> Option<Value> {
        let n_terms = range.end().checked_sub(*range.start())?;
        if TERMS_MAX < n_terms {
            return None;
        }
        let mut total = exact(u64::from(is_product));
        for at in range {
            self.indices.push((index.to_owned(), at));
            let term = self.value(body);
            self.indices.pop();
            total = if is_product { total.times(&term?)? } else { total.plus(&term?)? };
        }
        Some(total)
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Option<Value> {
        let (base, exponent) = (self.value(base)?, self.value(exponent)?);
        self.raised(&base, &exponent)
    }

    fn raised(&mut self, base: &Value, exponent: &Value) -> Option<Value> {
        if let Some(n) = exponent.integer() {
            return base.integer_power(n);
        }
        let is_negative = base.is_negative();
        let is_zero = matches!(base, Value::Exact(number) if number.is_zero());
        if is_zero {
            return matches!(exponent, Value::Exact(it) if !it.is_negative()).then(|| exact(0));
        }
        if let (true, Value::Exact(number)) = (is_negative, exponent) {
            let degree = number.denominator()?;
            if degree % 2 == 1 {
                // The real root of a negative number, also among complex ones: that is what is meant.
                let magnitude = self.raised(&base.clone().negated(), exponent)?;
                let above = number.times(&Number::from(degree))?.as_i64()?;
                return Some(if above % 2 == 0 { magnitude } else { magnitude.negated() });
            }
        }
        if is_negative && self.point.field == Field::Real {
            return None;
        }
        if let (Value::Exact(number), Value::Exact(power)) = (base, exponent)
            && let Some(root) = number.root(u32::try_from(power.denominator()?).ok()?)
        {
            let above = power.times(&Number::from(power.denominator()?))?.as_i64()?;
            return root.power(above).map(Value::Exact);
        }
        base.approx().finite()?.power(exponent.approx()).map(Value::float)
    }

    /// A function that nobody defined: some smooth function of its arguments, always the same one for its name.
    fn applied(&mut self, name: &str, arguments: &[Expr]) -> Option<Value> {
        let seed = kelvin_core::seed::Seed::new(0).fork("unknown function").fork(name);
        let mut total = Approx::real(seed.unit());
        for (at, argument) in arguments.iter().enumerate() {
            let slope = Approx::real(0.5 + seed.nth(at as u64).unit());
            let angle = self.value(argument)?.approx().times(slope).plus(total);
            total = angle.plus(angle.sin());
        }
        total.finite().map(Value::float)
    }

    fn call(&mut self, function: Function, arguments: &[Expr]) -> Option<Value> {
        use Function::{
            Abs, Arccos, Arcsin, Arctan, Binomial, Ceiling, Cos, Cosh, Cot, Csc, DoubleFactorial, Exp,
            Factorial, Floor, Gcd, Lcm, Ln, Log, Max, Min, Sec, Sign, Sin, Sinh, Tan, Tanh,
        };
        let turns = matches!(function, Sin | Cos | Tan | Cot | Sec | Csc);
        let was_angle = std::mem::replace(&mut self.is_angle, turns);
        let values: Option<Vec<Value>> = arguments.iter().map(|it| self.value(it)).collect();
        self.is_angle = was_angle;
        let values = values?;
        let first = values.first()?;
        let x = || first.approx().finite();
        let approx = |it: Approx| it.finite().map(Value::float);
        match function {
            Sin => approx(x()?.sin()),
            Cos => approx(x()?.cos()),
            Tan => approx(x()?.sin().times(x()?.cos().reciprocal()?)),
            Cot => approx(x()?.cos().times(x()?.sin().reciprocal()?)),
            Sec => approx(x()?.cos().reciprocal()?),
            Csc => approx(x()?.sin().reciprocal()?),
            Arcsin => approx(x()?.through(f64::asin, |x| 1.0 / (1.0 - x * x).sqrt())?),
            Arccos => approx(x()?.through(f64::acos, |x| 1.0 / (1.0 - x * x).sqrt())?),
            Arctan => approx(x()?.through(f64::atan, |x| 1.0 / (1.0 + x * x))?),
            Sinh => approx(x()?.through(f64::sinh, f64::cosh)?),
            Cosh => approx(x()?.through(f64::cosh, f64::sinh)?),
            Tanh => approx(x()?.through(f64::tanh, |_| 1.0)?),
            Exp => self.raised(&real(E), first),
            Ln => self.logarithm(first).map(Value::float),
            Log => {
                let base = match (values.get(1), self.point.log_base) {
                    (Some(base), _) => self.logarithm(base)?,
                    (None, LogBase::E) => Approx::real(1.0),
                    (None, LogBase::Ten) => Approx::real(10f64.ln()),
                };
                approx(self.logarithm(first)?.times(base.reciprocal()?))
            }
            Abs | Sign => first.magnitude_or_sign(function == Sign),
            Floor => first.floor(),
            Ceiling => Some(first.clone().negated().floor()?.negated()),
            Factorial => self.falling(first.integer()?, 1),
            DoubleFactorial => self.falling(first.integer()?, 2),
            Binomial => self.binomial(first.integer()?, values.get(1)?.integer()?),
            Gcd | Lcm => {
                let integers = values.iter().map(Value::integer).collect::<Option<Vec<i64>>>()?;
                let pairs = integers.iter().map(|it| it.unsigned_abs());
                let folded = pairs.reduce(|a, b| match function {
                    Lcm => a.checked_div(common_divisor(a, b)).and_then(|it| it.checked_mul(b)).unwrap_or(0),
                    _ => common_divisor(a, b),
                });
                folded.map(exact)
            }
            Max | Min => {
                let sign = |it: &Value| if function == Max { it.approx().re } else { -it.approx().re };
                values.iter().max_by(|a, b| sign(a).total_cmp(&sign(b))).cloned()
            }
        }
    }

    fn logarithm(&self, value: &Value) -> Option<Approx> {
        let x = value.approx().finite()?;
        let has_one = 0.0 < x.re && x.im == 0.0 || self.point.field == Field::Complex;
        if has_one { x.ln() } else { None }
    }

    /// `n (n - step) (n - 2 step) ..`, down to what is positive.
    fn falling(&mut self, n: i64, step: usize) -> Option<Value> {
        if !(0..=FACTORIAL_MAX).contains(&n) {
            return None;
        }
        self.budget.spend(n as u32)?;
        (1..=n).rev().step_by(step).try_fold(exact(1), |product, it| product.times(&integer(it)))
    }

    fn binomial(&mut self, n: i64, k: i64) -> Option<Value> {
        if !(0..=FACTORIAL_MAX).contains(&n) {
            return None;
        }
        if !(0..=n).contains(&k) {
            return Some(exact(0));
        }
        self.budget.spend(k as u32)?;
        (1..=k).try_fold(exact(1), |product, it| product.times(&integer(n - k + it))?.over(&integer(it)))
    }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
