//! Files of a run that hold one step each: `transcripts/NNNNNN.jsonl` and `benchmarks/NNNNNN.jsonl`.

use std::path::Path;

use kelvin_core::task::Step;

use super::{entries, files_below};
use crate::disk::Disk;

pub(super) const TRANSCRIPTS: &str = "transcripts";
pub(super) const BENCHMARKS: &str = "benchmarks";
const FOLDERS: [&str; 2] = [TRANSCRIPTS, BENCHMARKS];

/// Makes the folders of the run in `run` that are not there.
pub(super) fn make(disk: &Disk, run: &Path) -> anyhow::Result<()> {
    FOLDERS.iter().try_for_each(|it| disk.make(&run.join(it)))
}

pub(super) fn write(disk: &Disk, run: &Path, folder: &str, step: Step, text: &[u8]) -> anyhow::Result<()> {
    disk.write(&run.join(folder).join(format!("{step:06}.jsonl")), text)
}

/// Syncs the files' names; the files are synced where they are written.
pub(super) fn sync(disk: &Disk, run: &Path) -> anyhow::Result<()> {
    FOLDERS.iter().try_for_each(|it| disk.sync(&run.join(it)))
}

pub(super) fn remove_all(disk: &Disk, run: &Path) -> anyhow::Result<()> {
    for folder in FOLDERS {
        files_below(&run.join(folder))?.iter().try_for_each(|it| disk.remove(it))?;
    }
    Ok(())
}

/// Removes the files of steps after `step`; others' files stay.
pub(super) fn remove_after(disk: &Disk, run: &Path, step: Step) -> anyhow::Result<()> {
    for folder in FOLDERS {
        for path in entries(&run.join(folder))? {
            let of: Option<Step> = path.file_stem().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
            if of.is_some_and(|it| step < it) {
                disk.remove(&path)?;
            }
        }
    }
    Ok(())
}
