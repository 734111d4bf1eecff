//! A run's metrics.jsonl as numbers over steps.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, ensure};
use serde_json::Value;

/// One line: a step and what was measured at it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) step: u64,
    pub(crate) values: BTreeMap<String, f64>,
}

/// The metric whose presence marks a line that carries an evaluation.
pub(crate) const EVALUATED: &str = "eval/mean/accuracy";

/// All lines of a metrics file.
///
/// # Errors
/// If a line is no object of finite numbers with a `step`, or the steps do not rise.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows: Vec<Row> = Vec::new();
    for (line_idx, line) in text.lines().enumerate() {
        let row = parse(line).with_context(|| format!("{}:{}", path.display(), line_idx + 1))?;
        if let Some(before) = rows.last() {
            ensure!(
                before.step < row.step,
                "{}:{}: step {} does not rise",
                path.display(),
                line_idx + 1,
                row.step
            );
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The lines that carry an evaluation.
pub(crate) fn evaluated(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| row.values.contains_key(EVALUATED)).collect()
}

fn parse(line: &str) -> anyhow::Result<Row> {
    let object: BTreeMap<String, Value> = serde_json::from_str(line)?;
    let step = object.get("step").and_then(Value::as_u64).context("no `step`")?;
    let mut values = BTreeMap::new();
    for (name, value) in object {
        if name != "step" {
            let number = value.as_f64().with_context(|| format!("`{name}` is no number: {value}"))?;
            values.insert(name, number);
        }
    }
    Ok(Row { step, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> anyhow::Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn evaluations_are_the_lines_that_carry_one() {
        let read = rows(concat!(
            "{\"step\":0,\"eval/mean/accuracy\":0.25}\n",
            "{\"step\":1,\"loss\":1}\n",
            "{\"step\":2,\"loss\":1,\"eval/mean/accuracy\":0.5}\n",
        ))
        .unwrap();
        let steps: Vec<u64> = evaluated(&read).iter().map(|row| row.step).collect();
        assert_eq!(steps, [0, 2]);
    }

    #[test]
    fn damaged_files_are_refused() {
        assert!(rows("{\"step\":1}\n{\"step\":1}\n").is_err());
        assert!(rows("{\"loss\":1}\n").is_err());
        assert!(rows("{\"step\":1,\"loss\":null}\n").is_err());
        assert!(rows("{\"step\":1").is_err());
    }
}
