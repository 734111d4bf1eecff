//! Agreement with CPython, from a fixture that `xtask/py/repr_fixture.py` writes.

use kelvin_python::{Equality, Value, parse_literal};
use serde_json::Value as Json;

fn fixture() -> Json {
    serde_json::from_str(include_str!("../fixtures/repr.json")).expect("the fixture is JSON")
}

fn rows(fixture: &Json, field: &str) -> Vec<Vec<Json>> {
    let rows = fixture[field].as_array().expect("a list of rows");
    rows.iter().map(|row| row.as_array().expect("a row").clone()).collect()
}

fn text(cell: &Json) -> &str {
    cell.as_str().expect("a text")
}

fn parsed(text: &str) -> Value {
    parse_literal(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn canonical_text_is_what_repr_writes() {
    let fixture = fixture();
    let rows = [rows(&fixture, "values"), rows(&fixture, "spellings")].concat();
    assert!(rows.len() > 1500, "{} rows", rows.len());
    for row in rows {
        let (source, expected) = (text(&row[0]), text(&row[1]));
        let value = parsed(source);
        assert_eq!(value.canonical(), expected, "of {source:?}");
        let again = parsed(expected);
        assert_eq!(again.canonical(), expected, "read back");
        assert!(again.equals(&value, Equality::Strict), "{expected}");
    }
}

#[test]
fn what_cpython_refuses_is_refused_for_the_same_reason() {
    let rows = rows(&fixture(), "refused");
    assert!(rows.len() > 50, "{} rows", rows.len());
    for row in rows {
        let (source, reason) = (text(&row[0]), text(&row[1]));
        match parse_literal(source) {
            Ok(value) => panic!("{source:?} gives {}", value.canonical()),
            Err(error) => assert_eq!(error.as_str(), reason, "{source:?}: {error}"),
        }
    }
}

#[test]
fn equality_is_cpythons() {
    let rows = rows(&fixture(), "equal");
    assert!(rows.len() >= 1000, "{} rows", rows.len());
    for row in rows {
        let (left, right) = (text(&row[0]), text(&row[1]));
        let (a, b) = (parsed(left), parsed(right));
        for (equality, verdict) in [(Equality::Python, &row[2]), (Equality::Strict, &row[3])] {
            assert_eq!(Json::Bool(a.equals(&b, equality)), *verdict, "{equality}: {left} and {right}");
            assert_eq!(Json::Bool(b.equals(&a, equality)), *verdict, "{equality}: {right} and {left}");
        }
    }
}
