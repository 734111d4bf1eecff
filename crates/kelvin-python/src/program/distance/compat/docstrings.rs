//! The white space of docstrings as black 25.1.0 leaves it, which is the one thing in a program's tree that
//! formatting regularly changes: stripped, indented like the block, the closing quotes on a line of their own where
//! they would not fit.
//!
//! To black a docstring is any string that is a statement of its own and stands on the first line of a block: also
//! in the body of an `if`.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, MatchCase, Stmt};
use ruff_text_size::{Ranged, TextRange};

use super::requote::Literal;

/// black's line length.
const MAX_LINE_CHARS: usize = 88;

/// The source with its docstrings as black writes them; `None` where nothing changes.
pub(super) fn formatted(source: &str, body: &[Stmt]) -> Option<String> {
    let mut docstrings = Docstrings { source, depth: 0, is_plain_def: false, edits: Vec::new() };
    docstrings.visit_body(body);
    let mut edits = docstrings.edits;
    edits.sort_by_key(|(range, _)| range.start());
    let mut out = String::with_capacity(source.len());
    let mut end = 0;
    for (range, text) in &edits {
        out.push_str(&source[end..range.start().to_usize()]);
        out.push_str(text);
        end = range.end().to_usize();
    }
    out.push_str(&source[end..]);
    (!edits.is_empty()).then_some(out)
}

struct Docstrings<'a> {
    source: &'a str,
    /// How many blocks stand around the one that is visited next.
    depth: usize,
    /// Whether the next block belongs to a `def` without a return annotation.
    is_plain_def: bool,
    edits: Vec<(TextRange, String)>,
}

impl<'a> Docstrings<'a> {
    /// black formats twice. The second time every statement has its own line, so that only the first one of a
    /// block is looked at; the first time, blocks on the line of their `if` or `class` are not looked into.
    fn first_line(&mut self, body: &[Stmt], is_plain_def: bool) {
        let Some(first) = body.first() else { return };
        let is_looked_into = is_plain_def || !self.is_on_the_line_of_its_block(first);
        let mut end = first.end();
        for (idx, stmt) in body.iter().enumerate() {
            if idx > 0 && !self.is_semicolon(TextRange::new(end, stmt.start())) {
                return;
            }
            end = stmt.end();
            let n_passes = usize::from(is_looked_into) + usize::from(idx == 0);
            self.docstring(stmt, n_passes);
        }
    }

    fn is_on_the_line_of_its_block(&self, first: &Stmt) -> bool {
        let before = &self.source[..first.start().to_usize()];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        !before[line_start..].trim().is_empty()
    }

    fn is_semicolon(&self, between: TextRange) -> bool {
        self.source[between].replace("\\\n", "").trim_matches([' ', '\t', '\u{c}']) == ";"
    }

    /// Two literals side by side, and one in parentheses, are no docstring to black.
    fn docstring(&mut self, stmt: &Stmt, n_passes: usize) {
        let Stmt::Expr(statement) = stmt else { return };
        let Expr::StringLiteral(string) = statement.value.as_ref() else { return };
        let is_bare = string.value.as_slice().len() == 1 && statement.range() == string.range();
        if !is_bare {
            return;
        }
        let before = &self.source[string.range()];
        let depth = self.depth;
        let after = (0..n_passes).fold(before.to_owned(), |text, _| docstring(&text, depth));
        if after != before {
            self.edits.push((string.range(), after));
        }
    }
}

impl<'a> Visitor<'a> for Docstrings<'a> {
    fn visit_body(&mut self, body: &'a [Stmt]) {
        let is_plain_def = std::mem::take(&mut self.is_plain_def);
        self.first_line(body, is_plain_def);
        self.depth += 1;
        visitor::walk_body(self, body);
        self.depth -= 1;
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.is_plain_def = stmt.as_function_def_stmt().is_some_and(|def| def.returns.is_none());
        visitor::walk_stmt(self, stmt);
    }

    fn visit_match_case(&mut self, case: &'a MatchCase) {
        self.depth += 1;
        visitor::walk_match_case(self, case);
        self.depth -= 1;
    }

    // No block stands in an expression.
    fn visit_expr(&mut self, _: &'a Expr) {}
}

