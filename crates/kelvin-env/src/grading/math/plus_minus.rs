//! Plus-minus written out: an answer with both signs is a list of two.

use super::tree::{Answer, Expr, Joined};

/// An answer with both signs of its plus-minus written out.
pub(super) fn expanded(answer: Answer) -> Answer {
    let both = |expr: &Expr| expr.any(&|it| matches!(it, Expr::PlusMinus(..)));
    let signs = |expr: &Expr| [signed(expr, false), signed(expr, true)];
    match answer {
        Answer::Value(expr) if both(&expr) => {
            Answer::List(signs(&expr).into_iter().map(Answer::Value).collect(), Joined::Or)
        }
        Answer::Quantity(expr, unit) if both(&expr) => {
            let values = signs(&expr).into_iter().map(|it| Answer::Quantity(it, unit.clone()));
            Answer::List(values.collect(), Joined::Or)
        }
        Answer::Named(name, value) => match expanded(*value) {
            Answer::List(values, joined) => {
                let named = values.into_iter().map(|it| Answer::Named(name.clone(), Box::new(it)));
                Answer::List(named.collect(), joined)
            }
            value => Answer::Named(name, Box::new(value)),
        },
        Answer::List(items, joined) => Answer::List(flattened(items), joined),
        Answer::Set(items) => Answer::Set(flattened(items)),
        Answer::Tuple { open, items, close } => tuple(open, items, close),
        Answer::Union(items) => Answer::Union(items.into_iter().map(expanded).collect()),
        other => other,
    }
}

/// A tuple for each sign; its members share it.
fn tuple(open: char, items: Vec<Answer>, close: char) -> Answer {
    let is_both =
        |it: &Answer| matches!(it, Answer::Value(expr) if expr.any(&|it| matches!(it, Expr::PlusMinus(..))));
    if !items.iter().any(is_both) {
        return Answer::Tuple { open, items, close };
    }
    let of_sign = |is_lower: bool| {
        let item = |it: &Answer| match it {
            Answer::Value(expr) => Answer::Value(signed(expr, is_lower)),
            other => other.clone(),
        };
        Answer::Tuple { open, items: items.iter().map(item).collect(), close }
    };
    Answer::List(vec![of_sign(false), of_sign(true)], Joined::Or)
}

fn flattened(items: Vec<Answer>) -> Vec<Answer> {
    let flat = items.into_iter().flat_map(|item| match expanded(item) {
        Answer::List(inner, _) => inner,
        other => vec![other],
    });
    flat.collect()
}

/// The formula with the upper or the lower sign.
fn signed(expr: &Expr, is_lower: bool) -> Expr {
    expr.map(&|it| match it {
        Expr::PlusMinus(inside, is_reversed) if is_reversed == is_lower => *inside,
        Expr::PlusMinus(inside, _) => Expr::Negative(inside),
        other => other,
    })
}
