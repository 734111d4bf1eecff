//! Python's words, texts, numbers and remarks in their colours. Text of a model is shown as it is but for characters
//! that a terminal would obey.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::draw::Palette;

const WORDS: [&str; 33] = [
    "False", "None", "True", "and", "as", "assert", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "if", "import", "in", "is", "lambda", "not", "or", "pass",
    "raise", "return", "try", "while", "with", "yield", "global", "nonlocal",
];

/// The lines of a program, or of a text that may hold some.
pub(super) fn python(text: &str, palette: Palette) -> Vec<Line<'static>> {
    text.lines().map(|it| line(&tame(it), palette)).collect()
}

/// Plain lines.
pub(super) fn plain(text: &str, style: Style) -> Vec<Line<'static>> {
    text.lines().map(|it| Line::styled(tame(it), style)).collect()
}

/// Without control characters: a response could hold the sequences that move a cursor or set a title.
pub(super) fn tame(text: &str) -> String {
    text.replace('\t', "    ").chars().map(|it| if it.is_control() { '·' } else { it }).collect()
}

fn line(text: &str, palette: Palette) -> Line<'static> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (end, style) = match first {
            '#' => (rest.len(), palette.remark()),
            '\'' | '"' => (end_of_text(rest, first), palette.text()),
            _ if first.is_ascii_digit() => {
                (end_while(rest, |it| it.is_ascii_alphanumeric() || "._".contains(it)), palette.number())
            }
            _ if is_word(first) => {
                let end = end_while(rest, |it| is_word(it) || it.is_ascii_digit());
                (end, if WORDS.contains(&&rest[..end]) { palette.word() } else { Style::new() })
            }
            _ => (
                end_while(rest, |it| !"#'\"".contains(it) && !is_word(it) && !it.is_ascii_digit()),
                Style::new(),
            ),
        };
        let (token, after) = rest.split_at(end);
        spans.push(Span::styled(token.to_owned(), style));
        rest = after;
    }
    Line::from(spans)
}

fn is_word(it: char) -> bool {
    it == '_' || it.is_alphabetic()
}

fn end_while(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|it| !belongs(it)).unwrap_or(text.len())
}

/// Behind the quote that closes, or the end of the line.
fn end_of_text(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, it) in text.char_indices().skip(1) {
        if it == quote && !is_escaped {
            return at + it.len_utf8();
        }
        is_escaped = it == '\\' && !is_escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(String, Style)> {
        python(text, Palette::COLOURS)
            .remove(0)
            .spans
            .into_iter()
            .map(|it| (it.content.into_owned(), it.style))
            .collect()
    }

    #[test]
    fn tokens_have_their_styles_and_no_character_is_lost() {
        let palette = Palette::COLOURS;
        let text = r"if x2 == 'it\'s # no' + 10: # why";
        let found = tokens(text);
        assert_eq!(found.iter().map(|it| it.0.as_str()).collect::<String>(), text);
        for (token, style) in [
            ("if", palette.word()),
            ("x2", Style::new()),
            (r"'it\'s # no'", palette.text()),
            ("10", palette.number()),
            ("# why", palette.remark()),
        ] {
            assert!(found.contains(&(token.to_owned(), style)), "{token}: {found:?}");
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        for text in ["\x1b[2Jx", "a\rb", "\u{9b}31m", "'open\u{7}", "ä'\\", "def ünï(𝒙): 1_000.5e3"] {
            let shown: String = tokens(text).into_iter().map(|it| it.0).collect();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert_eq!(shown.chars().count(), text.chars().count());
        }
    }
}
