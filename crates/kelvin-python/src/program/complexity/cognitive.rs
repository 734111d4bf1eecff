//! Cognitive complexity: every branch costs 1 and the depth at which it stands, every chain of `and` or `or` in
//! what is assigned, iterated or tested costs 1. These are the rules of complexipy 1.2.0, which looks into no
//! `with`, no `async for`, no `try` with `except*`, and no returned value.

use ruff_python_ast::{ElifElseClause, Expr, Stmt, StmtFunctionDef, StmtIf, StmtTry};

/// Complexity so far. It falls below zero where an `else` gives back more depth than it cost.
type Total = i64;

/// The complexity of a file. Of a top-level class only the methods count.
pub(super) fn of_file(body: &[Stmt]) -> u32 {
    let total: Total = body
        .iter()
        .map(|stmt| match stmt {
            Stmt::ClassDef(class) => {
                let methods = class.body.iter().filter(|stmt| stmt.is_function_def_stmt());
                methods.map(|method| statement(method, 0)).sum()
            }
            _ => statement(stmt, 0),
        })
        .sum();
    u32::try_from(total.max(0)).unwrap_or(u32::MAX)
}

fn block(body: &[Stmt], depth: Total) -> Total {
    body.iter().map(|stmt| statement(stmt, depth)).sum()
}

fn statement(stmt: &Stmt, depth: Total) -> Total {
    match stmt {
        Stmt::FunctionDef(def) => function(def, depth),
        Stmt::ClassDef(class) => block(&class.body, depth),
        Stmt::Assign(assign) => expression(&assign.value, depth),
        Stmt::For(each) if !each.is_async => {
            1 + depth + expression(&each.iter, depth) + block(&each.body, depth + 1)
        }
        Stmt::While(repeat) => branch(&repeat.test, &repeat.body, depth),
        Stmt::If(choice) => conditional(choice, depth),
        Stmt::Try(attempt) if !attempt.is_star => with_depth(attempt_total(attempt, depth), depth),
        Stmt::Match(choice) => {
            let cases = choice.cases.iter().map(|case| block(&case.body, depth + 1)).sum();
            with_depth(cases, depth)
        }
        _ => 0,
    }
}

/// A nested function stands one level deeper, except in a decorator: a `def` of which the body is one more `def`
/// and a `return`.
fn function(def: &StmtFunctionDef, depth: Total) -> Total {
    if !def.is_async
        && let [Stmt::FunctionDef(inner), Stmt::Return(_)] = def.body.as_slice()
        && !inner.is_async
    {
        return function(inner, depth);
    }
    let inner_depth = |stmt: &Stmt| if stmt.is_function_def_stmt() { depth + 1 } else { depth };
    def.body.iter().map(|stmt| statement(stmt, inner_depth(stmt))).sum()
}

/// One branch with its test.
fn branch(test: &Expr, body: &[Stmt], depth: Total) -> Total {
    1 + depth + expression(test, depth) + block(body, depth + 1)
}

/// An `if` with all that follows it. Each clause is what stands in the `else` of the one before, and everything in
/// an `else` that costs anything gives the depth back. Read from the last clause up: there is no limit on their
/// number.
fn conditional(choice: &StmtIf, depth: Total) -> Total {
    let give_back = |cost: Total| if cost == 0 { 0 } else { cost - depth };
    let otherwise =
        choice.elif_else_clauses.iter().rev().fold(0, |below, clause: &ElifElseClause| match &clause.test {
            Some(test) => give_back(branch(test, &clause.body, depth) + below),
            None => clause.body.iter().map(|stmt| give_back(statement(stmt, depth))).sum(),
        });
    branch(&choice.test, &choice.body, depth) + otherwise
}

fn attempt_total(attempt: &StmtTry, depth: Total) -> Total {
    let handlers = attempt.handlers.iter().filter_map(|handler| handler.as_except_handler());
    let handled: Total = handlers.map(|handler| 1 + block(&handler.body, depth + 1)).sum();
    let others = [&attempt.body, &attempt.orelse, &attempt.finalbody];
    handled + others.map(|body| block(body, depth + 1)).into_iter().sum::<Total>()
}

/// A statement that costs nothing by itself costs its depth once something in it does.
fn with_depth(total: Total, depth: Total) -> Total {
    if total == 0 { 0 } else { total + depth }
}

/// What the chains of `and` and `or` and the conditional expressions of an expression cost. Only these few kinds
/// of expressions are looked into: neither keyword arguments nor comprehensions, subscripts or arithmetic.
fn expression(expr: &Expr, depth: Total) -> Total {
    let all = |exprs: &[Expr]| exprs.iter().map(|expr| expression(expr, depth)).sum::<Total>();
    match expr {
        Expr::BoolOp(chain) => 1 + all(&chain.values),
        Expr::UnaryOp(unary) => expression(&unary.operand, depth),
        Expr::Compare(compare) => expression(&compare.left, depth) + all(&compare.comparators),
        Expr::If(choice) => {
            let parts = [&choice.test, &choice.body, &choice.orelse];
            1 + depth + parts.map(|part| expression(part, depth)).into_iter().sum::<Total>()
        }
        Expr::Call(call) => all(&call.arguments.args),
        Expr::Tuple(tuple) => all(&tuple.elts),
        Expr::List(list) => all(&list.elts),
        Expr::Set(set) => all(&set.elts),
        Expr::Dict(dict) => {
            let key = |key: &Option<Expr>| key.as_ref().map_or(0, |key| expression(key, depth));
            dict.items.iter().map(|item| key(&item.key) + expression(&item.value, depth)).sum()
        }
        _ => 0,
    }
}
