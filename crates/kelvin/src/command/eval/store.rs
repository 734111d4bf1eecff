//! The folder of an evaluation: what it is (`manifest.json`) and its samples. Samples are appended line by line; a line
//! that was cut off is dropped when the file is read again, and its sample drawn again.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, bail};
use kelvin_core::{
    benchmark::{Profile, PromptMode},
    rollout::Sampling,
};
use kelvin_env::benchmarks::Found;
use kelvin_selfplay::benchmark::{Key, Sample};
use serde::{Deserialize, Serialize};

use crate::error::Usage;

/// The version of the files of an evaluation.
pub(super) const FORMAT: u32 = 4;

/// What samples were drawn with. Samples of different ones never stand in one folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// As the command named it.
    pub(super) model: String,
    /// Where that was found.
    pub(super) weights: String,
    /// SHA-256 of each of its files.
    pub(super) model_files: BTreeMap<String, String>,
    pub(super) profile: Profile,
    pub(super) prompt_mode: PromptMode,
    /// As asked for; nothing where each benchmark has its own.
    pub(super) temperature: Option<f32>,
    /// As asked for.
    pub(super) max_new: Option<u32>,
    pub(super) seed: u64,
    /// Settings of the chat template, `NAME=VALUE`.
    pub(super) chat_set: Vec<String>,
    /// Added tokens that were ordinary text.
    #[serde(default)]
    pub(super) demote_token: Vec<u32>,
    /// The type in which weights were held.
    pub(super) dtype: String,
    /// How responses to each benchmark were drawn.
    pub(super) sampling: BTreeMap<String, Sampling>,
    /// The files of each benchmark.
    pub(super) files: BTreeMap<String, Vec<Found>>,
}

/// An evaluation's folder.
pub(super) struct Store {
    dir: PathBuf,
    file: Mutex<File>,
}

const HINT: &str = "hint: the folder must be writable and have room";

impl Store {
    /// Opens the folder of an evaluation, or makes it. Gives the manifest with the benchmarks of all commands so far.
    ///
    /// # Errors
    /// If it is another evaluation's, or cannot be written.
    pub(super) fn open(dir: &Path, manifest: Manifest) -> anyhow::Result<(Store, Manifest)> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}\n{HINT}", dir.display()))?;
        let mut whole = manifest.clone();
        if let Some(there) = read_manifest(dir)? {
            let common =
                |it: &Manifest| Manifest { files: BTreeMap::new(), sampling: BTreeMap::new(), ..it.clone() };
            let same = agree(&there.files, &manifest.files) && agree(&there.sampling, &manifest.sampling);
            if common(&there) != common(&manifest) || !same {
                return Err(Usage::error(format!(
                    "{} holds another evaluation: another model, profile, prompt mode, seed, sampling or data\n\
                     hint: name another folder with --out; several samples are drawn at another temperature than one, \
                     unless --temperature says otherwise",
                    dir.display()
                )));
            }
            whole.files.extend(there.files);
            whole.sampling.extend(there.sampling);
        }
        write_whole(&dir.join("manifest.json"), &pretty(&whole))?;
        Ok((Store::over(dir)?, whole))
    }

    /// Whether benchmarks as they are found now are those of the samples.
    ///
    /// # Errors
    /// If a file is another one.
    pub(super) fn require_same_files(
        manifest: &Manifest,
        found: &BTreeMap<String, Vec<Found>>,
    ) -> anyhow::Result<()> {
        if agree(&manifest.files, found) {
            return Ok(());
        }
        Err(Usage::error(
            "the samples answer other files of data than these\nhint: name the folder of the same files with --data",
        ))
    }

    /// Opens a folder that is there.
    ///
    /// # Errors
    /// If there is no evaluation.
    pub(super) fn reopen(dir: &Path) -> anyhow::Result<(Store, Manifest)> {
        let Some(manifest) = read_manifest(dir)? else {
            bail!("{} holds no evaluation\nhint: --out names the folder of one", dir.display());
        };
        Ok((Store::over(dir)?, manifest))
    }

    fn over(dir: &Path) -> anyhow::Result<Store> {
        let path = dir.join("samples.jsonl");
        let writing = || format!("cannot write {}\n{HINT}", path.display());
        // What a cut left of a last line goes, so that the next one begins on its own.
        if let Ok(text) = fs::read(&path) {
            let whole = text.iter().rposition(|&it| it == b'\n').map_or(0, |it| it + 1);
            if whole < text.len() {
                let file = OpenOptions::new().write(true).open(&path).with_context(writing)?;
                file.set_len(whole as u64).with_context(writing)?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).with_context(writing)?;
        Ok(Store { dir: dir.to_owned(), file: Mutex::new(file) })
    }

    /// One more sample; it is the operating system's when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn append(&self, sample: &Sample) -> anyhow::Result<()> {
        let line =
            format!("{}\n", serde_json::to_string(sample).context("a sample cannot be written as JSON")?);
        // A poisoned lock only says that another judge panicked; whole lines are written.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join("samples.jsonl");
        file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}\n{HINT}", path.display()))
    }

    /// All samples, in the order of benchmark, item and sample; of one that is there twice, the last.
    ///
    /// # Errors
    /// If a line but the last is not a sample.
    pub(super) fn samples(&self) -> anyhow::Result<Vec<Sample>> {
        let path = self.dir.join("samples.jsonl");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}\n{HINT}", path.display()))?;
        let mut samples: BTreeMap<Key, Sample> = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let sample: Sample = serde_json::from_str(line).with_context(|| {
                format!(
                    "{}:{}: not a sample\nhint: remove the line; its sample is drawn again",
                    path.display(),
                    index + 1
                )
            })?;
            samples.insert(sample.key(), sample);
        }
        Ok(samples.into_values().collect())
    }

    /// Puts other samples in the place of all.
    ///
    /// # Errors
    /// If they cannot be written; those that were there stay then.
    pub(super) fn replace(&self, samples: &[Sample]) -> anyhow::Result<()> {
        let lines: Vec<String> = samples
            .iter()
            .map(|it| serde_json::to_string(it).context("a sample cannot be written as JSON"))
            .collect::<anyhow::Result<_>>()?;
        let text: String = lines.iter().flat_map(|it| [it.as_str(), "\n"]).collect();
        write_whole(&self.dir.join("samples.jsonl"), &text)
    }
}

