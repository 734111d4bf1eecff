//! Where an inequality in one unknown may change: the zeros and poles of the difference of two sides, all of them or
//! none. Known are those of products and quotients of polynomials up to the second degree, with absolute values of such.

use super::{
    approx::Approx,
    compare::Comparison,
    tree::{Expr, Function},
    value::{Value, exact, integer},
};

/// The most absolute values of one inequality: each doubles the cases.
const ABSOLUTE_MAX: usize = 4;
/// The largest exponent that is no more than a factor's multiplicity.
const MULTIPLICITY_MAX: i64 = 100;

/// All zeros and poles of `left - right` in the unknown; none where they are not known.
pub(super) fn roots(
    left: &Expr,
    right: &Expr,
    unknown: &str,
    comparison: &mut Comparison<'_>,
) -> Option<Vec<Value>> {
    let difference = match (is_zero(left, comparison), is_zero(right, comparison)) {
        (_, true) => left.clone(),
        (true, false) => right.clone(),
        (false, false) => Expr::Sum(vec![left.clone(), Expr::Negative(Box::new(right.clone()))]),
    };
    let mut found = Vec::new();
    for case in without_bars(&difference)? {
        collect(&case, unknown, comparison, &mut found)?;
    }
    Some(found)
}

fn is_zero(expr: &Expr, comparison: &mut Comparison<'_>) -> bool {
    matches!(comparison.constant(expr), Some(Value::Exact(number)) if number.is_zero())
}

/// The formula with each absolute value once as its inside and once as that's negative. Between them are all its zeros:
/// at each one, every absolute value is one or the other.
fn without_bars(expr: &Expr) -> Option<Vec<Expr>> {
    let mut cases = vec![expr.clone()];
    for _ in 0..ABSOLUTE_MAX {
        let mut split = Vec::new();
        for case in &cases {
            match first_bars(case) {
                Some(bars) => split.extend(signs(&bars).map(|sign| replaced(case, &bars, &sign))),
                None => split.push(case.clone()),
            }
        }
        cases = split;
    }
    cases.iter().all(|it| first_bars(it).is_none()).then_some(cases)
}

fn signs(bars: &Expr) -> [Expr; 2] {
    let inside = bars.parts()[0].clone();
    [inside.clone(), Expr::Negative(Box::new(inside))]
}

fn first_bars(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Call(Function::Abs, _) => Some(expr.clone()),
        _ => expr.parts().into_iter().find_map(first_bars),
    }
}

fn replaced(expr: &Expr, from: &Expr, to: &Expr) -> Expr {
    expr.map(&|it| if it == *from { to.clone() } else { it })
}

fn has(expr: &Expr, unknown: &str) -> bool {
    expr.any(&|it| matches!(it, Expr::Symbol(name) if name == unknown))
}

/// Adds the zeros and poles of a formula without absolute values.
fn collect(
    expr: &Expr,
    unknown: &str,
    comparison: &mut Comparison<'_>,
    found: &mut Vec<Value>,
) -> Option<()> {
    comparison.budget.spend(expr.n_nodes())?;
    if !has(expr, unknown) {
        return Some(());
    }
    match expr {
        Expr::Product(factors) => {
            factors.iter().try_for_each(|factor| collect(factor, unknown, comparison, found))
        }
        Expr::Quotient(above, below) => {
            collect(above, unknown, comparison, found)?;
            collect(below, unknown, comparison, found)
        }
        Expr::Negative(inside) => collect(inside, unknown, comparison, found),
        Expr::Power(base, exponent) => {
            let n = comparison.constant(exponent)?.integer()?;
            (n.abs() <= MULTIPLICITY_MAX).then_some(())?;
            collect(base, unknown, comparison, found)
        }
        expr => {
            found.extend(zeros(&coefficients(expr, unknown, comparison)?)?);
            Some(())
        }
    }
}

/// The coefficients of a polynomial, of the lowest power first; none of what is no polynomial up to the second degree.
fn coefficients(expr: &Expr, unknown: &str, comparison: &mut Comparison<'_>) -> Option<Vec<Value>> {
    comparison.budget.spend(expr.n_nodes())?;
    if !has(expr, unknown) {
        return Some(vec![comparison.constant(expr)?]);
    }
    match expr {
        Expr::Symbol(_) => Some(vec![exact(0), exact(1)]),
        Expr::Sum(terms) => terms.iter().try_fold(vec![exact(0)], |sum, term| {
            let term = coefficients(term, unknown, comparison)?;
            let at = |all: &[Value], at: usize| all.get(at).cloned().unwrap_or_else(|| exact(0));
            (0..sum.len().max(term.len())).map(|n| at(&sum, n).plus(&at(&term, n))).collect()
        }),
        Expr::Negative(inside) => {
            Some(coefficients(inside, unknown, comparison)?.into_iter().map(Value::negated).collect())
        }
        Expr::Product(factors) => factors.iter().try_fold(vec![exact(1)], |product, factor| {
            multiplied(&product, &coefficients(factor, unknown, comparison)?)
        }),
        Expr::Quotient(above, below) => {
            let below = comparison.constant(below)?;
            coefficients(above, unknown, comparison)?.iter().map(|it| it.over(&below)).collect()
        }
        Expr::Power(base, exponent) => {
            let base = coefficients(base, unknown, comparison)?;
            match comparison.constant(exponent)?.integer()? {
                1 => Some(base),
                2 => multiplied(&base, &base),
                _ => None,
            }
        }
        _ => None,
    }
}

fn multiplied(a: &[Value], b: &[Value]) -> Option<Vec<Value>> {
    let n = a.len() + b.len() - 1;
    (n <= 3).then_some(())?;
    let mut product = vec![exact(0); n];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            product[i + j] = product[i + j].plus(&a.times(b)?)?;
        }
    }
    Some(product)
}

/// The real zeros of a polynomial, which has none where it is constant.
fn zeros(coefficients: &[Value]) -> Option<Vec<Value>> {
    let is_zero = |it: &Value| matches!(it, Value::Exact(number) if number.is_zero());
    let degree = coefficients.iter().rposition(|it| !is_zero(it)).unwrap_or(0);
    match &coefficients[..=degree] {
        [c, b] => Some(vec![c.clone().negated().over(certain(b)?)?]),
        [c, b, a] => {
            let twice = certain(a)?.times(&exact(2))?;
            let product = a.times(c)?.times(&integer(-4))?;
            let discriminant = b.times(b)?.plus(&product)?;
            if is_zero(&discriminant) {
                return Some(vec![b.clone().negated().over(&twice)?]);
            }
            if certain(&discriminant)?.is_negative() {
                return Some(Vec::new());
            }
            let root = square_root(&discriminant)?;
            let middle = b.clone().negated();
            [root.clone(), root.negated()].iter().map(|it| middle.plus(it)?.over(&twice)).collect()
        }
        _ => Some(Vec::new()),
    }
}

/// A number that is known not to be zero.
fn certain(value: &Value) -> Option<&Value> {
    (!value.approx().may_be_zero()).then_some(value)
}

fn square_root(value: &Value) -> Option<Value> {
    if let Value::Exact(number) = value
        && let Some(root) = number.root(2)
    {
        return Some(Value::Exact(root));
    }
    value.approx().power(Approx::real(0.5)).map(Value::float)
}
