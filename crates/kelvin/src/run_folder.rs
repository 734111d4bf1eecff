//! The folder of a run as the command line sees it: made, locked, described.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use kelvin_selfplay::disk::Disk;
use serde_json::{Value, json};

use crate::{
    config::{PolicySettings, Resolved},
    error::Usage,
    model,
    wire::World,
};

/// What ran where, beside the configuration.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A run folder that this process has locked.
pub(crate) struct RunFolder {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Held as long as the folder is in use; the system lets go of it with the process.
    _lock: File,
}

/// Makes the folder of a new run: `dir`, or the next free `runs/<stem>-N`.
///
/// # Errors
/// If it holds a run already, is in use, or cannot be written.
pub(crate) fn create(
    disk: &Disk,
    dir: Option<&Path>,
    stem: &str,
    resolved: &Resolved,
) -> anyhow::Result<RunFolder> {
    let path = match dir {
        Some(dir) => dir.to_owned(),
        None => {
            let free = (1..).map(|n| PathBuf::from(format!("runs/{stem}-{n}"))).find(|it| !it.exists());
            free.expect("some number is free")
        }
    };
    let names = [
        "config.toml",
        "tasks.jsonl",
        "metrics.jsonl",
        "alarms.jsonl",
        "checkpoints",
        "transcripts",
        "benchmarks",
    ];
    if names.iter().any(|it| path.join(it).exists()) {
        return Err(Usage::error(format!(
            "{} holds a run already\nhint: `kelvin resume {}` goes on with it, another --run-dir begins a new one",
            path.display(),
            path.display()
        )));
    }
    disk.make(&path).with_context(|| {
        format!("cannot create {}\nhint: choose a folder you can write with --run-dir", path.display())
    })?;
    let folder = lock(&path)?;
    // Whole or not at all: a run whose settings were cut short would go on with others.
    disk.replace(&path.join("config.toml"), resolved.text.as_bytes())?;
    Ok(folder)
}

/// Opens the folder of a run to go on with.
///
/// # Errors
/// If it is no run folder, or another process uses it.
pub(crate) fn open(path: &Path) -> anyhow::Result<RunFolder> {
    if !path.join("config.toml").is_file() {
        return Err(Usage::error(format!(
            "{} is not a run folder: it has no config.toml\nhint: name a folder that `kelvin train` made, such as runs/quickstart-1",
            path.display()
        )));
    }
    lock(path)
}

fn lock(path: &Path) -> anyhow::Result<RunFolder> {
    let file = path.join("lock");
    let lock = File::create(&file).with_context(|| {
        format!("cannot write {}\nhint: choose a folder you can write with --run-dir", file.display())
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(RunFolder { path: path.to_owned(), _lock: lock }),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by another kelvin process\nhint: wait for it, stop it, or give this run its own --run-dir",
            path.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", file.display()))
        }
    }
}

/// Writes [`MANIFEST`]: what the configuration does not say about where a run ran and what it began with; null for
/// what runs programs where none are run, and for the files of a model that is not here any more.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn describe(
    disk: &Disk,
    folder: &Path,
    world: &World,
    policy: &PolicySettings,
) -> anyhow::Result<()> {
    let executor = world.executor.as_ref();
    let python = executor.map(|it| it.python().version);
    let isolation = executor.map(|it| it.isolation());
    let manifest = json!({
        "format": 1,
        "kelvin": env!("CARGO_PKG_VERSION"),
        "model": policy.model,
        "model_files": model_files(policy).ok(),
        "python": python.map(|(major, minor, micro)| format!("{major}.{minor}.{micro}")),
        "isolation": isolation.map(|it| it.level.name()),
        "layers": isolation.map(|it| it.layers.iter().map(|it| it.name()).collect::<Vec<_>>()),
        "simd": kelvin_model::kernels::simd::level().as_str(),
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu": crate::machine::cpu_name(),
    });
    disk.replace(&folder.join(MANIFEST), format!("{manifest:#}\n").as_bytes())
}

/// What names of files begin with that are of the adapter which learning goes on from.
const ADAPTER: &str = "adapter/";

/// Of the model, and after [`ADAPTER`] of the adapter that learning goes on from.
fn model_files(policy: &PolicySettings) -> anyhow::Result<BTreeMap<String, String>> {
    let mut digests = model::digests(&policy.model)?;
    if let Some(dir) = policy.lora.from() {
        model::add_digests(dir, ADAPTER, &mut digests)?;
    }
    Ok(digests)
}

/// Checks that the adapter which learning goes on from is the one that the run in `folder` began with, by the digests in
/// its manifest; for who is to read it again. Without a manifest nothing is known.
///
/// # Errors
/// If it is not, or cannot be read, or the manifest is damaged.
pub(crate) fn require_same_adapter(folder: &Path, policy: &PolicySettings) -> anyhow::Result<()> {
    let (path, Some(dir)) = (folder.join(MANIFEST), policy.lora.from()) else { return Ok(()) };
    if !path.is_file() {
        return Ok(());
    }
    let damaged = || format!("{} is damaged\nhint: restore it from a copy", path.display());
    let manifest: Value = serde_json::from_reader(File::open(&path)?).with_context(damaged)?;
    let mut now = BTreeMap::new();
    model::add_digests(dir, ADAPTER, &mut now).context(
        "the run reads the adapter of policy.lora.from again\nhint: put the adapter back where it was",
    )?;
    let began_with = manifest["model_files"].as_object().into_iter().flatten();
    for (file, digest) in began_with.filter(|(file, _)| file.starts_with(ADAPTER)) {
        ensure!(
            now.get(file).map(String::as_str) == digest.as_str(),
            "the adapter in {} is another one than the run began with: {} differs\n\
             hint: put that one back, or begin a new run in another folder",
            dir.display(),
            file.trim_start_matches(ADAPTER)
        );
    }
    Ok(())
}
