//! Causal grouped-query attention, 32 query rows at a time.
//!
//! Weights are never stored for a whole sequence: the forward pass keeps one logarithm per row and head, and
//! the backward pass computes a block's weights again from it (FlashAttention-2, Dao 2023, section 3.1).

use std::ops::Range;

use super::{ragged::Ragged, sized};
use crate::{
    config::ModelConfig,
    kernels::{
        MatMut, MatRef, PackedMatrix, causal_softmax, causal_softmax_again, causal_softmax_backward, matmul,
        matmul_packed_prefix,
    },
};

/// Query rows of a block.
const BLOCK: usize = 32;

/// Memory of both passes, for one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    keys: PackedMatrix,
    keys_transposed: PackedMatrix,
    values: PackedMatrix,
    weights: Vec<f32>,
    gradients: Vec<f32>,
}

/// Where heads lie in a row of queries, keys and values.
struct Heads<'config> {
    config: &'config ModelConfig,
    scale: f32,
}

impl Heads<'_> {
    fn new(config: &ModelConfig) -> Heads<'_> {
        Heads { config, scale: 1.0 / (config.head_dim as f32).sqrt() }
    }

    fn of_kv(&self, kv_head: usize) -> Range<usize> {
        let group = self.config.heads_per_kv();
        kv_head * group..(kv_head + 1) * group
    }

    fn query(&self, head: usize) -> usize {
        head * self.config.head_dim
    }

    fn key(&self, kv_head: usize) -> usize {
        self.config.query_width() + kv_head * self.config.head_dim
    }

    fn value(&self, kv_head: usize) -> usize {
        self.key(kv_head) + self.config.kv_width()
    }

    /// One head in consecutive rows of width `row_width`.
    fn view<'data>(
        &self,
        data: &'data [f32],
        row_width: usize,
        rows: Range<usize>,
        col: usize,
    ) -> MatRef<'data> {
        MatRef::strided(&data[rows.start * row_width + col..], rows.len(), self.config.head_dim, row_width)
    }

    /// The same, writable.
    fn view_mut<'data>(
        &self,
        data: &'data mut [f32],
        row_width: usize,
        rows: Range<usize>,
        col: usize,
    ) -> MatMut<'data> {
        let data = &mut data[rows.start * row_width + col..];
        MatMut::strided(data, rows.len(), self.config.head_dim, row_width)
    }
}

/// Blocks of query rows within a sequence of `len` rows.
fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(len))
}

/// Attends within each sequence: from turned queries and keys and values `qkv[rows, qkv_width]` to
/// `out[rows, query_width]`. Stores `log_sums[heads, rows]`.
pub(super) fn forward(
    config: &ModelConfig,
    ragged: &Ragged,
    qkv: &[f32],
    out: &mut [f32],
    log_sums: &mut [f32],
    scratch: &mut Scratch,
) {
    let heads = Heads::new(config);
    let (width, out_width) = (config.qkv_width(), config.query_width());
    for sequence in ragged.sequences() {
        for kv_head in 0..config.num_key_value_heads {
            let keys = heads.view(qkv, width, sequence.clone(), heads.key(kv_head));
            scratch.keys_transposed.repack(keys.t());
            scratch.values.repack(heads.view(qkv, width, sequence.clone(), heads.value(kv_head)));
            for head in heads.of_kv(kv_head) {
                for block in blocks(sequence.len()) {
                    let visible = block.end;
                    let rows = sequence.start + block.start..sequence.start + block.end;
                    let queries = heads.view(qkv, width, rows.clone(), heads.query(head));
                    let weights = sized(&mut scratch.weights, rows.len() * visible);
                    let scores = MatMut::new(weights, rows.len(), visible);
                    matmul_packed_prefix(queries, &scratch.keys_transposed, scores, false);
                    let log_sums = &mut log_sums[head * ragged.rows()..][rows.clone()];
                    causal_softmax(weights, visible, block.start + 1, heads.scale, log_sums);
                    let weights = MatRef::new(weights, rows.len(), visible);
                    let out = heads.view_mut(out, out_width, rows, heads.query(head));
                    matmul_packed_prefix(weights, &scratch.values, out, false);
                }
            }
        }
    }
}

/// Writes to `dqkv` the gradient by `qkv`, given `dout` and what [`forward`] was given and stored.
pub(super) fn backward(
    config: &ModelConfig,
    ragged: &Ragged,
    qkv: &[f32],
    log_sums: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
    scratch: &mut Scratch,
) {
    dqkv.fill(0.0);
    for sequence in ragged.sequences() {
        for kv_head in 0..config.num_key_value_heads {
            backward_kv_head(config, ragged, &sequence, kv_head, qkv, log_sums, dout, dqkv, scratch);
        }
    }
}

fn backward_kv_head(
    config: &ModelConfig,
    ragged: &Ragged,
    sequence: &Range<usize>,
    kv_head: usize,
    qkv: &[f32],
    log_sums: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
    scratch: &mut Scratch,
) {
    let heads = Heads::new(config);
    let (width, out_width) = (config.qkv_width(), config.query_width());
    let (key, value) = (heads.key(kv_head), heads.value(kv_head));
    let keys = heads.view(qkv, width, sequence.clone(), key);
    scratch.keys.repack(keys);
    scratch.keys_transposed.repack(keys.t());
    scratch.values.repack(heads.view(qkv, width, sequence.clone(), value).t());
    for head in heads.of_kv(kv_head) {
        let query = heads.query(head);
        for block in blocks(sequence.len()) {
            let visible = block.end;
            let rows = sequence.start + block.start..sequence.start + block.end;
            let seen = sequence.start..sequence.start + visible;
            let n = rows.len();
            let queries = heads.view(qkv, width, rows.clone(), query);
            let dout = heads.view(dout, out_width, rows.clone(), query);

            let weights = sized(&mut scratch.weights, n * visible);
            matmul_packed_prefix(queries, &scratch.keys_transposed, MatMut::new(weights, n, visible), false);
            let log_sums = &log_sums[head * ragged.rows()..][rows.clone()];
            causal_softmax_again(weights, visible, block.start + 1, heads.scale, log_sums);
            let dvalues = heads.view_mut(dqkv, width, seen.clone(), value);
            matmul(MatRef::new(weights, n, visible).t(), dout, dvalues, true);

            let gradients = sized(&mut scratch.gradients, n * visible);
            matmul_packed_prefix(dout, &scratch.values, MatMut::new(gradients, n, visible), false);
            causal_softmax_backward(weights, visible, block.start + 1, heads.scale, gradients);
            let gradients = MatRef::new(gradients, n, visible);
            let dqueries = heads.view_mut(dqkv, width, rows.clone(), query);
            matmul_packed_prefix(gradients, &scratch.keys, dqueries, false);
            matmul(gradients.t(), queries, heads.view_mut(dqkv, width, seen, key), true);
        }
    }
}
