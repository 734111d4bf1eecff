//! A model with the adapters that stand on it: a name may mean an adapter folder, whose model may be another one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use kelvin_model::{
    Checkpoint, Lora, Merged, ModelConfig, NativeOptions, NativeSampler, OpenCheckpoint, Tokenizer,
    adapter_base, kernels::Storage,
};
use kelvin_selfplay::checkpoint;

use super::{ModelSource, resolve};
use crate::embedded;

/// Adapters that stand on adapters, at most; more are taken for a circle.
const NESTED_MAX: usize = 4;

/// Makes the model that `name` means ready to draw from, and nothing else of it: it takes the memory of its weights. The
/// added tokens of the ids in `demote` are ordinary text.
///
/// # Errors
/// If it names nothing that is here, or the folder is not one that the engine can use.
pub(crate) fn sampler(
    name: &str,
    storage: Storage,
    options: NativeOptions,
    demote: &[u32],
) -> anyhow::Result<NativeSampler> {
    sampler_upon(name, None, storage, options, demote)
}

/// [`sampler`] with the adapter in `more` on top, if there is one, and of that nothing but its weights.
///
/// # Errors
/// As there, or if the adapter cannot be used.
pub(crate) fn sampler_upon(
    name: &str,
    more: Option<&Path>,
    storage: Storage,
    options: NativeOptions,
    demote: &[u32],
) -> anyhow::Result<NativeSampler> {
    let found = Found::of(name)?;
    let mut open = found.open()?;
    open.demote(demote)?;
    let mut loras = found.loras(&open.config)?;
    loras.extend(more.map(|dir| Lora::load(dir, &open.config)).transpose()?);
    let OpenCheckpoint { config, weights, tokenizer, end_tokens, .. } = open;
    NativeSampler::new(&config, &Merged::new(&weights, &loras), storage, tokenizer, end_tokens, options)
        .with_context(|| format!("the model {name} cannot be used"))
}

/// Reads the model that `name` means; that of an adapter has the adapter merged, and the tokenizer beside it if there
/// is one.
///
/// # Errors
/// If its files are not there or not what the engine can use.
pub(crate) fn load(name: &str) -> anyhow::Result<Checkpoint> {
    let found = Found::of(name)?;
    let open = found.open()?;
    let loras = found.loras(&open.config)?;
    let mut checkpoint = open.load().with_context(|| format!("the model {name} cannot be used"))?;
    loras.iter().for_each(|it| it.merge_into(&mut checkpoint.params));
    Ok(checkpoint)
}

/// What stands behind a name: a model, and the adapters on it.
struct Found {
    model: ModelSource,
    /// Their folders, the lowest first.
    adapters: Vec<PathBuf>,
}

impl Found {
    fn of(name: &str) -> anyhow::Result<Found> {
        let (mut model, mut adapters) = (resolve(name)?, Vec::new());
        while let ModelSource::Folder(dir) = &model {
            let Some(base) = adapter_base(dir)? else { break };
            require_deeper(NESTED_MAX - adapters.len(), dir)?;
            let below = resolve(&base)
                .with_context(|| format!("cannot load the model of the adapter in {}", dir.display()))?;
            adapters.push(dir.clone());
            model = below;
        }
        adapters.reverse();
        Ok(Found { model, adapters })
    }

    /// The model, with the tokenizer of the highest adapter that has one.
    fn open(&self) -> anyhow::Result<OpenCheckpoint<'_>> {
        let mut open = match &self.model {
            ModelSource::Embedded => OpenCheckpoint::embedded(&embedded::FILES)?,
            ModelSource::Folder(dir) => OpenCheckpoint::folder(dir)?,
        };
        for dir in &self.adapters {
            if let Some(tokenizer) = Tokenizer::in_folder(dir)? {
                tokenizer.check_fits(open.config.vocab_size)?;
                open.tokenizer = tokenizer;
            }
        }
        Ok(open)
    }

    fn loras(&self, config: &ModelConfig) -> anyhow::Result<Vec<Lora>> {
        self.adapters.iter().map(|dir| Lora::load(dir, config)).collect()
    }
}

/// Opens the files of the model that `name` means and checks all of them but for the numbers, which are not read. Gives
/// its shape and its tokenizer, in which the added tokens of the ids in `demote` are ordinary text.
///
/// # Errors
/// As [`load`], where the numbers are not the reason.
pub(crate) fn check(name: &str, demote: &[u32]) -> anyhow::Result<(ModelConfig, Tokenizer)> {
    let found = Found::of(name)?;
    let mut open = found.open()?;
    open.demote(demote)?;
    found.adapters.iter().try_for_each(|dir| Lora::check(dir, &open.config))?;
    Ok((open.config, open.tokenizer))
}

