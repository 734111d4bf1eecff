//! `report.html`: what a run wrote, drawn. It computes nothing that is not in `metrics.jsonl`, `tasks.jsonl` and
//! `transcripts/`, and opens offline.

mod chart;
mod page;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde_json::Value;

pub(crate) use page::{comparison, single};

/// A run as its folder tells it.
pub(crate) struct Run {
    /// The folder's name.
    pub(crate) name: String,
    /// `config.toml`.
    pub(crate) config: String,
    /// `manifest.json`.
    pub(crate) manifest: Value,
    /// The rows of `metrics.jsonl`.
    pub(crate) rows: Vec<BTreeMap<String, f64>>,
    /// The newest tasks of `tasks.jsonl`.
    pub(crate) newest_tasks: Vec<Value>,
    /// The lines of the newest transcript.
    pub(crate) transcript: Vec<Value>,
}

/// How many of the newest tasks a report shows.
const NEWEST_TASKS: usize = 6;

/// Reads a run folder.
///
/// # Errors
/// If it is none, or a file in it cannot be read.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Run> {
    let text = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}\nhint: name a run folder, such as `kelvin train` prints", path.display())
        })
    };
    let mut rows = Vec::new();
    for (index, line) in text("metrics.jsonl")?.lines().enumerate() {
        rows.push(serde_json::from_str(line).with_context(|| format!("metrics.jsonl:{}", index + 1))?);
    }
    let tasks = text("tasks.jsonl")?;
    let newest = tasks.lines().rev().take(NEWEST_TASKS).map(serde_json::from_str);
    let transcripts = fs::read_dir(dir.join("transcripts")).context("reading transcripts/")?;
    let mut transcripts = transcripts.map(|it| Ok(it?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    transcripts.sort();
    let transcript = match transcripts.last() {
        Some(path) => {
            fs::read_to_string(path)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    Ok(Run {
        name: fs::canonicalize(dir)?.file_name().map_or("run".into(), |it| it.to_string_lossy().into_owned()),
        config: text("config.toml")?,
        manifest: serde_json::from_str(&text("manifest.json")?).context("manifest.json")?,
        rows,
        newest_tasks: newest.collect::<Result<_, _>>().context("tasks.jsonl")?,
        transcript,
    })
}
