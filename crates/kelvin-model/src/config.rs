//! The shape of a decoder.

use anyhow::{Result, ensure};

use crate::kernels::{Llama3Scaling, Rope};

/// What sets decoders of one shape apart; each is named as transformers names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Qwen2 and Qwen2.5: a bias on queries, keys and values.
    Qwen2,
    /// Qwen3: RMSNorm on each query and key head, before positions turn them.
    Qwen3 {
        /// Whether queries, keys, values and the output of attention have a bias.
        attention_bias: bool,
    },
    /// Llama 3 and what else transformers computes as Llama.
    Llama {
        /// Whether queries, keys, values and the output of attention have a bias.
        attention_bias: bool,
    },
}

/// A decoder: pre-RMSNorm, rotary positions (half-split), grouped-query attention, SwiGLU.
/// Sizes are named as in Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Where norms and biases are.
    pub family: Family,
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
    /// The rotary frequencies.
    pub rope: Rope,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
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
        validate_rope(&self.rope)
    }

    /// Whether queries, keys and values have a bias.
    pub fn qkv_bias(&self) -> bool {
        match self.family {
            Family::Qwen2 => true,
            Family::Qwen3 { attention_bias } | Family::Llama { attention_bias } => attention_bias,
        }
    }

    /// Whether the output projection of attention has a bias.
    pub fn o_bias(&self) -> bool {
        match self.family {
            Family::Qwen2 => false,
            Family::Qwen3 { attention_bias } | Family::Llama { attention_bias } => attention_bias,
        }
    }

    /// Whether each query and key head is normalised before it is turned.
    pub fn qk_norm(&self) -> bool {
        match self.family {
            Family::Qwen3 { .. } => true,
            Family::Qwen2 | Family::Llama { .. } => false,
        }
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

fn validate_rope(rope: &Rope) -> Result<()> {
    let Rope { theta, scaling } = rope;
    ensure!(
        theta.is_finite() && 1.0 < *theta,
        "rope_theta is {theta}\nhint: it is a number above 1, usually 10000 or 1000000"
    );
    let Some(Llama3Scaling { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings }) =
        scaling
    else {
        return Ok(());
    };
    ensure!(
        factor.is_finite() && 1.0 <= *factor,
        "factor of the llama3 rope is {factor}\nhint: it is at least 1, 8 or 32 in Llama 3"
    );
    ensure!(
        0.0 < *low_freq_factor && low_freq_factor < high_freq_factor && high_freq_factor.is_finite(),
        "low_freq_factor {low_freq_factor} and high_freq_factor {high_freq_factor} of the llama3 rope do not \
         fit\nhint: the first is positive and less than the second, 1 and 4 in Llama 3"
    );
    ensure!(
        0 < *original_max_position_embeddings,
        "original_max_position_embeddings of the llama3 rope is 0\nhint: it is 8192 in Llama 3"
    );
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every combination of biases and norms.
    pub(crate) const FAMILIES: [Family; 5] = [
        Family::Qwen2,
        Family::Qwen3 { attention_bias: false },
        Family::Qwen3 { attention_bias: true },
        Family::Llama { attention_bias: false },
        Family::Llama { attention_bias: true },
    ];

    /// Wavelengths of a head of width 6 below, within and beyond the bounds.
    pub(crate) const SCALED: Rope = Rope {
        theta: 500.0,
        scaling: Some(Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 64,
        }),
    };

    /// A model small enough for finite differences, with `head_dim` unlike `hidden_size / heads`.
    pub(crate) fn small(tied: bool, bias: bool) -> ModelConfig {
        ModelConfig {
            family: if bias { Family::Qwen2 } else { Family::Llama { attention_bias: false } },
            vocab_size: 37,
            hidden_size: 20,
            intermediate_size: 28,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 6,
            rms_norm_eps: 1e-6,
            rope: Rope::plain(10_000.0),
            max_position_embeddings: 128,
            tie_word_embeddings: tied,
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(small(true, true).validate().is_ok());
        type Breakage = (fn(&mut ModelConfig), &'static str);
        let breakages: [Breakage; 8] = [
            (|c| c.vocab_size = 0, "vocab_size"),
            (|c| c.num_key_value_heads = 3, "num_key_value_heads (3)"),
            (|c| c.head_dim = 5, "head_dim is 5"),
            (|c| c.rms_norm_eps = f32::NAN, "rms_norm_eps"),
            (|c| c.rope.theta = 0.0, "rope_theta"),
            (|c| c.rope.scaling.as_mut().unwrap().factor = 0.5, "factor of the llama3 rope"),
            (|c| c.rope.scaling.as_mut().unwrap().high_freq_factor = 1.0, "high_freq_factor 1"),
            (|c| c.max_position_embeddings = 0, "max_position_embeddings"),
        ];
        for (break_it, named) in breakages {
            let mut config = ModelConfig { rope: SCALED, ..small(true, true) };
            break_it(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(named) && message.contains("\nhint: "), "{message}");
        }
    }
}
