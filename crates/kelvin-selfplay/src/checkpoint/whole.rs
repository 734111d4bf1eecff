//! Which checkpoints are whole: those with a marker that has the hash of every file.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use kelvin_core::task::Step;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    disk::{Disk, entries, files_below},
    log::hex,
};

/// Version of `COMPLETE`.
pub const FORMAT: u32 = 1;
/// The marker, which is written last and lists every file with its hash.
pub const COMPLETE: &str = "COMPLETE";

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
            // It may be whole: who goes on from the one before cuts the logs that it needs.
            Err(error) if is_unreadable(&error) => {
                return Err(error.context(format!(
                    "checkpoint {} cannot be read\nhint: make it readable; where it is lost, remove its folder",
                    folder.display()
                )));
            }
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

/// Whether something kept a file from being read that is there.
fn is_unreadable(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|it| it.downcast_ref::<io::Error>()).map(io::Error::kind);
    kind.is_some_and(|it| {
        !matches!(it, io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
    })
}

/// Steps with a complete checkpoint, oldest first.
pub(super) fn complete_steps(run: &Path) -> anyhow::Result<Vec<Step>> {
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

pub(super) fn checkpoint_folder(run: &Path, step: Step) -> PathBuf {
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

/// SHA-256 of all that a reader gives, in hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn hash(mut from: impl Read) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut from, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Brings all that is in the folder of a checkpoint to the medium, and gives its marker.
///
/// # Errors
/// If a file cannot be read or synced.
pub(super) fn marker(folder: &Path, disk: &Disk) -> anyhow::Result<Vec<u8>> {
    let mut files = Vec::new();
    for path in files_below(folder)? {
        disk.sync(&path)?;
        let relative = path.strip_prefix(folder).expect("files below it").to_string_lossy().into_owned();
        files.push(SavedFile { path: relative, sha256: hash(File::open(&path)?)? });
    }
    for path in entries(folder)?.iter().map(PathBuf::as_path).filter(|it| it.is_dir()).chain([folder]) {
        disk.sync(path)?;
    }
    Ok(serde_json::to_vec_pretty(&Marker { format: FORMAT, files })?)
}
