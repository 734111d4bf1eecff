//! Whether two answers that have been read are the same, by what they are.

use super::{
    Brackets, Options, Order, Percent,
    evaluate::{Budget, Field, LogBase, Point, evaluate},
    matrix, region, sample,
    tree::{Answer, Expr, Joined, Name, Relation},
    value::Value,
};
use crate::grading::number::Number;

/// The longest list whose order is free: it is compared in pairs.
const LIST_MAX: usize = 128;

/// A comparison under way.
pub(super) struct Comparison<'options> {
    pub(super) options: &'options Options,
    pub(super) budget: Budget,
}

impl Comparison<'_> {
    /// Whether the answer says what the gold answer says.
    pub(super) fn same(&mut self, gold: &Answer, answer: &Answer) -> bool {
        if gold == answer {
            return true;
        }
        if self.budget.spend(1).is_none() {
            return false;
        }
        self.same_kind(gold, answer) || self.same_region(gold, answer)
    }

    fn same_kind(&mut self, gold: &Answer, answer: &Answer) -> bool {
        match (gold, answer) {
            (Answer::Text(a, product), Answer::Text(b, other)) => {
                self.same_words((a, product.as_ref()), (b, other.as_ref()))
            }
            (Answer::Text(_, Some(product)), Answer::Value(value))
            | (Answer::Value(value), Answer::Text(_, Some(product))) => self.same_value(product, value),
            // Both at once, or one of them: of values that is the same.
            (Answer::List(a, Joined::And), Answer::List(_, Joined::Or))
            | (Answer::List(a, Joined::Or), Answer::List(_, Joined::And))
                if a.iter().any(|it| matches!(it, Answer::Inequality(..))) =>
            {
                false
            }
            (Answer::List(a, joined), Answer::List(b, _)) => self.same_lists(a, b, *joined),
            (Answer::Set(a), Answer::Set(b)) => self.same_members(&distinct(a), &distinct(b)),
            (Answer::List(a, _), Answer::Set(b)) | (Answer::Set(a), Answer::List(b, _)) => {
                self.same_members(a, b)
            }
            (Answer::Named(name, value), Answer::Named(other, other_value)) => {
                self.same_named((name, value), (other, other_value))
            }
            (Answer::Named(name, value), Answer::Equation(left, right))
            | (Answer::Equation(left, right), Answer::Named(name, value)) => match (&name.symbol, &**value) {
                (Some(symbol), Answer::Value(value)) => {
                    self.multiple(&difference(symbol, value), &difference(left, right)).is_some()
                }
                _ => false,
            },
            (Answer::Named(name, value), other) | (other, Answer::Named(name, value)) => {
                self.same(value, other) || self.same_in_order(name, value, other)
            }
            (Answer::Equation(a, b), Answer::Equation(c, d)) => {
                self.multiple(&difference(a, b), &difference(c, d)).is_some()
            }
            (Answer::Inequality(a, signs), Answer::Inequality(b, others)) => {
                self.same_chain((a, signs), (b, others))
            }
            (
                Answer::Tuple { open, items, close },
                Answer::Tuple { open: other_open, items: others, close: other_close },
            ) => {
                // Brackets tell intervals apart; there is none of three ends.
                let same_brackets = (open, close) == (other_open, other_close) || items.len() != 2;
                (same_brackets || self.options.brackets == Brackets::Ignored)
                    && self.same_items(items, others)
            }
            (Answer::Union(a), Answer::Union(b)) => self.same_members(a, b),
            (Answer::Difference(a, b), Answer::Difference(c, d)) => self.same(a, c) && self.same(b, d),
            (Answer::Ratio(a), Answer::Ratio(b)) => self.same_items(a, b),
            (Answer::Tuple { items, .. }, Answer::Value(matrix @ Expr::Matrix(_)))
            | (Answer::Value(matrix @ Expr::Matrix(_)), Answer::Tuple { items, .. }) => {
                matrix::vector(matrix, &mut self.budget).is_some_and(|vector| self.same_items(items, &vector))
            }
            (Answer::Tuple { items, .. }, Answer::List(others, _) | Answer::Set(others))
            | (Answer::List(others, _) | Answer::Set(others), Answer::Tuple { items, .. }) => {
                match records(others).as_deref() {
                    Some(records @ [_]) => self.same_record(records, items),
                    _ => self.options.brackets == Brackets::Ignored && self.same_items(items, others),
                }
            }
            // The only solution, as a set and as itself.
            (Answer::Set(items), other) | (other, Answer::Set(items)) => match items.as_slice() {
                [one] => self.same(one, other),
                _ => false,
            },
            (gold, answer) => self.same_amount(gold, answer),
        }
    }

    /// Words, which may be products of letters, both.
    fn same_words(&mut self, (a, product): (&str, Option<&Expr>), (b, other): (&str, Option<&Expr>)) -> bool {
        match (product, other) {
            // A name may begin with a capital letter; `abc` and `ABC` are other unknowns.
            (Some(product), Some(other)) => {
                self.same_value(product, other) || a == b && behind_first(product) == behind_first(other)
            }
            (Some(_), None) | (None, Some(_)) | (None, None) => a == b,
        }
    }

    /// Values with or without units and percent signs.
    fn same_amount(&mut self, gold: &Answer, answer: &Answer) -> bool {
        match (gold, answer) {
            (Answer::Value(a), Answer::Value(b)) => self.same_value(a, b),
            (Answer::Quantity(a, unit), Answer::Quantity(b, other)) => match unit.sizes(other) {
                Some((size, other)) if size == other => self.same_value(a, b),
                Some((size, other)) => {
                    let scaled = |expr: &Expr, size: &Number| {
                        Expr::Product(vec![expr.clone(), Expr::Number(size.clone())])
                    };
                    self.same_value(&scaled(a, size), &scaled(b, other))
                }
                None => false,
            },
            (Answer::Percent(a), Answer::Percent(b)) => self.same_value(a, b),
            (Answer::Percent(_), Answer::Quantity(_, unit))
            | (Answer::Quantity(_, unit), Answer::Percent(_))
                if !unit.is_none() =>
            {
                false
            }
            (Answer::Percent(percent), Answer::Value(value) | Answer::Quantity(value, _))
            | (Answer::Value(value) | Answer::Quantity(value, _), Answer::Percent(percent)) => {
                let share = || Expr::Quotient(Box::new(percent.clone()), Box::new(Expr::integer(100)));
                self.same_value(percent, value)
                    || self.options.percent == Percent::AlsoShare && self.same_value(&share(), value)
            }
            (Answer::Quantity(a, _), Answer::Value(b)) | (Answer::Value(a), Answer::Quantity(b, _)) => {
                // `5m` without a blank is a product to us, and five metres to who wrote it.
                self.same_value(a, b)
            }
            _ => false,
        }
    }

    fn same_value(&mut self, a: &Expr, b: &Expr) -> bool {
        if let Some(a) = matrix::matrix(a, &mut self.budget)
            && let Some(b) = matrix::matrix(b, &mut self.budget)
        {
            return a.len() == b.len()
                && a.iter()
                    .zip(&b)
                    .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same_value(a, b)));
        }
        match sample::identical(a, b, &mut self.budget) {
            Some(same) => same || self.rounds_to(a, b) || self.rounds_to(b, a),
            None => false,
        }
    }

    /// Whether the first is a decimal, long enough to be no accident, that the second, which is none, rounds to.
    fn rounds_to(&mut self, decimal: &Expr, value: &Expr) -> bool {
        let (Some(least), Some((_, n))) = (self.options.rounded_decimals, decimal_of(decimal)) else {
            return false;
        };
        if n < least || decimal_of(value).is_some() || matches!(value, Expr::Number(_)) {
            return false;
        }
        let (Some(decimal), Some(value)) = (self.constant(decimal), self.constant(value)) else {
            return false;
        };
        let Some(distance) = decimal.plus(&value.negated()) else { return false };
        distance.approx().magnitude() <= 0.500_001 * 10f64.powi(-i32::try_from(n).unwrap_or(i32::MAX))
    }

    /// The value of a formula without unknowns.
    pub(super) fn constant(&mut self, expr: &Expr) -> Option<Value> {
        evaluate(
            expr,
            &Point { values: Vec::new(), field: Field::Real, log_base: LogBase::E },
            &mut self.budget,
        )
    }

    pub(super) fn multiple(&mut self, a: &Expr, b: &Expr) -> Option<sample::Factor> {
        sample::multiple(a, b, &mut self.budget)
    }

    fn same_items(&mut self, a: &[Answer], b: &[Answer]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same(a, b))
    }

    fn same_lists(&mut self, a: &[Answer], b: &[Answer], joined: Joined) -> bool {
        let (grouped, other) = (records(a), records(b));
        match (grouped, other) {
            (Some(a), Some(b)) => return self.same_members(&a, &b),
            (Some(a), None) => return self.same_record(&a, b),
            (None, Some(b)) => return self.same_record(&b, a),
            (None, None) => {}
        }
        let is_tuple = |it: &Answer| matches!(it, Answer::Tuple { .. });
        match (self.options.lists, joined) {
            (Order::Kept, Joined::Commas) => self.same_items(a, b),
            // Tuples are solutions, and one that is named twice is still one; numbers may be the values of several unknowns.
            _ if a.iter().chain(b).all(is_tuple) => self.same_members(&distinct(a), &distinct(b)),
            (Order::Kept | Order::Free, _) => self.same_members(a, b),
        }
    }

    /// Groups of named values, and things without names: as many tuples, or the values of the one group in its order.
    fn same_record(&mut self, records: &[Answer], others: &[Answer]) -> bool {
        match records {
            [Answer::Named(_, values)] => match &**values {
                Answer::Tuple { items, .. } => {
                    let has_names = others.iter().any(|it| matches!(it, Answer::Named(..)));
                    !has_names && self.same_items(items, others)
                }
                _ => false,
            },
            _ => self.same_members(records, others),
        }
    }

    /// The same things in any order, each as often.
    fn same_members(&mut self, a: &[Answer], b: &[Answer]) -> bool {
        if a.len() != b.len() || LIST_MAX < a.len() {
            return false;
        }
        let mut free: Vec<&Answer> = b.iter().collect();
        a.iter().all(|one| {
            let same = free.iter().position(|other| one == *other);
            match same.or_else(|| free.iter().position(|other| self.same(one, other))) {
                Some(at) => {
                    free.remove(at);
                    true
                }
                None => false,
            }
        })
    }

    fn same_named(
        &mut self,
        (name, value): (&Name, &Answer),
        (other, other_value): (&Name, &Answer),
    ) -> bool {
        if !name.members.is_empty() && name.members != other.members {
            // `x=1, y=2` and `y=2, x=1`.
            let Answer::Tuple { items, .. } = value else { return false };
            let Answer::Tuple { items: others, .. } = other_value else { return false };
            let mut sorted: Vec<(&String, &Answer)> = name.members.iter().zip(items).collect();
            let mut other_sorted: Vec<(&String, &Answer)> = other.members.iter().zip(others).collect();
            sorted.sort_by_key(|it| it.0);
            other_sorted.sort_by_key(|it| it.0);
            return sorted.len() == other_sorted.len()
                && sorted.iter().zip(&other_sorted).all(|(a, b)| a.0 == b.0 && self.same(a.1, b.1));
        }
        // A function is called by its value's name where it depends on something: `f(x) = 2x` is `y = 2x`.
        let of_arguments = |name: &Name, value: &Answer| {
            let is_argument =
                |it: &Expr| matches!(it, Expr::Symbol(symbol) if name.arguments.contains(symbol));
            name.arguments.is_empty() || matches!(value, Answer::Value(expr) if expr.any(&is_argument))
        };
        let same_form = name.arguments.is_empty() == other.arguments.is_empty();
        let depends = of_arguments(name, value) && of_arguments(other, other_value);
        if may_be_one(name, other) && (same_form || depends) {
            let renamed = renamed(other_value, &other.arguments, &name.arguments);
            if self.same(value, &renamed) {
                return true;
            }
        }
        match (&name.symbol, value, &other.symbol, other_value) {
            (Some(a), Answer::Value(b), Some(c), Answer::Value(d)) => {
                self.multiple(&difference(a, b), &difference(c, d)).is_some()
            }
            _ => false,
        }
    }

    /// `a=2, b=3` as a group, and `2, 3` or `(2, 3)`.
    fn same_in_order(&mut self, name: &Name, value: &Answer, other: &Answer) -> bool {
        match (value, other) {
            (Answer::Tuple { items, .. }, Answer::List(others, _)) if !name.members.is_empty() => {
                self.same_items(items, others)
            }
            _ => false,
        }
    }

    /// Chains of as many sides, each step a positive multiple of the other's, from the left or from the right.
    fn same_chain(
        &mut self,
        (a, signs): (&[Expr], &[Relation]),
        (b, others): (&[Expr], &[Relation]),
    ) -> bool {
        if a.len() != b.len() {
            return false;
        }
        let straight = (b.to_vec(), others.to_vec());
        let reversed: (Vec<Expr>, Vec<Relation>) =
            (b.iter().rev().cloned().collect(), others.iter().rev().map(|it| it.mirrored()).collect());
        [straight, reversed].iter().any(|(b, others)| {
            (0..signs.len()).all(|at| {
                let left = difference(&a[at], &a[at + 1]);
                let right = difference(&b[at], &b[at + 1]);
                match self.multiple(&left, &right) {
                    Some(sample::Factor::Positive) => signs[at] == others[at],
                    Some(sample::Factor::Negative) => signs[at] == others[at].mirrored(),
                    None => false,
                }
            })
        })
    }

    /// The same numbers, as intervals, inequalities and sets of points.
    fn same_region(&mut self, gold: &Answer, answer: &Answer) -> bool {
        let are_tuples = matches!((gold, answer), (Answer::Tuple { .. }, Answer::Tuple { .. }));
        // `x = 5` is more than the number 5: it says what is 5.
        let has_region = |it: &Answer| {
            let is_point = matches!(it, Answer::Named(_, value) if matches!(**value, Answer::Value(_)));
            region::is_region(it) && !is_point
        };
        if are_tuples || !(has_region(gold) && has_region(answer)) {
            return false;
        }
        region::same(gold, answer, self).unwrap_or(false)
    }
}

