//! The fields of a JSON object as the text that they are. Argument lists of EvalPlus hold integers of a hundred digits and
//! bare `NaN` and `Infinity`, which JSON has not: they go to Python unread.

/// The fields of an object and their texts; `None` if the text is no object.
pub(crate) fn fields(object: &str) -> Option<Vec<(String, &str)>> {
    let inside = object.trim().strip_prefix('{')?.strip_suffix('}')?;
    parts(inside)
        .into_iter()
        .map(|field| {
            let end = string_end(field)?;
            let name = serde_json::from_str(&field[..end]).ok()?;
            Some((name, field[end..].trim_start().strip_prefix(':')?.trim()))
        })
        .collect()
}

/// How many elements a list has; `None` if the text is no list.
pub(crate) fn n_elements(list: &str) -> Option<usize> {
    Some(parts(list.trim().strip_prefix('[')?.strip_suffix(']')?).len())
}

/// One element of a list.
pub(crate) fn element(list: &str, place: usize) -> Option<&str> {
    parts(list.trim().strip_prefix('[')?.strip_suffix(']')?).get(place).copied()
}

/// What stands between the commas that are in no bracket and no string.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut at) = (Vec::new(), 0, 0usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += string_end(&text[at..]).unwrap_or(text.len() - at) - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    let last = text[begin..].trim();
    parts.extend((!last.is_empty()).then_some(last));
    parts
}

/// Where the string ends that the text begins with, its quote included.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let rest = text.strip_prefix('"')?;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_text() {
        let row = r#"{"id": "a\"b,", "list": [[1e999, NaN], {"x": "],\\"}], "big": 123456789012345678901234567890}"#;
        let fields = fields(row).unwrap();
        let texts: Vec<(&str, &str)> = fields.iter().map(|(name, it)| (name.as_str(), *it)).collect();
        assert_eq!(
            texts,
            [
                ("id", r#""a\"b,""#),
                ("list", r#"[[1e999, NaN], {"x": "],\\"}]"#),
                ("big", "123456789012345678901234567890")
            ]
        );
        assert_eq!(n_elements(texts[1].1), Some(2));
        assert_eq!((n_elements("[]"), n_elements(" [1] "), n_elements("1")), (Some(0), Some(1), None));
    }

    #[test]
    fn what_is_cut_off_is_no_object() {
        for text in ["", "{", "{\"a", "{\"a\"}", "{a: 1}", "[1]"] {
            assert_eq!(fields(text), None, "{text}");
        }
        assert_eq!(fields("{}"), Some(Vec::new()));
    }
}
