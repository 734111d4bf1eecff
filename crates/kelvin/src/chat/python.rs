//! Values as Python writes them: templates are written for Jinja, whose `tojson` is Python's `json.dumps` in
//! transformers and whose text of a value is Python's `str`.

use std::fmt::Write;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

/// Blanks of a level.
const INDENT_MAX: usize = 64;

/// How `json.dumps` lays out what it writes.
struct Layout {
    /// Blanks of one level; `None` writes one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    ascii: bool,
    sorted: bool,
}

/// The filter `tojson`, with the arguments that transformers gives it.
pub(super) fn tojson(value: &Value, kwargs: Kwargs) -> Result<Value, Error> {
    let indent = match kwargs.get::<Option<Value>>("indent")?.filter(|it| !it.is_none()) {
        None => None,
        Some(indent) => Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => match usize::try_from(indent)? {
                n_blanks @ ..=INDENT_MAX => " ".repeat(n_blanks),
                _ => {
                    let why = format!("tojson indents by at most {INDENT_MAX} blanks");
                    return Err(Error::new(ErrorKind::InvalidOperation, why));
                }
            },
        }),
    };
    let separators = kwargs.get::<Option<Vec<String>>>("separators")?;
    let (item_separator, key_separator) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators of tojson are two texts")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let layout = Layout {
        indent,
        item_separator,
        key_separator,
        ascii: kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    kwargs.assert_all_used()?;
    let mut text = String::new();
    layout.value(value, 0, &mut text)?;
    Ok(Value::from_safe_string(text))
}

impl Layout {
    fn value(&self, value: &Value, level: usize, text: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => text.push_str(&number(value, ["NaN", "Infinity", "-Infinity"])),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), text),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.collect::<Vec<_>>();
                self.block(['[', ']'], &items, level, text, |item, text| self.value(item, level + 1, text))?;
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    entries.push((key_text(&key)?, value.get_item(&key)?));
                }
                if self.sorted {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.block(['{', '}'], &entries, level, text, |(key, item), text| {
                    self.string(key, text);
                    text.push_str(&self.key_separator);
                    self.value(item, level + 1, text)
                })?;
            }
            kind => {
                let message = format!("{kind} has no form in JSON");
                return Err(Error::new(ErrorKind::BadSerialization, message));
            }
        }
        Ok(())
    }

    fn block<T>(
        &self,
        [open, close]: [char; 2],
        items: &[T],
        level: usize,
        text: &mut String,
        mut write: impl FnMut(&T, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let new_line = |level: usize, text: &mut String| {
            if let Some(indent) = &self.indent {
                text.push('\n');
                text.push_str(&indent.repeat(level));
            }
        };
        text.push(open);
        for (idx, item) in items.iter().enumerate() {
            if 0 < idx {
                text.push_str(&self.item_separator);
            }
            new_line(level + 1, text);
            write(item, text)?;
        }
        if !items.is_empty() {
            new_line(level, text);
        }
        text.push(close);
        Ok(())
    }

    fn string(&self, string: &str, text: &mut String) {
        text.push('"');
        for letter in string.chars() {
            match letter {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                letter if letter < ' ' || self.ascii && !(' '..='~').contains(&letter) => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        write!(text, "\\u{unit:04x}").expect("a String takes all text");
                    }
                }
                letter => text.push(letter),
            }
        }
        text.push('"');
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number => Ok(number(key, ["NaN", "Infinity", "-Infinity"])),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        kind => Err(Error::new(ErrorKind::BadSerialization, format!("{kind} is no key in JSON"))),
    }
}

/// Python's `str` of a value; a tuple is written as the list that the template engine takes it for.
pub(super) fn str(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => repr(value),
    }
}

fn repr(value: &Value) -> String {
    let listed = |open: &str, items: Vec<String>, close: &str| format!("{open}{}{close}", items.join(", "));
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => number(value, ["nan", "inf", "-inf"]),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => match value.try_iter() {
            Ok(items) => listed("[", items.map(|item| repr(&item)).collect(), "]"),
            Err(_) => value.to_string(),
        },
        ValueKind::Map => match value.try_iter() {
            Ok(keys) => {
                let entry = |key: Value| {
                    let item = value.get_item(&key).unwrap_or_default();
                    format!("{}: {}", repr(&key), repr(&item))
                };
                listed("{", keys.map(entry).collect(), "}")
            }
            Err(_) => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// Python's `repr` of a string, of which everything but control characters is printable.
fn quoted(string: &str) -> String {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    let mut text = String::from(quote);
    for letter in string.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            letter if letter == quote => {
                text.push('\\');
                text.push(letter);
            }
            letter if letter.is_control() => {
                write!(text, "\\x{:02x}", u32::from(letter)).expect("a String takes all text");
            }
            letter => text.push(letter),
        }
    }
    text.push(quote);
    text
}

/// Python's `repr` of a number; `strange` are the words for NaN and the infinities.
fn number(value: &Value, strange: [&str; 3]) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(x) = f64::try_from(value.clone()) else { return value.to_string() };
    if x.is_nan() {
        return strange[0].to_owned();
    }
    if x.is_infinite() {
        return strange[if x < 0.0 { 2 } else { 1 }].to_owned();
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = x.to_string();
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}
