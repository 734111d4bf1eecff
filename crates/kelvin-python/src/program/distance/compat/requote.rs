//! A string literal with the quotes that black 25.1.0 gives it: double ones, unless that takes more backslashes. The
//! value stays as it is; but the quotes decide where black pads a docstring.

/// A literal in its three parts.
pub(super) struct Literal {
    pub(super) prefix: String,
    /// One or three quotes.
    pub(super) quote: &'static str,
    /// The text between the quotes, with its escapes.
    pub(super) body: String,
}

impl Literal {
    /// Reads a whole literal. `None` for one that is no string.
    pub(super) fn read(text: &str) -> Option<Literal> {
        let (prefix, rest) = text.split_at(text.find(['\'', '"'])?);
        let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| {
            let has_room = rest.len() >= 2 * quote.len();
            has_room && rest.starts_with(quote) && rest.ends_with(quote)
        })?;
        let body = rest[quote.len()..rest.len() - quote.len()].to_owned();
        Some(Literal { prefix: prefix.to_owned(), quote, body })
    }

    pub(super) fn text(&self) -> String {
        [&self.prefix, self.quote, &self.body, self.quote].concat()
    }

    fn is_raw(&self) -> bool {
        self.prefix.contains(['r', 'R'])
    }

    pub(super) fn requoted(self) -> Literal {
        let new_quote = match self.quote {
            "\"\"\"" => return self,
            "'''" => "\"\"\"",
            "\"" => "'",
            _ => "\"",
        };
        let (body, mut new_body) = if self.is_raw() {
            if escaped_once(&self.body, new_quote) != self.body {
                return self;
            }
            (self.body.clone(), self.body.clone())
        } else {
            let body = twice(unescaped_once, &self.body, new_quote);
            let new_body = twice(unescaped_once, &body, self.quote);
            let new_body = twice(escaped_once, &new_body, new_quote);
            (body, new_body)
        };
        if new_quote == "\"\"\"" && new_body.ends_with('"') {
            new_body.pop();
            new_body.push_str("\\\"");
        }
        let n_backslashes = |text: &str| text.matches('\\').count();
        let has_more = n_backslashes(&new_body) > n_backslashes(&body);
        if has_more || (n_backslashes(&new_body) == n_backslashes(&body) && self.quote == "\"") {
            return Literal { body, ..self };
        }
        Literal { quote: new_quote, body: new_body, ..self }
    }
}

/// One pass leaves out what overlaps the match before; black makes two.
fn twice(pass: fn(&str, &str) -> String, body: &str, quote: &str) -> String {
    pass(&pass(body, quote), quote)
}

/// Takes the escape from every escaped quote.
fn unescaped_once(body: &str, quote: &str) -> String {
    replaced(body, quote, |n_backslashes| (n_backslashes % 2 == 1).then(|| n_backslashes - 1))
}

/// Escapes every quote that is not escaped.
fn escaped_once(body: &str, quote: &str) -> String {
    replaced(body, quote, |n_backslashes| n_backslashes.is_multiple_of(2).then_some(n_backslashes + 1))
}

/// Goes through the quotes from the left, each with the backslashes in front of it and the character before these,
/// if any, and gives them another number of backslashes. What one quote has used up no other one can use.
fn replaced(body: &str, quote: &str, number: impl Fn(usize) -> Option<usize>) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    let found = |text: &str| {
        let n_backslashes = text.len() - text.trim_start_matches('\\').len();
        let is_quote = text[n_backslashes..].starts_with(quote);
        if is_quote { number(n_backslashes).map(|n_new| (n_backslashes, n_new)) } else { None }
    };
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let behind_char = if c == '\\' { None } else { found(after).map(|it| (c.len_utf8(), it)) };
        let at_start = if out.is_empty() { found(rest).map(|it| (0, it)) } else { None };
        match behind_char.or(at_start) {
            Some((n_before, (n_backslashes, n_new))) => {
                out.push_str(&rest[..n_before]);
                out.extend(std::iter::repeat_n('\\', n_new));
                out.push_str(quote);
                rest = &rest[n_before + n_backslashes + quote.len()..];
            }
            None => {
                out.push(c);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_become_double_where_that_takes_no_more_backslashes() {
        let cases = [
            (r"'a'", r#""a""#),
            (r#"'a"b'"#, r#"'a"b'"#),
            (r#"'a\'b'"#, r#""a'b""#),
            (r#"'\'\'\''"#, r#""'''""#),
            (r#"'a\"b'"#, r#"'a"b'"#),
            (r#""a\"b""#, r#"'a"b'"#),
            (r#"'a\\'"#, r#""a\\""#),
            ("'''a\"'''", "'''a\"'''"),
            ("'''a'''", "\"\"\"a\"\"\""),
            (r#"r'a"'"#, r#"r'a"'"#),
            (r"R'a\d'", r#"R"a\d""#),
            ("''", "\"\""),
        ];
        for (literal, expected) in cases {
            assert_eq!(Literal::read(literal).expect("a literal").requoted().text(), expected, "{literal}");
        }
    }
}
