//! The signs of an answer, LaTeX or plain: numbers, words, commands, passages of text and operators. Spellings of one
//! sign become one, and what only spaces or decorates is dropped, so that nothing behind this file knows of layout.

use super::{
    parse::NESTING_MAX,
    spelling::{DECORATION, OPERATORS, SPACING, SYNONYMS, TEXTS, WORD_COMMANDS, greek_letter},
    thousands::grouped,
};

/// The most signs that are read (docs/grading.md).
pub(super) const TOKENS_MAX: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits with an optional fraction and exponent.
    Number,
    /// A run of letters.
    Word,
    /// A command that is no operator, without its backslash; `begin:` and a name opens an environment.
    Command,
    /// The inside of `\text{..}` and its like.
    Text,
    /// An operator, a bracket or a separator: one character. Escaped braces are `⦃` and `⦄`, a new row of a matrix
    /// is `\`.
    Sign,
}

/// One sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Whether a blank stands before it.
    pub(super) spaced: bool,
    /// Whether it is one letter in upright type, as units are set.
    pub(super) is_upright: bool,
}

impl Token {
    pub(super) fn is(&self, sign: char) -> bool {
        self.kind == Kind::Sign && self.text.starts_with(sign)
    }

    pub(super) fn is_any(&self, signs: &str) -> bool {
        self.kind == Kind::Sign && signs.contains(self.text.as_str())
    }

    pub(super) fn is_command(&self, name: &str) -> bool {
        self.kind == Kind::Command && self.text == name
    }

    pub(super) fn is_integer(&self) -> bool {
        self.kind == Kind::Number && self.text.bytes().all(|it| it.is_ascii_digit())
    }
}

/// How commas between groups of three digits are read, where both readings are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commas {
    Thousands,
    List,
}

/// The signs of a text; none where there are too many, or where its groups are too deep inside one another: what stands
/// in another type is read by itself.
pub(super) fn tokens(text: &str, commas: Commas) -> Option<Vec<Token>> {
    if !is_shallow(text) {
        return None;
    }
    let mut reader = Reader { rest: text, tokens: Vec::new(), spaced: false, glued: Vec::new() };
    while !reader.rest.is_empty() {
        reader.step();
        if TOKENS_MAX < reader.tokens.len() {
            return None;
        }
    }
    Some(grouped(reader.tokens, &reader.glued, commas))
}

/// Whether neither braces nor brackets of any kind go too deep, those of passages of text among them.
fn is_shallow(text: &str) -> bool {
    let (mut n_braces, mut n_brackets) = (0usize, 0usize);
    text.bytes().all(|byte| {
        match byte {
            b'{' => n_braces += 1,
            b'}' => n_braces = n_braces.saturating_sub(1),
            _ => {}
        }
        match byte {
            b'{' | b'(' | b'[' => n_brackets += 1,
            b'}' | b')' | b']' => n_brackets = n_brackets.saturating_sub(1),
            _ => {}
        }
        n_braces.max(n_brackets) <= NESTING_MAX
    })
}

struct Reader<'text> {
    rest: &'text str,
    tokens: Vec<Token>,
    spaced: bool,
    /// Commas that can only separate thousands: `{,}`, or with `\!` behind.
    glued: Vec<usize>,
}

