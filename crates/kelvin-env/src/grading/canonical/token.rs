//! The signs of a short answer: numbers, words, TeX commands and single characters. What only spaces or decorates is
//! dropped, and different spellings of one sign become one, so that the text of the signs is already a normal form:
//! reading it again gives the same signs.

/// One sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// As it is written; of a command without its backslash.
    pub(super) text: String,
    /// Whether a blank stands before it where that makes a difference: `1 2` is not `12`, `1, 234` not `1,234`.
    pub(super) spaced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits with an optional fraction and exponent.
    Number,
    /// Letters, in lower case.
    Word,
    /// A TeX command, or an escaped brace.
    Command,
    /// Any other character.
    Symbol,
}

impl Token {
    fn new(kind: Kind, text: &str) -> Token {
        Token { kind, text: text.to_owned(), spaced: false }
    }

    pub(super) fn is(&self, kind: Kind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    pub(super) fn is_symbol(&self, text: &str) -> bool {
        self.is(Kind::Symbol, text)
    }

    pub(super) fn is_command(&self, name: &str) -> bool {
        self.is(Kind::Command, name)
    }

    /// What it opens: the signs that may close it.
    pub(super) fn closers(&self) -> Option<&'static [&'static str]> {
        match (self.kind, self.text.as_str()) {
            (Kind::Symbol, "(" | "[") => Some(&[")", "]"]),
            (Kind::Symbol, "{") => Some(&["}"]),
            (Kind::Command, "{") => Some(&["\\}"]),
            _ => None,
        }
    }

    /// Its name among the closing signs, if it is one.
    pub(super) fn closing(&self) -> Option<&'static str> {
        match (self.kind, self.text.as_str()) {
            (Kind::Symbol, ")") => Some(")"),
            (Kind::Symbol, "]") => Some("]"),
            (Kind::Symbol, "}") => Some("}"),
            (Kind::Command, "}") => Some("\\}"),
            _ => None,
        }
    }

    fn is_wordy(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Word)
    }

    fn is_named_command(&self) -> bool {
        self.kind == Kind::Command && self.text.starts_with(|it: char| it.is_ascii_alphabetic())
    }

    fn has_digits(&self, range: std::ops::RangeInclusive<usize>) -> bool {
        self.kind == Kind::Number && range.contains(&self.text.split('.').next().map_or(0, str::len))
    }

    fn is_integer(&self) -> bool {
        self.kind == Kind::Number && self.text.bytes().all(|it| it.is_ascii_digit())
    }
}

/// The signs of a text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut written = Written::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\\' => command(rest),
            _ if first.is_whitespace() || matches!(first, '$' | '~') => (None, first.len_utf8()),
            '0'..='9' => number(rest),
            '.' if rest[1..].starts_with(|it: char| it.is_ascii_digit()) => number(rest),
            _ if first.is_alphabetic() => word(rest),
            _ => (Some(symbol(first)), first.len_utf8()),
        };
        rest = &rest[length..];
        match token {
            Some(token) => written.push(token),
            // `1,\!234` takes away the blank behind the comma.
            None if first == '\\' && text[..text.len() - rest.len()].ends_with(",\\!") => {}
            None => written.is_after_blank = true,
        }
    }
    written.finish()
}

/// The text of the signs: reading it gives them again.
pub(super) fn text(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        if 0 < at && token.spaced {
            text.push(' ');
        }
        if token.kind == Kind::Command {
            text.push('\\');
        }
        text.push_str(&token.text);
    }
    text
}

/// The signs so far, with those rewritten that only a few signs together make.
#[derive(Default)]
struct Written {
    /// With whether a blank stands before it, and whether it is a number in groups of three digits.
    tokens: Vec<(Token, bool, bool)>,
    /// The open brackets.
    open: Vec<&'static [&'static str]>,
    is_after_blank: bool,
}

impl Written {
    fn push(&mut self, token: Token) {
        let is_after_blank = std::mem::take(&mut self.is_after_blank);
        match (token.closers(), token.closing()) {
            (Some(closers), _) => self.open.push(closers),
            (None, Some(_)) => drop(self.open.pop()),
            (None, None) => {}
        }
        self.tokens.push((token, is_after_blank, false));
        while self.fold_comma_in_braces() || self.fold_thousands() || self.fold_conjunction() {}
    }

    fn tail<const N: usize>(&self) -> Option<&[(Token, bool, bool); N]> {
        self.tokens.last_chunk::<N>()
    }

    /// `1{,}234` is `1,234`.
    fn fold_comma_in_braces(&mut self) -> bool {
        let Some([(a, ..), (open, ..), (comma, ..), (close, ..), (b, ..)]) = self.tail() else {
            return false;
        };
        let folds = a.kind == Kind::Number
            && open.is_symbol("{")
            && comma.is_symbol(",")
            && close.is_symbol("}")
            && b.kind == Kind::Number;
        if folds {
            let at = self.tokens.len() - 4;
            self.tokens.remove(at + 2);
            self.tokens.remove(at);
        }
        folds
    }

    /// `1,234` is `1234`, but in brackets, where a comma separates.
    fn fold_thousands(&mut self) -> bool {
        let Some([(first, _, is_grouped), (comma, ..), (group, is_apart, _)]) = self.tail() else {
            return false;
        };
        let folds = self.separates_thousands(first, *is_grouped, comma, group) && !is_apart;
        if folds {
            let joined = format!("{}{}", first.text, group.text);
            let at = self.tokens.len() - 3;
            self.tokens.truncate(at + 1);
            self.tokens[at].0.text = joined;
            self.tokens[at].2 = true;
        }
        folds
    }

