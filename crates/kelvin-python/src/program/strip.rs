//! What may be taken out of a proposed program before it becomes a task (azr.md section 1.2).

use ruff_python_ast::Stmt;
use ruff_text_size::Ranged;

use crate::syntax;

/// The imports, functions and classes of a program's top level, one after the other; without its other statements and the
/// comments between them (`remove_after_return` of the original). A program that does not parse comes back as it is.
pub fn definitions_only(source: &str) -> String {
    let source = syntax::normalise(source);
    let Ok(parsed) = syntax::parse_module(&source) else { return source.into_owned() };
    let is_definition = |stmt: &&Stmt| {
        matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::FunctionDef(_) | Stmt::ClassDef(_))
    };
    let kept = parsed.syntax().body.iter().filter(is_definition).map(|stmt| &source[stmt.range()]);
    kept.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globals_and_what_follows_the_entry_go() {
        let program = "import math; n = 3\n# note\nclass A:\n    x = 1  # kept\n\n@staticmethod\ndef f(a):\n    \
                       return a\nprint(f(1))\nif n:\n    def g(): pass";
        assert_eq!(
            definitions_only(program),
            "import math\nclass A:\n    x = 1\n@staticmethod\ndef f(a):\n    return a"
        );
        assert_eq!(definitions_only("def f(a"), "def f(a");
    }
}
