//! What MODEL on the command line names: a Hugging Face folder, a run folder, a name in the Hugging Face cache,
//! or the base model that the binary carries.

mod hub;
mod stacked;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use kelvin_model::{Dtype, ModelText, NativeOptions, kernels::Storage};
use kelvin_selfplay::checkpoint::{self, COMPLETE};

pub(crate) use hub::hub_cache;
use hub::{hub_name, in_cache};
pub(crate) use stacked::{add_digests, check, digests, load, resolve_tokenizer, sampler, sampler_upon};

use crate::{embedded, error::Usage, terminal::say};

/// The word for the base model inside the binary.
pub(crate) const EMBEDDED: &str = "embedded";

/// The policy that plays both roles, and its folder in a checkpoint of a run.
pub(crate) const POLICY: &str = "policy";
/// The proposer's policy where the roles have one each, and its folder.
pub(crate) const CHALLENGER: &str = "challenger";
/// The solver's policy there.
pub(crate) const SOLVER: &str = "solver";

/// The folder in a checkpoint of the policy that solves.
pub(crate) fn solver_folder(checkpoint: &Path) -> PathBuf {
    let [alone, solver] = [POLICY, SOLVER].map(|it| checkpoint.join(it));
    if holds_model(&solver) { solver } else { alone }
}

/// Where a model's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelSource {
    /// A folder in Hugging Face layout, or of an adapter as PEFT writes it.
    Folder(PathBuf),
    /// The base model inside the binary.
    Embedded,
}

impl ModelSource {
    /// The place, for records.
    pub(crate) fn describe(&self) -> String {
        match self {
            ModelSource::Folder(dir) => dir.display().to_string(),
            ModelSource::Embedded => EMBEDDED.to_owned(),
        }
    }
}

/// Finds the model that `name` means.
///
/// # Errors
/// If it names nothing that is here; the message says what was looked for.
pub(crate) fn resolve(name: &str) -> anyhow::Result<ModelSource> {
    let path = Path::new(name);
    if name == EMBEDDED {
        return Ok(ModelSource::Embedded);
    }
    if path.is_dir() {
        return in_folder(path).map(ModelSource::Folder);
    }
    if path.exists() {
        bail!("{name} is a file, not a model folder\nhint: name the folder that holds config.json");
    }
    match hub_name(name) {
        Some((owner, model)) => in_cache(hub_cache().as_deref(), owner, model).map(ModelSource::Folder),
        None => bail!(
            "there is no model folder {name}\nhint: name a Hugging Face folder, a run folder, a hub name such as \
             Qwen/Qwen2.5-3B that is in the cache, or `{EMBEDDED}`"
        ),
    }
}

/// What `--dtype` means where weights are held for drawing; clap lets no other word through.
pub(crate) fn storage(dtype: &str) -> Storage {
    match dtype {
        "bf16" => Storage::Bf16,
        _ => Storage::F32,
    }
}

/// What `--dtype` means where weights learn.
pub(crate) fn dtype(dtype: &str) -> Dtype {
    match dtype {
        "bf16" => Dtype::Bf16,
        _ => Dtype::F32,
    }
}

/// Writes a folder beside `out` and renames it, so that a folder of that name is whole.
///
/// # Errors
/// If `write` fails, or the folder cannot be made; nothing is left behind.
pub(crate) fn write_new(out: &Path, write: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    const HINT: &str = "hint: the folder above must be writable and have room";
    let mut name = out.file_name().unwrap_or(out.as_os_str()).to_owned();
    name.push(format!(".writing-{}", std::process::id()));
    let temporary = out.with_file_name(name);
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}\n{HINT}", parent.display()))?;
    }
    fs::create_dir(&temporary).with_context(|| format!("cannot make {}\n{HINT}", temporary.display()))?;
    let written = write(&temporary).and_then(|()| Ok(fs::rename(&temporary, out)?));
    if written.is_err() {
        drop(fs::remove_dir_all(&temporary));
    }
    written.with_context(|| format!("cannot save {}\n{HINT}", out.display()))
}

/// Checks that `out` is free for a new model: nothing that is there is overwritten.
///
/// # Errors
/// If it is a file, a folder that holds something, or has no name of its own.
pub(crate) fn require_new(out: &Path) -> anyhow::Result<()> {
    let holds_files = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if holds_files || out.is_file() || out.file_name().is_none() {
        return Err(Usage::error(format!(
            "{} is not an empty folder\nhint: name a new folder",
            out.display()
        )));
    }
    Ok(())
}

/// The engine on `threads` threads, 0 being one for each core.
pub(crate) fn on_threads(threads: usize) -> NativeOptions {
    NativeOptions { threads, ..NativeOptions::default() }
}

/// Reads how the model that `name` means reads and writes text, in which the added tokens of the ids in `demote` are
/// ordinary; its weights need not be here.
///
/// # Errors
/// As [`resolve`], or if its tokenizer or `config.json` is not here.
pub(crate) fn text(name: &str, demote: &[u32]) -> anyhow::Result<ModelText> {
    let mut text = match resolve(name)? {
        ModelSource::Folder(dir) => ModelText::folder(&dir)?,
        ModelSource::Embedded => ModelText::embedded(&embedded::FILES)?,
    };
    text.demote(demote)?;
    Ok(text)
}

