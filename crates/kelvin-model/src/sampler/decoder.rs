//! The forward pass of any mix of positions of any rows: decoding feeds one token of each row, prefill many.
//!
//! Each position is computed by itself except for matrix products, whose rows do not depend on each other; so
//! a row's numbers do not depend on its companions.

use rayon::prelude::*;

use super::{
    cache::{BLOCK, Cache, Pool, Shape},
    weights::{LayerWeights, Weights},
};
use crate::{
    config::ModelConfig,
    kernels::{MatMut, MatRef, RopeTable, add_bias, attend, head_norm, rope_rows},
    transformer::Threads,
};

/// One token to feed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feed {
    /// Index of the row's cache.
    pub(super) cache: usize,
    /// The token's position in its row; earlier positions are in the cache or earlier in the same call.
    pub(super) position: usize,
    pub(super) token: u32,
}

/// One worker's scratch memory.
pub(super) struct Decoder {
    shape: Shape,
    pub(super) pool: Pool,
    rope: RopeTable,
    positions: Vec<usize>,
    /// Residual stream `[n, hidden]`.
    x: Vec<f32>,
    /// Normalised `x`.
    normed: Vec<f32>,
    /// Of rows, or of heads.
    norm_factors: Vec<f32>,
    /// `[n, qkv_width]`.
    qkv: Vec<f32>,
    /// `[n, query_width]`.
    attended: Vec<f32>,
    scores: Vec<f32>,
    /// `[n, 2 * intermediate]`.
    gate_up: Vec<f32>,
    /// `[n, intermediate]`.
    gated: Vec<f32>,
    /// `[rows asked for, vocab]`.
    logits: Vec<f32>,
}