/// The factors of a product but for the first.
fn behind_first(product: &Expr) -> &[Expr] {
    match product {
        Expr::Product(factors) => factors.get(1..).unwrap_or_default(),
        _ => &[],
    }
}

fn distinct(items: &[Answer]) -> Vec<Answer> {
    let mut distinct: Vec<Answer> = Vec::new();
    for item in items {
        if !distinct.contains(item) {
            distinct.push(item.clone());
        }
    }
    distinct
}

/// The decimal that a formula is, with its digits behind the point.
fn decimal_of(expr: &Expr) -> Option<(&Number, u32)> {
    match expr {
        Expr::Decimal(number, n) => Some((number, *n)),
        Expr::Negative(inside) => decimal_of(inside),
        _ => None,
    }
}

fn difference(a: &Expr, b: &Expr) -> Expr {
    Expr::Sum(vec![a.clone(), Expr::Negative(Box::new(b.clone()))])
}

/// Whether two names may stand for one thing: they are the same, one has an index that the other leaves out, or one is
/// the function and the other its value.
fn may_be_one(a: &Name, b: &Name) -> bool {
    let head = |name: &Name| name.text.split('_').next().unwrap_or_default().to_owned();
    let is_function = |name: &Name| !name.arguments.is_empty();
    let has_index = |name: &Name| name.text.contains('_');
    let is_word = |name: &Name| name.symbol.is_none() && name.arguments.is_empty();
    a.text == b.text
        || head(a) == head(b) && has_index(a) != has_index(b)
        || is_function(a) != is_function(b)
        || is_word(a) != is_word(b)
}

