//! Statements that raise or catch exceptions, which programs of error tasks may be denied (azr.md section 10).

use std::fmt;

use ruff_python_ast::Stmt;
use ruff_python_ast::visitor::{self, Visitor};
use serde::{Deserialize, Serialize};

use crate::syntax;

/// A keyword of exceptions; `banned_keywords_for_errors_and_exceptions` in the original lists these four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKeyword {
    /// A statement that raises.
    Raise,
    /// A statement that raises where something does not hold.
    Assert,
    /// A block whose exceptions are caught, or that has a `finally`.
    Try,
    /// What catches them.
    Except,
}

impl ErrorKeyword {
    /// The keyword as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKeyword::Raise => "raise",
            ErrorKeyword::Assert => "assert",
            ErrorKeyword::Try => "try",
            ErrorKeyword::Except => "except",
        }
    }
}

impl fmt::Display for ErrorKeyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first of `banned` that a program uses as a statement, in the order of the source; words in comments and strings
/// are not looked at. `None` also where the program does not parse.
pub fn banned_keyword(source: &str, banned: &[ErrorKeyword]) -> Option<ErrorKeyword> {
    let source = syntax::normalise(source);
    let parsed = syntax::parse_module(&source).ok()?;
    let mut found = Found { banned, first: None };
    found.visit_body(&parsed.syntax().body);
    found.first
}

struct Found<'a> {
    banned: &'a [ErrorKeyword],
    first: Option<ErrorKeyword>,
}

impl Found<'_> {
    fn meet(&mut self, keyword: ErrorKeyword) {
        if self.first.is_none() && self.banned.contains(&keyword) {
            self.first = Some(keyword);
        }
    }
}

impl<'a> Visitor<'a> for Found<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Raise(_) => self.meet(ErrorKeyword::Raise),
            Stmt::Assert(_) => self.meet(ErrorKeyword::Assert),
            Stmt::Try(_) => self.meet(ErrorKeyword::Try),
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
        if let Stmt::Try(it) = stmt
            && !it.handlers.is_empty()
        {
            self.meet(ErrorKeyword::Except);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_count_and_words_do_not() {
        use ErrorKeyword::{Assert, Except, Raise, Try};
        let found = |source, banned: &[ErrorKeyword]| banned_keyword(source, banned);
        let program = "# raise\ndef f(x):\n    try:\n        raise_it = 'assert'\n        return x[0]\n    \
                       except IndexError:\n        return raise_it";
        assert_eq!(found(program, &[Raise, Assert]), None);
        assert_eq!(found(program, &[Raise, Except]), Some(Except));
        assert_eq!(found(program, &[Except, Try]), Some(Try));
        assert_eq!(
            found("def f(x):\n    try:\n        return x\n    finally:\n        pass", &[Except]),
            None
        );
        let nested =
            "def f(x):\n    class A:\n        def g(self):\n            assert x\n    return A().g()";
        assert_eq!(found(nested, &[Raise, Assert]), Some(Assert));
        assert_eq!(found("def f(x):\n    if x:\n        raise KeyError", &[Raise]), Some(Raise));
        assert_eq!(found("def f(", &[Raise]), None);
    }
}
