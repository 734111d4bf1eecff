//! Whether two formulas are the same function of their unknowns: both are evaluated at points that are drawn once and for
//! all, exactly where arithmetic allows it. One point that tells them apart is enough; to be equal they have to agree at
//! every point where both have a value, and there must be several.

use kelvin_core::seed::Seed;

use super::{
    evaluate::{Budget, Field, LogBase, Point, evaluate},
    names,
    tree::{Expr, Function},
    value::Value,
};
use crate::grading::number::Number;

/// Points for formulas with unknowns: the first half has positive values, which is where most formulas have one.
const N_POINTS: u64 = 16;
/// Points where only integers make sense, and many have no value.
const N_INTEGER_POINTS: u64 = 60;
/// The fewest points at which both have a value.
const VALID_MIN: usize = 5;
/// The most points that are needed.
const VALID_MAX: usize = 12;
/// The most unknowns.
const UNKNOWNS_MAX: usize = 24;

/// Whether two formulas are equal; none where it cannot be told.
pub(super) fn identical(left: &Expr, right: &Expr, budget: &mut Budget) -> Option<bool> {
    if left == right {
        return Some(true);
    }
    let compare = |pairs: &[(Value, Value)]| {
        let mut agree = true;
        for (a, b) in pairs {
            match a.agrees(b) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => agree = false,
            }
        }
        agree.then_some(true)
    };
    over_bases(left, right, budget, &compare)
}

/// How one formula is a constant multiple of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factor {
    Positive,
    Negative,
}

/// The sign of the constant, not zero, that one formula is times the other; none where there is no such constant, where
/// both have no unknowns, or where both vanish.
pub(super) fn multiple(left: &Expr, right: &Expr, budget: &mut Budget) -> Option<Factor> {
    let sign = std::cell::Cell::new(None);
    let mut unknowns = Vec::new();
    names::unknowns(left, &mut unknowns);
    if unknowns.is_empty() {
        return None;
    }
    let compare = |pairs: &[(Value, Value)]| {
        let is_zero = |it: &Value| it.approx().may_be_zero();
        let (a, b) = pairs.iter().find(|(a, b)| !is_zero(a) && !is_zero(b))?;
        let ratio = a.over(b)?;
        sign.set(match ratio.approx() {
            it if it.im.abs() <= it.error && it.error < it.re => Some(Factor::Positive),
            it if it.im.abs() <= it.error && it.re < -it.error => Some(Factor::Negative),
            _ => None,
        });
        // A formula that is the same everywhere is a multiple of any other such one, which says nothing.
        let varies = pairs.iter().any(|(other, _)| other.agrees(a) == Some(false));
        let holds = |(a, b): &(Value, Value)| Some(a.agrees(&b.times(&ratio)?) == Some(true));
        let all = pairs.iter().map(holds).collect::<Option<Vec<bool>>>()?;
        Some(varies && all.iter().all(|it| *it))
    };
    match over_bases(left, right, budget, &compare) {
        Some(true) => sign.get(),
        Some(false) | None => None,
    }
}

/// What the values of two formulas at some points say about them.
type Judge<'a> = dyn Fn(&[(Value, Value)]) -> Option<bool> + 'a;

/// Judges the values at points, for each meaning that a bare logarithm may have.
fn over_bases(left: &Expr, right: &Expr, budget: &mut Budget, judge: &Judge<'_>) -> Option<bool> {
    let is_bare = |it: &Expr| matches!(it, Expr::Call(Function::Log, arguments) if arguments.len() == 1);
    let bases: &[LogBase] = match left.any(&is_bare) || right.any(&is_bare) {
        true => &[LogBase::E, LogBase::Ten],
        false => &[LogBase::E],
    };
    let mut verdict = None;
    for base in bases {
        let judged = values(left, right, *base, budget).and_then(|pairs| judge(&pairs));
        if judged == Some(true) {
            return judged;
        }
        verdict = verdict.or(judged);
    }
    verdict
}

/// The values of both at the points where both have one; none where those are too few.
fn values(left: &Expr, right: &Expr, log_base: LogBase, budget: &mut Budget) -> Option<Vec<(Value, Value)>> {
    let mut unknowns = Vec::new();
    names::unknowns(left, &mut unknowns);
    names::unknowns(right, &mut unknowns);
    if UNKNOWNS_MAX < unknowns.len() {
        return None;
    }
    let is_imaginary = |it: &Expr| matches!(it, Expr::Symbol(name) if name == "i");
    let field = match left.any(&is_imaginary) || right.any(&is_imaginary) {
        true => Field::Complex,
        false => Field::Real,
    };
    let is_discrete = left.any(&wants_integers) || right.any(&wants_integers);
    let (n_points, n_valid_min) = match (unknowns.is_empty(), is_discrete) {
        (true, _) => (1, 1),
        (false, true) => (N_INTEGER_POINTS, VALID_MIN),
        (false, false) => (N_POINTS, VALID_MIN),
    };
    let mut pairs = Vec::new();
    for at in 0..n_points {
        budget.spend(1)?;
        let seed = Seed::new(0).fork("points of grading").nth(at);
        let value = |name: &str| {
            let seed = seed.fork(name);
            match is_discrete {
                true => Value::Exact(integer_value(seed)),
                false => Value::short(&rational_value(seed, n_points / 2 <= at && is_negative(name, at))),
            }
        };
        let values = unknowns.iter().map(|name| (name.as_str(), value(name))).collect();
        let point = Point { values, field, log_base };
        let Some(a) = evaluate(left, &point, budget) else { continue };
        let Some(b) = evaluate(right, &point, budget) else { continue };
        pairs.push((a, b));
        if VALID_MAX <= pairs.len() {
            break;
        }
    }
    (n_valid_min <= pairs.len()).then_some(pairs)
}

/// Whether a formula means integers: factorials, parity, parts of numbers.
fn wants_integers(expr: &Expr) -> bool {
    match expr {
        Expr::Call(function, _) => matches!(
            function,
            Function::Factorial
                | Function::DoubleFactorial
                | Function::Binomial
                | Function::Floor
                | Function::Ceiling
                | Function::Gcd
                | Function::Lcm
        ),
        Expr::Series { .. } => true,
        // The sign of an alternating sequence.
        Expr::Power(base, exponent) => {
            let mut unknowns = Vec::new();
            names::unknowns(exponent, &mut unknowns);
            matches!(&**base, Expr::Negative(_)) && !unknowns.is_empty()
        }
        _ => false,
    }
}

/// A positive integer; large and small ones both come up, so that `n - k` is positive often enough.
fn integer_value(seed: Seed) -> Number {
    let range = if seed.fork("size").below(2) == 0 { 6 } else { 24 };
    Number::from(1 + seed.below(range) as u64)
}

/// Whether an unknown is negative at a point: at every other one or two, so that none is positive throughout.
fn is_negative(name: &str, at: u64) -> bool {
    let pattern = Seed::new(0).fork("signs").fork(name).below(4) as u64;
    (at >> (pattern % 2)) % 2 == pattern / 2
}

/// A rational number between 0.1 and 4, or their negatives, that is nothing special.
fn rational_value(seed: Seed, is_negative: bool) -> Number {
    let below = 211 + 2 * seed.fork("below").below(40) as u64;
    let above = below / 9 + seed.fork("above").below(4 * below as usize) as u64;
    let value = Number::from(above).times(&Number::from(below).reciprocal().expect("it is not zero"));
    let value = value.expect("a number of few digits");
    if is_negative { value.negated() } else { value }
}
