//! `report.html`: what a run wrote, drawn. It computes nothing that is not in `metrics.jsonl`, `tasks.jsonl` and
//! `transcripts/`, and opens offline.

mod chart;
mod page;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use chart::escape;
pub(crate) use page::{comparison, head, single};

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

/// The version of `manifest.json` that is understood.
const MANIFEST_FORMAT: u64 = 1;

/// Reads a run folder, also that of a run that is going on or was cut off in the middle of a line.
///
/// # Errors
/// If it is none, or a file in it cannot be read.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Run> {
    let text = |path: &Path| {
        fs::read_to_string(path).with_context(|| {
            format!("cannot read {}\nhint: name a run folder, such as `kelvin train` prints", path.display())
        })
    };
    let rows = parsed(&dir.join("metrics.jsonl"), &text(&dir.join("metrics.jsonl"))?, usize::MAX)?;
    let newest_tasks = parsed(&dir.join("tasks.jsonl"), &text(&dir.join("tasks.jsonl"))?, NEWEST_TASKS)?;
    let transcript = match newest_transcript(&dir.join("transcripts"))? {
        Some(path) => parsed(&path, &text(&path)?, usize::MAX)?,
        None => Vec::new(),
    };
    let manifest: Value = serde_json::from_str(&text(&dir.join("manifest.json"))?)
        .with_context(|| damaged(&dir.join("manifest.json")))?;
    ensure!(
        manifest["format"] == MANIFEST_FORMAT,
        "{} has format {}, this program reads {MANIFEST_FORMAT}\nhint: use the version of kelvin that wrote it",
        dir.join("manifest.json").display(),
        manifest["format"]
    );
    Ok(Run {
        name: fs::canonicalize(dir)?.file_name().map_or("run".into(), |it| it.to_string_lossy().into_owned()),
        config: text(&dir.join("config.toml"))?,
        manifest,
        rows,
        newest_tasks: newest_tasks.into_iter().rev().collect(),
        transcript,
    })
}

/// The last `n` whole lines of a log, oldest first. A line without its end is still being written.
fn parsed<T: DeserializeOwned>(path: &Path, text: &str, n: usize) -> anyhow::Result<Vec<T>> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines: Vec<&str> = whole.lines().collect();
    let parse = |line: &&str| serde_json::from_str(line).with_context(|| damaged(path));
    lines[lines.len().saturating_sub(n)..].iter().map(parse).collect()
}

fn damaged(path: &Path) -> String {
    format!("{} is damaged\nhint: `kelvin resume` cuts a log back to its last checkpoint", path.display())
}

fn newest_transcript(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            let paths = entries.map(|it| Ok(it?.path())).collect::<io::Result<Vec<PathBuf>>>();
            Ok(paths.with_context(|| format!("reading {}", folder.display()))?.into_iter().max())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", folder.display())),
    }
}