/// Checks that `name` goes on meaning the same model: a run's newest checkpoint is another one when the run goes on,
/// and those before it are removed. `why` says what needs it.
///
/// # Errors
/// If it names a run.
pub(crate) fn require_lasting(name: &str, why: &str) -> anyhow::Result<()> {
    let dir = Path::new(name);
    if name != EMBEDDED
        && !holds_model(dir)
        && !dir.join(COMPLETE).is_file()
        && dir.join("checkpoints").is_dir()
    {
        return Err(Usage::error(format!(
            "the model {name} is a run, which may train on, but {why}\nhint: name what `kelvin export {name} --out DIR` \
             makes"
        )));
    }
    Ok(())
}

/// The name by which files of adapters call their model, so that it is found from any folder.
///
/// # Errors
/// As [`resolve`] and [`require_lasting`].
pub(crate) fn lasting_name(name: &str) -> anyhow::Result<String> {
    if name == EMBEDDED || !Path::new(name).is_dir() {
        return Ok(name.to_owned());
    }
    require_lasting(name, "adapters name the model that they are for and do not hold it")?;
    match resolve(name)? {
        ModelSource::Embedded => Ok(name.to_owned()),
        ModelSource::Folder(dir) => {
            let path = fs::canonicalize(&dir).with_context(|| format!("finding {}", dir.display()))?;
            Ok(path.display().to_string())
        }
    }
}

fn holds_model(dir: &Path) -> bool {
    ["config.json", "adapter_config.json"].iter().any(|file| dir.join(file).is_file())
}

/// The model folder that `dir` is or holds: itself, a checkpoint's policy, or that of a run's newest checkpoint.
fn in_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    if holds_model(dir) {
        return Ok(dir.to_owned());
    }
    let solver = solver_folder(dir);
    if dir.join(COMPLETE).is_file() && holds_model(&solver) {
        checkpoint::verify(dir).with_context(|| {
            format!(
                "checkpoint {} is damaged\nhint: name another one, or the folder {} to read what is left",
                dir.display(),
                solver.display()
            )
        })?;
        return Ok(solver);
    }
    if dir.join("checkpoints").is_dir() {
        return Ok(solver_folder(&newest_checkpoint(dir)?));
    }
    bail!(
        "{} is neither a model nor a run: it has no config.json and no checkpoints folder\nhint: a model folder \
         holds config.json, *.safetensors, tokenizer.json and tokenizer_config.json",
        dir.display()
    );
}

/// The newest complete checkpoint of a run.
///
/// # Errors
/// If it has none that is whole.
pub(crate) fn newest_checkpoint(run: &Path) -> anyhow::Result<PathBuf> {
    match checkpoint::newest_whole(run, &mut |warning| say(&format!("warning: {warning}")))? {
        Some((_, newest)) => Ok(newest),
        None => bail!(
            "the run {} has no complete checkpoint\nhint: `kelvin train` writes one every `checkpoint.every` steps \
             and when it is stopped",
            run.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
    }

    /// A marker over one file, as checkpoints have it.
    fn marker(sha256: &str) -> String {
        format!(r#"{{"format": 1, "files": [{{"path": "policy/config.json", "sha256": "{sha256}"}}]}}"#)
    }

    #[test]
    fn a_run_is_its_newest_whole_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        // The hash of `{}`; one with another hash is damaged, one without a marker was cut off.
        let whole = marker("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        for (step, mark) in [
            ("000009", Some(&whole)),
            ("000010", Some(&whole)),
            ("000011", Some(&marker("00"))),
            ("000012", None),
        ] {
            let checkpoint = run.join("checkpoints").join(step);
            touch(&checkpoint.join("policy/config.json"));
            if let Some(mark) = mark {
                fs::write(checkpoint.join(COMPLETE), mark).unwrap();
            }
        }
        touch(&run.join("checkpoints/notes/COMPLETE"));
        let expected = run.join("checkpoints/000010/policy");
        for name in [run.to_path_buf(), run.join("checkpoints/000010"), expected.clone()] {
            assert_eq!(resolve(name.to_str().unwrap()).unwrap(), ModelSource::Folder(expected.clone()));
        }
        // Only the run itself becomes another model.
        assert!(lasting_name(run.to_str().unwrap()).unwrap_err().to_string().contains("kelvin export"));
        for name in [run.join("checkpoints/000010"), expected.clone()] {
            let lasting = fs::canonicalize(&expected).unwrap().display().to_string();
            assert_eq!(lasting_name(name.to_str().unwrap()).unwrap(), lasting);
        }
        let error = resolve(run.join("checkpoints/000011").to_str().unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("000011 is damaged"), "{error:#}");
    }

    #[test]
    fn what_is_no_model_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("checkpoints")).unwrap();
        let message = resolve(dir.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(message.contains("no complete checkpoint"), "{message}");
        assert_eq!(resolve(EMBEDDED).unwrap(), ModelSource::Embedded);
        assert!(resolve("/nowhere/at/all").unwrap_err().to_string().contains("no model folder"));
    }
}