/// Whether what both have is the same.
fn agree<T: PartialEq>(there: &BTreeMap<String, T>, own: &BTreeMap<String, T>) -> bool {
    there.iter().all(|(name, it)| own.get(name).is_none_or(|own| own == it))
}

/// Writes a file beside its place and renames it, so that what stands there is whole.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("writing");
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    written.with_context(|| format!("cannot write {}\n{HINT}", path.display()))
}

/// JSON with line breaks and a last one.
pub(super) fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("names and numbers can be written") + "\n"
}

fn read_manifest(dir: &Path) -> anyhow::Result<Option<Manifest>> {
    let path = dir.join("manifest.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}\n{HINT}", path.display())),
    };
    let other =
        || format!("{} is not of an evaluation of this version\nhint: name another folder", path.display());
    let manifest: Manifest = serde_json::from_str(&text).with_context(other)?;
    if manifest.format != FORMAT {
        bail!(other());
    }
    Ok(Some(manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(seed: u64) -> Manifest {
        Manifest {
            format: FORMAT,
            model: "m".into(),
            weights: "m".into(),
            model_files: BTreeMap::new(),
            profile: Profile::Clean,
            prompt_mode: PromptMode::Plain,
            temperature: None,
            max_new: None,
            seed,
            chat_set: Vec::new(),
            demote_token: Vec::new(),
            dtype: "f32".into(),
            sampling: BTreeMap::new(),
            files: BTreeMap::from([("a".into(), Vec::new())]),
        }
    }

    fn sample(index: usize) -> Sample {
        Sample {
            bench: "a".into(),
            id: "1".into(),
            sample: index,
            prompt_sha256: "0".into(),
            grader: 1,
            response: "x\ny".into(),
            tokens: 1,
            truncated: false,
            extracted: None,
            correct: false,
            reason: None,
            also: Vec::new(),
        }
    }

    #[test]
    fn a_line_that_was_cut_is_dropped_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), manifest(1)).unwrap();
        store.append(&sample(0)).unwrap();
        store.append(&sample(1)).unwrap();
        drop(store);
        let path = dir.path().join("samples.jsonl");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let (store, _) = Store::open(dir.path(), manifest(1)).unwrap();
        assert_eq!(store.samples().unwrap(), [sample(0)]);
        store.append(&sample(1)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn another_evaluation_is_refused_and_more_benchmarks_are_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Store::reopen(dir.path()).is_err());
        Store::open(dir.path(), manifest(1)).unwrap();
        let error = Store::open(dir.path(), manifest(2)).err().unwrap().to_string();
        assert!(error.contains("another evaluation") && error.contains("--out"), "{error}");
        let more = Manifest { files: BTreeMap::from([("b".into(), Vec::new())]), ..manifest(1) };
        let (_, whole) = Store::open(dir.path(), more).unwrap();
        assert_eq!(whole.files.len(), 2);
        assert_eq!(Store::reopen(dir.path()).unwrap().1, whole);
    }
}