/// A docstring's literal in a block with `depth` blocks around it.
fn docstring(text: &str, depth: usize) -> String {
    let Some(read) = Literal::read(text) else { return text.to_owned() };
    if continues_a_line(text) || read.body.is_empty() {
        return text.to_owned();
    }
    let ends_with_newline = read.body.ends_with('\n');
    let mut literal = read.requoted();
    let indent = " ".repeat(4 * depth);
    let is_triple = literal.quote.len() == 3;
    let mut body = if is_triple && literal.body.contains('\n') {
        reindented(&literal.body, &indent)
    } else {
        literal.body.trim_matches(is_space).to_owned()
    };
    let quote = &literal.quote[..1];
    if body.starts_with(quote) {
        body.insert(0, ' ');
    }
    if body.ends_with(quote) {
        body.push(' ');
    }
    let n_backslashes = body.len() - body.trim_end_matches('\\').len();
    let has_padded_backslash = n_backslashes % 2 == 1;
    if has_padded_backslash || body.is_empty() {
        body.push(' ');
    }
    let lines = split_lines(&body);
    let last_line_chars = lines.last().map_or(0, |line| line.chars().count());
    let closes_on_its_own_line = is_triple
        && lines.len() > 1
        && last_line_chars + 3 > MAX_LINE_CHARS
        && indent.len() + 3 <= MAX_LINE_CHARS
        && !has_padded_backslash;
    if closes_on_its_own_line && !ends_with_newline {
        body.push('\n');
        body.push_str(&indent);
    }
    literal.body = body;
    literal.text()
}

/// Whether a backslash stands at the end of a line, white space aside: black leaves such a docstring alone.
fn continues_a_line(text: &str) -> bool {
    let mut after_backslashes = text.split('\\').skip(1);
    after_backslashes
        .any(|after| after[..after.len() - after.trim_start_matches(is_space).len()].contains('\n'))
}

/// The lines from the second on keep their indentation relative to each other.
fn reindented(body: &str, indent: &str) -> String {
    let mut lines: Vec<String> = split_lines(body).into_iter().map(with_leading_tabs_expanded).collect();
    if body.ends_with('\n') {
        lines.push(String::new());
    }
    let leading = |line: &String| line.chars().take_while(|c| is_space(*c)).count();
    let is_blank = |line: &&String| line.chars().all(is_space);
    let n_common = lines[1..].iter().filter(|line| !is_blank(line)).map(leading).min();
    let mut out = lines[0].trim_matches(is_space).to_owned();
    let Some(n_common) = n_common else { return out };
    for (idx, line) in lines.iter().enumerate().skip(1) {
        let line: String = line.chars().skip(n_common).collect();
        let line = line.trim_end_matches(is_space);
        out.push('\n');
        if !line.is_empty() || idx == lines.len() - 1 {
            out.push_str(indent);
            out.push_str(line);
        }
    }
    out
}

/// Tab stops are eight characters apart. A blank line keeps its tabs.
fn with_leading_tabs_expanded(line: &str) -> String {
    let text = line.trim_start_matches(is_space);
    if text.is_empty() {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut n_columns = 0;
    for c in line[..line.len() - text.len()].chars() {
        let n_to_stop = 8 - n_columns % 8;
        if c == '\t' {
            out.extend(std::iter::repeat_n(' ', n_to_stop));
            n_columns += n_to_stop;
        } else {
            out.push(c);
            n_columns += 1;
        }
    }
    out + text
}

/// Python's `str.splitlines`: a line break at the end begins no line.
fn split_lines(text: &str) -> Vec<&str> {
    let is_break = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines: Vec<&str> = text.split(is_break).collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// Python's `str.isspace`.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