/// SHA-256 of each file of the model that `name` means, by name; those of the model below an adapter after `base/`.
///
/// # Errors
/// As [`resolve`], or if a file cannot be read.
pub(crate) fn digests(name: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let found = Found::of(name)?;
    let (mut digests, mut prefix) = (BTreeMap::new(), String::new());
    for dir in found.adapters.iter().rev() {
        add_digests(dir, &prefix, &mut digests)?;
        prefix.push_str("base/");
    }
    match &found.model {
        ModelSource::Folder(dir) => add_digests(dir, &prefix, &mut digests)?,
        ModelSource::Embedded => {
            for (file, bytes) in embedded::FILES {
                digests.insert(format!("{prefix}{file}"), checkpoint::hash(bytes)?);
            }
        }
    }
    Ok(digests)
}

/// Adds those of the files of a model or adapter in `dir`, by name after `prefix`.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn add_digests(
    dir: &Path,
    prefix: &str,
    digests: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        let file = path.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
        let is_model = ["json", "safetensors", "jinja"]
            .iter()
            .any(|it| path.extension().is_some_and(|extension| extension == *it));
        if is_model && file != "optimizer.safetensors" {
            let opened = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
            digests.insert(format!("{prefix}{file}"), checkpoint::hash(opened)?);
        }
    }
    Ok(())
}

fn require_deeper(n_more: usize, dir: &Path) -> anyhow::Result<()> {
    if n_more == 0 {
        bail!(
            "the adapter in {} stands on more than {NESTED_MAX} others\nhint: base_model_name_or_path in its \
             adapter_config.json must lead to a model",
            dir.display()
        );
    }
    Ok(())
}

/// Where the tokenizer of the model that `name` means is: for an adapter without one, that of its model.
///
/// # Errors
/// As [`resolve`], or if an adapter names no model.
pub(crate) fn resolve_tokenizer(name: &str) -> anyhow::Result<ModelSource> {
    let mut source = resolve(name)?;
    for n_more in (0..=NESTED_MAX).rev() {
        let ModelSource::Folder(dir) = &source else { break };
        if dir.join("tokenizer.json").is_file() {
            break;
        }
        let Some(base) = adapter_base(dir)? else { break };
        require_deeper(n_more, dir)?;
        source = resolve(&base)?;
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;
    use kelvin_model::{LoraConfig, NativePolicy, Training};

    use super::*;
    use crate::model::on_threads;

    /// What a run with adapters and demoted tokens leaves behind reads text as the run did.
    #[test]
    fn adapters_keep_their_tokenizer() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kelvin-model/goldens/decode_tied");
        let mut checkpoint = Checkpoint::load(&base).unwrap();
        let whole = checkpoint.tokenizer.clone();
        // It ends completions too, and a run could not demote it.
        let demoted = whole.demote(&[291]).unwrap();
        checkpoint.tokenizer = demoted.clone();
        assert_ne!(demoted.json(), whole.json());
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        let training = Training { lora, base: base.display().to_string(), ..Training::default() };
        let policy = NativePolicy::training(checkpoint, on_threads(1), training).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (adapter, bare) = (dir.path().join("adapter"), dir.path().join("bare"));
        kelvin_core::policy::Trainer::save(&policy, &adapter).unwrap();
        fs::create_dir(&bare).unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(adapter.join(file), bare.join(file)).unwrap();
        }
        let text = "x<|im_end|> y";
        for (folder, tokenizer, at) in [(&adapter, &demoted, &adapter), (&bare, &whole, &base)] {
            let (name, ids) = (folder.to_str().unwrap(), tokenizer.encode(text).unwrap());
            assert_eq!(load(name).unwrap().tokenizer.encode(text).unwrap(), ids);
            let sampler = sampler(name, Storage::F32, on_threads(1), &[]).unwrap();
            assert_eq!(kelvin_core::policy::Sampler::prompt_len(&sampler, text).unwrap(), ids.len());
            assert_eq!(resolve_tokenizer(name).unwrap(), ModelSource::Folder(at.clone()));
        }
    }

    /// Without reading a number, so before a run begins.
    #[test]
    fn an_adapter_of_another_shape_is_found() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kelvin-model/goldens/decode_tied");
        let config = Checkpoint::load(&base).unwrap().config;
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().to_str().unwrap();
        let checked = |model: &ModelConfig| {
            let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
            Lora::new(model, &lora, Seed::new(1)).save(dir.path(), base.to_str().unwrap()).unwrap();
            check(name, &[])
        };
        checked(&config).unwrap();
        let other = ModelConfig { intermediate_size: config.intermediate_size + 4, ..config };
        let error = checked(&other).err().unwrap();
        assert!(format!("{error:#}").contains("mlp.gate_proj.lora_B.weight has shape"), "{error:#}");
    }
}
