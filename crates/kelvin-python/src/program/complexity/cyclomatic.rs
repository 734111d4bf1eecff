//! Cyclomatic complexity: 1 and the number of decisions, by the rules of radon 6.0.1. A nested function or class
//! adds nothing to the function around it and is no block of its own.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Comprehension, Expr, Pattern, Stmt, StmtClassDef, StmtFunctionDef, StmtMatch};

/// The largest complexity of a block of the file: a function, a class or a method; 0 without any.
pub(super) fn max_of_blocks(body: &[Stmt]) -> u32 {
    let file = Scope::of(body);
    let functions = file.functions.iter().map(|def| of_function(def));
    functions.chain(file.classes.iter().map(|class| max_of_class(class))).max().unwrap_or(0)
}

/// The complexity of the file as a whole: 1 and the decisions of its own body, of its functions, and of its classes with their
/// methods.
pub(super) fn total(body: &[Stmt]) -> u32 {
    let file = Scope::of(body);
    let functions = file.functions.iter().map(|def| of_function(def) - 1);
    let classes = file.classes.iter().map(|class| sum_of_class(class).0 - 1);
    1 + file.n_decisions + functions.sum::<u32>() + classes.sum::<u32>()
}

fn of_function(def: &StmtFunctionDef) -> u32 {
    1 + Scope::of(&def.body).n_decisions
}

/// The larger of the class's own number and the largest of its methods. A class without methods counts like a
/// function; one with methods as their mean together with the body, rounded down, and 1 more if they are several.
fn max_of_class(class: &StmtClassDef) -> u32 {
    let (sum, methods) = sum_of_class(class);
    let own = match u32::try_from(methods.len()).expect("the source has fewer than 2^32 bytes") {
        0 => sum,
        1 => sum,
        n_methods => sum / n_methods + 1,
    };
    methods.into_iter().fold(own, u32::max)
}

/// 1 and the decisions of a class's body and of its methods, whose own numbers come with it.
fn sum_of_class(class: &StmtClassDef) -> (u32, Vec<u32>) {
    let body = Scope::of(&class.body);
    let methods: Vec<u32> = body.functions.iter().map(|def| of_function(def)).collect();
    (1 + body.n_decisions + methods.iter().sum::<u32>(), methods)
}

/// The decisions of one body, and the functions and classes in it, which are not looked into; at whatever depth of
/// branches and loops they stand.
#[derive(Default)]
struct Scope<'a> {
    n_decisions: u32,
    functions: Vec<&'a StmtFunctionDef>,
    classes: Vec<&'a StmtClassDef>,
}

impl<'a> Scope<'a> {
    fn of(body: &'a [Stmt]) -> Scope<'a> {
        let mut scope = Scope::default();
        scope.visit_body(body);
        scope
    }

    fn count(&mut self, n_decisions: usize) {
        self.n_decisions += u32::try_from(n_decisions).expect("the source has fewer than 2^32 bytes");
    }
}

impl<'a> Visitor<'a> for Scope<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(def) => return self.functions.push(def),
            Stmt::ClassDef(class) => return self.classes.push(class),
            // What is asserted counts for nothing, whatever it holds.
            Stmt::Assert(_) => return self.count(1),
            Stmt::If(choice) => {
                let elifs = choice.elif_else_clauses.iter().filter(|clause| clause.test.is_some());
                self.count(1 + elifs.count());
            }
            Stmt::For(each) => self.count(1 + usize::from(!each.orelse.is_empty())),
            Stmt::While(repeat) => self.count(1 + usize::from(!repeat.orelse.is_empty())),
            Stmt::Try(attempt) if !attempt.is_star => {
                self.count(attempt.handlers.len() + usize::from(!attempt.orelse.is_empty()));
            }
            Stmt::Match(choice) => self.count(n_tested_cases(choice)),
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::BoolOp(chain) => self.count(chain.values.len() - 1),
            Expr::If(_) => self.count(1),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_comprehension(&mut self, comprehension: &'a Comprehension) {
        self.count(1 + comprehension.ifs.len());
        visitor::walk_comprehension(self, comprehension);
    }
}

/// All cases, less one if any of them is `_` or a bare name, guarded or not.
fn n_tested_cases(choice: &StmtMatch) -> usize {
    let is_open = |pattern: &Pattern| pattern.as_match_as().is_some_and(|it| it.pattern.is_none());
    choice.cases.len() - usize::from(choice.cases.iter().any(|case| is_open(&case.pattern)))
}
