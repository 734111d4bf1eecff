//! A model's tokenizer and limits without its weights, for engines elsewhere that hold those.

use std::{path::Path, sync::OnceLock};

use anyhow::Context;
use kelvin_core::vocabulary::{Cut, Vocabulary};

use crate::{
    checkpoint::{self, Source},
    sampler::Spoken,
    tokenizer::{TokenBytes, Tokenizer},
};

/// How a model reads and writes text, and how far.
pub struct ModelText {
    tokenizer: Tokenizer,
    end_tokens: Vec<u32>,
    vocab_size: usize,
    positions: usize,
    /// Once stop sequences are looked for.
    token_bytes: OnceLock<TokenBytes>,
}

impl ModelText {
    /// Reads `config.json` and the tokenizer of a folder, whatever its architecture; weights need not be there.
    ///
    /// # Errors
    /// If a file is missing or damaged, or they contradict each other.
    pub fn folder(dir: &Path) -> anyhow::Result<ModelText> {
        let read = || ModelText::of(&Source::Folder(dir));
        read().with_context(|| format!("the tokenizer and limits of {} cannot be used", dir.display()))
    }

    /// Reads the same files from memory, as pairs of name and content.
    ///
    /// # Errors
    /// As [`ModelText::folder`].
    pub fn embedded(files: &[(&str, &[u8])]) -> anyhow::Result<ModelText> {
        ModelText::of(&Source::Memory(files))
    }

    fn of(source: &Source<'_>) -> anyhow::Result<ModelText> {
        let checkpoint::Text { tokenizer, end_tokens, vocab_size, positions } = checkpoint::text(source)?;
        Ok(ModelText { tokenizer, end_tokens, vocab_size, positions, token_bytes: OnceLock::new() })
    }

    /// Makes the added tokens of these ids ordinary text again ([`Tokenizer::demote`]).
    ///
    /// # Errors
    /// If one is not an added token, ends completions, or has another purpose.
    pub fn demote(&mut self, ids: &[u32]) -> anyhow::Result<()> {
        self.tokenizer = checkpoint::demoted(&self.tokenizer, &self.end_tokens, ids)?;
        Ok(())
    }
}

impl Vocabulary for ModelText {
    fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
        self.tokenizer.decode(ids)
    }

    fn cut(&self, ids: &[u32], stops: &[String]) -> anyhow::Result<Option<Cut>> {
        if stops.is_empty() {
            return Ok(None);
        }
        let token_bytes = match self.token_bytes.get() {
            Some(known) => known,
            // Another call may have been faster, with the same.
            None => {
                let made = self.tokenizer.token_bytes()?;
                self.token_bytes.get_or_init(|| made)
            }
        };
        let mut spoken = Spoken::default();
        let start = |&id: &u32| spoken.say(token_bytes.get(id), stops);
        let Some((idx, start)) = ids.iter().map(start).enumerate().find_map(|(idx, it)| Some((idx, it?)))
        else {
            return Ok(None);
        };
        Ok(Some(Cut { n_tokens: idx + 1, text: spoken.text_before(start) }))
    }

    fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    fn size(&self) -> usize {
        self.vocab_size
    }

    fn positions(&self) -> usize {
        self.positions
    }

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.tokenizer.save(dir)
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::{
        policy::Sampler,
        rollout::{SampleRequest, Sampling},
        seed::Seed,
    };

    use super::*;
    use crate::{Checkpoint, NativeOptions, NativePolicy};

    /// What the native engine stops at and says is what this says of the same tokens drawn without a stop.
    #[test]
    fn texts_are_cut_where_the_native_engine_stops() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/decode_tied");
        let text = ModelText::folder(&dir).unwrap();
        let policy = NativePolicy::new(Checkpoint::load(&dir).unwrap(), NativeOptions::default()).unwrap();
        assert_eq!(text.end_tokens(), policy.end_tokens());
        assert_eq!((text.size(), text.positions()), {
            let config = policy.config();
            (config.vocab_size, config.max_position_embeddings)
        });
        let stops: Vec<String> = ["a", "e", "q1"].map(str::to_owned).to_vec();
        let ask = |stop: &[String], row: u64| SampleRequest {
            prompt: "def f(x):".into(),
            seed: Seed::new(row),
            sampling: Sampling { stop: stop.to_vec(), ..Sampling::plain(48) }.into(),
        };
        let mut n_cut = 0;
        for row in 0..16 {
            let [free, stopped] =
                [&[], &stops[..]].map(|stop| policy.sample(vec![ask(stop, row)]).unwrap().remove(0));
            match text.cut(&free.tokens, &stops).unwrap() {
                Some(Cut { n_tokens, text }) => {
                    assert_eq!((&free.tokens[..n_tokens], text), (&stopped.tokens[..], stopped.text));
                    n_cut += 1;
                }
                None => assert_eq!(free, stopped),
            }
        }
        assert!(0 < n_cut);
    }
}
