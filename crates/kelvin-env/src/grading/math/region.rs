//! Sets of real numbers: intervals, points, what satisfies an inequality in one unknown. Two are the same if they hold
//! the same ones of some numbers: every end, one between each two ends and one beyond them. So all ends have to be known:
//! those of an inequality are where its sides meet (`roots.rs`).

use std::cmp::Ordering;

use super::{
    compare::Comparison,
    evaluate::{Field, LogBase, Point, evaluate},
    names, roots,
    tree::{Answer, Expr, Joined, Relation},
    value::Value,
};
use crate::grading::number::Number;

/// The closest that two ends may lie: between nearer ones no number is tried.
const GAP_MIN: f64 = 1e-4;
/// The largest end.
const END_MAX: f64 = 1e9;

enum Region {
    Interval {
        low: Option<End>,
        high: Option<End>,
    },
    Points(Vec<Value>),
    /// What satisfies a chain of relations in an unknown, with all numbers where that may change.
    Solutions {
        sides: Vec<Expr>,
        relations: Vec<Relation>,
        unknown: String,
        ends: Vec<Value>,
    },
    Any(Vec<Region>),
    All(Vec<Region>),
    Not(Box<Region>),
}

struct End {
    value: Value,
    is_in: bool,
}

/// Whether an answer may be read as a set of numbers.
pub(super) fn is_region(answer: &Answer) -> bool {
    match answer {
        Answer::Tuple { items, .. } => items.len() == 2,
        Answer::Union(_) | Answer::Difference(..) | Answer::Inequality(..) | Answer::Set(_) => true,
        Answer::List(items, joined) => *joined != Joined::Commas && items.iter().all(is_region),
        Answer::Named(_, value) => is_region(value) || matches!(**value, Answer::Value(_)),
        Answer::Value(Expr::Symbol(name)) => name == "mathbb:R",
        Answer::Text(words, _) => EVERYTHING.contains(&words.as_str()),
        Answer::Value(_)
        | Answer::Quantity(..)
        | Answer::Percent(_)
        | Answer::Equation(..)
        | Answer::Ratio(_) => false,
    }
}

const EVERYTHING: &[&str] = &["allrealnumbers", "allreals", "anyrealnumber", "realnumbers"];

/// Whether two answers hold the same numbers; none where one of them is no set of numbers, or it cannot be told.
pub(super) fn same(gold: &Answer, answer: &Answer, comparison: &mut Comparison<'_>) -> Option<bool> {
    let (gold, answer) = (region(gold, comparison)?, region(answer, comparison)?);
    let mut ends = Vec::new();
    collect_ends(&gold, &mut ends);
    collect_ends(&answer, &mut ends);
    let mut tried: Vec<Value> = ends.clone();
    tried.extend(between(&ends)?.into_iter().map(Value::Exact));
    for value in &tried {
        if holds(&gold, value, comparison)? != holds(&answer, value, comparison)? {
            return Some(false);
        }
    }
    Some(true)
}

fn region(answer: &Answer, comparison: &mut Comparison<'_>) -> Option<Region> {
    let all = |items: &[Answer], comparison: &mut Comparison<'_>| {
        items.iter().map(|it| region(it, comparison)).collect::<Option<Vec<_>>>()
    };
    match answer {
        Answer::Tuple { open, items, close } => match items.as_slice() {
            [low, high] => Some(Region::Interval {
                low: end(number(low)?, *open == '[', comparison)?,
                high: end(number(high)?, *close == ']', comparison)?,
            }),
            _ => None,
        },
        Answer::Set(items) => {
            let point = |it: &Answer| comparison.constant(number(it)?);
            items.iter().map(point).collect::<Option<Vec<_>>>().map(Region::Points)
        }
        Answer::Union(parts) => Some(Region::Any(all(parts, comparison)?)),
        Answer::Difference(from, without) => Some(Region::All(vec![
            region(from, comparison)?,
            Region::Not(Box::new(region(without, comparison)?)),
        ])),
        Answer::List(items, Joined::Or) => Some(Region::Any(all(items, comparison)?)),
        Answer::List(items, Joined::And) => Some(Region::All(all(items, comparison)?)),
        Answer::Named(_, value) => match &**value {
            Answer::Value(expr) if *expr != Expr::symbol("mathbb:R") => {
                comparison.constant(expr).map(|it| Region::Points(vec![it]))
            }
            value => region(value, comparison),
        },
        Answer::Value(_) | Answer::Text(..) if is_region(answer) => {
            Some(Region::Interval { low: None, high: None })
        }
        Answer::Inequality(sides, relations) => Some(match bounded(sides, relations, comparison) {
            Some(bounded) => bounded,
            None => solutions(sides, relations, comparison)?,
        }),
        _ => None,
    }
}

