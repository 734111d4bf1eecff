//! The settings of `kelvin pretrain`, with the embedded base model's as defaults.

use kelvin_core::policy::AdamParams;
use kelvin_env::corpus::CorpusConfig;
use kelvin_model::{Family, ModelConfig, Rope};
use kelvin_selfplay::settings::Schedule;
use serde::{Deserialize, Serialize};

use crate::error::Usage;

/// `configs/pretrain.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PretrainSettings {
    /// Root of every random choice.
    pub(crate) seed: u64,
    /// What is generated.
    pub(crate) corpus: CorpusConfig,
    /// A model that is trained on, in any of the ways to name one; it has its own shape and tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// Where `from` names none: the shape of a new one, whose tokenizer is trained on the corpus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Shape>,
    /// How.
    pub(crate) train: TrainSettings,
}

/// What training starts from.
pub(crate) enum Start<'settings> {
    /// A model that is there.
    From(&'settings str),
    /// Random weights of this shape.
    New(&'settings Shape),
}

/// The largest size that a shape or a corpus may have in any direction.
const SIZE_MAX: usize = 1 << 24;

impl PretrainSettings {
    /// What training starts from.
    ///
    /// # Errors
    /// If the settings say both or neither.
    pub(crate) fn start(&self) -> anyhow::Result<Start<'_>> {
        match (&self.from, &self.model) {
            (Some(name), None) => Ok(Start::From(name)),
            (None, Some(shape)) => Ok(Start::New(shape)),
            _ => Err(Usage::error(
                "pretraining starts from one model\nhint: write either `from = \"NAME\"` or the shape of a new one \
                 below `[model]`",
            )),
        }
    }

    /// Checks what would otherwise fail after minutes of generating, or never end.
    ///
    /// # Errors
    /// If a value does not fit; the message names the key.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let train = &self.train;
        if let Start::New(shape) = self.start()? {
            shape.check()?;
        }
        let sizes = [
            ("corpus.n_programs", self.corpus.n_programs),
            ("corpus.n_examples", self.corpus.n_examples),
            ("train.batch_tokens", train.batch_tokens),
        ];
        for (key, size) in sizes {
            require((1..=SIZE_MAX).contains(&size), key, &format!("from 1 to {SIZE_MAX}"))?;
        }
        let rates = [
            ("train.learning_rate", train.learning_rate, 1e3),
            ("train.weight_decay", train.weight_decay, 1e3),
            ("train.warmup", train.warmup, 0.999),
            ("train.floor", train.floor, 1.0),
            ("train.beta2", train.beta2, 0.999_999),
            ("train.grad_clip", train.grad_clip, f64::MAX),
        ];
        for (key, rate, most) in rates {
            require((0.0..=most).contains(&rate), key, &format!("from 0 to {most}"))?;
        }
        require(0 < train.tokens, "train.tokens", "over 0")
    }
}

fn require(fits: bool, key: &str, range: &str) -> anyhow::Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Usage::error(format!("{key} is out of range\nhint: it is {range}"))),
    }
}

/// The shape of the model, in the words of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// What sets decoders of one shape apart.
    #[serde(default)]
    family: FamilyName,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    max_position_embeddings: usize,
}

/// A family of decoders as `model_type` of `config.json` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FamilyName {
    /// The embedded base model's.
    #[default]
    Qwen2,
    /// Without biases, and with a norm on each head.
    Qwen3,
    /// Without either.
    Llama,
}

impl FamilyName {
    fn family(self) -> Family {
        match self {
            FamilyName::Qwen2 => Family::Qwen2,
            FamilyName::Qwen3 => Family::Qwen3 { attention_bias: false },
            FamilyName::Llama => Family::Llama { attention_bias: false },
        }
    }
}

impl Shape {
    fn check(&self) -> anyhow::Result<()> {
        let sizes = [
            ("model.vocab_size", self.vocab_size),
            ("model.hidden_size", self.hidden_size),
            ("model.intermediate_size", self.intermediate_size),
            ("model.num_hidden_layers", self.num_hidden_layers),
            ("model.num_attention_heads", self.num_attention_heads),
            ("model.num_key_value_heads", self.num_key_value_heads),
            ("model.max_position_embeddings", self.max_position_embeddings),
        ];
        for (key, size) in sizes {
            require((1..=SIZE_MAX).contains(&size), key, &format!("from 1 to {SIZE_MAX}"))?;
        }
        let (heads, pairs) = (self.num_attention_heads, 2 * self.num_attention_heads);
        require(
            self.hidden_size.is_multiple_of(pairs),
            "model.hidden_size",
            &format!("an even number for each of the {heads} heads"),
        )?;
        require(
            heads.is_multiple_of(self.num_key_value_heads),
            "model.num_key_value_heads",
            &format!("a divisor of the {heads} heads"),
        )
    }

