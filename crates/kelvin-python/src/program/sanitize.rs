//! What of a completion is the program that a benchmark asks for (docs/grading.md, EvalPlus): the longest run
//! of lines that parses, and of it what the entry function needs.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, ModModule, Stmt};
use ruff_python_parser::Parsed;
use ruff_text_size::{Ranged, TextRange};

use crate::syntax;

/// The most lines of which runs are tried; what follows them is not read.
const LINES_MAX: usize = 1000;
/// The most bytes that all tries together may parse. With prose around it, a program of fifty lines takes a few hundred
/// tries of some kilobytes.
const PARSED_BYTES_MAX: usize = 1 << 22;

/// The completion's program: imports, then the definitions that `entry` needs, in their order. A name counts where it is
/// defined first, but a function that gives nothing back gives way to one that does. Where that leaves nothing, the longest run of lines that
/// parses; where none of two lines does, the first line.
pub fn sanitize(completion: &str, entry: &str) -> String {
    let text = without_escapes(completion);
    let run = longest_run(&text);
    let Ok(parsed) = syntax::parse_module(&run) else { return run };
    let needed = needed(&run, &parsed, entry);
    if needed.trim().is_empty() { run } else { needed }
}

/// The text without the sequences that colour a terminal, and with one kind of line ending.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = match after.strip_prefix('[') {
            Some(sequence) => {
                let end =
                    sequence.find(|it: char| ('@'..='~').contains(&it)).map_or(sequence.len(), |at| at + 1);
                &sequence[end..]
            }
            None => after,
        };
    }
    plain.push_str(rest);
    plain.replace("\r\n", "\n").replace('\r', "\n")
}

/// Of all runs of two lines or more that parse, the one with the most lines that are not blank, the first of several.
/// The longest are tried first.
fn longest_run(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').take(LINES_MAX).collect();
    let mut n_full = vec![0];
    for line in &lines {
        n_full.push(n_full[n_full.len() - 1] + usize::from(!line.trim().is_empty()));
    }
    let mut n_bytes = 0;
    for wanted in (1..=n_full[lines.len()]).rev() {
        for start in (0..lines.len()).filter(|it| !lines[*it].starts_with([' ', '\t'])) {
            // Runs from here with so many full lines end next to one another.
            let first_end = n_full.partition_point(|it| *it < n_full[start] + wanted).max(start + 2);
            for end in first_end..=lines.len() {
                if n_full[end] != n_full[start] + wanted {
                    break;
                }
                let run = lines[start..end].join("\n");
                n_bytes += run.len();
                if PARSED_BYTES_MAX < n_bytes {
                    return lines[0].to_owned();
                }
                if syntax::parse_module(&run).is_ok() {
                    return run;
                }
            }
        }
    }
    lines[0].to_owned()
}

/// A name's definition.
struct Definition<'source> {
    name: &'source str,
    range: TextRange,
    /// Whether it is worth something to a caller: not a function that neither returns nor yields.
    gives: bool,
}

/// The imports of a program, and the definitions that can be reached from `entry` by the names that they mention.
fn needed(source: &str, parsed: &Parsed<ModModule>, entry: &str) -> String {
    let mentions = |kind: TokenKind, range: TextRange| {
        let tokens =
            parsed.tokens().iter().filter(move |it| it.kind() == kind && range.contains_range(it.range()));
        tokens.map(|it| &source[it.range()]).collect::<BTreeSet<&str>>()
    };
    let (mut imports, mut definitions): (Vec<&str>, Vec<Definition>) = (Vec::new(), Vec::new());
    for stmt in &parsed.syntax().body {
        let mut gives = true;
        let name = match stmt {
            Stmt::Import(_) | Stmt::ImportFrom(_) => {
                imports.push(&source[stmt.range()]);
                continue;
            }
            Stmt::ClassDef(class) => Some(class.name.as_str()),
            Stmt::FunctionDef(function) => {
                gives = [TokenKind::Return, TokenKind::Yield]
                    .into_iter()
                    .any(|it| !mentions(it, stmt.range()).is_empty());
                Some(function.name.as_str())
            }
            Stmt::Assign(assign) => assign.targets.first().and_then(plain_name),
            Stmt::AnnAssign(assign) if assign.value.is_some() => plain_name(&assign.target),
            _ => None,
        };
        let Some(name) = name else { continue };
        let definition = Definition { name, range: stmt.range(), gives };
        match definitions.iter_mut().find(|it| it.name == name) {
            Some(earlier) if gives && !earlier.gives => *earlier = definition,
            Some(_) => {}
            None => definitions.push(definition),
        }
    }
    let mentioned: BTreeMap<&str, BTreeSet<&str>> =
        definitions.iter().map(|it| (it.name, mentions(TokenKind::Name, it.range))).collect();
    let (mut reached, mut next) = (BTreeSet::from([entry]), vec![entry]);
    while let Some(name) = next.pop() {
        for other in mentioned.get(name).into_iter().flatten() {
            if reached.insert(other) {
                next.push(other);
            }
        }
    }
    let kept = definitions.iter().filter(|it| reached.contains(it.name)).map(|it| &source[it.range]);
    imports.into_iter().chain(kept).collect::<Vec<_>>().join("\n")
}

