//! Model folders in Hugging Face layout, in and out: `config.json`, `*.safetensors`, `tokenizer.json`,
//! `generation_config.json`.
//!
//! [`config_json`] knows the configuration's spellings, [`weights`] the tensors, [`source`] where files come
//! from.

mod config_json;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod weights;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::{
    config::ModelConfig,
    params::{Layout, Params},
    tokenizer::Tokenizer,
};
pub(crate) use source::Source;
pub use weights::Dtype;
pub(crate) use weights::{read_tensors, write_tensors};

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
}

impl Checkpoint {
    /// Reads a folder. Weights may be one file or shards with an index, in bf16, f16 or f32.
    ///
    /// # Errors
    /// If the folder is not there, a file is missing or damaged, the architecture is not one the engine
    /// computes, or files contradict each other. The message names what, and a `hint:` line says how to mend
    /// it.
    pub fn load(dir: &Path) -> anyhow::Result<Checkpoint> {
        if !dir.is_dir() {
            let shown = dir.display();
            let what = if dir.exists() { "is not a folder" } else { "does not exist" };
            bail!(
                "the model folder {shown} {what}\n\
                 hint: give a folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json); a \
                 hub model is downloaded with `hf download NAME --local-dir DIR`"
            );
        }
        Checkpoint::from_source(&Source::Folder(dir))
            .with_context(|| format!("the model in {} cannot be used", dir.display()))
    }

    /// Reads the same files from memory, as pairs of name and content.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_embedded(files: &[(&str, &[u8])]) -> anyhow::Result<Checkpoint> {
        Checkpoint::from_source(&Source::Memory(files)).context("the embedded model cannot be used")
    }

    fn from_source(source: &Source<'_>) -> anyhow::Result<Checkpoint> {
        let bytes = source.read(CONFIG_JSON)?.with_context(|| {
            format!(
                "there is no {CONFIG_JSON}\n\
                hint: this is not a model folder; Hugging Face layout has config.json, *.safetensors and \
                tokenizer.json"
            )
        })?;
        let config_value: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{CONFIG_JSON} is not JSON\nhint: fetch or save the model again"))?;
        let config = config_json::read(&config_value).with_context(|| CONFIG_JSON)?;
        let tokenizer = Tokenizer::from_files(|name| source.read(name))?;
        tokenizer.check_fits(config.vocab_size)?;
        let end_tokens = end_tokens(source, &config_value, &tokenizer)?;
        for &id in &end_tokens {
            ensure!(
                (id as usize) < config.vocab_size,
                "end token {id} is not in the vocabulary of {} tokens\n\
                 hint: correct eos_token_id in {GENERATION_CONFIG_JSON} or {CONFIG_JSON}",
                config.vocab_size
            );
        }
        let params = weights::read_model(source, &config)?;
        Ok(Checkpoint { config, params, tokenizer, end_tokens })
    }

    /// Writes the folder that [`Checkpoint::load`] and transformers read.
    ///
    /// # Errors
    /// If a file cannot be written, or the model has no Hugging Face form.
    pub fn save(&self, dir: &Path, dtype: Dtype) -> anyhow::Result<()> {
        save(dir, dtype, &self.params, &self.tokenizer, &self.end_tokens)
    }
}

/// [`Checkpoint::save`] for parts that are owned elsewhere.
pub(crate) fn save(
    dir: &Path,
    dtype: Dtype,
    params: &Params,
    tokenizer: &Tokenizer,
    end_tokens: &[u32],
) -> anyhow::Result<()> {
    let Layout { config, .. } = &params.layout;
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let end_ids = match end_tokens {
        [] => Value::Null,
        [one] => json!(one),
        many => json!(many),
    };
    write_json(&dir.join(CONFIG_JSON), &config_json::write(config, dtype, &end_ids)?)?;
    if !end_ids.is_null() {
        write_json(&dir.join(GENERATION_CONFIG_JSON), &json!({ "eos_token_id": end_ids }))?;
    }
    tokenizer.save(dir)?;
    weights::write_model(&dir.join(MODEL_SAFETENSORS), params, dtype)
}

pub(crate) fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value can be written");
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The ids that end a completion: those of `generation_config.json`, or else of `config.json`, or else the
/// tokenizer's.
fn end_tokens(source: &Source<'_>, config: &Value, tokenizer: &Tokenizer) -> anyhow::Result<Vec<u32>> {
    let generation: Value = match source.read(GENERATION_CONFIG_JSON)? {
        None => Value::Null,
        Some(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{GENERATION_CONFIG_JSON} is not JSON"))?
        }
    };
    for (file, value) in [(GENERATION_CONFIG_JSON, &generation), (CONFIG_JSON, config)] {
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