/// A number without its degree sign or money.
fn number(answer: &Answer) -> Option<&Expr> {
    match answer {
        Answer::Value(expr) => Some(expr),
        Answer::Quantity(expr, unit) if unit.is_sign() => Some(expr),
        _ => None,
    }
}

/// The end of an interval: `Some(None)` is infinite.
#[allow(clippy::option_option, reason = "no end, an infinite end and a finite end are three things")]
fn end(expr: &Expr, is_in: bool, comparison: &mut Comparison<'_>) -> Option<Option<End>> {
    let is_infinite = match expr {
        Expr::Negative(inside) => inside.is_infinite(),
        expr => expr.is_infinite(),
    };
    if is_infinite {
        return Some(None);
    }
    Some(Some(End { value: comparison.constant(expr)?, is_in }))
}

/// The interval that a lone unknown lies in by `a < x <= b`, `x > a`, `a > x`, `x != a`.
fn bounded(sides: &[Expr], relations: &[Relation], comparison: &mut Comparison<'_>) -> Option<Region> {
    let is_unknown = |it: &Expr| match it {
        Expr::Symbol(name) => !["pi", "e", "infty"].contains(&name.as_str()),
        // `0 < f(x) < 1` bounds a value that has no other name.
        Expr::Applied(..) => true,
        _ => false,
    };
    let at = sides.iter().position(is_unknown)?;
    let mut parts = Vec::new();
    for (index, side) in sides.iter().enumerate().filter(|it| it.0 != at) {
        // The relation as the unknown has it to this side.
        let relation = match index {
            index if index + 1 == at => relations[index].mirrored(),
            index if index == at + 1 => relations[at],
            _ => return None,
        };
        let is_in = matches!(relation, Relation::LessOrEqual | Relation::GreaterOrEqual);
        let end = end(side, is_in, comparison)?;
        parts.push(match relation {
            Relation::Less | Relation::LessOrEqual => Region::Interval { low: None, high: end },
            Relation::Greater | Relation::GreaterOrEqual => Region::Interval { low: end, high: None },
            Relation::Unequal => Region::Not(Box::new(Region::Points(vec![end?.value]))),
        });
    }
    Some(Region::All(parts))
}

/// What satisfies an inequality in one unknown; none where its ends are not known.
fn solutions(sides: &[Expr], relations: &[Relation], comparison: &mut Comparison<'_>) -> Option<Region> {
    let unknown = only_unknown(sides)?;
    let mut ends = Vec::new();
    for pair in sides.windows(2) {
        ends.extend(roots::roots(&pair[0], &pair[1], &unknown, comparison)?);
    }
    Some(Region::Solutions { sides: sides.to_vec(), relations: relations.to_vec(), unknown, ends })
}

/// Whether a formula has an unknown, and only one.
fn only_unknown(sides: &[Expr]) -> Option<String> {
    let mut unknowns = Vec::new();
    for side in sides {
        names::unknowns(side, &mut unknowns);
    }
    match <[String; 1]>::try_from(unknowns) {
        Ok([one]) => Some(one),
        Err(_) => None,
    }
}

fn collect_ends(region: &Region, ends: &mut Vec<Value>) {
    match region {
        Region::Interval { low, high } => ends.extend(low.iter().chain(high).map(|it| it.value.clone())),
        Region::Points(points) => ends.extend(points.iter().cloned()),
        Region::Solutions { ends: hidden, .. } => ends.extend(hidden.iter().cloned()),
        Region::Any(parts) | Region::All(parts) => parts.iter().for_each(|it| collect_ends(it, ends)),
        Region::Not(inside) => collect_ends(inside, ends),
    }
}

