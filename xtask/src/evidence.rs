//! The runs behind the published numbers. A table names arms, each a configuration with overrides; every arm runs
//! with the same seeds, by one binary, so that differences between arms are paired. Runs that stand are not run
//! again and runs that were cut off go on, so the task can be stopped at any time.

mod summary;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::{
    curve,
    series::{self, Row},
    shell,
};

/// What to run: the file that `--table` names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What the curve is headed by.
    pub(crate) title: String,
    /// Where summary, table, curve and raw metrics go, from the root. Runs lie under `runs/` by the same name.
    pub(crate) folder: PathBuf,
    /// Every arm runs once with each.
    pub(crate) seeds: Vec<u64>,
    /// The last step that counts, for a table whose arms are of different lengths; all of them where it is not written.
    #[serde(default)]
    until: Option<u64>,
    /// The first is the claim, the others are what it is compared with.
    pub(crate) arms: Vec<Arm>,
}

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arm {
    /// Names folders and lines.
    pub(crate) name: String,
    /// The configuration file of its runs, from the root.
    #[serde(default)]
    config: String,
    /// `key=value` pairs, given as `--set`.
    #[serde(default)]
    overrides: Vec<String>,
    /// Instead of a configuration: folder and arm of a table that has these runs already.
    #[serde(default)]
    of: Option<String>,
}

impl Arm {
    /// What one run of this arm is started with, but for its folder and its seed.
    fn arguments(&self) -> Vec<String> {
        let set = self.overrides.iter().flat_map(|it| ["--set".to_owned(), it.clone()]);
        ["train".to_owned(), self.config.clone()].into_iter().chain(set).collect()
    }

    /// Where its runs come from, for readers.
    fn origin(&self) -> String {
        self.of.as_ref().map_or_else(|| format!("kelvin {}", self.arguments().join(" ")), String::clone)
    }
}

/// One arm with one seed.
pub(crate) struct Trial<'table> {
    pub(crate) arm: &'table Arm,
    pub(crate) seed: u64,
}

impl Trial<'_> {
    fn name(&self) -> String {
        format!("{}-{}", self.arm.name, self.seed)
    }

    /// Where its committed metrics lie.
    pub(crate) fn results(&self, root: &Path, table: &Table) -> PathBuf {
        match &self.arm.of {
            Some(other) => root.join(format!("{other}-{}", self.seed)),
            None => root.join(&table.folder).join(self.name()),
        }
    }
}

impl Table {
    /// Reads and checks a table.
    ///
    /// # Errors
    /// If it cannot be read or would run nothing.
    pub(crate) fn read(root: &Path, path: &Path) -> anyhow::Result<Table> {
        let path = root.join(path);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: Table =
            toml::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        ensure!(!table.seeds.is_empty() && !table.arms.is_empty(), "{} names no run", path.display());
        for arm in &table.arms {
            ensure!(arm.config.is_empty() == arm.of.is_some(), "arm `{}` needs `config` or `of`", arm.name);
        }
        Ok(table)
    }

    /// Seed by seed, so that what is there at any time is paired.
    pub(crate) fn trials(&self) -> impl Iterator<Item = Trial<'_>> {
        self.seeds.iter().flat_map(|&seed| self.arms.iter().map(move |arm| Trial { arm, seed }))
    }

    /// Those that it runs itself.
    fn own_trials(&self) -> impl Iterator<Item = Trial<'_>> {
        self.trials().filter(|trial| trial.arm.of.is_none())
    }
}

/// Runs what is missing of the chosen arms (of all where none is named) of each table, then writes its results' folder.
pub(crate) fn run(root: &Path, tables: &[PathBuf], only: &[String], start: bool) -> anyhow::Result<()> {
    let tables = tables.iter().map(|it| Table::read(root, it)).collect::<anyhow::Result<Vec<_>>>()?;
    for name in only {
        let mut arms = tables.iter().flat_map(|it| &it.arms);
        ensure!(arms.any(|arm| arm.name == *name), "no table has an arm `{name}`");
    }
    tables.iter().try_for_each(|table| run_table(root, table, only, start))
}

fn run_table(root: &Path, table: &Table, only: &[String], start: bool) -> anyhow::Result<()> {
    let runs = root.join("runs").join(table.folder.file_name().context("the table's folder has no name")?);
    if start {
        let binary = binary(root, &runs)?;
        for trial in table.own_trials() {
            if only.is_empty() || only.contains(&trial.arm.name) {
                train(root, &binary, &trial, &runs)?;
            }
        }
    }
    let n_missing = table.own_trials().filter(|it| !is_complete(&runs.join(it.name()))).count();
    for trial in table.own_trials() {
        collect(root, table, &trial, &runs)?;
    }
    if 0 < n_missing {
        eprintln!("{n_missing} runs are missing; summary, table and curve wait for them");
        return Ok(());
    }
    summary::write(root, table)?;
    if curve::ARMS_MAX < table.arms.len() {
        eprintln!("no curve: it shows {} arms at most", curve::ARMS_MAX);
        return Ok(());
    }
    curve::write(root, table, &root.join(&table.folder).join("curve.svg"))
}

