//! A run on disk: append-only logs, and checkpoints that say how much of them counts. A checkpoint is written to
//! a temporary folder, synced, renamed, and marked complete last; a resume cuts the logs back to it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    task::{Step, Task, TaskType},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{behaviour::Alarm, posed::Posed, r_zero::Memory, state::RunState};

/// Version of `COMPLETE`.
pub const FORMAT: u32 = 1;
/// Version of `state.json`: models of older checkpoints can be read, their runs cannot go on.
pub const STATE_FORMAT: u32 = 2;
/// The marker, which is written last and lists every file with its hash.
pub const COMPLETE: &str = "COMPLETE";
/// What grows by lines, and is cut back on a resume.
const LOGS: [&str; 3] = ["tasks.jsonl", "metrics.jsonl", "alarms.jsonl"];

/// A run folder.
pub struct RunDir {
    /// Where it is.
    pub path: PathBuf,
}

/// `state.json`: what neither the settings nor the logs say.
#[derive(Serialize, Deserialize)]
struct SavedState {
    format: u32,
    step: Step,
    seeded: bool,
    policies: Vec<SavedPolicy>,
    tasks: LogCut,
    metrics: LogCut,
    alarms: LogCut,
    posed: Posed,
    #[serde(default)]
    r_zero: Memory,
    /// By number of the task among those of its type; only with a band.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    solve_rates: BTreeMap<TaskType, Vec<(u32, f32)>>,
}

/// What every version of `state.json` says.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct SavedPolicy {
    name: String,
    version: u64,
}

/// How much of a log belongs to a checkpoint.
#[derive(Serialize, Deserialize)]
struct LogCut {
    bytes: u64,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    files: Vec<SavedFile>,
}

#[derive(Serialize, Deserialize)]
struct SavedFile {
    path: String,
    sha256: String,
}

#[derive(Serialize)]
struct MetricsLine<'row> {
    step: Step,
    #[serde(flatten)]
    metrics: &'row Metrics,
}

impl RunDir {
    /// The run folder at `path`, which exists, with its sub-folders.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn open(path: &Path) -> anyhow::Result<RunDir> {
        for folder in ["transcripts", "checkpoints"] {
            let folder = path.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        Ok(RunDir { path: path.to_owned() })
    }

    /// Empties the logs: what a run left that was cut off before its first checkpoint.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn clear_logs(&self) -> anyhow::Result<()> {
        let transcripts = files_below(&self.path.join("transcripts"))?;
        for path in LOGS.map(|name| self.path.join(name)).into_iter().chain(transcripts) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Appends one row to `metrics.jsonl`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_metrics(&self, step: Step, metrics: &Metrics) -> anyhow::Result<()> {
        self.append("metrics.jsonl", &[MetricsLine { step, metrics }])
    }