/// Numbers between any two ends and beyond the last.
fn between(ends: &[Value]) -> Option<Vec<Number>> {
    let mut sorted: Vec<f64> = ends.iter().map(|it| it.approx().re).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|a, b| (*a - *b).abs() < 1e-12 * a.abs().max(1.0));
    if sorted.iter().any(|it| END_MAX < it.abs()) || sorted.windows(2).any(|it| it[1] - it[0] < GAP_MIN) {
        return None;
    }
    let (first, last) = (sorted.first().copied().unwrap_or(0.0), sorted.last().copied().unwrap_or(0.0));
    let mut tried = vec![first - 1.0, last + 1.0];
    tried.extend(sorted.windows(2).map(|it| f64::midpoint(it[0], it[1])));
    tried.into_iter().map(rational).collect()
}

/// A rational number near a float.
fn rational(value: f64) -> Option<Number> {
    let scale = 1u64 << 20;
    let number = Number::from((value.abs() * scale as f64).round() as u64)
        .times(&Number::from(scale).reciprocal()?)?;
    Some(if value < 0.0 { number.negated() } else { number })
}

/// Whether the region has the number; none where that cannot be told.
fn holds(region: &Region, value: &Value, comparison: &mut Comparison<'_>) -> Option<bool> {
    comparison.budget.spend(1)?;
    match region {
        Region::Interval { low, high } => {
            let above = |end: &End| {
                Some(match order(value, &end.value)? {
                    Ordering::Equal => end.is_in,
                    order => order == Ordering::Greater,
                })
            };
            let below = |end: &End| {
                Some(match order(value, &end.value)? {
                    Ordering::Equal => end.is_in,
                    order => order == Ordering::Less,
                })
            };
            Some(low.as_ref().map_or(Some(true), above)? && high.as_ref().map_or(Some(true), below)?)
        }
        Region::Points(points) => {
            let mut is_one = false;
            for point in points {
                is_one |= order(value, point)? == Ordering::Equal;
            }
            Some(is_one)
        }
        Region::Any(parts) => parts
            .iter()
            .map(|it| holds(it, value, comparison))
            .collect::<Option<Vec<_>>>()
            .map(|it| it.contains(&true)),
        Region::All(parts) => parts
            .iter()
            .map(|it| holds(it, value, comparison))
            .collect::<Option<Vec<_>>>()
            .map(|it| !it.contains(&false)),
        Region::Not(inside) => Some(!holds(inside, value, comparison)?),
        Region::Solutions { sides, relations, unknown, ends: _ } => {
            let point = Point {
                values: vec![(unknown.as_str(), value.clone())],
                field: Field::Real,
                log_base: LogBase::E,
            };
            let values: Option<Vec<Value>> =
                sides.iter().map(|side| evaluate(side, &point, &mut comparison.budget)).collect();
            // Where a side has no value, nothing is a solution.
            let Some(values) = values else { return Some(false) };
            let mut all = true;
            for (pair, relation) in values.windows(2).zip(relations) {
                let order = order(&pair[0], &pair[1])?;
                all &= match relation {
                    Relation::Less => order == Ordering::Less,
                    Relation::LessOrEqual => order != Ordering::Greater,
                    Relation::Greater => order == Ordering::Greater,
                    Relation::GreaterOrEqual => order != Ordering::Less,
                    Relation::Unequal => order != Ordering::Equal,
                };
            }
            Some(all)
        }
    }
}

/// How two real numbers stand; none where that cannot be told.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match a.agrees(b)? {
        true => Some(Ordering::Equal),
        false => {
            let distance = a.plus(&b.clone().negated())?;
            match distance {
                Value::Exact(number) if number.is_negative() => Some(Ordering::Less),
                Value::Exact(_) => Some(Ordering::Greater),
                Value::Float { approx, .. } => approx.re.partial_cmp(&0.0),
            }
        }
    }
}
