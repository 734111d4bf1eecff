//! Composite programs (the paper's appendix D.2): helper functions `g_0`, `g_1` and so on that were given, then what a
//! proposer wrote.

use std::borrow::Cow;

use ruff_python_ast::Stmt;
use ruff_text_size::Ranged;

use crate::syntax;

/// The program without top-level definitions of `g_` and a number; as it is where there are none, or where it does
/// not parse.
pub fn without_helpers(source: &str) -> Cow<'_, str> {
    // Most programs have none, and parsing costs more than looking.
    if !source.contains("def g_") {
        return Cow::Borrowed(source);
    }
    let Ok(parsed) = syntax::parse_module(source) else { return Cow::Borrowed(source) };
    let mut own = String::with_capacity(source.len());
    let mut copied = 0;
    for stmt in &parsed.syntax().body {
        let Stmt::FunctionDef(function) = stmt else { continue };
        if is_helper(&function.name) {
            own.push_str(&source[copied..stmt.start().to_usize()]);
            copied = stmt.end().to_usize();
        }
    }
    own.push_str(&source[copied..]);
    Cow::Owned(own)
}

fn is_helper(name: &str) -> bool {
    name.strip_prefix("g_").is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_left_out() {
        let own = "def f(x):\n    def g_9(): pass\n    return g_0(x)";
        let whole = format!("def g_0(a):\n    return a\n\n@cache\ndef g_12():\n    pass\n{own}");
        assert_eq!(without_helpers(&whole).trim(), own);
        for as_it_is in [own, "def g_x(): pass", "def g_0(: broken", "def g_(): pass", ""] {
            assert_eq!(without_helpers(as_it_is), as_it_is);
        }
    }
}
