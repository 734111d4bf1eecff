//! Screens of proposals that the original has and the prompts do not ask for (azr.md section 1.2, steps 5 and 6).

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use super::Refusal;
use crate::syntax;

/// How many functions a program defines, at any depth: methods and nested functions count, lambdas do not.
///
/// # Errors
/// [`Refusal::ParseError`].
pub fn n_functions(source: &str) -> Result<usize, Refusal> {
    struct Count(usize);
    impl<'a> Visitor<'a> for Count {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            self.0 += usize::from(stmt.is_function_def_stmt());
            visitor::walk_stmt(self, stmt);
        }
    }
    let source = syntax::normalise(source);
    let parsed = syntax::parse_module(&source).map_err(Refusal::ParseError)?;
    let mut count = Count(0);
    count.visit_body(&parsed.syntax().body);
    Ok(count.0)
}

/// Words in comments and names of variables that speak of a test, as the original's patterns have them.
const COMMENT_WORDS: [&str; 2] = ["test", "example"];
const INPUT_WORD: &str = "input";
const RESULT_NAMES: [&str; 3] = ["expected", "output", "result"];

/// The first sign that a program holds its test input, or what comes of it (`reject_test_input_in_code`): a comment with
/// `test` or `example` in it; an assignment to a name with `input` in it, or to `expected`, `output` or `result`; an
/// `assert`; a `print` of a call of `f`; a call of `f` at the end of its line. Honest programs assign to `result` and
/// recurse at the end of a line too: the list is the original's.
///
/// # Errors
/// [`Refusal::ParseError`].
pub fn test_input_sign(source: &str) -> Result<Option<String>, Refusal> {
    let source = syntax::normalise(source);
    let parsed = syntax::parse_module(&source).map_err(Refusal::ParseError)?;
    for token in parsed.tokens().iter().filter(|token| token.kind() == TokenKind::Comment) {
        let comment = &source[token.start().to_usize()..token.end().to_usize()];
        if COMMENT_WORDS.iter().any(|word| comment.to_lowercase().contains(word)) {
            return Ok(Some(comment.to_owned()));
        }
    }
    let mut signs = Signs { source: &source, first: None };
    signs.visit_body(&parsed.syntax().body);
    Ok(signs.first)
}

struct Signs<'a> {
    source: &'a str,
    first: Option<String>,
}

impl Signs<'_> {
    fn note(&mut self, it: &impl Ranged) {
        let line = self.source[it.start().to_usize()..].lines().next().unwrap_or_default();
        self.first.get_or_insert_with(|| line.to_owned());
    }

    fn note_targets(&mut self, target: &Expr) {
        match target {
            Expr::Name(name) => {
                let name = name.id.as_str();
                if name.to_lowercase().contains(INPUT_WORD) || RESULT_NAMES.contains(&name) {
                    self.note(target);
                }
            }
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|it| self.note_targets(it)),
            Expr::List(list) => list.elts.iter().for_each(|it| self.note_targets(it)),
            // An attribute or an item is no variable.
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Signs<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Assert(_) => self.note(stmt),
            Stmt::Assign(assign) => assign.targets.iter().for_each(|target| self.note_targets(target)),
            Stmt::AnnAssign(assign) if assign.value.is_some() => self.note_targets(&assign.target),
            // Nothing else assigns with a plain sign of equality.
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if is_call_of(expr, "f") {
            let rest = self.source[expr.end().to_usize()..].trim_start_matches([' ', '\t']);
            if rest.is_empty() || rest.starts_with(['\n', '#']) {
                self.note(expr);
            }
        }
        if let Expr::Call(call) = expr
            && is_call_of(expr, "print")
            && call.arguments.args.iter().any(|argument| is_call_of(argument, "f"))
        {
            self.note(expr);
        }
        visitor::walk_expr(self, expr);
    }
}

fn is_call_of(expr: &Expr, function: &str) -> bool {
    matches!(expr, Expr::Call(call) if matches!(call.func.as_ref(), Expr::Name(name) if name.id == function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_count_at_any_depth() {
        let source =
            "class C:\n    def m(self):\n        async def g(): pass\nif C:\n    def f(a): return lambda: a";
        assert_eq!(n_functions(source).unwrap(), 3);
        assert_eq!(n_functions("f = lambda a: a").unwrap(), 0);
        assert!(matches!(n_functions("def"), Err(Refusal::ParseError(_))));
    }

    #[test]
    fn signs_of_a_test_input() {
        let body = |line: &str| format!("def f(a):\n    {line}\n    return a");
        for line in [
            "b = a  # Example: f(2)",
            "# TESTED",
            "test_input = 3",
            "a, Inputs = a, 1",
            "expected: int = 3",
            "result = []",
            "assert a",
            "print(f(1), a)",
            "b = f(a - 1)",
            "f(1)  # called",
        ] {
            assert!(test_input_sign(&body(line)).unwrap().is_some(), "{line}");
        }
        for line in [
            "b = 'an example'",
            "a.result = 1",
            "results = []",
            "print(a)",
            "b = f(a - 1) + 1",
            "b = g(a)",
            "a['input'] = 1",
            "for result in a: pass",
        ] {
            assert_eq!(test_input_sign(&body(line)).unwrap(), None, "{line}");
        }
        assert_eq!(test_input_sign("def f(inputs, result=None):\n    return inputs").unwrap(), None);
        assert_eq!(test_input_sign(&body("assert a > 1")).unwrap().as_deref(), Some("assert a > 1"));
    }
}