    /// A model of this shape with a tied head. `vocab_size` is what the tokenizer came to, which is less than asked
    /// for where the corpus has too few pairs to merge.
    pub(crate) fn config(&self, vocab_size: usize) -> ModelConfig {
        ModelConfig {
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.hidden_size / self.num_attention_heads,
            rms_norm_eps: 1e-6,
            rope: Rope::plain(10_000.0),
            max_position_embeddings: self.max_position_embeddings,
            tie_word_embeddings: true,
            family: self.family.family(),
        }
    }

    /// The tokenizer's size.
    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab_size
    }
}

/// Maximum likelihood with AdamW: a linear rise, then a cosine down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainSettings {
    /// Tokens read in all, prompts included.
    pub(crate) tokens: u64,
    /// Tokens of a batch, at least.
    pub(crate) batch_tokens: usize,
    /// The largest step size.
    pub(crate) learning_rate: f64,
    /// Share of the tokens over which it rises.
    pub(crate) warmup: f64,
    /// What is left of it at the end, as a share.
    pub(crate) floor: f64,
    /// Decoupled weight decay, of matrices alone: neither norms nor biases.
    pub(crate) weight_decay: f64,
    /// Second decay of AdamW.
    pub(crate) beta2: f64,
    /// Largest global gradient norm.
    pub(crate) grad_clip: f64,
}

impl Default for TrainSettings {
    fn default() -> TrainSettings {
        TrainSettings {
            tokens: 20_000_000,
            batch_tokens: 8192,
            learning_rate: 3e-3,
            warmup: 0.03,
            floor: 0.03,
            weight_decay: 0.1,
            beta2: 0.95,
            grad_clip: 1.0,
        }
    }
}

impl TrainSettings {
    /// The parameters of the update after `tokens` tokens.
    pub(crate) fn adam(&self, tokens: u64) -> AdamParams {
        let done = tokens as f64 / self.tokens as f64;
        let shape = if done < self.warmup {
            // The first update moves too.
            (done / self.warmup).max(0.01)
        } else {
            let fallen = (done - self.warmup) / (1.0 - self.warmup);
            Schedule::Cosine.share(fallen, self.floor)
        };
        AdamParams {
            learning_rate: self.learning_rate * shape,
            beta1: 0.9,
            beta2: self.beta2,
            eps: 1e-8,
            weight_decay: self.weight_decay,
            grad_clip: self.grad_clip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_trained_is_refused_by_its_key() {
        let text = include_str!("../../../../configs/pretrain.toml");
        let settings = |text: &str| toml::from_str::<PretrainSettings>(text).unwrap();
        settings(text).check().unwrap();
        for (line, key) in [
            ("num_attention_heads = 0", "model.num_attention_heads"),
            ("num_attention_heads = 5", "model.hidden_size"),
            ("num_key_value_heads = 4", "model.num_key_value_heads"),
            ("num_hidden_layers = 0", "model.num_hidden_layers"),
            ("hidden_size = 10000000000", "model.hidden_size"),
            ("n_examples = 0", "corpus.n_examples"),
            ("tokens = 0", "train.tokens"),
            ("learning_rate = nan", "train.learning_rate"),
        ] {
            let name = line.split(' ').next().unwrap();
            let changed: Vec<&str> =
                text.lines().map(|it| if it.starts_with(&format!("{name} =")) { line } else { it }).collect();
            let error = settings(&changed.join("\n")).check().unwrap_err().to_string();
            assert!(error.starts_with(key), "{line}: {error}");
        }
    }

    #[test]
    fn bases_of_three_families_are_shipped() {
        for (text, family) in [
            (include_str!("../../../../configs/pretrain.toml"), Family::Qwen2),
            (
                include_str!("../../../../configs/pretrain-qwen3.toml"),
                Family::Qwen3 { attention_bias: false },
            ),
            (
                include_str!("../../../../configs/pretrain-llama.toml"),
                Family::Llama { attention_bias: false },
            ),
        ] {
            let settings: PretrainSettings = toml::from_str(text).unwrap();
            settings.check().unwrap();
            assert_eq!(settings.model.unwrap().config(512).family, family);
        }
    }

    #[test]
    fn training_starts_from_one_model() {
        let text = include_str!("../../../../configs/pretrain.toml");
        let (before, after) = text.split_once("\n[model]\n").unwrap();
        let train = &after[after.find("\n[train]\n").unwrap()..];
        let check = |text: &str| toml::from_str::<PretrainSettings>(text).unwrap().check();
        check(&format!("from = \"embedded\"\n{before}{train}")).unwrap();
        assert!(check(&format!("{before}{train}")).is_err(), "neither");
        assert!(check(&format!("from = \"embedded\"\n{text}")).is_err(), "both");
    }
}
