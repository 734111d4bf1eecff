//! A run on disk: append-only logs, and checkpoints that say how much of them counts. A checkpoint is written to
//! a temporary folder, synced, renamed, and marked complete last; a resume cuts the logs back to it.

mod step_files;
mod whole;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    task::{Step, Task, TaskType},
};
use serde::{Deserialize, Serialize};

use crate::{
    behaviour::Alarm,
    disk::{Disk, entries},
    log::{Log, LogCut},
    posed::Posed,
    r_zero::Memory,
    state::{Before, RunState},
};
pub use whole::{COMPLETE, FORMAT, hash, newest_whole, verify};
use whole::{checkpoint_folder, complete_steps};

/// Version of `state.json`: models of older checkpoints can be read, their runs cannot go on.
pub const STATE_FORMAT: u32 = 3;
/// The configuration that a run had when a checkpoint was written, in its folder.
pub const CONFIG: &str = "config.toml";
/// How the folder of a checkpoint begins that is being written.
const WRITING: &str = ".writing-";

/// A run folder.
pub struct RunDir {
    /// Where it is.
    pub path: PathBuf,
    disk: Disk,
    /// What checkpoints keep of the configuration; nothing where nobody reads it.
    config: Option<String>,
    logs: Mutex<Logs>,
}

/// What grows by lines, and is cut back on a resume.
struct Logs {
    tasks: Log,
    metrics: Log,
    alarms: Log,
}

/// `state.json`: what neither the settings nor the logs say.
#[derive(Serialize, Deserialize)]
struct SavedState {
    format: u32,
    step: Step,
    seeded: bool,
    /// Held-out accuracy at this step, where it was evaluated.
    accuracy: Option<f64>,
    policies: Vec<SavedPolicy>,
    tasks: LogCut,
    metrics: LogCut,
    alarms: LogCut,
    posed: Posed,
    r_zero: Memory,
    /// What was measured of this step, where its evaluation was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Metrics>,
    /// By number of the task among those of its type; only with a band.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    solve_rates: BTreeMap<TaskType, Vec<(u32, f32)>>,
}

/// What every version of `state.json` says.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// What decides whether a checkpoint stays.
#[derive(Deserialize)]
struct Probed {
    accuracy: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct SavedPolicy {
    name: String,
    version: u64,
}

#[derive(Serialize)]
struct MetricsLine<'row> {
    step: Step,
    #[serde(flatten)]
    metrics: &'row Metrics,
}

/// Which checkpoints stay when one was written.
#[derive(Clone, Copy)]
pub struct Retention<'run> {
    /// So many of the newest; at least the one that was written.
    pub newest: usize,
    /// So many of those with the highest held-out accuracy, of equals the earlier ones.
    pub best: usize,
    /// Those of these steps in any case; they are not counted.
    pub stays: &'run dyn Fn(Step) -> bool,
}

