//! The seam to a model's tokenizer, for backends whose weights are elsewhere: they are given tokens and give tokens back.

use std::path::Path;

/// What is known of a model without its weights: how it reads and writes text, and how far.
pub trait Vocabulary: Send + Sync {
    /// The ids of a prompt, as every backend reads it.
    ///
    /// # Errors
    /// If the text cannot be tokenised.
    fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>>;

    /// The text of ids without special tokens.
    ///
    /// # Errors
    /// If the tokenizer's own decoder fails.
    fn decode(&self, ids: &[u32]) -> anyhow::Result<String>;

    /// Where drawn ids first complete one of `stops`; `None` if they do nowhere.
    ///
    /// # Errors
    /// If the tokenizer cannot be followed token by token.
    fn cut(&self, ids: &[u32], stops: &[String]) -> anyhow::Result<Option<Cut>>;

    /// Any of these ends a completion.
    fn end_tokens(&self) -> &[u32];

    /// Ids are below this.
    fn size(&self) -> usize;

    /// Tokens that the model takes, prompt and completion together.
    fn positions(&self) -> usize;

    /// Writes the tokenizer's files into `dir`.
    ///
    /// # Errors
    /// If one cannot be written.
    fn save(&self, dir: &Path) -> anyhow::Result<()>;
}

/// A place where a stop sequence has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Tokens up to it, the one that completes it included.
    pub n_tokens: usize,
    /// The text before the stop sequence that begins first.
    pub text: String,
}
