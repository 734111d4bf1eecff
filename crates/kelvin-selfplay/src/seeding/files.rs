//! Seed files: JSON lines in the original's fields. The environment validates each record as it would a proposal; what is
//! left enters the buffers until they hold their seeds.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, ensure};
use kelvin_core::{
    environment::{DynEnvironment, SeedRecord},
    rollout::Role,
    task::{Reason, SEED_STAGE, Task, TaskType},
};
use serde_json::Value;

use super::{admit, is_short};
use crate::{
    settings::{AzrSettings, RunSettings},
    stage::{self, Scene},
    state::{HeldOut, RunState},
};

/// What came of a seed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// Records of its task type.
    pub n_records: usize,
    /// Those that are tasks of this run.
    pub n_valid: usize,
    /// Why the others are none.
    pub refused: BTreeMap<Reason, usize>,
}

impl Loaded {
    /// `7 of 9 records of F are seeds; refused: 1 banned_import, 1 timeout`.
    pub fn line(&self) -> String {
        let Loaded { path, n_records, n_valid, refused } = self;
        let reasons: Vec<String> = refused.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        let end =
            if reasons.is_empty() { String::new() } else { format!("; refused: {}", reasons.join(", ")) };
        format!("{n_valid} of {n_records} records of {} are seeds{end}", path.display())
    }
}

/// Every seed file with the type of task that its records are read as.
fn named(azr: &AzrSettings) -> impl Iterator<Item = (TaskType, &PathBuf)> {
    let all = [
        (TaskType::Deduction, &azr.seed_files),
        (TaskType::Induction, &azr.induction_seed_files),
        (TaskType::Error, &azr.error_seed_files),
    ];
    all.into_iter().flat_map(|(task_type, files)| files.iter().map(move |file| (task_type, file)))
}

/// Reads every seed file and validates nothing.
///
/// # Errors
/// If one cannot be read or is not made of JSON lines.
pub fn check(azr: &AzrSettings) -> anyhow::Result<()> {
    named(azr).try_for_each(|(_, path)| records(path).map(drop))
}

/// Puts the seeds of every file into the buffers; nothing where there is none.
///
/// # Errors
/// If a file cannot be read or has no record that is a task of this run, or the sandbox fails.
pub fn load(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<Vec<Loaded>> {
    named(&settings.azr)
        .map(|(task_type, path)| load_one(state, env, held_out, settings, task_type, path))
        .collect()
}

fn load_one(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    task_type: TaskType,
    path: &Path,
) -> anyhow::Result<Loaded> {
    let records = records(path)?;
    let read = in_order(&records, settings.n_judges, |record| env.read_seed(task_type, record))?;
    let mut loaded = Loaded { path: path.to_owned(), n_records: 0, n_valid: 0, refused: BTreeMap::new() };
    for record in read {
        let outcome = match record {
            SeedRecord::OtherType => continue,
            SeedRecord::Refused(rejection) => Err(rejection.reason),
            SeedRecord::Valid(task) => keep(state, env, held_out, settings, &task)?,
        };
        loaded.n_records += 1;
        match outcome {
            Ok(()) => loaded.n_valid += 1,
            Err(reason) => *loaded.refused.entry(reason).or_default() += 1,
        }
    }
    ensure!(
        0 < loaded.n_valid,
        "nothing in this file can be a seed: {}\nhint: each line is an object with snippet, input and output, or with \
         snippet, inputs, outputs and message; `kelvin exec validate` says of each record what is wrong with it",
        loaded.line()
    );
    Ok(loaded)
}

/// Lets a task into every buffer that it seeds and that is not full; else why it may not be a seed.
fn keep(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    task: &Task,
) -> anyhow::Result<Result<(), Reason>> {
    let scene = Scene { env, player: state.policies.player(Role::Proposer), step: SEED_STAGE, settings };
    let mut is_new = false;
    let mut twins = Vec::new();
    for task_type in env.seed_types(task.task_type) {
        if !settings.task_types.contains(&task_type) {
            continue;
        }
        let twin = Task { task_type, ..task.clone() };
        if let Some(rejection) = stage::unfit(scene, &twin, &env.solve_prompt(&twin)?, held_out)? {
            return Ok(Err(rejection.reason));
        }
        is_new |= !state.buffer.holds(&(task_type, env.identity(&twin)?));
        if is_short(&state.buffer, settings, task_type) {
            twins.push(twin);
        }
    }
    for twin in twins {
        admit(state, env, twin)?;
    }
    Ok(if is_new { Ok(()) } else { Err(Reason::Duplicate) })
}

/// The objects of a file of JSON lines; blank lines are none.
fn records(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read the seed file {}\nhint: paths of azr.seed_files and its like start in the folder that kelvin \
             is called in",
            path.display()
        )
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let record = |(at, line): (usize, &str)| {
        let record: Option<Value> = serde_json::from_str(line).ok();
        record.filter(Value::is_object).with_context(|| {
            format!(
                "{}:{}: not a JSON object\nhint: a seed file holds one object a line",
                path.display(),
                at + 1
            )
        })
    };
    lines.map(record).collect()
}

/// What `work` makes of each item, on several threads, in the order of the items.
fn in_order<T: Sync, R: Send>(
    items: &[T],
    n_threads: usize,
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work_off = || -> anyhow::Result<()> {
        while let Some((at, item)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            items.get(at).map(|item| (at, item))
        } {
            let result = work(item)?;
            results.lock().expect("no thread panics holding it")[at] = Some(result);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(work_off)).collect();
        let ends = threads.into_iter().map(|it| it.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
        ends.collect::<anyhow::Result<()>>()
    })?;
    let results = results.into_inner().expect("all threads have ended");
    Ok(results.into_iter().map(|it| it.expect("every item was worked on")).collect())
}