impl RunDir {
    /// The run folder at `path`, which exists, with its sub-folders. Its logs are to be restored or cleared first.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn open(path: &Path) -> anyhow::Result<RunDir> {
        RunDir::on(Disk::default(), path, None)
    }

    /// The same on this disk; checkpoints keep the text `config`.
    ///
    /// # Errors
    /// As [`RunDir::open`].
    pub fn on(disk: Disk, path: &Path, config: Option<String>) -> anyhow::Result<RunDir> {
        step_files::make(&disk, path)?;
        disk.make(&path.join("checkpoints"))?;
        let log = |name| Log::empty(path.join(name));
        let logs =
            Logs { tasks: log("tasks.jsonl"), metrics: log("metrics.jsonl"), alarms: log("alarms.jsonl") };
        Ok(RunDir { path: path.to_owned(), disk, config, logs: Mutex::new(logs) })
    }

    /// Through which all that a run keeps is written.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Empties the logs: what a run left that was cut off before its first checkpoint.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn clear_logs(&self) -> anyhow::Result<()> {
        self.remove_beginnings()?;
        step_files::remove_all(&self.disk, &self.path)?;
        let mut logs = self.logs();
        let Logs { tasks, metrics, alarms } = &mut *logs;
        for log in [tasks, metrics, alarms] {
            *log = Log::empty(log.path().to_owned());
            self.disk.remove(log.path())?;
        }
        Ok(())
    }

    /// A poisoned lock only says that a thread panicked.
    fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one row to `metrics.jsonl`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_metrics(&self, step: Step, metrics: &Metrics) -> anyhow::Result<()> {
        self.logs().metrics.append(&self.disk, &[MetricsLine { step, metrics }])
    }

    /// Appends tasks to `tasks.jsonl`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append_tasks(&self, tasks: &[Task]) -> anyhow::Result<()> {
        self.logs().tasks.append(&self.disk, tasks)
    }

    /// Appends alarms to `alarms.jsonl`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append_alarms(&self, alarms: &[Alarm]) -> anyhow::Result<()> {
        self.logs().alarms.append(&self.disk, alarms)
    }

    /// Writes the transcript of a step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_transcript(&self, step: Step, text: &[u8]) -> anyhow::Result<()> {
        step_files::write(&self.disk, &self.path, step_files::TRANSCRIPTS, step, text)
    }

    /// Writes the samples of the benchmarks that were asked after a step.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_benchmarks(&self, step: Step, text: &[u8]) -> anyhow::Result<()> {
        step_files::write(&self.disk, &self.path, step_files::BENCHMARKS, step, text)
    }

    /// Writes a checkpoint of `state`, whose held-out accuracy is `accuracy` where it was evaluated, and removes those
    /// that need not stay.
    ///
    /// # Errors
    /// If writing fails; earlier checkpoints stand.
    pub fn save(
        &self,
        state: &RunState,
        accuracy: Option<f64>,
        retention: Retention<'_>,
    ) -> anyhow::Result<PathBuf> {
        let target = checkpoint_folder(&self.path, state.step);
        self.write_checkpoint(state, accuracy, &target)
            .with_context(|| format!("writing checkpoint {}", target.display()))?;
        // One of a step whose evaluation is due is written anew after it: until then those before it stay.
        if state.pending.is_none() {
            for step in self.superseded(state.step, retention)? {
                self.remove_checkpoint(&checkpoint_folder(&self.path, step), state)?;
            }
        }
        Ok(target)
    }

    fn write_checkpoint(&self, state: &RunState, accuracy: Option<f64>, target: &Path) -> anyhow::Result<()> {
        self.remove_beginnings()?;
        let disk = &self.disk;
        let temporary = self.path.join("checkpoints").join(format!("{WRITING}{:06}", state.step));
        disk.make(&temporary)?;
        for policy in &state.policies.0 {
            disk.fill(&temporary.join(&*policy.name), |folder| policy.trainer.save(folder))?;
        }
        if let Some(config) = &self.config {
            disk.write(&temporary.join(CONFIG), config.as_bytes())?;
        }
        let saved = serde_json::to_vec_pretty(&self.saved(state, accuracy)?)?;
        disk.write(&temporary.join("state.json"), &saved)?;
        let marker = whole::marker(&temporary, disk)?;
        // Damaged, or of a step whose evaluation was due: another one stands before it, but for step 0.
        self.remove_checkpoint(target, state)?;
        disk.rename(&temporary, target)?;
        disk.replace(&target.join(COMPLETE), &marker)
    }

    fn saved(&self, state: &RunState, accuracy: Option<f64>) -> anyhow::Result<SavedState> {
        step_files::sync(&self.disk, &self.path)?;
        self.disk.sync(&self.path)?;
        let logs = self.logs();
        let policies = state.policies.0.iter();
        Ok(SavedState {
            format: STATE_FORMAT,
            step: state.step,
            seeded: state.seeded,
            accuracy,
            policies: policies
                .map(|it| SavedPolicy { name: it.name.to_string(), version: it.version })
                .collect(),
            tasks: logs.tasks.cut(&self.disk)?,
            metrics: logs.metrics.cut(&self.disk)?,
            alarms: logs.alarms.cut(&self.disk)?,
            posed: state.posed.clone(),
            r_zero: state.r_zero.clone(),
            pending: state.pending.clone(),
            solve_rates: state.buffer.solve_rates(),
        })
    }

    /// The steps whose checkpoints need not stay beside that of step `now`.
    fn superseded(&self, now: Step, retention: Retention<'_>) -> anyhow::Result<Vec<Step>> {
        // Later ones are damaged: the run went back over them.
        let mut steps = complete_steps(&self.path)?;
        steps.retain(|&step| step <= now && !(retention.stays)(step));
        let n_newest = retention.newest.max(1).min(steps.len());
        let newest = steps.split_off(steps.len() - n_newest);
        let accuracy = |step: Step| -> Option<f64> {
            let text = fs::read(checkpoint_folder(&self.path, step).join("state.json")).ok()?;
            serde_json::from_slice::<Probed>(&text).ok()?.accuracy
        };
        let probed = steps.iter().chain(&newest).filter_map(|&step| Some((accuracy(step)?, step)));
        let mut probed: Vec<(f64, Step)> = probed.collect();
        probed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        probed.truncate(retention.best);
        steps.retain(|step| probed.iter().all(|it| it.1 != *step));
        Ok(steps)
    }

    /// The marker goes first: what is gone in part is no damaged checkpoint, and what its policies have elsewhere is there for as
    /// long as it is one.
    fn remove_checkpoint(&self, folder: &Path, state: &RunState) -> anyhow::Result<()> {
        if !folder.exists() {
            return Ok(());
        }
        self.disk.remove(&folder.join(COMPLETE))?;
        state.policies.0.iter().for_each(|it| it.trainer.forget(&folder.join(&*it.name)));
        self.disk.remove(folder).with_context(|| format!("removing checkpoint {}", folder.display()))
    }

    /// What a run left of a checkpoint that it was cut off in, as it wrote or removed it.
    fn remove_beginnings(&self) -> anyhow::Result<()> {
        for path in entries(&self.path.join("checkpoints"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let has_lost_its_marker = name.parse::<Step>().is_ok() && !path.join(COMPLETE).exists();
            if name.starts_with(WRITING) || has_lost_its_marker {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// The newest checkpoint that is whole, with its step. `None` if none was ever complete. Damaged ones are named to
    /// `warn` and passed over.
    ///
    /// # Errors
    /// If all are damaged, or the run has gone steps and has none.
    pub fn newest(&self, warn: &mut dyn FnMut(String)) -> anyhow::Result<Option<(Step, PathBuf)>> {
        let newest = newest_whole(&self.path, warn)?;
        if newest.is_none() {
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
        }
        Ok(newest)
    }

    /// Restores the checkpoint in `folder`, which [`RunDir::newest`] found, and cuts the logs back to it.
    ///
    /// # Errors
    /// If a log is shorter than the checkpoint says or differs from it, or a policy cannot be restored; then the logs
    /// are as they were.
    pub fn restore(
        &self,
        folder: &Path,
        state: &mut RunState,
        env: &dyn DynEnvironment,
    ) -> anyhow::Result<()> {
        let restored = self.restore_from(folder, state, env);
        restored.with_context(|| format!("restoring {}", folder.display()))
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
        let read = |name: &str, cut| Log::read(self.path.join(name), cut);
        let logs = Logs {
            tasks: read("tasks.jsonl", &saved.tasks)?,
            metrics: read("metrics.jsonl", &saved.metrics)?,
            alarms: read("alarms.jsonl", &saved.alarms)?,
        };
        restore_policies(folder, &saved.policies, state)?;
        self.remove_beginnings()?;
        [&logs.metrics, &logs.tasks, &logs.alarms].into_iter().try_for_each(|it| it.cut_back(&self.disk))?;
        *self.logs() = logs;
        step_files::remove_after(&self.disk, &self.path, saved.step)?;
        self.read_tasks(state, env)?;
        state.posed = saved.posed;
        state.r_zero = saved.r_zero;
        state.pending = saved.pending;
        state.buffer.set_solve_rates(&saved.solve_rates);
        state.step = saved.step;
        state.seeded = saved.seeded;
        Ok(())
    }

    /// Takes a step back that was cut off. Gives whether it could be: not where a policy has learnt in it.
    ///
    /// # Errors
    /// If the tasks cannot be read.
    pub(crate) fn take_back(
        &self,
        state: &mut RunState,
        env: &dyn DynEnvironment,
        before: Before,
    ) -> anyhow::Result<bool> {
        if before.step != state.step || before.versions != state.policies.versions() {
            return Ok(false);
        }
        self.read_tasks(state, env)?;
        state.buffer.set_solve_rates(&before.solve_rates);
        state.r_zero = before.r_zero;
        Ok(true)
    }

    /// Fills the buffer with the tasks of the log, which ends where it counts.
    fn read_tasks(&self, state: &mut RunState, env: &dyn DynEnvironment) -> anyhow::Result<()> {
        state.buffer.clear();
        let path = self.logs().tasks.path().to_owned();
        let file = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let task = serde_json::from_str(&line?).with_context(|| format!("tasks.jsonl:{}", index + 1))?;
            state.buffer.append(env, [task])?;
            state.buffer.take_unlogged();
        }
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
