//! Matrices as tables of formulas.

use super::{
    evaluate::Budget,
    tree::{Answer, Expr},
};

type Rows = Vec<Vec<Expr>>;

/// The entries of a formula that is a matrix: one that is written out, its negative, its multiple by a number, its
/// transpose, a sum of several. None where it is none, or where the budget is spent. Each part is looked at once.
pub(super) fn matrix(expr: &Expr, budget: &mut Budget) -> Option<Rows> {
    budget.spend(1)?;
    match expr {
        Expr::Matrix(rows) => {
            budget.spend(expr.n_nodes())?;
            Some(rows.clone())
        }
        Expr::Negative(inside) => Some(each(matrix(inside, budget)?, |it| Expr::Negative(Box::new(it)))),
        Expr::Product(factors) => {
            let mut matrices =
                factors.iter().enumerate().filter_map(|(at, it)| Some((at, matrix(it, budget)?)));
            let (at, rows) = matrices.next()?;
            // Products of matrices are not multiplied out.
            if matrices.next().is_some() {
                return None;
            }
            let mut scale = factors.clone();
            scale.remove(at);
            spend_copies(scale.iter().map(Expr::n_nodes).sum(), &rows, budget)?;
            Some(each(rows, |it| {
                let mut product = scale.clone();
                product.push(it);
                Expr::Product(product)
            }))
        }
        Expr::Quotient(above, below) => {
            let rows = matrix(above, budget)?;
            spend_copies(below.n_nodes(), &rows, budget)?;
            Some(each(rows, |it| Expr::Quotient(Box::new(it), below.clone())))
        }
        Expr::Power(base, exponent) if matches!(&**exponent, Expr::Symbol(name) if name == "T") => {
            let rows = matrix(base, budget)?;
            budget.spend(rows.iter().flatten().map(Expr::n_nodes).sum())?;
            let width = rows.first()?.len();
            Some((0..width).map(|column| rows.iter().map(|row| row[column].clone()).collect()).collect())
        }
        Expr::Sum(terms) => {
            let terms = terms.iter().map(|it| matrix(it, budget)).collect::<Option<Vec<Rows>>>()?;
            let (first, rest) = terms.split_first()?;
            let shape = |rows: &Rows| rows.iter().map(Vec::len).collect::<Vec<_>>();
            if rest.iter().any(|it| shape(it) != shape(first)) {
                return None;
            }
            budget.spend(terms.iter().flatten().flatten().map(Expr::n_nodes).sum())?;
            let entry = |row: usize, column: usize| {
                Expr::Sum(terms.iter().map(|term| term[row][column].clone()).collect())
            };
            let rows = first.iter().enumerate();
            Some(rows.map(|(at, row)| (0..row.len()).map(|column| entry(at, column)).collect()).collect())
        }
        _ => None,
    }
}

/// The entries of a matrix with one row or one column.
pub(super) fn vector(expr: &Expr, budget: &mut Budget) -> Option<Vec<Answer>> {
    let rows = matrix(expr, budget)?;
    let is_line = rows.len() == 1 || rows.iter().all(|row| row.len() == 1);
    is_line.then(|| rows.into_iter().flatten().map(Answer::Value).collect())
}

fn each(rows: Rows, change: impl Fn(Expr) -> Expr) -> Rows {
    rows.into_iter().map(|row| row.into_iter().map(&change).collect()).collect()
}

/// Pays for copies of so many nodes, one for each entry.
fn spend_copies(n_nodes: u32, rows: &Rows, budget: &mut Budget) -> Option<()> {
    let n_entries: usize = rows.iter().map(Vec::len).sum();
    budget.spend(n_nodes.saturating_mul(u32::try_from(n_entries).unwrap_or(u32::MAX)))
}
