//! Model folders in Hugging Face layout, in and out: `config.json`, `*.safetensors`, `tokenizer.json`,
//! `generation_config.json`.
//!
//! [`config_json`] and [`rope_json`] know the configuration's spellings, [`files`] and [`convert`] how tensors are
//! read, [`weights`] which a model has, [`source`] where files come from.

mod config_json;
mod convert;
mod files;
mod rope_json;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod weights;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use crate::{
    config::ModelConfig,
    params::{Params, WeightSource},
    tokenizer::Tokenizer,
};
pub use files::{StoredTensor, WeightFiles};
pub(crate) use source::Source;
pub use weights::Dtype;
pub(crate) use weights::{open_tensors, read_tensors, write_tensors};

pub(crate) const CONFIG_JSON: &str = "config.json";
const GENERATION_CONFIG_JSON: &str = "generation_config.json";
/// The file that holds all weights of a checkpoint that kelvin writes.
pub(crate) const MODEL_SAFETENSORS: &str = "model.safetensors";

/// A model with all it takes to draw text from it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The shape.
    pub config: ModelConfig,
    /// The weights, in f32 whatever the file's type.
    pub params: Params,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// Ids that end a completion, sorted; empty if the model names none, and completions then run to their
    /// limit.
    pub end_tokens: Vec<u32>,
    /// What else the model's files say.
    pub kept: KeptFields,
}

/// Fields of a model's `config.json` and `generation_config.json` that go with the model when it is written again.
/// The engine computes nothing from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptFields {
    config: Map<String, Value>,
    generation: Map<String, Value>,
}

/// A model whose files were opened and checked, but whose weights were not read yet.
pub struct OpenCheckpoint<'bytes> {
    /// The shape.
    pub config: ModelConfig,
    /// Exactly the tensors of that shape, under the names of [`crate::params::Tensor`].
    pub weights: WeightFiles<'bytes>,
    /// As in [`Checkpoint`].
    pub tokenizer: Tokenizer,
    /// As in [`Checkpoint`].
    pub end_tokens: Vec<u32>,
    /// As in [`Checkpoint`].
    pub kept: KeptFields,
}

/// What a model's files say beside its weights, of any architecture.
pub(crate) struct Text {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) vocab_size: usize,
    pub(crate) positions: usize,
}

/// Reads [`Text`].
///
/// # Errors
/// If a file is missing or damaged, or they contradict each other.
pub(crate) fn text(source: &Source<'_>) -> anyhow::Result<Text> {
    let config = read_object(source, CONFIG_JSON)?.with_context(|| {
        format!("there is no {CONFIG_JSON}\nhint: this is not a model folder; weights need not be in it")
    })?;
    let config = Value::Object(config);
    // Models that see images too keep the numbers of their text a level below.
    let number = |name: &str| {
        let found = config[name].as_u64().or_else(|| config["text_config"][name].as_u64());
        let found = found.and_then(|it| usize::try_from(it).ok());
        found.with_context(|| format!("{CONFIG_JSON} has no {name}\nhint: fetch the model's files again"))
    };
    let (vocab_size, positions) = (number("vocab_size")?, number("max_position_embeddings")?);
    let tokenizer = Tokenizer::from_files(|name| source.read(name))?;
    tokenizer.check_fits(vocab_size)?;
    let generation = Value::Object(read_object(source, GENERATION_CONFIG_JSON)?.unwrap_or_default());
    let end_tokens = end_tokens(&generation, &config, &tokenizer)?;
    Ok(Text { tokenizer, end_tokens, vocab_size, positions })
}

impl<'bytes> OpenCheckpoint<'bytes> {
    /// Opens a folder, as [`Checkpoint::load`] does.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn folder(dir: &'bytes Path) -> anyhow::Result<OpenCheckpoint<'bytes>> {
        if !dir.is_dir() {
            let shown = dir.display();
            let what = if dir.exists() { "is not a folder" } else { "does not exist" };
            bail!(
                "the model folder {shown} {what}\n\
                 hint: give a folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json); a \
                 hub model is downloaded with `hf download NAME --local-dir DIR`"
            );
        }
        OpenCheckpoint::from_source(&Source::Folder(dir)).with_context(|| unusable(dir))
    }

    /// Opens the same files in memory, as pairs of name and content.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn embedded(files: &'bytes [(&'bytes str, &'bytes [u8])]) -> anyhow::Result<OpenCheckpoint<'bytes>> {
        OpenCheckpoint::from_source(&Source::Memory(files)).context("the embedded model cannot be used")
    }

    /// Makes the added tokens of these ids ordinary text again ([`Tokenizer::demote`]).
    ///
    /// # Errors
    /// If one is not an added token, ends completions, or has another purpose.
    pub fn demote(&mut self, ids: &[u32]) -> anyhow::Result<()> {
        self.tokenizer = demoted(&self.tokenizer, &self.end_tokens, ids)?;
        Ok(())
    }

    fn from_source(source: &Source<'bytes>) -> anyhow::Result<OpenCheckpoint<'bytes>> {
        let config_fields = read_object(source, CONFIG_JSON)?.with_context(|| {
            format!(
                "there is no {CONFIG_JSON}\n\
                hint: this is not a model folder; Hugging Face layout has config.json, *.safetensors and \
                tokenizer.json"
            )
        })?;
        let config_value = Value::Object(config_fields);
        let config = config_json::read(&config_value).with_context(|| CONFIG_JSON)?;
        let tokenizer = Tokenizer::from_files(|name| source.read(name))?;
        tokenizer.check_fits(config.vocab_size)?;
        let generation = Value::Object(read_object(source, GENERATION_CONFIG_JSON)?.unwrap_or_default());
        let end_tokens = end_tokens(&generation, &config_value, &tokenizer)?;
        for &id in &end_tokens {
            ensure!(
                (id as usize) < config.vocab_size,
                "end token {id} is not in the vocabulary of {} tokens\n\
                 hint: correct eos_token_id in {GENERATION_CONFIG_JSON} or {CONFIG_JSON}",
                config.vocab_size
            );
        }
        let weights = WeightFiles::of_model(source)?;
        weights::check_model(&weights, &config)?;
        let [config_fields, generation] = [config_value, generation].map(|value| match value {
            Value::Object(fields) => fields,
            _ => unreachable!("both were read as objects"),
        });
        let kept = KeptFields { config: config_fields, generation };
        Ok(OpenCheckpoint { config, weights, tokenizer, end_tokens, kept })
    }

    /// Reads all weights, in f32.
    ///
    /// # Errors
    /// If a file cannot be read or has shrunk, or a weight is infinite or NaN.
    pub fn load(self) -> anyhow::Result<Checkpoint> {
        let OpenCheckpoint { config, weights, tokenizer, end_tokens, kept } = self;
        let params = weights::read_model(&weights, &config)?;
        Ok(Checkpoint { config, params, tokenizer, end_tokens, kept })
    }
}

