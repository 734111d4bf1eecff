//! Rows of a table in Apache Parquet's format, as JSON: what the hub's data sets are published as.

use std::{
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The rows of a table.
///
/// # Errors
/// If the bytes are no such table, or a row is not of the shape that was expected.
pub(super) fn rows<T: DeserializeOwned>(bytes: Vec<u8>) -> anyhow::Result<Vec<T>> {
    let Some(values) = without_panic(|| values(bytes)) else {
        bail!("not a table of Parquet: its parts contradict each other");
    };
    let rows = values?.into_iter().enumerate();
    rows.map(|(index, row)| {
        serde_json::from_value(row).with_context(|| format!("row {}: not a row that was expected", index + 1))
    })
    .collect()
}

fn values(bytes: Vec<u8>) -> anyhow::Result<Vec<Value>> {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).context("not a table of Parquet")?;
    let rows = reader.get_row_iter(None).context("its columns cannot be read")?;
    rows.enumerate()
        .map(|(index, row)| Ok(row.with_context(|| format!("row {}", index + 1))?.to_json_value()))
        .collect()
}

/// What `read` gives; `None` if it panics, as the library does over some damaged files. Nothing is printed then: the user
/// gets one message, and it is about the file.
fn without_panic<T>(read: impl FnOnce() -> T) -> Option<T> {
    // The hook is the process's: two readers would put back each other's.
    static HOOK: Mutex<()> = Mutex::new(());
    let _alone = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let value = catch_unwind(AssertUnwindSafe(read)).ok();
    panic::set_hook(hook);
    value
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Written by PyArrow: `xtask/py/table_fixture.py`.
    const FILE: &[u8] = include_bytes!("../../fixtures/choices.parquet");

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        question_id: u64,
        question: String,
        options: Vec<String>,
        category: Option<String>,
    }

    #[test]
    fn a_table_of_pyarrow_is_read() {
        let row = |question_id, question: &str, options: &[&str], category: Option<&str>| Row {
            question_id,
            question: question.to_owned(),
            options: options.iter().map(|it| (*it).to_owned()).collect(),
            category: category.map(str::to_owned),
        };
        let expected = [
            row(70, "Was ist 2 + 2?", &["3", "4"], Some("math")),
            row(71, "Où?", &["ici", "là", "ailleurs"], None),
        ];
        assert_eq!(rows::<Row>(FILE.to_vec()).unwrap(), expected);
    }

    #[test]
    fn a_damaged_table_is_an_error_or_other_rows() {
        assert!(rows::<Row>(Vec::new()).is_err());
        for cut in 0..FILE.len() {
            assert!(rows::<Row>(FILE[..cut].to_vec()).is_err(), "cut at {cut}");
        }
        let mut n_refused = 0;
        for place in 0..FILE.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = FILE.to_vec();
                damaged[place] ^= flip;
                n_refused += usize::from(rows::<Row>(damaged).is_err());
            }
        }
        assert!(FILE.len() < n_refused, "{n_refused}");
    }
}
