//! Texts on their way into a program of ours in the sandbox, and out of it.

use kelvin_python::value::Value;

/// A text as Python writes it.
pub(crate) fn quoted(text: &str) -> String {
    Value::Str(text.to_owned()).canonical()
}

/// The text that Python writes as `repr`, where it has no signs but those of ASCII that can be printed. Texts of many
/// megabytes are told so, which is more than is read as a literal.
pub(crate) fn unquoted(repr: &str) -> Option<String> {
    let quote = repr.chars().next().filter(|it| matches!(it, '\'' | '"'))?;
    let inside = repr.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut text = String::with_capacity(inside.len());
    let mut signs = inside.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => text.push(signs.next().filter(|it| matches!(it, '\\' | '\'' | '"'))?),
            _ => text.push(sign),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_python_writes_them() {
        for (repr, text) in [
            ("'[1, \\\\n]'", Some("[1, \\n]")),
            ("\"it's\"", Some("it's")),
            ("'it\\'s \"so\"'", Some("it's \"so\"")),
            ("''", Some("")),
            ("'a\\n'", None),
            ("'", None),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(unquoted(repr).as_deref(), text, "{repr}");
        }
    }
}
