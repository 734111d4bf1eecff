//! Memory of a model on this engine, from sizes alone: what a run will hold, before anything is read.
//!
//! Weights and what learns are exact. Of the passes' memory the large buffers are counted; what is left out (tokenizer,
//! packed blocks of products, threads' stacks) is a few per cent of a model of half a billion weights.

use crate::{
    checkpoint::Dtype,
    config::ModelConfig,
    kernels::Storage,
    params::Layout,
    policy::{NativeOptions, Training},
    sampler::{Shape, threads_for},
    trainer::Plan,
    transformer::{Keep, Threads, logits_rows},
};

/// Bytes of a number in f32.
const F32: u64 = 4;

/// What the engine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Tokens of the longest row, prompt and response together.
    pub longest: usize,
    /// Rows that one call draws.
    pub rows: usize,
}

/// Memory of a policy that draws and learns, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Numbers in the model.
    pub n_weights: u64,
    /// Numbers that learn: all of the model's, or those of adapters.
    pub n_learnt: u64,
    /// The weights that passes compute with, in f32 whatever they are rounded to.
    pub weights: u64,
    /// Weights in f32 behind those that are rounded to bf16.
    pub master: u64,
    /// Adapters.
    pub adapters: u64,
    /// The gradient, in as many buffers as threads add to at once.
    pub gradient: u64,
    /// Both moments of AdamW.
    pub moments: u64,
    /// Rows of the largest chunk, which a pass computes together: the micro-batch.
    pub chunk_rows: u64,
    /// Activations of the passes over such chunks, with logits and scratch.
    pub activations: u64,
    /// The copy that draws read.
    pub packed: u64,
    /// Keys and values of one token of one row.
    pub kv_per_token: u64,
    /// Keys and values of all rows, at most.
    pub kv: u64,
    /// Activations and logits of decoding.
    pub decoding: u64,
}

impl Footprint {
    /// The memory of a policy as [`crate::NativePolicy::training`] makes it.
    pub fn of_policy(
        config: &ModelConfig,
        training: &Training,
        options: &NativeOptions,
        load: Load,
    ) -> Footprint {
        let n_weights = Layout::new(config).len;
        let sampler = Footprint::of_sampler(config, training.storage(), options, load);
        let weights = n_weights as u64 * F32;
        let has_adapters = 0 < training.lora.rank;
        let n_learnt = if has_adapters { training.lora.n_weights(config) } else { n_weights };
        let learnt = n_learnt as u64 * F32;
        let plan = Plan { recompute: options.recompute, ..Plan::new(n_weights) };
        let n_benches = match plan.threads {
            Threads::One => options.n_threads().min(plan.slots_max) as u64,
            Threads::All => 1,
        };
        let chunk_rows = plan.chunk_rows.max(load.longest);
        Footprint {
            n_learnt: n_learnt as u64,
            weights,
            master: if !has_adapters && training.dtype == Dtype::Bf16 { weights } else { 0 },
            adapters: if has_adapters { learnt } else { 0 },
            gradient: n_benches * learnt,
            moments: 2 * learnt,
            chunk_rows: chunk_rows as u64,
            activations: n_benches * activations(config, plan, chunk_rows),
            ..sampler
        }
    }

    /// The memory of a [`crate::NativeSampler`], which learns nothing.
    pub fn of_sampler(
        config: &ModelConfig,
        storage: Storage,
        options: &NativeOptions,
        load: Load,
    ) -> Footprint {
        let n_weights = Layout::new(config).len;
        let packed = n_weights * storage.bytes();
        let n_workers = match threads_for(packed) {
            Threads::One => options.n_threads(),
            Threads::All => 1,
        };
        let rows = load.rows.min(options.max_rows * n_workers);
        let shape = Shape::new(config);
        let of_row = shape.blocks_for(load.longest) * shape.block_bytes();
        let feeds = options.prefill_chunk + options.max_rows;
        let of_feed = 2 * config.hidden_size
            + config.num_attention_heads
            + config.qkv_width()
            + config.query_width()
            + 3 * config.intermediate_size;
        let logits = rows.div_ceil(n_workers) * config.vocab_size;
        Footprint {
            n_weights: n_weights as u64,
            n_learnt: 0,
            weights: 0,
            master: 0,
            adapters: 0,
            gradient: 0,
            moments: 0,
            chunk_rows: 0,
            activations: 0,
            packed: packed as u64,
            kv_per_token: (2 * config.num_hidden_layers * config.kv_width()) as u64 * F32,
            // A row that is alone may pass the bound.
            kv: (rows * of_row).min(options.kv_bytes_max.max(of_row)) as u64,
            decoding: (n_workers * (feeds * of_feed + logits)) as u64 * F32,
        }
    }

