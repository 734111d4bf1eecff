//! Which model is measured, and what its arithmetic is measured against.

use std::ops::Range;

use clap::ValueEnum;
use kelvin_core::seed::Seed;
use kelvin_model::{
    Checkpoint, Family, KeptFields, LoraConfig, ModelConfig, NativePolicy, NativeSampler, Params, Rope,
    THREADS_MAX, Tensor, Tokenizer, Training, WeightSource,
    kernels::{gemm_peak_gflops, memory_bandwidth},
};
use kelvin_selfplay::clock::Stopwatch;
use serde_json::{Map, json};

use crate::{
    command::up_to,
    config::{LoraSettings, check_lora, threads_or_cores},
    error::Usage,
    model,
};

/// Which model is measured.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// A Hugging Face folder, a run folder, a hub name in the cache, or `embedded`
    #[arg(long, value_name = "DIR", conflicts_with = "shape")]
    model: Option<String>,
    /// A model of this shape with random weights
    #[arg(long, value_enum, default_value = "tiny")]
    shape: Shape,
    /// Rows at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch: u32,
    /// Type of the weights that are computed with; sums are f32
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    dtype: String,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = up_to::<THREADS_MAX>)]
    threads: usize,
    /// Times the whole is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeats: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    Tiny,
    #[value(name = "qwen2.5-0.5b")]
    Qwen05b,
}

impl ModelArgs {
    /// Threads that are used.
    pub(super) fn threads(&self) -> usize {
        threads_or_cores(self.threads)
    }

    /// A sampler of the model in which no token ends a row.
    ///
    /// # Errors
    /// If the model cannot be used.
    pub(super) fn sampler(&self) -> anyhow::Result<NativeSampler> {
        let storage = model::storage(&self.dtype);
        let options = model::on_threads(self.threads());
        match &self.model {
            Some(name) => {
                let mut sampler = model::sampler(name, storage, options, &[])?;
                sampler.end_nowhere();
                Ok(sampler)
            }
            None => {
                let config = self.shape.config();
                NativeSampler::new(&config, &Noise, storage, tokenizer(&config)?, Vec::new(), options)
            }
        }
    }

    /// A policy of the model that has room for rows of `longest` tokens.
    ///
    /// # Errors
    /// If the adapters cannot be made, or the model cannot be used or has no room.
    pub(super) fn policy(&self, longest: usize, lora: LoraConfig) -> anyhow::Result<NativePolicy> {
        let dtype = model::dtype(&self.dtype);
        check_lora(&LoraSettings::fresh(lora.clone()), dtype)?;
        let checkpoint = match &self.model {
            Some(name) => model::load(name)?,
            None => random(self.shape)?,
        };
        let room = checkpoint.config.max_position_embeddings;
        if room < longest {
            return Err(Usage::error(format!(
                "rows of {longest} tokens do not fit into the model, which takes {room}\nhint: ask for shorter ones"
            )));
        }
        let training = Training { dtype, lora, ..Training::default() };
        NativePolicy::training(checkpoint, model::on_threads(self.threads()), training)
    }
}

impl Shape {
    fn config(self) -> ModelConfig {
        match self {
            Shape::Tiny => ModelConfig {
                vocab_size: 512,
                hidden_size: 192,
                intermediate_size: 512,
                num_hidden_layers: 4,
                num_attention_heads: 6,
                num_key_value_heads: 2,
                head_dim: 32,
                rms_norm_eps: 1e-6,
                rope: Rope::plain(10_000.0),
                max_position_embeddings: 4096,
                tie_word_embeddings: true,
                family: Family::Qwen2,
            },
            // https://huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/config.json
            Shape::Qwen05b => ModelConfig {
                vocab_size: 151_936,
                hidden_size: 896,
                intermediate_size: 4864,
                num_hidden_layers: 24,
                num_attention_heads: 14,
                num_key_value_heads: 2,
                head_dim: 64,
                rms_norm_eps: 1e-6,
                rope: Rope::plain(1_000_000.0),
                max_position_embeddings: 32_768,
                tie_word_embeddings: true,
                family: Family::Qwen2,
            },
        }
    }
}

/// Numbers that need not be any in particular, cheap enough for half a billion of them: uniform with the standard
/// deviation of fresh weights, 0.02.
struct Noise;

impl WeightSource for Noise {
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()> {
        if tensor.name.ends_with("norm.weight") {
            out.fill(1.0);
            return Ok(());
        }
        let first = tensor.range.start + rows.start * tensor.row_len();
        for (idx, value) in out.iter_mut().enumerate() {
            // A multiplicative hash; its upper 24 bits as a number in [-1, 1).
            let mixed = ((first + idx) as u32).wrapping_mul(0x9e37_79b1);
            let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77);
            *value = 0.02 * 3f32.sqrt() * ((mixed >> 8) as f32 / 8_388_608.0 - 1.0);
        }
        Ok(())
    }
}

/// A tokenizer that reads `t7` as token 7.
fn tokenizer(config: &ModelConfig) -> anyhow::Result<Tokenizer> {
    let vocab: Map<String, serde_json::Value> =
        (0..config.vocab_size).map(|id| (format!("t{id}"), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "t0"},
    });
    Tokenizer::from_bytes(&serde_json::to_vec(&tokenizer).expect("it is plain data"))
}

/// A model with random weights.
fn random(shape: Shape) -> anyhow::Result<Checkpoint> {
    let config = shape.config();
    let params = Params::random(&config, Seed::new(0).fork("bench"));
    let tokenizer = tokenizer(&config)?;
    Ok(Checkpoint { config, params, tokenizer, end_tokens: Vec::new(), kept: KeptFields::default() })
}

/// The rate of a matrix product on as many threads, in GFLOP/s.
pub(super) fn gemm_peak(threads: usize) -> f64 {
    let watch = Stopwatch::start();
    gemm_peak_gflops(threads, || watch.seconds())
}

/// The rate at which as many threads read memory, in bytes per second.
///
/// # Errors
/// If the threads cannot be started.
pub(super) fn bandwidth(threads: usize) -> anyhow::Result<f64> {
    let watch = Stopwatch::start();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(pool.install(|| memory_bandwidth(|| watch.seconds())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_model_reads_its_own_tokens() {
        assert_eq!(tokenizer(&Shape::Tiny.config()).unwrap().encode("t511 t3 t0").unwrap(), [511, 3, 0]);
    }

    #[test]
    fn noise_has_the_spread_of_fresh_weights() {
        let config = Shape::Tiny.config();
        let tensor = kelvin_model::Layout::new(&config).tensors().swap_remove(0);
        let mut values = vec![0.0; 256 * tensor.row_len()];
        Noise.read_rows(&tensor, 0..256, &mut values).unwrap();
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let std = (values.iter().map(|it| it * it).sum::<f32>() / n).sqrt();
        assert!(mean.abs() < 1e-3 && (std - 0.02).abs() < 1e-3, "{mean} {std}");
    }
}