/// The answer with the arguments of its function called as in the gold answer.
fn renamed(answer: &Answer, from: &[String], to: &[String]) -> Answer {
    let Answer::Value(expr) = answer else { return answer.clone() };
    if from == to || from.len() != to.len() {
        return answer.clone();
    }
    Answer::Value(expr.map(&|it| match it {
        Expr::Symbol(name) => {
            let at = from.iter().position(|it| *it == name);
            Expr::Symbol(at.map_or(name, |at| to[at].clone()))
        }
        other => other,
    }))
}

/// Named values as groups, each with every name once: `p=5, q=2; p=7, q=2` is two pairs.
fn records(items: &[Answer]) -> Option<Vec<Answer>> {
    let named = items.iter().map(|it| match it {
        Answer::Named(name, value) if name.members.is_empty() => Some((&name.text, &**value)),
        _ => None,
    });
    let named: Vec<(&String, &Answer)> = named.collect::<Option<_>>()?;
    let mut distinct: Vec<&String> = Vec::new();
    for (name, _) in &named {
        if !distinct.contains(name) {
            distinct.push(name);
        }
    }
    if distinct.len() < 2 || !named.len().is_multiple_of(distinct.len()) {
        return None;
    }
    let group = |group: &[(&String, &Answer)]| {
        let members: Vec<String> = group.iter().map(|it| it.0.clone()).collect();
        let is_whole = distinct.iter().all(|name| members.contains(name));
        let items = group.iter().map(|it| it.1.clone()).collect();
        let name =
            Name { text: format!("({})", members.join(",")), arguments: Vec::new(), members, symbol: None };
        is_whole.then(|| Answer::Named(name, Box::new(Answer::Tuple { open: '(', items, close: ')' })))
    };
    named.chunks(distinct.len()).map(group).collect()
}
