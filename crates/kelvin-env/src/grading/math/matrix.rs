//! Matrices as tables of formulas.

use super::tree::{Answer, Expr};

type Rows = Vec<Vec<Expr>>;

/// The entries of a formula that is a matrix: one that is written out, its negative, its multiple by a number, its
/// transpose, a sum of several.
pub(super) fn matrix(expr: &Expr) -> Option<Rows> {
    match expr {
        Expr::Matrix(rows) => Some(rows.clone()),
        Expr::Negative(inside) => Some(each(&matrix(inside)?, &|it| Expr::Negative(Box::new(it)))),
        Expr::Product(factors) => {
            let at = factors.iter().position(|it| matrix(it).is_some())?;
            let mut scale = factors.clone();
            let rows = matrix(&scale.remove(at))?;
            if scale.iter().any(|it| matrix(it).is_some()) {
                return None;
            }
            Some(each(&rows, &|it| {
                let mut product = scale.clone();
                product.push(it);
                Expr::Product(product)
            }))
        }
        Expr::Quotient(above, below) => {
            Some(each(&matrix(above)?, &|it| Expr::Quotient(Box::new(it), below.clone())))
        }
        Expr::Power(base, exponent) if matches!(&**exponent, Expr::Symbol(name) if name == "T") => {
            let rows = matrix(base)?;
            let width = rows.first()?.len();
            Some((0..width).map(|column| rows.iter().map(|row| row[column].clone()).collect()).collect())
        }
        Expr::Sum(terms) => {
            let mut terms = terms.iter().map(matrix).collect::<Option<Vec<Rows>>>()?.into_iter();
            let first = terms.next()?;
            terms.try_fold(first, |sum, term| {
                let same_shape =
                    sum.len() == term.len() && sum.iter().zip(&term).all(|(a, b)| a.len() == b.len());
                let row = |(a, b): (&Vec<Expr>, &Vec<Expr>)| {
                    a.iter().zip(b).map(|(a, b)| Expr::Sum(vec![a.clone(), b.clone()])).collect()
                };
                same_shape.then(|| sum.iter().zip(&term).map(row).collect())
            })
        }
        _ => None,
    }
}

/// The entries of a matrix with one row or one column.
pub(super) fn vector(expr: &Expr) -> Option<Vec<Answer>> {
    let rows = matrix(expr)?;
    let is_line = rows.len() == 1 || rows.iter().all(|row| row.len() == 1);
    is_line.then(|| rows.into_iter().flatten().map(Answer::Value).collect())
}

fn each(rows: &Rows, change: &dyn Fn(Expr) -> Expr) -> Rows {
    rows.iter().map(|row| row.iter().cloned().map(change).collect()).collect()
}
