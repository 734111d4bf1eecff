//! The distance of programs as the Absolute Zero Reasoner's own code computes it (azr.md section 4.3,
//! `mean_edit_distance_reward`): how little two syntax trees, written as JSON, have in common as texts.

mod docstrings;
mod expressions;
mod json;
mod matcher;
mod requote;
mod statements;

use crate::syntax;

/// `1 - ratio` of Python's `difflib.SequenceMatcher` over the syntax trees of two programs, written as JSON with
/// sorted keys and an indent of two. No speed bound: it is here to reproduce the original's metric, and
/// [`distance`](super::distance) is what training uses.
///
/// Source: `ast_edit_distance` in `absolute_zero_reasoner/rewards/code_reward.py`, called with the new program as
/// `a` and each reference as `b`; the two orders may differ. The programs are formatted with black 25.1.0, read with
/// Python's `ast` (here as 3.11 reads them) and written node by node without positions, `ctx`, fields that are
/// `None`, and whatever in a list is no node: the names of a `global` statement, the missing key of `**a`.
///
/// 0 where one of the texts cannot be turned into JSON: a syntax error, a literal of bytes, a complex number, `...`,
/// an integer past [`MAX_INT_DIGITS`](crate::MAX_INT_DIGITS), a tree nested past Python's recursion limit. The
/// original catches its own exceptions and scores them so. Also 0 past a limit of this crate on the source, or past
/// 16 MiB of JSON.
///
/// Of what black does to a tree, only the white space in docstrings is reproduced. Not reproduced are `# fmt: off`,
/// `del a,` and a `del` too long for a line (they get parentheses), `with` over a tuple (it loses them), the
/// original's attempt to mend texts that black refuses, which lie at 0 here, and lone surrogates, which count as
/// U+FFFD (`docs/divergences/azr.md`, defect 18).
pub fn compat_distance(a: &str, b: &str) -> f64 {
    match (tree_as_json(a), tree_as_json(b)) {
        (Some(a), Some(b)) => 1.0 - matcher::ratio(a.as_bytes(), b.as_bytes()),
        _ => 0.0,
    }
}

/// `None` where the original raises an exception.
fn tree_as_json(text: &str) -> Option<String> {
    let source = syntax::normalise(text);
    let parsed = syntax::parse_module(&source).ok()?;
    match docstrings::formatted(&source, &parsed.syntax().body) {
        None => statements::module(&source, &parsed.syntax().body)?.text(),
        Some(source) => {
            let parsed = syntax::parse_module(&source).ok()?;
            statements::module(&source, &parsed.syntax().body)?.text()
        }
    }
}