impl Reader<'_> {
    fn push(&mut self, kind: Kind, text: impl Into<String>) {
        let spaced = std::mem::take(&mut self.spaced);
        self.tokens.push(Token { kind, text: text.into(), spaced, is_upright: false });
    }

    fn sign(&mut self, sign: char) {
        self.push(Kind::Sign, sign);
    }

    fn skip(&mut self, n_bytes: usize) {
        self.rest = &self.rest[n_bytes..];
    }

    fn step(&mut self) {
        if self.rest.starts_with("{,}") {
            self.skip(3);
            self.glued.push(self.tokens.len());
            return self.sign(',');
        }
        let Some(first) = self.rest.chars().next() else { return };
        match first {
            '\\' => self.command(),
            '0'..='9' => self.number(),
            '.' if self.rest[1..].starts_with(|it: char| it.is_ascii_digit()) => self.number(),
            _ if first.is_whitespace() || "$~£".contains(first) => {
                self.skip(first.len_utf8());
                self.spaced = true;
            }
            _ if first.is_alphabetic() && greek_letter(first).is_none() => self.word(),
            _ => self.symbol(first),
        }
    }

    fn number(&mut self) {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(self.rest);
        let after = &self.rest[length..];
        if let Some(fraction) = after.strip_prefix('.') {
            match digits(fraction) {
                // The digits under the bar of `0.\overline{3}` follow.
                0 if ["\\overline{", "\\bar{", "\\dot{"].iter().any(|it| fraction.starts_with(it)) => {
                    length += 1
                }
                0 => {}
                n => length += 1 + n,
            }
        }
        let after = &self.rest[length..];
        if let Some(exponent) = after.strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            match digits(unsigned) {
                0 => {}
                n => length += after.len() - unsigned.len() + n,
            }
        }
        let text = self.rest[..length].to_ascii_lowercase();
        self.push(Kind::Number, text);
        self.skip(length);
    }

    fn word(&mut self) {
        let is_letter = |it: char| it.is_alphabetic() && greek_letter(it).is_none();
        let length = self.rest.find(|it| !is_letter(it)).unwrap_or(self.rest.len());
        let word = &self.rest[..length];
        self.rest = &self.rest[length..];
        match word {
            "inf" | "infinity" | "Infinity" => self.push(Kind::Command, "infty"),
            "union" | "U" if self.is_between_brackets() => self.sign('∪'),
            _ if WORD_COMMANDS.contains(&word) => self.push(Kind::Command, word),
            _ => self.push(Kind::Word, word),
        }
    }

    /// Whether the word stands where two intervals meet.
    fn is_between_brackets(&self) -> bool {
        let opens = self.rest.trim_start().starts_with(['(', '[', '{', '\\']);
        opens && self.tokens.last().is_some_and(|it| it.is_any(")]⦄"))
    }

    fn symbol(&mut self, first: char) {
        for (spelling, sign) in
            [("**", '^'), ("<=", '≤'), (">=", '≥'), (":=", '='), ("==", '='), ("=>", '⇒'), ("->", '→')]
        {
            if self.rest.starts_with(spelling) {
                self.skip(spelling.len());
                return self.sign(sign);
            }
        }
        if self.rest.starts_with("!=") {
            let is_factorial =
                !self.spaced && self.tokens.last().is_some_and(|it| it.kind == Kind::Number || it.is(')'));
            self.skip(if is_factorial { 1 } else { 2 });
            return self.sign(if is_factorial { '!' } else { '≠' });
        }
        self.skip(first.len_utf8());
        match first {
            '\u{2212}' | '\u{2013}' | '\u{2014}' => self.sign('-'),
            '×' | '·' | '⋅' | '∙' | '∗' => self.sign('*'),
            '÷' | '∕' => self.sign('/'),
            '⩽' | '≦' => self.sign('≤'),
            '⩾' | '≧' => self.sign('≥'),
            '≃' | '≅' | '∼' => self.sign('≈'),
            '∣' => self.sign('|'),
            '′' | '’' | '‘' | '`' => self.sign('\''),
            '²' | '³' => {
                self.sign('^');
                self.push(Kind::Number, if first == '²' { "2" } else { "3" });
            }
            '√' => self.push(Kind::Command, "sqrt"),
            '∞' => self.push(Kind::Command, "infty"),
            '∅' => self.push(Kind::Command, "emptyset"),
            'ℝ' => self.push(Kind::Command, "mathbb:R"),
            'ℤ' => self.push(Kind::Command, "mathbb:Z"),
            'ℕ' => self.push(Kind::Command, "mathbb:N"),
            _ => match greek_letter(first) {
                Some(name) => self.push(Kind::Command, name),
                None => self.sign(first),
            },
        }
    }

    fn command(&mut self) {
        let after = &self.rest[1..];
        let n_letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        if n_letters == 0 {
            return self.escaped();
        }
        let name = &after[..n_letters];
        self.skip(1 + n_letters);
        // `\right.` closes with nothing that is seen.
        if matches!(name, "left" | "right") && self.rest.starts_with('.') {
            self.skip(1);
        }
        if SPACING.contains(&name) {
            self.spaced = true;
        } else if DECORATION.contains(&name) {
        } else if let Some((_, sign)) = OPERATORS.iter().find(|it| it.0 == name) {
            self.sign(*sign);
        } else if TEXTS.contains(&name) {
            self.text(name);
        } else {
            self.named(name);
        }
    }

    fn escaped(&mut self) {
        let Some(next) = self.rest[1..].chars().next() else { return self.skip(1) };
        self.skip(1 + next.len_utf8());
        match next {
            '{' => self.sign('⦃'),
            '}' => self.sign('⦄'),
            '|' => self.sign('|'),
            '%' => self.sign('%'),
            '&' => self.sign('&'),
            '\\' => self.sign('\\'),
            '!' => {
                // A negative space: `11,\! 111` has no blank behind its comma.
                self.spaced = false;
                self.rest = self.rest.trim_start();
                if self.tokens.last().is_some_and(|it| it.is(',')) {
                    self.glued.push(self.tokens.len() - 1);
                }
            }
            ',' | ';' | ':' | '>' | ' ' | '(' | ')' | '[' | ']' | '\n' => self.spaced = true,
            // The sign of money; without a backslash it begins a formula.
            '$' => {
                self.sign('$');
                self.spaced = true;
            }
            '_' => self.sign('_'),
            // A stray backslash, with what follows it.
            _ => {}
        }
    }

    /// The inside of `\text{..}`; of a single letter in upright type the letter.
    fn text(&mut self, name: &str) {
        let Some(inside) = braced(self.rest) else { return };
        self.skip(self.rest.len() - self.rest.trim_start().len() + inside.len() + 2);
        let trimmed = inside.trim_matches([' ', '~']);
        // With a blank before it, the letter is a unit: `\mathrm{~m}`.
        let is_letter = inside.chars().count() == 1 && trimmed.chars().all(char::is_alphabetic);
        let is_type =
            !matches!(name, "text" | "textrm" | "mbox" | "hbox" | "textnormal" | "textit" | "textbf");
        match trimmed {
            _ if is_letter && is_type => {
                self.push(Kind::Word, trimmed);
                self.tokens.iter_mut().rev().take(1).for_each(|it| it.is_upright = name == "mathrm");
            }
            _ if is_type && WORD_COMMANDS.contains(&trimmed) => self.push(Kind::Command, trimmed),
            // Bold and slanted mathematics is mathematics.
            _ if is_type && !trimmed.chars().all(|it| it.is_alphabetic() || " ~.^2/3".contains(it)) => {
                let inner = tokens(trimmed, Commas::List).unwrap_or_default();
                self.tokens.extend(inner);
            }
            _ => self.push(Kind::Text, trimmed.replace('~', " ")),
        }
    }

    fn named(&mut self, name: &str) {
        let name = SYNONYMS.iter().find(|it| it.0 == name).map_or(name, |it| it.1);
        match name {
            "begin" | "end" | "mathbb" => {
                let Some(inside) = braced(self.rest) else {
                    let letter =
                        self.rest.trim_start().get(..1).filter(|it| name == "mathbb" && "RZNQC".contains(it));
                    if let Some(letter) = letter {
                        let command = format!("mathbb:{letter}");
                        self.skip(self.rest.len() - self.rest.trim_start().len() + 1);
                        self.push(Kind::Command, command);
                    }
                    return;
                };
                let inside = inside.to_owned();
                self.skip(self.rest.len() - self.rest.trim_start().len() + inside.len() + 2);
                if name == "begin"
                    && inside.starts_with("array")
                    && let Some(columns) = braced(self.rest)
                {
                    self.skip(self.rest.len() - self.rest.trim_start().len() + columns.len() + 2);
                }
                match name {
                    "end" => self.push(Kind::Command, "end"),
                    name => {
                        self.push(Kind::Command, format!("{name}:{}", inside.trim().trim_end_matches('*')))
                    }
                }
            }
            name => self.push(Kind::Command, name),
        }
    }
}

/// The inside of the group that a text begins with.
fn braced(text: &str) -> Option<&str> {
    let inside = text.trim_start().strip_prefix('{')?;
    let mut depth = 1;
    let mut is_escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(&inside[..at]),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}