    /// Appends tasks to `tasks.jsonl`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append_tasks(&self, tasks: &[Task]) -> anyhow::Result<()> {
        self.append("tasks.jsonl", tasks)
    }

    /// Appends alarms to `alarms.jsonl`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append_alarms(&self, alarms: &[Alarm]) -> anyhow::Result<()> {
        self.append("alarms.jsonl", alarms)
    }

    fn append(&self, name: &str, rows: &[impl Serialize]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let mut text = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut text, row)?;
            text.push(b'\n');
        }
        let write = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(&text);
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// The transcript file of a step.
    pub fn transcript(&self, step: Step) -> PathBuf {
        self.path.join("transcripts").join(format!("{step:06}.jsonl"))
    }

    /// Writes a checkpoint of `state` and removes all but the newest `keep` and those of steps that `stays` names.
    ///
    /// # Errors
    /// If writing fails; earlier checkpoints stand.
    pub fn save(
        &self,
        state: &RunState,
        keep: usize,
        stays: impl Fn(Step) -> bool,
    ) -> anyhow::Result<PathBuf> {
        let target = checkpoint_folder(&self.path, state.step);
        let temporary = self.path.join("checkpoints").join(format!(".writing-{:06}", state.step));
        self.write_checkpoint(state, &temporary, &target)
            .with_context(|| format!("writing checkpoint {}", target.display()))?;
        // Later ones are damaged: the run went back over them.
        let steps: Vec<Step> = complete_steps(&self.path)?
            .into_iter()
            .filter(|&step| step <= state.step && !stays(step))
            .collect();
        for &old in &steps[..steps.len().saturating_sub(keep.max(1))] {
            let old = checkpoint_folder(&self.path, old);
            fs::remove_dir_all(&old).with_context(|| format!("removing checkpoint {}", old.display()))?;
        }
        Ok(target)
    }

    fn write_checkpoint(&self, state: &RunState, temporary: &Path, target: &Path) -> anyhow::Result<()> {
        if temporary.exists() {
            fs::remove_dir_all(temporary)?;
        }
        fs::create_dir_all(temporary)?;
        for policy in &state.policies.0 {
            let folder = temporary.join(&*policy.name);
            fs::create_dir(&folder)?;
            policy.trainer.save(&folder)?;
        }
        let policies = state.policies.0.iter();
        let saved = SavedState {
            format: STATE_FORMAT,
            step: state.step,
            seeded: state.seeded,
            policies: policies
                .map(|it| SavedPolicy { name: it.name.to_string(), version: it.version })
                .collect(),
            tasks: self.cut("tasks.jsonl")?,
            metrics: self.cut("metrics.jsonl")?,
            alarms: self.cut("alarms.jsonl")?,
            posed: state.posed.clone(),
            r_zero: state.r_zero.clone(),
            solve_rates: state.buffer.solve_rates(),
        };
        fs::write(temporary.join("state.json"), serde_json::to_vec_pretty(&saved)?)?;
        let mut files = Vec::new();
        for path in files_below(temporary)? {
            File::open(&path)?.sync_all()?;
            let relative =
                path.strip_prefix(temporary).expect("files below it").to_string_lossy().into_owned();
            files.push(SavedFile { path: relative, sha256: hash(File::open(&path)?)? });
        }
        if target.exists() {
            fs::remove_dir_all(target)?;
        }
        fs::rename(temporary, target)?;
        let mut marker = File::create(target.join(COMPLETE))?;
        marker.write_all(&serde_json::to_vec_pretty(&Marker { format: FORMAT, files })?)?;
        marker.sync_all()?;
        File::open(target)?.sync_all()?;
        File::open(self.path.join("checkpoints"))?.sync_all()?;
        Ok(())
    }

    fn cut(&self, name: &str) -> anyhow::Result<LogCut> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        Ok(LogCut { bytes, sha256: hash(file)? })
    }

    /// Restores the newest checkpoint that is whole, and cuts the logs back to it. `None` if none was ever
    /// complete. Damaged ones are named to `warn` and passed over.
    ///
    /// # Errors
    /// If all are damaged, a log is shorter than the checkpoint says or differs from it, or a policy cannot be
    /// restored.
    pub fn restore(
        &self,
        state: &mut RunState,
        env: &dyn DynEnvironment,
        warn: &mut dyn FnMut(String),
    ) -> anyhow::Result<Option<Step>> {
        let Some((step, folder)) = newest_whole(&self.path, warn)? else {
            // The first checkpoint is written before the first step.
            let path = self.path.join("metrics.jsonl");
            let rows = match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                read => read.with_context(|| format!("reading {}", path.display()))?,
            };
            anyhow::ensure!(
                rows.iter().filter(|byte| **byte == b'\n').count() <= 1,
                "{} has gone steps but has no checkpoint any more\nhint: restore the folder `checkpoints`; a new run \
                 needs another folder",
                self.path.display()
            );
            return Ok(None);
        };
        self.restore_from(&folder, state, env).with_context(|| format!("restoring {}", folder.display()))?;
        Ok(Some(step))
    }

    fn restore_from(
        &self,
        folder: &Path,
        state: &mut RunState,
        env: &dyn DynEnvironment,
    ) -> anyhow::Result<()> {
        let text = fs::read(folder.join("state.json"))?;
        let Version { format } = serde_json::from_slice(&text)?;
        anyhow::ensure!(
            format == STATE_FORMAT,
            "state.json has format {}, this program reads {STATE_FORMAT}\nhint: use the version of kelvin that wrote it",
            format
        );
        let saved: SavedState = serde_json::from_slice(&text)?;
        restore_policies(folder, &saved.policies, state)?;
        self.truncate("metrics.jsonl", &saved.metrics)?;
        self.truncate("tasks.jsonl", &saved.tasks)?;
        self.truncate("alarms.jsonl", &saved.alarms)?;
        for entry in fs::read_dir(self.path.join("transcripts"))? {
            let path = entry?.path();
            let step: Option<Step> =
                path.file_stem().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
            if step.is_some_and(|it| saved.step < it) {
                fs::remove_file(path)?;
            }
        }
        state.buffer.clear();
        for (index, line) in BufReader::new(File::open(self.path.join("tasks.jsonl"))?).lines().enumerate() {
            let task = serde_json::from_str(&line?).with_context(|| format!("tasks.jsonl:{}", index + 1))?;
            state.buffer.append(env, [task])?;
            state.buffer.take_unlogged();
        }
        state.posed = saved.posed;
        state.r_zero = saved.r_zero;
        state.buffer.set_solve_rates(&saved.solve_rates);
        state.step = saved.step;
        state.seeded = saved.seeded;
        Ok(())
    }

    /// Puts the policies back to the checkpoint of a step, and nothing else.
    ///
    /// # Errors
    /// If there is no whole checkpoint of it, or a policy cannot be restored.
    pub fn put_back(&self, step: Step, state: &mut RunState) -> anyhow::Result<()> {
        let folder = checkpoint_folder(&self.path, step);
        let mut read = || {
            verify(&folder)?;
            let saved: SavedState = serde_json::from_slice(&fs::read(folder.join("state.json"))?)?;
            restore_policies(&folder, &saved.policies, state)
        };
        read().with_context(|| format!("reading {}", folder.display()))
    }

    fn truncate(&self, name: &str, cut: &LogCut) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let there = file.metadata()?.len();
        anyhow::ensure!(
            cut.bytes <= there,
            "{} has {there} bytes, the checkpoint needs {}\nhint: logs of a run are append-only; restore the file from a \
             copy",
            path.display(),
            cut.bytes
        );
        let prefix = hash((&mut file).take(cut.bytes))?;
        anyhow::ensure!(
            prefix == cut.sha256,
            "{} was changed since the checkpoint\nhint: logs of a run are append-only; restore the file from a copy",
            path.display()
        );
        file.set_len(cut.bytes)?;
        file.rewind()?;
        Ok(())
    }
}

