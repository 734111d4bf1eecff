//! Checks a run folder against docs/formats.md: the files are there, they parse, and the numbers are possible.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{
    evidence::newest_checkpoint,
    series::{self, Row},
};

/// The checks in the order of the document. `steps` is where the run must stand, if the caller knows.
pub(crate) fn run(folder: &Path, steps: Option<u64>) -> anyhow::Result<()> {
    let config: toml::Table = read(&folder.join("config.toml"))?.parse().context("config.toml")?;
    for key in ["seed", "steps", "preset"] {
        ensure!(config.contains_key(key), "config.toml has no `{key}`: it is not resolved");
    }
    let manifest: Value =
        serde_json::from_str(&read(&folder.join("manifest.json"))?).context("manifest.json")?;
    ensure!(manifest.is_object(), "manifest.json is no object");
    let n_tasks = json_lines(&folder.join("tasks.jsonl"))?;
    ensure!(0 < n_tasks, "tasks.jsonl is empty");
    json_lines(&folder.join("alarms.jsonl"))?;

    let rows = series::read(&folder.join("metrics.jsonl"))?;
    check_metrics(&rows)?;
    let last = rows.last().expect("checked above").step;
    if let Some(steps) = steps {
        ensure!(last == steps, "the run stands at step {last}, not {steps}");
    }
    let every =
        config.get("checkpoint").and_then(|it| it.get("transcripts_every")?.as_integer()).unwrap_or(0);
    let every = u64::try_from(every).context("config.toml: checkpoint.transcripts_every")?;
    for step in (1..=last).filter(|step| every != 0 && step % every == 0) {
        let name = format!("transcripts/{step:06}.jsonl");
        ensure!(0 < json_lines(&folder.join(&name))?, "{name} is empty");
    }

    let checkpoint = newest_checkpoint(folder).context("no complete checkpoint")?;
    ensure!(checkpoint == last, "the newest checkpoint is of step {checkpoint}, the metrics end at {last}");
    let state = folder.join(format!("checkpoints/{checkpoint:06}/state.json"));
    serde_json::from_str::<Value>(&read(&state)?).with_context(|| state.display().to_string())?;
    println!("{}: {last} steps, {n_tasks} tasks, as docs/formats.md promises", folder.display());
    Ok(())
}

/// Steps without a gap, an evaluation at both ends, and rates that are rates.
fn check_metrics(rows: &[Row]) -> anyhow::Result<()> {
    let steps: Vec<u64> = rows.iter().map(|row| row.step).filter(|&step| 0 < step).collect();
    ensure!(!steps.is_empty(), "metrics.jsonl has no step");
    ensure!(steps.iter().copied().eq(1..=steps.len() as u64), "metrics.jsonl has gaps: {steps:?}");
    let evaluated = series::evaluated(rows);
    ensure!(2 <= evaluated.len(), "metrics.jsonl has no evaluation at the start and at the end");
    ensure!(evaluated[0].step == rows[0].step, "the first line carries no evaluation");
    ensure!(evaluated[evaluated.len() - 1].step == rows[rows.len() - 1].step, "the last carries none");
    for row in rows {
        for (name, &value) in &row.values {
            ensure!(value.is_finite(), "step {}: {name} is {value}", row.step);
            if ["accuracy", "greedy", "pass_at_8"].iter().any(|it| name.ends_with(&format!("/{it}"))) {
                ensure!((0.0..=1.0).contains(&value), "step {}: {name} is {value}", row.step);
            }
        }
    }
    Ok(())
}

/// The number of lines, each of which is a JSON object.
fn json_lines(path: &Path) -> anyhow::Result<usize> {
    let text = read(path)?;
    for (line_idx, line) in text.lines().enumerate() {
        let value: Value = serde_json::from_str(line)
            .with_context(|| format!("{}:{}: no JSON", path.display(), line_idx + 1))?;
        ensure!(value.is_object(), "{}:{}: no object", path.display(), line_idx + 1);
    }
    Ok(text.lines().count())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, entries: &[(&str, f64)]) -> Row {
        Row { step, values: entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect() }
    }

    #[test]
    fn impossible_numbers_are_found() {
        let evaluated = |step, value| row(step, &[("eval/mean/accuracy", value)]);
        let good = [evaluated(0, 0.2), row(1, &[("loss", -0.1)]), evaluated(2, 0.4)];
        check_metrics(&good).unwrap();
        assert!(check_metrics(&good[..2]).is_err(), "no evaluation at the end");
        assert!(check_metrics(&[evaluated(0, 0.2), evaluated(2, 0.2)]).is_err(), "a gap");
        assert!(check_metrics(&[evaluated(0, 0.2), evaluated(1, 1.2)]).is_err(), "a rate over 1");
        assert!(check_metrics(&[]).is_err());
    }
}
