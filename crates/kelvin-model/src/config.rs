//! The shape of a decoder.

use anyhow::{Result, ensure};

/// A Qwen2-style decoder: pre-RMSNorm, rotary positions (half-split), grouped-query attention, SwiGLU.
/// Fields are named as in Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Rows of the embedding; token ids are below it.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated layer.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; each serves `num_attention_heads / num_key_value_heads` query heads.
    pub num_key_value_heads: usize,
    /// Width of a head; need not be `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// Added to the mean square before its root.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
}

impl ModelConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// If a size is zero, the heads do not divide, or a constant is out of range; the message names it.
    pub fn validate(&self) -> Result<()> {
        for (name, size) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            ensure!(0 < size, "{name} is 0\nhint: every size of a model is at least 1");
            ensure!(size <= u32::MAX as usize, "{name} is {size}\nhint: no size of a model exceeds 2^32 - 1");
        }
        ensure!(
            self.num_attention_heads.is_multiple_of(self.num_key_value_heads),
            "num_attention_heads ({}) is not a multiple of num_key_value_heads ({})\nhint: each key-value head \
             serves the same number of query heads",
            self.num_attention_heads,
            self.num_key_value_heads,
        );
        ensure!(
            self.head_dim.is_multiple_of(2),
            "head_dim is {}, which is odd\nhint: rotary positions turn pairs",
            self.head_dim
        );
        ensure!(
            self.rms_norm_eps.is_finite() && 0.0 < self.rms_norm_eps,
            "rms_norm_eps is {}\nhint: it is a small positive number, usually 1e-6",
            self.rms_norm_eps
        );
        ensure!(
            self.rope_theta.is_finite() && 1.0 < self.rope_theta,
            "rope_theta is {}\nhint: it is a number above 1, usually 10000 or 1000000",
            self.rope_theta
        );
        Ok(())
    }

    /// Width of all query heads: `num_attention_heads * head_dim`.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key heads, which is that of all value heads: `num_key_value_heads * head_dim`.
    pub fn kv_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Width of a fused row of queries, keys and values.
    pub fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.kv_width()
    }

    /// Query heads for each key-value head.
    pub fn heads_per_kv(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model small enough for finite differences, with `head_dim` unlike `hidden_size / heads`.
    pub(crate) fn small(tied: bool, bias: bool) -> ModelConfig {
        ModelConfig {
            vocab_size: 37,
            hidden_size: 20,
            intermediate_size: 28,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 6,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            max_position_embeddings: 128,
            tie_word_embeddings: tied,
            qkv_bias: bias,
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(small(true, true).validate().is_ok());
        type Breakage = (fn(&mut ModelConfig), &'static str);
        let breakages: [Breakage; 6] = [
            (|c| c.vocab_size = 0, "vocab_size"),
            (|c| c.num_key_value_heads = 3, "num_key_value_heads (3)"),
            (|c| c.head_dim = 5, "head_dim is 5"),
            (|c| c.rms_norm_eps = f32::NAN, "rms_norm_eps"),
            (|c| c.rope_theta = 0.0, "rope_theta"),
            (|c| c.max_position_embeddings = 0, "max_position_embeddings"),
        ];
        for (break_it, named) in breakages {
            let mut config = small(true, true);
            break_it(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(named) && message.contains("\nhint: "), "{message}");
        }
    }
}
