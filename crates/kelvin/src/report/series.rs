//! The metrics of a run as columns: compact in the page, and quick to draw.

use std::collections::BTreeMap;

use serde_json::{Number, Value, json};

use super::read::Run;

/// Digits of a number in the page: more than a curve shows.
const DIGITS: usize = 6;

/// Name, steps and columns of a run. A column that most rows lack is its places (`at`) and values (`is`); others hold
/// null where nothing was recorded.
pub(super) fn of(run: &Run) -> Value {
    let mut columns = BTreeMap::<&str, Vec<(usize, f64)>>::new();
    for (place, row) in run.rows.iter().enumerate() {
        for (name, &value) in row.iter().filter(|(name, _)| name.as_str() != "step") {
            columns.entry(name).or_default().push((place, value));
        }
    }
    let columns: serde_json::Map<String, Value> =
        columns.into_iter().map(|(name, it)| (name.to_owned(), column(&it, run.rows.len()))).collect();
    json!({
        "name": run.name,
        "asked": run.config.get("steps").and_then(toml::Value::as_integer),
        "steps": run.rows.iter().map(|it| rounded(it["step"])).collect::<Vec<_>>(),
        "columns": columns,
    })
}

fn column(recorded: &[(usize, f64)], n_rows: usize) -> Value {
    if 2 * recorded.len() < n_rows {
        let (at, is): (Vec<usize>, Vec<Value>) =
            recorded.iter().map(|&(place, value)| (place, rounded(value))).unzip();
        return json!({ "at": at, "is": is });
    }
    let mut dense = vec![Value::Null; n_rows];
    for &(place, value) in recorded {
        dense[place] = rounded(value);
    }
    dense.into()
}

/// With [`DIGITS`] digits; whole numbers without a point.
pub(super) fn rounded(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Value::from(value as i64);
    }
    let text = format!("{value:.*e}", DIGITS - 1);
    text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_dense_or_sparse_and_lose_no_value() {
        assert_eq!(column(&[(0, 1.0), (2, 0.5)], 3).to_string(), "[1,null,0.5]");
        assert_eq!(column(&[(4, 0.123_456_789)], 5).to_string(), r#"{"at":[4],"is":[0.123457]}"#);
        assert_eq!(rounded(-0.0).to_string(), "0");
        assert_eq!(rounded(1e300).to_string(), "1e+300");
        assert_eq!(rounded(8_523_776.0).to_string(), "8523776");
    }
}
