//! What a proposed program can be stripped of (azr.md section 1.2, step 9). Edits are ranges of the source: whatever is
//! not removed keeps every byte, unlike in a round trip through a printer of syntax trees.

use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ModModule, Stmt};
use ruff_python_parser::Parsed;
use ruff_text_size::Ranged;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::scopes::{MentionRole, Scopes};
use crate::syntax;

/// What is removed; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Strip {
    /// Comments and docstrings. A line that held nothing else goes as a whole.
    pub remove_comments: bool,
    /// All of the top level but imports, functions and classes: globals and what follows the entry. What refers to a
    /// removed global is left as it is, and fails when it runs.
    pub remove_after_return: bool,
    /// Statements that are one call of the builtin `print`, with whatever their arguments would have done.
    pub remove_print: bool,
}

/// The program, trimmed, without what `strip` removes. A body that would be empty becomes `pass`.
///
/// # Errors
/// [`Refusal::ParseError`] where it does not parse; without anything to remove it is not read.
pub fn strip(source: &str, strip: Strip) -> Result<String, Refusal> {
    let Strip { remove_comments, remove_after_return, remove_print } = strip;
    let edits: [(bool, Removal); 4] = [
        (remove_comments, comments),
        (remove_comments, docstrings),
        (remove_after_return, globals),
        (remove_print, prints),
    ];
    let mut text = source.to_owned();
    for (_, edit) in edits.iter().filter(|(is_wanted, _)| *is_wanted) {
        let normal = syntax::normalise(&text);
        let parsed = syntax::parse_module(&normal).map_err(Refusal::ParseError)?;
        text = edited(&normal, edit(&normal, &parsed));
    }
    Ok(text)
}

/// The edits of a source that one removal takes.
type Removal = fn(&str, &Parsed<ModModule>) -> Vec<Edit>;

/// Bytes from `start` to `end` that give way to `text`.
struct Edit {
    start: usize,
    end: usize,
    text: &'static str,
}

impl Edit {
    fn removal(start: usize, end: usize) -> Edit {
        Edit { start, end, text: "" }
    }
}

fn edited(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut text = String::with_capacity(source.len());
    let mut copied = 0;
    for Edit { start, end, text: new } in edits {
        assert!(copied <= start, "edits do not overlap");
        text.push_str(&source[copied..start]);
        text.push_str(new);
        copied = end;
    }
    text.push_str(&source[copied..]);
    text
}

fn comments(source: &str, parsed: &Parsed<ModModule>) -> Vec<Edit> {
    let lines = Lines::of(source, parsed);
    let edit = |&Comment { start, end }: &Comment| match lines.begin(start) {
        Some(line) => Edit::removal(line, past_line_end(source, end)),
        None => Edit::removal(source[..start].trim_end_matches(is_blank).len(), end),
    };
    lines.comments.iter().map(edit).collect()
}

fn docstrings(source: &str, parsed: &Parsed<ModModule>) -> Vec<Edit> {
    let suites = Suites::of(parsed);
    let is_docstring = |stmt: &Stmt, suite: &Suite<'_>| {
        suite.has_docstring
            && suite.body.first().is_some_and(|first| first.range() == stmt.range())
            && matches!(stmt, Stmt::Expr(expr) if expr.value.is_string_literal_expr())
    };
    suites.without(&Lines::of(source, parsed), is_docstring)
}

fn globals(source: &str, parsed: &Parsed<ModModule>) -> Vec<Edit> {
    let suites = Suites::of(parsed);
    suites.without(&Lines::of(source, parsed), |stmt, suite| {
        suite.is_module
            && !matches!(
                stmt,
                Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::FunctionDef(_) | Stmt::ClassDef(_)
            )
    })
}

fn prints(source: &str, parsed: &Parsed<ModModule>) -> Vec<Edit> {
    let scopes = Scopes::of(&parsed.syntax().body);
    let is_own = |role| matches!(role, MentionRole::Bind | MentionRole::Import);
    if scopes.mentions.iter().any(|mention| mention.name == "print" && is_own(mention.role)) {
        // A program with a `print` of its own means that one.
        return Vec::new();
    }
    Suites::of(parsed).without(&Lines::of(source, parsed), |stmt, _| {
        let Stmt::Expr(expr) = stmt else { return false };
        let Expr::Call(call) = expr.value.as_ref() else { return false };
        matches!(call.func.as_ref(), Expr::Name(name) if name.id == "print")
    })
}

/// Every suite of statements of a module, the module's own first.
struct Suites<'a>(Vec<Suite<'a>>);

struct Suite<'a> {
    body: &'a [Stmt],
    is_module: bool,
    /// A string that stands first in it is no statement but documentation.
    has_docstring: bool,
}

