//! Lines of code and lines with comments.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::Mode;
use ruff_text_size::Ranged;

use crate::syntax;

/// Counts over one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Lines on which code begins; a statement or string over several lines counts by where its parts begin.
    pub n_code: usize,
    /// Lines with a comment, alone or after code.
    pub n_comments: usize,
    /// Comments that number a step: `# Step 2: ...`, `# 2. ...`, `# (2) ...`.
    pub n_steps: usize,
}

impl Lines {
    /// Lines with a comment for each line of code; 0 without code.
    pub fn comment_density(&self) -> f64 {
        if self.n_code == 0 { 0.0 } else { self.n_comments as f64 / self.n_code as f64 }
    }
}

/// Counts the lines of a program; of a text that is no Python, those of what tokens it has. A text past the limits of
/// this crate has none.
pub fn lines(source: &str) -> Lines {
    let source = syntax::normalise(source);
    let (mut lines, mut line, mut counted_to, mut last_code) = (Lines::default(), 0usize, 0, None);
    if syntax::MAX_SOURCE_BYTES < source.len() || syntax::scan(&source, Mode::Module).is_err() {
        return lines;
    }
    for token in syntax::parse_module_leniently(&source).tokens() {
        let start = token.start().to_usize();
        match token.kind() {
            TokenKind::Newline | TokenKind::NonLogicalNewline | TokenKind::Indent | TokenKind::Dedent => {}
            TokenKind::EndOfFile => {}
            kind => {
                line += source[counted_to..start].matches('\n').count();
                counted_to = start;
                if kind == TokenKind::Comment {
                    lines.n_comments += 1;
                    lines.n_steps += usize::from(numbers_a_step(&source[token.range()]));
                } else if last_code != Some(line) {
                    lines.n_code += 1;
                    last_code = Some(line);
                }
            }
        }
    }
    lines
}

fn numbers_a_step(comment: &str) -> bool {
    let text = comment.trim_start_matches('#').trim_start();
    let is_step = text.get(..4).is_some_and(|it| it.eq_ignore_ascii_case("step"));
    let rest = if is_step { text[4..].trim_start() } else { text.trim_start_matches('(') };
    let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest[n_digits..].chars().next();
    // A number alone may be a value: `# 12` or `# 3 items`.
    0 < n_digits
        && n_digits <= 2
        && (is_step || matches!(after, Some('.' | ')' | ':')) && !is_decimal(&rest[n_digits..]))
}

fn is_decimal(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|it| it.starts_with(|next: char| next.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_by_hand() {
        let source = "# a note\ndef f(x):  # Step 1: begin\n    '''not a\n    # comment'''\n\n    y = [\n        x,  # 2. item\n    ]\n    s = '# none'\n    return y # 3.5 of them\n";
        // def, the string's first line, y, x, the bracket, s, return.
        assert_eq!(lines(source), Lines { n_code: 7, n_comments: 4, n_steps: 2 });
        assert!((lines(source).comment_density() - 4.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn steps_have_numbers() {
        for comment in ["# Step 1", "#step 12: go", "## 3) sort", "# (4) sum", "# 5: done"] {
            assert_eq!(lines(comment).n_steps, 1, "{comment}");
        }
        for comment in
            ["# 12", "# stepwise", "# 3 items", "# 1.5 times", "# first, sort", "# 2024: a year", "#"]
        {
            assert_eq!((lines(comment).n_comments, lines(comment).n_steps), (1, 0), "{comment}");
        }
    }

    #[test]
    fn any_text_has_lines() {
        for text in ["", "   ", "def f(:\n  ?? # x", "'''open", "if True:\n\t x\n  y # z", "é # ü", "\u{0}#"]
        {
            lines(text);
        }
        assert_eq!(lines(""), Lines::default());
    }
}