/// The binary that runs every arm: built once and kept beside the runs, so that a resumed table does not mix two.
fn binary(root: &Path, runs: &Path) -> anyhow::Result<String> {
    let kept = runs.join("kelvin");
    if !kept.exists() {
        shell::run(root, "cargo", &["build", "--release", "--package", "kelvin"], &[])?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let built = root.join(target).join("release/kelvin");
        std::fs::create_dir_all(runs).with_context(|| format!("cannot create {}", runs.display()))?;
        std::fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
    }
    Ok(kept.to_str().context("the checkout's path is not UTF-8")?.to_owned())
}

fn train(root: &Path, binary: &str, trial: &Trial, runs: &Path) -> anyhow::Result<()> {
    let folder = runs.join(trial.name());
    let shown = folder.to_str().context("the checkout's path is not UTF-8")?;
    if is_complete(&folder) {
        eprintln!("{}: complete", trial.name());
        return Ok(());
    }
    let arguments = if folder.join("config.toml").exists() {
        eprintln!("{}: resuming", trial.name());
        ["resume", shown, "--plain"].map(str::to_owned).to_vec()
    } else {
        eprintln!("{}: starting", trial.name());
        let seed = trial.seed.to_string();
        let own = ["--run-dir", shown, "--plain", "--seed", &seed].map(str::to_owned);
        trial.arm.arguments().into_iter().chain(own).collect()
    };
    shell::run(root, binary, &arguments, &[])?;
    ensure!(is_complete(&folder), "{shown} ended without an evaluation at its last step");
    Ok(())
}

/// The run stands at the last step of its configuration, and was evaluated there.
fn is_complete(run: &Path) -> bool {
    steps(run).is_ok_and(|steps| {
        newest_checkpoint(run) == Some(steps)
            && series::read(&run.join("metrics.jsonl"))
                .is_ok_and(|rows| series::evaluated(&rows).last().is_some_and(|row| row.step == steps))
    })
}

/// The number of steps that a run's configuration asks for.
fn steps(run: &Path) -> anyhow::Result<u64> {
    let config: toml::Table = std::fs::read_to_string(run.join("config.toml"))?.parse()?;
    let steps = config.get("steps").and_then(toml::Value::as_integer).context("no `steps`")?;
    Ok(u64::try_from(steps)?)
}

/// The step of the newest checkpoint that was written whole.
pub(crate) fn newest_checkpoint(run: &Path) -> Option<u64> {
    std::fs::read_dir(run.join("checkpoints"))
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("COMPLETE").exists())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .max()
}

/// Copies what a claim rests on: the resolved configuration, what ran where, and every number.
fn collect(root: &Path, table: &Table, trial: &Trial, runs: &Path) -> anyhow::Result<()> {
    let (from, to) = (runs.join(trial.name()), trial.results(root, table));
    if !is_complete(&from) {
        return Ok(());
    }
    std::fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    for name in ["config.toml", "manifest.json", "metrics.jsonl"] {
        std::fs::copy(from.join(name), to.join(name))
            .with_context(|| format!("cannot copy {}", from.join(name).display()))?;
    }
    Ok(())
}

/// A trial's committed rows that carry an evaluation, as far as the table looks.
///
/// # Errors
/// If they cannot be read, or there are fewer than two: a start and an end.
pub(crate) fn evaluations(root: &Path, table: &Table, trial: &Trial) -> anyhow::Result<Vec<Row>> {
    let path = trial.results(root, table).join("metrics.jsonl");
    let mut rows: Vec<Row> = series::evaluated(&series::read(&path)?).into_iter().cloned().collect();
    rows.retain(|row| table.until.is_none_or(|until| row.step <= until));
    ensure!(2 <= rows.len(), "{} holds fewer than two evaluations", path.display());
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_complete_when_its_last_step_is_kept_and_evaluated() {
        let run = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = run.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("config.toml", "steps = 4\n");
        write("metrics.jsonl", "{\"step\":4,\"eval/mean/accuracy\":0.5}\n");
        write("checkpoints/000004/state.json", "{}");
        assert!(!is_complete(run.path()), "a checkpoint without its mark");
        write("checkpoints/000002/COMPLETE", "");
        assert!(!is_complete(run.path()), "an earlier checkpoint");
        write("checkpoints/000004/COMPLETE", "");
        assert!(is_complete(run.path()));
        write("metrics.jsonl", "{\"step\":4,\"loss\":0.5}\n");
        assert!(!is_complete(run.path()), "no evaluation at the end");
    }

    #[test]
    fn trials_are_paired_by_seed() {
        let table: Table = toml::from_str(
            "title = 't'\nfolder = 'results/x'\nseeds = [1, 2]\n\
             [[arms]]\nname = 'a'\nconfig = 'c'\n[[arms]]\nname = 'b'\nconfig = 'c'\noverrides = ['k=1']\n",
        )
        .unwrap();
        let names: Vec<String> = table.trials().map(|it| it.name()).collect();
        assert_eq!(names, ["a-1", "b-1", "a-2", "b-2"]);
    }
}