fn restore_policies(folder: &Path, saved: &[SavedPolicy], state: &mut RunState) -> anyhow::Result<()> {
    for policy in &mut state.policies.0 {
        let saved = saved.iter().find(|it| it.name == *policy.name);
        let saved = saved.with_context(|| format!("the checkpoint has no policy `{}`", policy.name))?;
        policy.trainer.restore(&folder.join(&*policy.name))?;
        policy.version = saved.version;
    }
    Ok(())
}

/// The newest checkpoint that is whole of the run in folder `run`, with its step. `None` if none was ever
/// complete. Damaged ones are named to `warn` and passed over.
///
/// # Errors
/// If all are damaged, or the folder cannot be read.
pub fn newest_whole(run: &Path, warn: &mut dyn FnMut(String)) -> anyhow::Result<Option<(Step, PathBuf)>> {
    let steps = complete_steps(run)?;
    for &step in steps.iter().rev() {
        let folder = checkpoint_folder(run, step);
        match verify(&folder) {
            Ok(()) => return Ok(Some((step, folder))),
            Err(error) => {
                warn(format!("checkpoint {} is damaged ({error:#}); trying the one before", folder.display()))
            }
        }
    }
    anyhow::ensure!(
        steps.is_empty(),
        "no checkpoint below {} is whole\nhint: its model may still be readable: give the `policy` folder in it to \
         `kelvin sample`; a new run needs another folder",
        run.display()
    );
    Ok(None)
}

/// Steps with a complete checkpoint, oldest first.
fn complete_steps(run: &Path) -> anyhow::Result<Vec<Step>> {
    let folder = run.join("checkpoints");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut steps = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(step) = entry.file_name().to_str().and_then(|it| it.parse().ok())
            && entry.path().join(COMPLETE).exists()
        {
            steps.push(step);
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

fn checkpoint_folder(run: &Path, step: Step) -> PathBuf {
    run.join("checkpoints").join(format!("{step:06}"))
}

/// Checks every file of a checkpoint against the hash in its marker.
///
/// # Errors
/// If there is no marker, or a file is missing or differs.
pub fn verify(folder: &Path) -> anyhow::Result<()> {
    let marker: Marker = serde_json::from_slice(&fs::read(folder.join(COMPLETE))?)?;
    anyhow::ensure!(marker.format == FORMAT, "its format is {}, this program reads {FORMAT}", marker.format);
    for file in marker.files {
        let path = folder.join(&file.path);
        let found = hash(File::open(&path).with_context(|| file.path.clone())?)?;
        anyhow::ensure!(found == file.sha256, "{} does not match its hash", file.path);
    }
    Ok(())
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn hash(mut from: impl Read) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut from, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