impl<'a> Suites<'a> {
    fn of(parsed: &'a Parsed<ModModule>) -> Suites<'a> {
        let body = &parsed.syntax().body;
        let mut suites = Suites(vec![Suite { body, is_module: true, has_docstring: true }]);
        body.iter().for_each(|stmt| suites.visit_stmt(stmt));
        suites
    }

    /// The edits that take every statement away that `is_gone`.
    fn without(&self, lines: &Lines<'_>, is_gone: impl Fn(&Stmt, &Suite<'_>) -> bool) -> Vec<Edit> {
        let mut edits = Vec::new();
        for suite in &self.0 {
            let mut gone: Vec<bool> = suite.body.iter().map(|stmt| is_gone(stmt, suite)).collect();
            if !suite.is_module && gone.iter().all(|&it| it) {
                edits.push(passed(&suite.body[0]));
                gone[0] = false;
            }
            let mut from = 0;
            for line in suite.body.chunk_by(|left, right| share_a_line(lines.source, left, right)) {
                edits.extend(of_line(lines, line, &gone[from..from + line.len()]));
                from += line.len();
            }
        }
        edits
    }
}

impl<'a> Visitor<'a> for Suites<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let n_before = self.0.len();
        visitor::walk_stmt(self, stmt);
        if matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
            // The definition's own suite comes before those inside it.
            self.0[n_before].has_docstring = true;
        }
    }

    fn visit_body(&mut self, body: &'a [Stmt]) {
        if !body.is_empty() {
            self.0.push(Suite { body, is_module: false, has_docstring: false });
        }
        visitor::walk_body(self, body);
    }
}

fn passed(stmt: &Stmt) -> Edit {
    Edit { start: stmt.start().to_usize(), end: stmt.end().to_usize(), text: "pass" }
}

/// Whether two neighbours of a suite are parted by a semicolon only.
fn share_a_line(source: &str, left: &Stmt, right: &Stmt) -> bool {
    let between = &source[left.end().to_usize()..right.start().to_usize()];
    !between.replace("\\\n", "").contains('\n')
}

/// The edits that take those of the statements of one line away that are `gone`.
fn of_line(lines: &Lines<'_>, line: &[Stmt], gone: &[bool]) -> Vec<Edit> {
    let kept = || (0..line.len()).filter(|&it| !gone[it]);
    if kept().next().is_none() {
        return vec![whole_line(lines, line)];
    }
    let mut edits = Vec::new();
    let mut at = 0;
    for kept in kept() {
        if at < kept {
            edits.push(Edit::removal(line[at].start().to_usize(), line[kept].start().to_usize()));
        }
        at = kept + 1;
    }
    if at < line.len() {
        edits.push(Edit::removal(line[at - 1].end().to_usize(), line[line.len() - 1].end().to_usize()));
    }
    edits
}

/// A line without its statements; a comment after them stays.
fn whole_line(lines: &Lines<'_>, line: &[Stmt]) -> Edit {
    let source = lines.source;
    let (start, end) = (line[0].start().to_usize(), line[line.len() - 1].end().to_usize());
    let mut rest = source[end..].trim_start_matches(|it| is_blank(it) || it == ';');
    // A joined line that holds no statement ends this one too.
    while let Some(joined) = rest.strip_prefix("\\\n") {
        rest = joined.trim_start_matches(is_blank);
    }
    let end = source.len() - rest.len();
    match (lines.begin(start), rest.chars().next()) {
        (Some(start), None | Some('\n')) => Edit::removal(start, past_line_end(source, end)),
        (Some(_), Some('#')) => Edit::removal(start, end),
        // A backslash joins the line to another.
        (None, _) | (Some(_), Some(_)) => {
            Edit { start, end: line[line.len() - 1].end().to_usize(), text: "pass" }
        }
    }
}

/// A source and its comments, in order.
struct Lines<'a> {
    source: &'a str,
    comments: Vec<Comment>,
}

/// Where a comment stands, in bytes.
struct Comment {
    start: usize,
    end: usize,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str, parsed: &Parsed<ModModule>) -> Lines<'a> {
        let comments = parsed.tokens().iter().filter(|token| token.kind() == TokenKind::Comment);
        let place = |it: &Token| Comment { start: it.start().to_usize(), end: it.end().to_usize() };
        Lines { source, comments: comments.map(place).collect() }
    }

    /// Where the line of `at` begins, if nothing stands before `at` and no backslash joins the line to the one before.
    fn begin(&self, at: usize) -> Option<usize> {
        let before = self.source[..at].trim_end_matches(is_blank);
        let is_joined = before.ends_with("\\\n") && !self.ends_a_comment(before.len() - 1);
        (before.is_empty() || before.ends_with('\n') && !is_joined).then_some(before.len())
    }

    fn ends_a_comment(&self, at: usize) -> bool {
        self.comments.binary_search_by_key(&at, |comment| comment.end).is_ok()
    }
}

/// The byte after the line break at `at`, or the end.
fn past_line_end(source: &str, at: usize) -> usize {
    at + usize::from(source[at..].starts_with('\n'))
}

