//! Whether a program is one.

use std::collections::BTreeSet;

use kelvin_python::syntax_error;
use serde_json::Value as Json;

use crate::interpreter::ask;
use crate::programs::PROGRAMS;
use crate::{Draw, mutants::mutant, n_texts};

const JUDGE: &str = r#"
import ast
def judge(text):
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError) as error:
        said = f'{type(error).__name__}: {error}'
        return 'either' if sys.version_info >= (3, 12) and any(map(said.count, UNSTABLE)) else said
    if any(map(is_pattern_of_f_string, nodes)):
        return 'an f-string in a pattern'
    return 'either' if any(map(depends_on_version, nodes)) else None

# Where micro versions of 3.12 and 3.13 differ: what stands in the format of an f-string.
UNSTABLE = ['ValueError: field ', "single '}' is not allowed"]

def is_pattern_of_f_string(node):
    # The parser takes them for strings; the compiler refuses them.
    keys = node.keys if isinstance(node, ast.MatchMapping) else [getattr(node, 'value', None)]
    return isinstance(node, ast.pattern) and any(isinstance(key, ast.JoinedStr) for key in keys)

def depends_on_version(node):
    if not isinstance(node, ast.FormattedValue):
        return False
    # Only before 3.12 does a generator in an f-string need no parentheses.
    if sys.version_info < (3, 12):
        return isinstance(node.value, ast.GeneratorExp)
    # Later ones, of 3.12 and 3.13, differ about a line break in a format.
    return node.format_spec is not None and node.lineno != node.end_lineno
"#;

/// What one micro version reads and another does not.
const EITHER: &str = "either";

const SEED: u64 = 22;

#[test]
fn a_mutated_program_is_one_where_cpython_says_so() {
    let n_mutants = n_texts(500, 100_000);
    let mut draw = Draw(SEED);
    let mut texts: BTreeSet<String> = PROGRAMS.iter().map(|program| program.trim().to_owned()).collect();
    while texts.len() < PROGRAMS.len() + n_mutants {
        texts.insert(mutant(&mut draw).trim().to_owned());
    }
    let texts: Vec<String> = texts.into_iter().collect();
    let questions: Vec<Json> = texts.iter().map(|text| Json::from(text.as_str())).collect();
    let told = ask(JUDGE, &questions);
    let (mut n_refused, mut n_unstable) = (0, 0);
    let mut disagreements = Vec::new();
    for (text, theirs) in texts.iter().zip(&told.answers) {
        let ours = syntax_error(text, told.minor);
        if theirs == EITHER {
            n_unstable += 1;
            continue;
        }
        n_refused += usize::from(ours.is_some());
        if ours.is_some() == theirs.is_null() {
            disagreements.push(format!("{text:?}\n  here: {ours:?}\n  CPython: {theirs}"));
        }
    }
    let n_disagreements = disagreements.len();
    assert!(disagreements.is_empty(), "{n_disagreements}:\n{}", disagreements.join("\n"));
    eprintln!(
        "{} texts, {n_refused} refused by Python 3.{} and here, {n_unstable} without a verdict",
        texts.len(),
        told.minor
    );
    assert!(n_unstable * 100 < texts.len(), "nearly all have a verdict");
    assert!(n_refused > texts.len() / 2 && n_refused < texts.len() * 9 / 10, "both verdicts are common");
}
