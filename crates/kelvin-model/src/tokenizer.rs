//! Text to token ids and back, over Hugging Face `tokenizer.json`.
//!
//! Ids are what the engine works on; they are kept from sampling to training, so text is encoded only once,
//! as a prompt. Training a small byte-level BPE from a corpus lives in [`train`], turning added tokens back into
//! text in [`demote`].

mod bytes;
mod demote;
mod train;

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use crate::checkpoint::Source;
pub(crate) use bytes::TokenBytes;
pub use train::END_OF_TEXT;

/// The one file without which there is no tokenizer.
pub(crate) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG_JSON: &str = "tokenizer_config.json";
/// Files beside `tokenizer.json` that travel with it unread when a checkpoint is written again.
const COMPANIONS: [&str; 6] = [
    TOKENIZER_CONFIG_JSON,
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
];

/// A tokenizer with the files it came from, which are written back byte for byte.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// File name and content, `tokenizer.json` first.
    files: Vec<(String, Vec<u8>)>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and what lies beside it through `read`, which answers `None` for a file that is not there.
    pub(crate) fn from_files(
        read: impl Fn(&str) -> anyhow::Result<Option<Vec<u8>>>,
    ) -> anyhow::Result<Tokenizer> {
        let json = read(TOKENIZER_JSON)?.ok_or_else(|| {
            anyhow!(
                "there is no {TOKENIZER_JSON}\n\
                 hint: save it with transformers: AutoTokenizer.from_pretrained(..).save_pretrained(..)"
            )
        })?;
        let mut tokenizer = Tokenizer::from_bytes(&json)?;
        for name in COMPANIONS {
            if let Some(bytes) = read(name)? {
                tokenizer.files.push((name.to_owned(), bytes));
            }
        }
        Ok(tokenizer)
    }

    /// Reads the tokenizer in `dir`; `None` if there is none, as in a folder of an adapter that has its model's.
    ///
    /// # Errors
    /// If a file cannot be read or is damaged.
    pub fn in_folder(dir: &Path) -> anyhow::Result<Option<Tokenizer>> {
        if !dir.join(TOKENIZER_JSON).is_file() {
            return Ok(None);
        }
        let source = Source::Folder(dir);
        let tokenizer = Tokenizer::from_files(|name| source.read(name));
        tokenizer.map(Some).with_context(|| format!("the tokenizer in {} cannot be used", dir.display()))
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_bytes(json: &[u8]) -> anyhow::Result<Tokenizer> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|error| {
            anyhow!(
                "{TOKENIZER_JSON} cannot be read: {error}\n\
                hint: it must be the file that the Hugging Face `tokenizers` library writes"
            )
        })?;
        // Padding and truncation are settings of whoever saved the file; a prompt is read as it stands.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| anyhow!("switching truncation off: {error}"))?;
        Ok(Tokenizer { inner, files: vec![(TOKENIZER_JSON.to_owned(), json.to_vec())] })
    }

    /// The ids of `text`, as transformers gives them with `add_special_tokens=False`: nothing is put before
    /// or after, and a special token spelled out in `text` becomes its id.
    ///
    /// # Errors
    /// If the tokenizer's own rules fail on `text`.
    pub fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| anyhow!("tokenising: {error}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids` without special tokens. Bytes that are not UTF-8 become U+FFFD, and ids that the
    /// tokenizer does not know (padding of the embedding) become nothing.
    ///
    /// # Errors
    /// If the tokenizer's own decoder fails.
    pub fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
        self.inner.decode(ids, true).map_err(|error| anyhow!("turning token ids into text: {error}"))
    }

    /// One more than the largest id, so at least this many rows are needed in an embedding.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |&largest| largest as usize + 1)
    }

    /// The id of a token spelled exactly so.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Checks that every id has a row in an embedding of `rows` rows.
    ///
    /// # Errors
    /// If some id has none, which means that the tokenizer belongs to another model.
    pub fn check_fits(&self, rows: usize) -> anyhow::Result<()> {
        let needed = self.vocab_size();
        if rows < needed {
            bail!(
                "the tokenizer does not fit the model: its largest id is {}, but the model's vocab_size is \
                 {rows}\nhint: use the tokenizer that was saved with this model, or resize the model's \
                 embedding to at least {needed} rows",
                needed - 1
            );
        }
        Ok(())
    }

    /// The end token named by `tokenizer_config.json`, if it names one.
    pub(crate) fn configured_end_token(&self) -> anyhow::Result<Option<u32>> {
        let Some((_, bytes)) = self.files.iter().find(|(name, _)| name == TOKENIZER_CONFIG_JSON) else {
            return Ok(None);
        };
        let config: Value =
            serde_json::from_slice(bytes).with_context(|| format!("{TOKENIZER_CONFIG_JSON} is not JSON"))?;
        let spelled = match &config["eos_token"] {
            Value::Object(token) => token.get("content").and_then(Value::as_str),
            other => other.as_str(),
        };
        Ok(spelled.and_then(|token| self.id(token)))
    }

    /// Writes `tokenizer.json` and its companions into `dir`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path) -> anyhow::Result<()> {
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    /// The content of `tokenizer.json`.
    pub fn json(&self) -> &[u8] {
        &self.files[0].1
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}