    fn separates_thousands(&self, first: &Token, is_grouped: bool, comma: &Token, group: &Token) -> bool {
        let in_brackets = self.open.last().is_some_and(|closers| *closers != ["}"]);
        !in_brackets
            && comma.is_symbol(",")
            && first.is_integer()
            && (is_grouped || first.has_digits(1..=3))
            && group.has_digits(3..=3)
            && !group.text.contains('e')
    }

    /// `\text{ or }` is `or`.
    fn fold_conjunction(&mut self) -> bool {
        let Some([(command, ..), (open, ..), (word, ..), (close, ..)]) = self.tail() else { return false };
        let folds = command.is_command("text")
            && open.is_symbol("{")
            && (word.is(Kind::Word, "or") || word.is(Kind::Word, "and"))
            && close.is_symbol("}");
        if folds {
            let at = self.tokens.len() - 4;
            let (word, ..) = self.tokens.swap_remove(at + 2);
            self.tokens.truncate(at);
            self.tokens.push((word, true, false));
            self.is_after_blank = true;
        }
        folds
    }

    /// The signs with the blanks that count.
    fn finish(self) -> Vec<Token> {
        let mut tokens: Vec<Token> = Vec::with_capacity(self.tokens.len());
        for (mut token, is_after_blank, _) in self.tokens {
            let (before, last) = match tokens.as_slice() {
                [.., before, last] => (Some(before), Some(last)),
                [last] => (None, Some(last)),
                [] => (None, None),
            };
            token.spaced = last.is_some_and(|last| {
                let must = token.kind == Kind::Word && (last.kind == Kind::Word || last.is_named_command())
                    || token.kind == Kind::Number && last.is_symbol(".");
                let may = token.is_wordy() && last.is_wordy();
                let lists = last.is_symbol(",")
                    && before.is_some_and(|it| it.is_integer() && it.has_digits(1..=3))
                    && token.has_digits(3..=3);
                must || is_after_blank && (may || lists)
            });
            tokens.push(token);
        }
        tokens
    }
}

fn number(text: &str) -> (Option<Token>, usize) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(text);
    if text[length..].starts_with('.') {
        match digits(&text[length + 1..]) {
            0 => {}
            n => length += 1 + n,
        }
    }
    let after = &text[length..];
    if let Some(exponent) = after.strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        match digits(unsigned) {
            0 => {}
            n => length += after.len() - unsigned.len() + n,
        }
    }
    (Some(Token::new(Kind::Number, &text[..length].to_ascii_lowercase())), length)
}

fn word(text: &str) -> (Option<Token>, usize) {
    let end = text.find(|it: char| !it.is_alphabetic()).unwrap_or(text.len());
    let lower = |it: char| {
        let mut lower = it.to_lowercase();
        match (lower.next(), lower.next()) {
            // Few letters become two, of which the second is none.
            (Some(one), None) => one,
            _ => it,
        }
    };
    let word: String = text[..end].chars().map(lower).collect();
    let token = match word.as_str() {
        "pi" | "π" => Token::new(Kind::Command, "pi"),
        "sqrt" => Token::new(Kind::Command, "sqrt"),
        _ => Token::new(Kind::Word, &word),
    };
    (Some(token), end)
}

fn symbol(it: char) -> Token {
    let command = |name| Token::new(Kind::Command, name);
    match it {
        '\u{2212}' | '\u{2013}' => Token::new(Kind::Symbol, "-"),
        '×' | '·' | '⋅' => Token::new(Kind::Symbol, "*"),
        '÷' => Token::new(Kind::Symbol, "/"),
        '≤' => command("le"),
        '≥' => command("ge"),
        '≠' => command("ne"),
        '∞' => command("infty"),
        '√' => command("sqrt"),
        '°' => command("degree"),
        '∪' => command("cup"),
        '∅' => command("emptyset"),
        '∈' => command("in"),
        _ => Token::new(Kind::Symbol, it.encode_utf8(&mut [0; 4])),
    }
}

/// A command under the shortest of its names; none where it only spaces or decorates.
fn command(text: &str) -> (Option<Token>, usize) {
    let after = &text[1..];
    let n_letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
    if n_letters == 0 {
        return match after.chars().next() {
            Some(brace @ ('{' | '}')) => (Some(Token::new(Kind::Command, brace.encode_utf8(&mut [0; 4]))), 2),
            Some('%') => (Some(Token::new(Kind::Symbol, "%")), 2),
            Some(spacing) if ",;:!$\\()[] ".contains(spacing) => (None, 2),
            // A stray backslash.
            Some(_) | None => (None, 1),
        };
    }
    let name = &after[..n_letters];
    let symbol = |text| Some(Token::new(Kind::Symbol, text));
    let command = |name| Some(Token::new(Kind::Command, name));
    let token = match name {
        "left" | "right" | "big" | "Big" | "bigl" | "bigr" | "displaystyle" | "quad" | "qquad" | "boxed"
        | "fbox" | "mathbf" | "mathit" => None,
        "text" | "textrm" | "textbf" | "textit" | "mathrm" | "mbox" | "operatorname" => command("text"),
        "frac" | "dfrac" | "tfrac" | "cfrac" => command("frac"),
        "cdot" | "times" | "ast" => symbol("*"),
        "div" => symbol("/"),
        "leq" | "le" | "leqslant" => command("le"),
        "geq" | "ge" | "geqslant" => command("ge"),
        "neq" | "ne" => command("ne"),
        "varnothing" | "emptyset" => command("emptyset"),
        "lbrace" => command("{"),
        "rbrace" => command("}"),
        "langle" => symbol("("),
        "rangle" => symbol(")"),
        name => command(name),
    };
    (token, 1 + n_letters)
}
