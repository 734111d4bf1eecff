//! The shape of a run's model: from its files where they are here, else from what was published about it.

use kelvin_model::{Family, ModelConfig, Rope, Tokenizer};

use crate::{config::PolicySettings, model};

/// What is known of a model before its weights are read.
pub(crate) struct Model {
    /// Its shape.
    pub(crate) config: ModelConfig,
    /// Where the shape is from.
    pub(crate) source: Source,
}

/// Where a shape is from.
pub(crate) enum Source {
    /// The model's files, all of them checked but for the numbers.
    Files(Box<Tokenizer>),
    /// The table of published shapes.
    Published,
}

/// What is known of the model of `policy`, and why that is not from its files.
pub(crate) fn find(policy: &PolicySettings) -> (Option<Model>, Option<anyhow::Error>) {
    match model::check(&policy.model, &policy.demote_tokens) {
        Ok((config, tokenizer)) => (Some(Model { config, source: Source::Files(Box::new(tokenizer)) }), None),
        Err(error) => (published(&policy.model), Some(error)),
    }
}

/// The model of that name on the hub.
fn published(name: &str) -> Option<Model> {
    let shape = PUBLISHED.iter().find(|it| it.names.contains(&name))?;
    Some(Model { config: shape.config(), source: Source::Published })
}

/// A shape as `config.json` on the hub has it; `https://huggingface.co/NAME/blob/main/config.json`.
struct Published {
    names: &'static [&'static str],
    family: Family,
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
    positions: usize,
    tied: bool,
}

impl Published {
    fn config(&self) -> ModelConfig {
        ModelConfig {
            family: self.family,
            vocab_size: self.vocab,
            hidden_size: self.hidden,
            intermediate_size: self.intermediate,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            num_key_value_heads: self.kv_heads,
            head_dim: self.head_dim,
            // Constants that no size depends on.
            rms_norm_eps: 1e-6,
            rope: Rope::plain(1e6),
            max_position_embeddings: self.positions,
            tie_word_embeddings: self.tied,
        }
    }
}

const QWEN2_5_3B: Published = Published {
    names: &["Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-Coder-3B"],
    family: Family::Qwen2,
    hidden: 2048,
    intermediate: 11_008,
    layers: 36,
    heads: 16,
    kv_heads: 2,
    head_dim: 128,
    vocab: 151_936,
    positions: 32_768,
    tied: true,
};

/// The models of azr.md section 5.5 and their small relatives.
const PUBLISHED: &[Published] = &[
    Published {
        names: &["Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-Coder-0.5B"],
        hidden: 896,
        intermediate: 4864,
        layers: 24,
        heads: 14,
        head_dim: 64,
        ..QWEN2_5_3B
    },
    Published {
        names: &["Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-Coder-1.5B"],
        hidden: 1536,
        intermediate: 8960,
        layers: 28,
        heads: 12,
        ..QWEN2_5_3B
    },
    QWEN2_5_3B,
    Published { names: &["Qwen/Qwen2.5-7B"], positions: 131_072, ..QWEN2_5_7B },
    QWEN2_5_7B,
    Published { names: &["Qwen/Qwen2.5-14B"], positions: 131_072, ..QWEN2_5_14B },
    QWEN2_5_14B,
    Published {
        names: &["meta-llama/Llama-3.1-8B"],
        family: Family::Llama { attention_bias: false },
        hidden: 4096,
        intermediate: 14_336,
        layers: 32,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocab: 128_256,
        positions: 131_072,
        tied: false,
    },
    Published {
        names: &["Qwen/Qwen3-4B-Base"],
        family: Family::Qwen3 { attention_bias: false },
        hidden: 2560,
        intermediate: 9728,
        layers: 36,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocab: 151_936,
        positions: 32_768,
        tied: true,
    },
];

const QWEN2_5_7B: Published = Published {
    names: &["Qwen/Qwen2.5-Coder-7B"],
    hidden: 3584,
    intermediate: 18_944,
    layers: 28,
    heads: 28,
    kv_heads: 4,
    vocab: 152_064,
    tied: false,
    ..QWEN2_5_3B
};

const QWEN2_5_14B: Published = Published {
    names: &["Qwen/Qwen2.5-Coder-14B"],
    hidden: 5120,
    intermediate: 13_824,
    layers: 48,
    heads: 40,
    kv_heads: 8,
    vocab: 152_064,
    tied: false,
    ..QWEN2_5_3B
};

#[cfg(test)]
mod tests {
    use kelvin_model::Layout;

    use super::*;

    /// The numbers of weights that the hub counts in the files of these models.
    #[test]
    fn published_shapes_have_as_many_weights_as_the_files() {
        for (name, n_weights) in [
            ("Qwen/Qwen2.5-0.5B", 494_032_768),
            ("Qwen/Qwen2.5-1.5B", 1_543_714_304),
            ("Qwen/Qwen2.5-Coder-3B", 3_085_938_688),
            ("Qwen/Qwen2.5-7B", 7_615_616_512),
            ("Qwen/Qwen2.5-Coder-7B", 7_615_616_512),
            ("Qwen/Qwen2.5-14B", 14_770_033_664),
            ("Qwen/Qwen2.5-Coder-14B", 14_770_033_664),
            ("meta-llama/Llama-3.1-8B", 8_030_261_248),
            ("Qwen/Qwen3-4B-Base", 4_022_468_096),
        ] {
            let config = published(name).unwrap().config;
            config.validate().unwrap();
            assert_eq!(Layout::new(&config).len, n_weights, "{name}");
        }
        assert!(published("Qwen/Qwen2.5-72B").is_none());
    }
}
