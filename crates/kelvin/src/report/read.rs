//! A run folder as it lies there, also that of a run that is going on or was cut off in the middle of a line. Whatever
//! is damaged is an error with a hint: a file can hold anything.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use kelvin_core::metrics::Metrics;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Table;

use super::{configuration::word, spoken};

/// A run as its folder tells it, without tasks and transcripts.
pub(crate) struct Run {
    /// The folder's name.
    pub(super) name: String,
    /// `config.toml`.
    pub(super) config: Table,
    /// `manifest.json`.
    pub(super) manifest: Map<String, Value>,
    /// The rows of `metrics.jsonl`, each with its `step`.
    pub(crate) rows: Vec<Metrics>,
}

impl Run {
    /// One line about what it is.
    pub(super) fn facts(&self) -> String {
        let of = |key: &str| word(&self.config, key);
        let version = self.manifest.get("kelvin").map(spoken).unwrap_or_default();
        format!(
            "recipe {}, environment {}, model {}, seed {}, kelvin {version}",
            of("recipe"),
            of("environment"),
            of("policy.model"),
            of("seed")
        )
    }
}

/// The version of `manifest.json` that is understood.
const MANIFEST_FORMAT: u64 = 1;

/// Reads a run folder.
///
/// # Errors
/// If it is none, or a file in it cannot be read.
pub(super) fn run(dir: &Path) -> anyhow::Result<Run> {
    let config = dir.join("config.toml");
    let config: Table = toml::from_str(&text(&config)?).with_context(|| {
        format!(
            "{} is damaged\nhint: restore it from a copy; `kelvin train` wrote it whole",
            config.display()
        )
    })?;
    let rows = rows(dir)?;
    ensure!(
        !rows.is_empty(),
        "{} has recorded nothing yet\nhint: its first row comes after the seed stage",
        dir.display()
    );
    let path = dir.join("manifest.json");
    let manifest: Map<String, Value> = serde_json::from_str(&text(&path)?).with_context(|| {
        format!("{} is damaged\nhint: remove it; `kelvin resume` writes it again", path.display())
    })?;
    let format = manifest.get("format").cloned().unwrap_or_default();
    ensure!(
        format == MANIFEST_FORMAT,
        "{} has format {format}, this program reads {MANIFEST_FORMAT}\nhint: use the version of kelvin that wrote it",
        path.display()
    );
    let name = fs::canonicalize(dir).ok().and_then(|it| Some(it.file_name()?.to_string_lossy().into_owned()));
    Ok(Run { name: name.unwrap_or_else(|| "run".to_owned()), config, manifest, rows })
}

/// The rows of a run's metrics.
///
/// # Errors
/// If they cannot be read, or one has no step.
pub(crate) fn rows(dir: &Path) -> anyhow::Result<Vec<Metrics>> {
    let path = dir.join("metrics.jsonl");
    let text = text_if_there(&path)?;
    let rows: Vec<Metrics> =
        whole_lines(&text).map(|line| parsed(&path, line)).collect::<anyhow::Result<_>>()?;
    ensure!(rows.iter().all(|it| it.contains_key("step")), "{}", damaged(&path));
    Ok(rows)
}

/// Runs of one name are called by the folder above too.
pub(super) fn tell_apart(runs: &mut [Run], dirs: &[PathBuf]) {
    let names: Vec<String> = runs.iter().map(|it| it.name.clone()).collect();
    for (run, dir) in runs.iter_mut().zip(dirs) {
        if 1 < names.iter().filter(|it| **it == run.name).count() {
            run.name = dir.display().to_string();
        }
    }
}

/// The text of a run's file.
///
/// # Errors
/// If it cannot be read as UTF-8.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| {
        format!("cannot read {}\nhint: name a run folder, such as `kelvin train` prints", path.display())
    })
}

/// The same; nothing where there is no such file.
///
/// # Errors
/// If it cannot be read as UTF-8.
pub(super) fn text_if_there(path: &Path) -> anyhow::Result<String> {
    match fs::exists(path) {
        Ok(false) => Ok(String::new()),
        Ok(true) | Err(_) => text(path),
    }
}

/// Lines with their ends: one without is still being written.
pub(super) fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.rsplit_once('\n').map_or("", |(whole, _)| whole).lines()
}

/// A line of a log.
///
/// # Errors
/// If it is damaged.
pub(super) fn parsed<T: DeserializeOwned>(path: &Path, line: &str) -> anyhow::Result<T> {
    serde_json::from_str(line).with_context(|| damaged(path))
}

fn damaged(path: &Path) -> String {
    format!("{} is damaged\nhint: `kelvin resume` cuts a log back to its last checkpoint", path.display())
}

/// The files of a folder in order of their names; none where there is no such folder.
///
/// # Errors
/// If it cannot be read.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let describe = || format!("cannot read {}\nhint: look at its permissions", folder.display());
    let mut paths = match fs::read_dir(folder) {
        Ok(entries) => {
            entries.map(|it| Ok(it?.path())).collect::<io::Result<Vec<_>>>().with_context(describe)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(describe),
    };
    paths.sort();
    Ok(paths)
}
