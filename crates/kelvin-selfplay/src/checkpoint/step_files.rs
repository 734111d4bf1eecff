//! Files of a run that hold one step each: `transcripts/NNNNNN.jsonl` and `benchmarks/NNNNNN.jsonl`.

use std::{fs, path::Path};

use kelvin_core::task::Step;

use crate::disk::{Disk, entries};

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
    remove(disk, run, |_| true)
}

/// Removes the files of steps after `step`.
pub(super) fn remove_after(disk: &Disk, run: &Path, step: Step) -> anyhow::Result<()> {
    remove(disk, run, |of| step < of)
}

fn remove(disk: &Disk, run: &Path, goes: impl Fn(Step) -> bool) -> anyhow::Result<()> {
    for folder in FOLDERS {
        for path in entries(&run.join(folder))? {
            if step_of(&path).is_some_and(&goes) {
                disk.remove(&path)?;
            }
        }
    }
    Ok(())
}

/// The step of a file that this module wrote; `None` for whatever else lies there, which is not ours to remove.
fn step_of(path: &Path) -> Option<Step> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    let is_number = 6 <= stem.len() && stem.bytes().all(|it| it.is_ascii_digit());
    let is_file = fs::symlink_metadata(path).is_ok_and(|it| it.is_file());
    if is_number && is_file { stem.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        make(&disk, dir.path()).unwrap();
        let at = |name: &str| dir.path().join("benchmarks").join(name);
        let others = ["data.jsonl", "000007.json", "9.jsonl", "2024/000009.jsonl", "000008.jsonl/x"];
        for name in others.iter().chain(&["000003.jsonl", "000005.jsonl"]) {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "x").unwrap();
        }
        remove_after(&disk, dir.path(), 3).unwrap();
        assert!(at("000003.jsonl").exists() && !at("000005.jsonl").exists());
        remove_all(&disk, dir.path()).unwrap();
        assert!(!at("000003.jsonl").exists());
        others.iter().for_each(|it| assert!(at(it).exists(), "{it}"));
    }
}
