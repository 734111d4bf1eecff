//! Programs with a few things changed.

use crate::Draw;
use crate::programs::PROGRAMS;

/// What is put in, or in the place of something.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "(", ")", "[", "]", "{", "}", ":", ",", ";", ".", "...", "->", "=", ":=", "==", "!=", "<>", "+=", "**=",
    "//=", "@=", "+", "-", "*", "**", "/", "//", "%", "@", "&", "|", "^", "~", "<<", ">>", "<", ">=", "!",
    "?", "$", "`", "\\", "#", "if", "elif", "else", "for", "while", "in", "not", "is", "and", "or", "def",
    "class", "lambda", "return", "yield", "from", "import", "as", "with", "try", "except", "except*",
    "finally", "raise", "assert", "del", "global", "nonlocal", "pass", "break", "continue", "async",
    "await", "match", "case", "type", "_", "None", "True", "False", "print", "exec", "__debug__", "x", "f",
    "é", "\u{1d4cd}", "变", "\u{b2}", "\u{2028}", "\u{a0}", "\u{feff}", "😀", "\u{7f}", "\u{c}", "\u{1}",
    "\u{37a}", "\u{fe62}", "0", "1", "00", "01", "0_0", "1_", "1__0", "0x", "0xg", "0o8", "0b2", "1e",
    "1e5", "1.", ".5", "1j", "1_0j", "0777", "1if", "0xfor", "1.e", "1.5e+", "0_7", "1l", "08.5", "09j",
    "1.real", "1 .real", "12_34.5_6", "'", "\"", "'''", "\"\"\"", "''", "'a'", "b'a'", "b'é'", "u'a'",
    "r'\\'", "f'", "f'{x}'", "f'{x!r:>{w}}'", "f'{'", "f'}'", "f'{{'", "f'{x=}'", "f'{x!z}'",
    "f'{lambda x: 1}'", "f'{(lambda: 1)}'", "f'{x:{y:{z}}}'", "f'{}'", "f'{*a}'", "f'{a b}'", "f'{yield}'",
    "f'{x#}'", "f'{\"a\"}'", "f'{x:=5}'", "f'{x,}'", "f'{x!r}}'", "f'{\\n}'", "f'\\{x}'",
    "f'\\N{DIGIT ONE}'", "rb''", "br''", "ub''", "bu''", "fb''", "rf'{x}'", "'\\x4'", "'\\N{x}'", "'\\u12'",
    "'\\U00110000'", "b'\\x4'", "b'\\N{x}'", "'\\400'", "'\\d'", "\n", "\n\n", "\n    ", "\n        ",
    "\n  ", "\n\t", "\t", " ", "    ", "\r\n", "\r", "\\\n", "\\ \n", "# x\n", "*a", "**k", "*,", "/,",
    "*args: *Ts", "a=1", "a: int", "a: int = 1", "x for x in y", "x := 1", "(x := 1)", "*a, b = c",
    "with (a as b, c): pass", "match x:\n    case 1: pass", "except* E:", "print 1", "lambda *, a: 1",
    "x if y else z", "case {'a': 1, **r}:", "case [*_, 1]:", "case A(b=c):", "case -1 + 2j:",
    "case a.b | None:", "case (1 as x):", "yield x", "yield from x", "await x", "async for x in y",
    "not in", "is not", "del x", "return x", "global x", "@x",
];

/// A program of [`PROGRAMS`] after one to three changes.
pub(crate) fn mutant(draw: &mut Draw) -> String {
    let mut text = draw.of(PROGRAMS).to_owned();
    let n_more = draw.below(2) * draw.below(3);
    for _ in 0..1 + n_more {
        if !text.is_empty() {
            text = changed(&text, draw);
        }
    }
    text
}

fn changed(text: &str, draw: &mut Draw) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let line_idx = draw.below(lines.len());
    let other_idx = draw.below(lines.len());
    match draw.below(10) {
        0 => {
            lines.remove(line_idx);
        }
        1 => lines.insert(line_idx, lines[other_idx].clone()),
        2 => lines.swap(line_idx, other_idx),
        3 => {
            let indent = draw.of(&["", " ", "    ", "\t", "        ", "  "]);
            lines[line_idx] = format!("{indent}{}", lines[line_idx].trim_start_matches([' ', '\t']));
        }
        4 => {
            let indent = draw.of(&[" ", "    ", "\t", "\u{c}"]);
            lines[line_idx].insert_str(0, indent);
        }
        _ => return with_tokens_changed(text, PIECES, draw),
    }
    lines.concat()
}

/// One token of a text that has some, or one character, moved, repeated, left out or replaced by a piece.
pub(crate) fn with_tokens_changed(text: &str, pieces: &[&str], draw: &mut Draw) -> String {
    let mut tokens = tokens(text);
    let token_idx = draw.below(tokens.len());
    let other_idx = draw.below(tokens.len());
    match draw.below(7) {
        0 => {
            tokens.remove(token_idx);
        }
        1 => tokens.insert(token_idx, draw.of(pieces)),
        2 => tokens[token_idx] = draw.of(pieces),
        3 => tokens.swap(token_idx, other_idx),
        4 => tokens.insert(token_idx, tokens[other_idx]),
        5 => tokens[token_idx] = tokens[other_idx],
        _ => return with_a_character_changed(text, draw),
    }
    tokens.concat()
}

fn with_a_character_changed(text: &str, draw: &mut Draw) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let idx = draw.below(characters.len());
    match draw.below(3) {
        0 => {
            characters.remove(idx);
        }
        1 => characters.insert(idx, characters[draw.below(characters.len())]),
        _ => characters.swap(idx, (idx + 1) % text.chars().count()),
    }
    characters.into_iter().collect()
}

/// Words, runs of spaces, and single characters.
fn tokens(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 1,
        ' ' => 2,
        _ => 0,
    };
    let mut starts: Vec<usize> = Vec::new();
    let mut before = 0;
    for (start, c) in text.char_indices() {
        if class(c) == 0 || class(c) != before {
            starts.push(start);
        }
        before = class(c);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &text[start..end]).collect()
}