fn is_blank(it: char) -> bool {
    matches!(it, ' ' | '\t' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Strip = Strip { remove_comments: false, remove_after_return: false, remove_print: false };

    fn check(what: Strip, cases: &[(&str, &str)]) {
        for (source, expected) in cases {
            let stripped = strip(source, what).unwrap();
            assert_eq!(stripped, *expected, "{source}");
            if !stripped.is_empty() {
                syntax::parse_module(&stripped).unwrap_or_else(|error| panic!("{source}: {error}"));
            }
        }
    }

    #[test]
    fn comments_and_docstrings_go_and_nothing_else_moves() {
        let what = Strip { remove_comments: true, ..NOTHING };
        check(
            what,
            &[
                ("# head\nx  =  1 # one\n\n\n# tail", "x  =  1"),
                ("def f(a):\n    \"\"\"Doc\n\n    of f.\"\"\"\n    return  a", "def f(a):\n    return  a"),
                ("def f(a):\n    'doc'  # c\n    return a", "def f(a):\n    return a"),
                ("def f(a): 'doc'; return a", "def f(a): return a"),
                ("def f(a): 'doc'", "def f(a): pass"),
                ("class C:\n    ('doc')\n    # only", "class C:\n    pass"),
                ("'module'\n'not a docstring'\nx = 1", "'not a docstring'\nx = 1"),
                ("x = [  # open\n    1,\n    # two\n    2,\n]  # close\n", "x = [\n    1,\n    2,\n]"),
                ("x = 1 \\\n# c\ny = 2", "x = 1 \\\n\ny = 2"),
                ("# c \\\n# d\ny = 2", "y = 2"),
                ("s = '# no comment'\nt = f'#{s}'", "s = '# no comment'\nt = f'#{s}'"),
                ("if a:\n    'no docstring'", "if a:\n    'no docstring'"),
                ("def f():\n\tf'{1}'\n\treturn 1", "def f():\n\tf'{1}'\n\treturn 1"),
                ("def f():\n    b'x'", "def f():\n    b'x'"),
                ("async def f(): 'a' 'b'", "async def f(): pass"),
            ],
        );
    }

    #[test]
    fn of_the_top_level_imports_functions_and_classes_stay() {
        let what = Strip { remove_after_return: true, ..NOTHING };
        check(
            what,
            &[
                (
                    "import math; K = 3; import re\nT = {\n 1: 2,\n}\n@g\ndef f(a):\n    k = 1\n    return a\nf(1)",
                    "import math; import re\n@g\ndef f(a):\n    k = 1\n    return a\n",
                ),
                ("x = 1; y = 2;\nclass C: pass\nprint(C); x", "class C: pass\n"),
                ("K = 3  # kept\ndef f(): pass", "# kept\ndef f(): pass"),
                ("if x:\n    import re\nelse:\n    y = 1  # c\ndef f(): pass", "# c\ndef f(): pass"),
                ("from a import b; x = b; y = 1;", "from a import b;"),
                ("x = 1; \\\ny = 2\nimport re", "import re"),
                ("'doc'\nfrom __future__ import annotations", "from __future__ import annotations"),
                ("# c \\\nx = 1\nimport a", "# c \\\nimport a"),
                ("x = 1", ""),
            ],
        );
    }

    #[test]
    fn statements_that_print_go() {
        let what = Strip { remove_print: true, ..NOTHING };
        check(
            what,
            &[
                ("def f(a):\n    print(a)\n    return a", "def f(a):\n    return a"),
                ("def f(a):\n    print(\n        a,\n    ); return a", "def f(a):\n    return a"),
                ("def f(a):\n    b = a; print(a); print(b); return b", "def f(a):\n    b = a; return b"),
                (
                    "def f(a):\n    b = a; print(a); print(b);\n    return b",
                    "def f(a):\n    b = a;\n    return b",
                ),
                ("for x in y: print(x)", "for x in y: pass"),
                (
                    "for x in y:\n    print(x)\n    print(x)  # twice\nelse:\n    print()",
                    "for x in y:\n    pass\n    # twice\nelse:\n    pass",
                ),
                (
                    "try:\n    print(1)\nexcept E:\n    print(2)\nfinally:\n    x = 1",
                    "try:\n    pass\nexcept E:\n    pass\nfinally:\n    x = 1",
                ),
                (
                    "match x:\n    case 1: print(1)\n    case _:\n        print(2)",
                    "match x:\n    case 1: pass\n    case _:\n        pass",
                ),
                (
                    "x = print(1)\ny = [print(z) for z in x]\nlog.print(1)",
                    "x = print(1)\ny = [print(z) for z in x]\nlog.print(1)",
                ),
                ("def print(x): return x\nprint(1)", "def print(x): return x\nprint(1)"),
                ("if x: \\\n    print(1)\ny = 1", "if x: \\\n    pass\ny = 1"),
                ("\\\nprint(1)\ny = 1", "\\\npass\ny = 1"),
                ("y = 1\nprint(1) \\\n# c\ny = 2", "y = 1\n# c\ny = 2"),
            ],
        );
    }

    #[test]
    fn nothing_to_remove_changes_nothing_and_a_broken_program_is_refused() {
        assert_eq!(strip(" x = (", NOTHING).unwrap(), " x = (");
        let all = Strip { remove_comments: true, remove_after_return: true, remove_print: true };
        assert!(matches!(strip("x = (", all), Err(Refusal::ParseError(_))));
        assert_eq!(strip("# c\n\n", all).unwrap(), "");
    }
}