pub(crate) fn demoted(tokenizer: &Tokenizer, end_tokens: &[u32], ids: &[u32]) -> anyhow::Result<Tokenizer> {
    for id in ids {
        ensure!(
            !end_tokens.contains(id),
            "token {id} ends completions and cannot be demoted\nhint: leave it out"
        );
    }
    tokenizer.demote(ids)
}

fn unusable(dir: &Path) -> String {
    format!("the model in {} cannot be used", dir.display())
}

/// A JSON file that must hold an object; `None` if there is no such file.
fn read_object(source: &Source<'_>, name: &str) -> anyhow::Result<Option<Map<String, Value>>> {
    source
        .read(name)?
        .map(|bytes| serde_json::from_slice(&bytes))
        .transpose()
        .with_context(|| format!("{name} is not a JSON object\nhint: fetch or save the model again"))
}

impl Checkpoint {
    /// Reads a folder. Weights may be one file or shards with an index, in bf16, f16 or f32.
    ///
    /// # Errors
    /// If the folder is not there, a file is missing or damaged, the architecture is not one the engine
    /// computes, or files contradict each other. The message names what, and a `hint:` line says how to mend
    /// it.
    pub fn load(dir: &Path) -> anyhow::Result<Checkpoint> {
        OpenCheckpoint::folder(dir)?.load().with_context(|| unusable(dir))
    }

    /// As [`OpenCheckpoint::demote`].
    ///
    /// # Errors
    /// As there.
    pub fn demote(&mut self, ids: &[u32]) -> anyhow::Result<()> {
        self.tokenizer = demoted(&self.tokenizer, &self.end_tokens, ids)?;
        Ok(())
    }

    /// Writes the folder that [`Checkpoint::load`] and transformers read.
    ///
    /// # Errors
    /// If a file cannot be written, or the model has no Hugging Face form.
    pub fn save(&self, dir: &Path, dtype: Dtype) -> anyhow::Result<()> {
        let Checkpoint { config, params, tokenizer, end_tokens, kept } = self;
        save(dir, dtype, (config, params), tokenizer, end_tokens, kept)
    }
}

/// [`Checkpoint::save`] for parts that are owned elsewhere, and weights that need not lie in memory as a whole.
pub(crate) fn save(
    dir: &Path,
    dtype: Dtype,
    (config, weights): (&ModelConfig, &dyn WeightSource),
    tokenizer: &Tokenizer,
    end_tokens: &[u32],
    kept: &KeptFields,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let end_ids = match end_tokens {
        [] => Value::Null,
        [one] => json!(one),
        many => json!(many),
    };
    write_json(&dir.join(CONFIG_JSON), &config_json::write(config, dtype, &end_ids, &kept.config))?;
    let mut generation = kept.generation.clone();
    generation.remove("transformers_version");
    if !end_ids.is_null() {
        generation.insert("eos_token_id".to_owned(), end_ids);
    }
    if !generation.is_empty() {
        write_json(&dir.join(GENERATION_CONFIG_JSON), &Value::Object(generation))?;
    }
    tokenizer.save(dir)?;
    weights::write_model(&dir.join(MODEL_SAFETENSORS), config, weights, dtype)
}

pub(crate) fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value can be written");
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The ids that end a completion: those of `generation_config.json`, or else of `config.json`, or else the
/// tokenizer's.
fn end_tokens(generation: &Value, config: &Value, tokenizer: &Tokenizer) -> anyhow::Result<Vec<u32>> {
    for (file, value) in [(GENERATION_CONFIG_JSON, generation), (CONFIG_JSON, config)] {
        let named = &value["eos_token_id"];
        if !named.is_null() {
            return token_ids(named).with_context(|| {
                format!("eos_token_id of {file} is {named}\nhint: it is a token id or a list of them")
            });
        }
    }
    Ok(tokenizer.configured_end_token()?.into_iter().collect())
}

fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let mut ids: Vec<u32> = match value {
        Value::Array(many) => many.iter().map(id).collect::<Option<_>>()?,
        one => vec![id(one)?],
    };
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}