impl Decoder {
    pub(super) fn new(config: &ModelConfig) -> Decoder {
        let shape = Shape::new(config);
        Decoder {
            shape,
            pool: Pool::new(shape),
            rope: RopeTable::new(config.head_dim, &config.rope, 0),
            positions: Vec::new(),
            x: Vec::new(),
            normed: Vec::new(),
            norm_factors: Vec::new(),
            qkv: Vec::new(),
            attended: Vec::new(),
            scores: Vec::new(),
            gate_up: Vec::new(),
            gated: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Feeds tokens and returns the logits after those at the indices `asked`, one row of `vocab` each.
    pub(super) fn forward(
        &mut self,
        weights: &Weights,
        caches: &mut [Cache],
        feeds: &[Feed],
        asked: &[usize],
    ) -> &[f32] {
        let Weights { config, threads, .. } = weights;
        let (n, hidden) = (feeds.len(), config.hidden_size);
        self.make_room(config, feeds, asked.len());
        for feed in feeds {
            caches[feed.cache].make_writable(feed.position, &mut self.pool);
        }
        for (x, feed) in self.x.chunks_exact_mut(hidden).zip(feeds) {
            weights.embed(feed.token, x);
        }
        for (index, layer) in weights.layers.iter().enumerate() {
            self.attention(weights, index, caches, feeds);
            self.gated_layer(config, *threads, layer, n);
        }
        for (to, &from) in asked.iter().enumerate() {
            debug_assert!(to <= from, "rows are moved up");
            self.x.copy_within(from * hidden..(from + 1) * hidden, to * hidden);
        }
        let n = asked.len();
        let (x, normed) = (&self.x[..n * hidden], &mut self.normed[..n * hidden]);
        threads.rms_norm(x, &weights.final_norm, config.rms_norm_eps, normed, &mut self.norm_factors[..n]);
        let logits = &mut self.logits[..n * config.vocab_size];
        let out = MatMut::new(logits, n, config.vocab_size);
        threads.matmul_packed(MatRef::new(normed, n, hidden), weights.head(), out, false);
        logits
    }

    fn make_room(&mut self, config: &ModelConfig, feeds: &[Feed], n_asked: usize) {
        let n = feeds.len();
        let longest = feeds.iter().map(|feed| feed.position + 1).max().unwrap_or(0);
        self.positions.clear();
        self.positions.extend(feeds.iter().map(|feed| feed.position));
        if self.rope.len() < longest {
            self.rope.extend(longest.next_power_of_two());
        }
        let whole_blocks = longest.next_multiple_of(BLOCK);
        for (buffer, len) in [
            (&mut self.x, n * config.hidden_size),
            (&mut self.normed, n * config.hidden_size),
            (&mut self.norm_factors, n * config.num_attention_heads),
            (&mut self.qkv, n * config.qkv_width()),
            (&mut self.attended, n * config.query_width()),
            (&mut self.scores, config.heads_per_kv() * whole_blocks),
            (&mut self.gate_up, n * 2 * config.intermediate_size),
            (&mut self.gated, n * config.intermediate_size),
            (&mut self.logits, n_asked * config.vocab_size),
        ] {
            if buffer.len() < len {
                buffer.resize(len, 0.0);
            }
        }
    }

    /// `x += attention(norm(x))`.
    fn attention(&mut self, weights: &Weights, index: usize, caches: &mut [Cache], feeds: &[Feed]) {
        let Weights { config, threads, .. } = weights;
        let layer = &weights.layers[index];
        let (n, hidden, width) = (feeds.len(), config.hidden_size, config.qkv_width());
        let (x, normed) = (&mut self.x[..n * hidden], &mut self.normed[..n * hidden]);
        threads.rms_norm(x, &layer.input_norm, config.rms_norm_eps, normed, &mut self.norm_factors[..n]);
        let qkv = &mut self.qkv[..n * width];
        threads.matmul_packed(MatRef::new(normed, n, hidden), &layer.qkv, MatMut::new(qkv, n, width), false);
        if !layer.qkv_bias.is_empty() {
            add_bias(qkv, &layer.qkv_bias);
        }
        if config.qk_norm() {
            let keys_end = config.query_width() + config.kv_width();
            for (columns, gain, heads) in [
                (0..config.query_width(), &layer.q_norm, config.num_attention_heads),
                (config.query_width()..keys_end, &layer.k_norm, config.num_key_value_heads),
            ] {
                let factors = &mut self.norm_factors[..n * heads];
                head_norm(qkv, width, columns, gain, config.rms_norm_eps, factors);
            }
        }
        let turned_heads = config.num_attention_heads + config.num_key_value_heads;
        rope_rows(qkv, width, turned_heads, &self.positions, &self.rope);
        let (query_width, kv_width) = (config.query_width(), config.kv_width());
        for (row, feed) in qkv.chunks_exact(width).zip(feeds) {
            let (keys, values) = row[query_width..].split_at(kv_width);
            caches[feed.cache].write(self.shape, index, feed.position, keys, values);
        }
        self.attend(config, *threads, index, caches, feeds);
        let attended = MatRef::new(&self.attended[..n * query_width], n, query_width);
        let x = &mut self.x[..n * hidden];
        threads.matmul_packed(attended, &layer.o, MatMut::new(x, n, hidden), true);
        if !layer.o_bias.is_empty() {
            add_bias(x, &layer.o_bias);
        }
    }

    /// What each row sees, weighed.
    fn attend(
        &mut self,
        config: &ModelConfig,
        threads: Threads,
        index: usize,
        caches: &[Cache],
        feeds: &[Feed],
    ) {
        let (n, width, query_width) = (feeds.len(), config.qkv_width(), config.query_width());
        let group_width = config.heads_per_kv() * config.head_dim;
        let row = |row: &[f32], feed: &Feed, scores: &mut [f32], out: &mut [f32]| {
            let queries = row[..query_width].chunks_exact(group_width);
            for (head, (queries, out)) in queries.zip(out.chunks_exact_mut(group_width)).enumerate() {
                let blocks = &caches[feed.cache].blocks;
                let start = self.shape.head_start(index, head);
                let block = |idx: usize| &blocks[idx].floats()[start..];
                attend(queries, block, config.head_dim, feed.position + 1, scores, out);
            }
        };
        let qkv = &self.qkv[..n * width];
        let attended = &mut self.attended[..n * query_width];
        match threads {
            Threads::One => {
                let rows = qkv.chunks_exact(width).zip(attended.chunks_exact_mut(query_width));
                rows.zip(feeds).for_each(|((qkv, out), feed)| row(qkv, feed, &mut self.scores, out));
            }
            Threads::All => {
                let rows = qkv.par_chunks_exact(width).zip(attended.par_chunks_exact_mut(query_width));
                let scores = || vec![0f32; self.scores.len()];
                rows.zip(feeds)
                    .for_each_init(scores, |scores, ((qkv, out), feed)| row(qkv, feed, scores, out));
            }
        }
    }

    /// `x += down(swiglu(gate_up(norm(x))))`.
    fn gated_layer(&mut self, config: &ModelConfig, threads: Threads, layer: &LayerWeights, n: usize) {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let (x, normed) = (&mut self.x[..n * hidden], &mut self.normed[..n * hidden]);
        threads.rms_norm(x, &layer.post_norm, config.rms_norm_eps, normed, &mut self.norm_factors[..n]);
        let gate_up = &mut self.gate_up[..n * 2 * ffn];
        let out = MatMut::new(gate_up, n, 2 * ffn);
        threads.matmul_packed(MatRef::new(normed, n, hidden), &layer.gate_up, out, false);
        let gated = &mut self.gated[..n * ffn];
        threads.swiglu(gate_up, ffn, gated);
        threads.matmul_packed(MatRef::new(gated, n, ffn), &layer.down, MatMut::new(x, n, hidden), true);
    }
}
