//! JSON as `json.dumps(..., sort_keys=True, indent=2)` writes it, for objects that are syntax nodes.

use std::fmt::Write;

/// The deepest nesting of objects and lists: where the original, which spends one of Python's 1,000 stack frames on
/// each, gives up when a script calls it. Inside a training run it has less.
const MAX_NESTING: usize = 993;

/// The longest JSON text, in bytes. A program of 8,096 tokens (azr.md section 5.3) has about 1 MB:
/// 24 bytes for each of the source in the median of CRUXEval's.
const MAX_TEXT_BYTES: usize = 1 << 24;

/// A value whose nesting is known, so that no walk over one exhausts the stack.
pub(super) struct Json {
    shape: Shape,
    nesting: usize,
}

enum Shape {
    /// What is written as it stands.
    Scalar(String),
    List(Vec<Json>),
    /// Sorted by key.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) fn bool(value: bool) -> Json {
        Json::scalar(if value { "true" } else { "false" }.to_owned())
    }

    /// `number` is written by `repr`, except that infinity has a name of its own.
    pub(super) fn number(number: String) -> Json {
        Json::scalar(number)
    }

    /// A string with everything escaped that is not printable ASCII.
    pub(super) fn string(text: &str) -> Json {
        let mut out = String::with_capacity(text.len() + 2);
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                ' '..='~' => out.push(c),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{unit:04x}").expect("writing to a string does not fail");
                    }
                }
            }
        }
        out.push('"');
        Json::scalar(out)
    }

    /// `None` past [`MAX_NESTING`].
    pub(super) fn list(items: Vec<Json>) -> Option<Json> {
        let nesting = 1 + items.iter().map(|item| item.nesting).max().unwrap_or(0);
        (nesting <= MAX_NESTING).then_some(Json { shape: Shape::List(items), nesting })
    }

    /// `None` past [`MAX_NESTING`].
    pub(super) fn object(mut fields: Vec<(&'static str, Json)>) -> Option<Json> {
        fields.sort_by_key(|(key, _)| *key);
        let nesting = 1 + fields.iter().map(|(_, value)| value.nesting).max().unwrap_or(0);
        (nesting <= MAX_NESTING).then_some(Json { shape: Shape::Object(fields), nesting })
    }

    fn scalar(text: String) -> Json {
        Json { shape: Shape::Scalar(text), nesting: 0 }
    }

    /// The text; `None` past [`MAX_TEXT_BYTES`].
    pub(super) fn text(&self) -> Option<String> {
        let mut out = String::new();
        self.write(&mut out, 0)?;
        Some(out)
    }

    fn write(&self, out: &mut String, depth: usize) -> Option<()> {
        match &self.shape {
            Shape::Scalar(text) => out.push_str(text),
            Shape::List(items) if items.is_empty() => out.push_str("[]"),
            Shape::List(items) => {
                out.push('[');
                for (idx, item) in items.iter().enumerate() {
                    start_line(out, idx, depth + 1);
                    item.write(out, depth + 1)?;
                }
                end_lines(out, depth);
                out.push(']');
            }
            Shape::Object(fields) => {
                out.push('{');
                for (idx, (key, value)) in fields.iter().enumerate() {
                    start_line(out, idx, depth + 1);
                    write!(out, "\"{key}\": ").expect("writing to a string does not fail");
                    value.write(out, depth + 1)?;
                }
                end_lines(out, depth);
                out.push('}');
            }
        }
        (out.len() <= MAX_TEXT_BYTES).then_some(())
    }
}

fn start_line(out: &mut String, idx: usize, depth: usize) {
    out.push_str(if idx == 0 { "" } else { "," });
    end_lines(out, depth);
}

fn end_lines(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_that_of_json_dumps() {
        let list = Json::list(vec![Json::bool(true), Json::list(Vec::new()).unwrap()]).unwrap();
        let object = Json::object(vec![("b", list), ("a", Json::string("\"\\\n\u{7f}é🐍"))]).unwrap();
        let expected =
            "{\n  \"a\": \"\\\"\\\\\\n\\u007f\\u00e9\\ud83d\\udc0d\",\n  \"b\": [\n    true,\n    []\n  ]\n}";
        assert_eq!(object.text().unwrap(), expected);
    }

    #[test]
    fn nesting_has_a_limit() {
        let deepest = (0..MAX_NESTING).try_fold(Json::bool(true), |inner, _| Json::list(vec![inner]));
        assert!(Json::list(vec![deepest.expect("at the limit")]).is_none());
    }
}