fn plain_name(target: &Expr) -> Option<&str> {
    match target {
        Expr::Name(name) => Some(name.id.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_and_what_is_not_needed_go() {
        let completion = "Sure, here it is:\n```python\nimport math\nfrom os import path\nLIMIT = 3\nUNUSED = 4\n\n\
                          def half(x):\n    return x / 2\n\ndef show(x):\n    print(x)\n\n\
                          class Box:\n    size = LIMIT\n\n@cache\ndef f(x):\n    return half(x) + Box.size\n\n\
                          def f(x):\n    return 0\n\nprint(f(1))\n```\nIt halves.";
        let expected = "import math\nfrom os import path\nLIMIT = 3\ndef half(x):\n    return x / 2\n\
                        class Box:\n    size = LIMIT\n@cache\ndef f(x):\n    return half(x) + Box.size";
        assert_eq!(sanitize(completion, "f"), expected);
        assert_eq!(sanitize(&sanitize(completion, "f"), "f"), expected);
    }

    #[test]
    fn without_the_entry_the_run_stays() {
        assert_eq!(sanitize("a = 1\nb = 2\n", "f"), "a = 1\nb = 2");
        assert_eq!(sanitize("what is\nno program", "f"), "what is");
        assert_eq!(sanitize("", "f"), "");
        // Imports alone are something.
        assert_eq!(sanitize("import math\nx = 1", "f"), "import math");
    }

    #[test]
    fn helpers_that_yield_or_change_their_argument_stay() {
        let program = "def pairs(x):\n    yield x\ndef swap(x):\n    x.reverse()\n\
                       def f(x):\n    swap(x)\n    return list(pairs(x))";
        assert_eq!(sanitize(program, "f"), program);
        let begun = "def f(x):\n    pass\ndef f(x):\n    return x";
        assert_eq!(sanitize(begun, "f"), "def f(x):\n    return x");
    }

    #[test]
    fn of_equal_runs_the_first_wins() {
        let text = "def f(x):\n    return 1\n)\ndef f(x):\n    return 2";
        assert_eq!(sanitize(text, "f"), "def f(x):\n    return 1");
        let longer = "def f(x):\n    return 1\n)\ndef f(x):\n    y = 2\n    return y";
        assert_eq!(sanitize(longer, "f"), "def f(x):\n    y = 2\n    return y");
    }

    #[test]
    fn terminal_colours_are_no_program() {
        assert_eq!(
            sanitize("\u{1b}[31mdef f():\u{1b}[0m\r\n    return 1\u{1b}", "f"),
            "def f():\n    return 1"
        );
    }

    #[test]
    fn hostile_completions_end() {
        for text in ["(\n".repeat(120), "x = \n".repeat(60), " `\n".repeat(1001), "\n".repeat(100_000)] {
            let first = text.lines().next().unwrap();
            assert_eq!(sanitize(&text, "f"), first);
        }
        // A run past the limits of the parser is none.
        sanitize(&format!("def f():\n  return {}1{}\n", "(".repeat(400), ")".repeat(400)), "f");
    }
}