    /// What is there all the time: weights and what the optimizer keeps.
    pub fn held(&self) -> u64 {
        self.weights + self.master + self.adapters + self.gradient + self.moments
    }

    /// While rows are drawn.
    pub fn drawing(&self) -> u64 {
        self.held() + self.packed + self.kv + self.decoding
    }

    /// During the passes of an update, without a copy for draws.
    pub fn learning(&self) -> u64 {
        self.held() + self.activations
    }

    /// While weights are packed beside the copy of those before them.
    pub fn publishing(&self) -> u64 {
        self.held() + 2 * self.packed
    }
}

/// Bytes of the passes over a chunk of so many rows.
fn activations(config: &ModelConfig, plan: Plan, rows: usize) -> u64 {
    let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
    let (query, qkv) = (config.query_width(), config.qkv_width());
    let normed_heads = if config.qk_norm() { query + config.kv_width() } else { 0 };
    let saved = 2 * hidden + qkv + query + 2 * ffn + normed_heads;
    let kept = match plan.keep(config, rows) {
        Keep::All => config.num_hidden_layers * saved,
        Keep::Inputs => config.num_hidden_layers * hidden + saved,
        Keep::Nothing => 0,
    };
    let streams = 2 * hidden;
    let scratch = 2 * hidden + ffn + query + qkv;
    let head = 4 * hidden;
    // Where threads share the work, each writes to a buffer of its own first.
    let heads = match plan.threads {
        Threads::One => 0,
        Threads::All => qkv,
    };
    let logits = logits_rows(config.vocab_size).min(rows) * config.vocab_size;
    (rows * (kept + streams + scratch + head + heads) + logits) as u64 * F32
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;
    use crate::{
        config::tests::small,
        lora::{Lora, LoraConfig, LoraTarget},
        params::Params,
    };

    const LOAD: Load = Load { longest: 100, rows: 8 };

    #[test]
    fn weights_and_what_learns_are_what_is_allocated() {
        let options = NativeOptions { threads: 1, ..NativeOptions::default() };
        for (tied, bias) in [(true, true), (false, false)] {
            let config = small(tied, bias);
            let floats = Params::random(&config, Seed::new(1)).flat.len() as u64;
            let whole = Footprint::of_policy(&config, &Training::default(), &options, LOAD);
            assert_eq!((whole.n_weights, whole.n_learnt, whole.weights), (floats, floats, 4 * floats));
            assert_eq!((whole.gradient, whole.moments, whole.master), (4 * floats, 8 * floats, 0));
            let rounded = Training { dtype: Dtype::Bf16, ..Training::default() };
            let rounded = Footprint::of_policy(&config, &rounded, &options, LOAD);
            assert_eq!(rounded.held() - whole.held(), 4 * floats);
            for targets in [LoraTarget::ALL.to_vec(), vec![LoraTarget::QProj, LoraTarget::DownProj]] {
                let lora = LoraConfig { rank: 3, targets, ..LoraConfig::default() };
                let adapters = Lora::new(&config, &lora, Seed::new(1)).flat.len() as u64;
                let training = Training { lora, ..Training::default() };
                let found = Footprint::of_policy(&config, &training, &options, LOAD);
                assert_eq!((found.n_learnt, found.adapters), (adapters, 4 * adapters));
                assert_eq!(found.held(), 4 * floats + 16 * adapters);
            }
        }
    }

    #[test]
    fn keys_and_values_are_bounded_unless_a_row_is_alone() {
        let config = small(true, true);
        let row = Shape::new(&config).block_bytes() * 4;
        for (bound, expected) in [(usize::MAX, 8 * row), (3 * row, 3 * row), (1, row)] {
            let options = NativeOptions { threads: 1, kv_bytes_max: bound, ..NativeOptions::default() };
            let found = Footprint::of_sampler(&config, Storage::F32, &options, LOAD);
            assert_eq!(found.kv, expected as u64);
        }
    }
}
