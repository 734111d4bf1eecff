//! Whether a message gives a program away.

use ruff_python_ast::{Expr, Stmt};
use ruff_python_parser::Mode;
use ruff_text_size::{Ranged, TextSize};

use crate::syntax;

/// How much text after a `def` is looked at, in bytes: enough for the first statements of its body.
const WINDOW_BYTES: usize = 8 << 10;

/// How much is parsed for one message, in bytes. What has this many candidates is no message.
const BUDGET_BYTES: usize = 512 << 10;

/// Whether a text holds a function definition that Python parses and whose body does something, or gives a name to a
/// `lambda` that does. A header alone (``write `def f(x):` for me``), or one with a docstring, `pass`, `...` or a single
/// word after it, gives nothing away. A text of hundreds of unfinished definitions counts as one that does.
pub fn contains_program(message: &str) -> bool {
    let text = syntax::normalise(message);
    // A backtick is no Python outside a string, and often stands where a line of code ends.
    let unquoted = text.replace('`', "\n");
    let readings = [text.as_ref(), unquoted.as_str()];
    let n_readings = if text.contains('`') { 2 } else { 1 };
    let mut n_parsed_bytes = 0;
    readings[..n_readings].iter().any(|text| {
        let mut holds = |keyword: &str, gives_away: fn(&str, usize) -> bool| {
            let mut starts = text.match_indices(keyword).filter(|(start, _)| is_word(text, *start, keyword));
            starts.any(|(start, _)| {
                n_parsed_bytes += WINDOW_BYTES.min(text.len() - start);
                n_parsed_bytes > BUDGET_BYTES || gives_away(text, start)
            })
        };
        holds("def", defines) || holds("lambda", names_lambda)
    })
}

/// What stands at a place, read as a program that may break off.
struct Beginning<'text> {
    text: &'text str,
    first: Stmt,
    /// From where on it is no Python.
    broken_at: Option<TextSize>,
}

impl<'text> Beginning<'text> {
    fn read(text: &'text str, start: usize) -> Option<Beginning<'text>> {
        let text = &text[start..text.floor_char_boundary(start + WINDOW_BYTES)];
        syntax::scan(text, Mode::Module).ok()?;
        let parsed = syntax::parse_module_leniently(text);
        let broken_at = parsed.errors().iter().map(|error| error.location.start()).min();
        let first = parsed.into_syntax().body.into_iter().next()?;
        Some(Beginning { text, first, broken_at })
    }

    /// Whether what ends there is no stretch of prose that happens to begin like code.
    fn is_whole(&self, end: TextSize) -> bool {
        self.broken_at.is_none_or(|error| end <= error && is_end(&self.text[end.to_usize()..]))
    }
}

/// Whether the keyword at `start` is a word of its own and is followed by what may follow it in a program.
fn is_word(text: &str, start: usize, keyword: &str) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[start + keyword.len()..].chars().next();
    before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
        && after.is_some_and(|c| c.is_whitespace() || matches!(c, '\\' | ':' | '*'))
}

/// Whether the `lambda` at `start` follows `name =` and computes something.
fn names_lambda(text: &str, start: usize) -> bool {
    let blank = [' ', '\t', '\n'];
    let is_named = text[..start].trim_end_matches(blank).strip_suffix('=').is_some_and(|before| {
        let before = before.trim_end_matches(blank);
        let head = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
        // `sorted(xs, key=lambda ..)` names nothing.
        head.len() < before.len() && !head.trim_end_matches(blank).ends_with(['(', ','])
    });
    if !is_named {
        return false;
    }
    let Some(beginning) = Beginning::read(text, start) else { return false };
    let Stmt::Expr(first) = &beginning.first else { return false };
    // A comma of prose after it makes a tuple of it.
    let expr = match first.value.as_ref() {
        Expr::Tuple(tuple) => tuple.elts.first(),
        other => Some(other),
    };
    let Some(Expr::Lambda(lambda)) = expr else { return false };
    beginning.is_whole(lambda.end()) && !lambda.body.is_name_expr() && !lambda.body.is_literal_expr()
}

/// Whether the `def` at `start` has a header and a statement that does something.
fn defines(text: &str, start: usize) -> bool {
    let Some(beginning) = Beginning::read(text, start) else { return false };
    let Stmt::FunctionDef(function) = &beginning.first else { return false };
    let is_header_whole = beginning.broken_at.is_none_or(|error| function.parameters.end() <= error);
    is_header_whole && function.body.iter().any(|stmt| beginning.is_whole(stmt.end()) && does_something(stmt))
}

/// Whether a statement may end before this text: with its line, or with what closes a quotation in prose. Where other
/// words follow, the line is prose that happens to begin like code.
fn is_end(rest: &str) -> bool {
    let next = rest.chars().find(|c| !matches!(c, ' ' | '\t'));
    next.is_none_or(|c| {
        matches!(c, '\n' | '#' | ';' | ')' | ']' | '}' | '"' | '\'' | '*' | '.' | ',' | '!' | '?')
    })
}

fn does_something(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Pass(_) => false,
        Stmt::Expr(expr) => {
            !matches!(*expr.value, Expr::StringLiteral(_) | Expr::EllipsisLiteral(_) | Expr::Name(_))
        }
        _ => true,
    }
}
