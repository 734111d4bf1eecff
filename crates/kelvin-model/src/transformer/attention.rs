//! Causal grouped-query attention, 32 query rows at a time.
//!
//! Weights are never stored for a whole sequence: the forward pass keeps one logarithm per row and head, and
//! the backward pass computes a block's weights again from it (FlashAttention-2, Dao 2023, section 3.1).

use std::ops::Range;

use super::{
    ragged::{Ragged, Sequence},
    sized,
};
use crate::{
    config::ModelConfig,
    kernels::{
        MatMut, MatRef, PackedMatrix, add_into, causal_softmax, causal_softmax_again,
        causal_softmax_backward, matmul, matmul_packed_prefix,
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
    /// Keys or values of one head that a sequence sees, `[seen, head_dim]`.
    gathered: Vec<f32>,
    /// Gradients by them.
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
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

    /// One head in all rows of width `row_width` that a sequence sees, copied together.
    fn gather<'into>(
        &self,
        data: &[f32],
        row_width: usize,
        sequence: &Sequence,
        col: usize,
        into: &'into mut Vec<f32>,
    ) -> MatRef<'into> {
        let dim = self.config.head_dim;
        into.clear();
        sequence.seen().for_each(|row| into.extend_from_slice(&data[row * row_width + col..][..dim]));
        MatRef::new(into, sequence.len(), dim)
    }

    /// Adds the gradients of a head that [`Heads::gather`] gathered to where it lies.
    fn scatter(&self, from: &[f32], data: &mut [f32], row_width: usize, sequence: &Sequence, col: usize) {
        let dim = self.config.head_dim;
        for (from, row) in from.chunks_exact(dim).zip(sequence.seen()) {
            add_into(&mut data[row * row_width + col..][..dim], from);
        }
    }

    /// The same as [`Heads::view`], writable.
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

/// Attends within each sequence and its prefix: from turned queries and keys and values `qkv[rows, qkv_width]` to
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
        let n_before = sequence.prefix.len();
        for kv_head in 0..config.num_key_value_heads {
            let keys = heads.gather(qkv, width, sequence, heads.key(kv_head), &mut scratch.gathered);
            scratch.keys_transposed.repack(keys.t());
            let values = heads.gather(qkv, width, sequence, heads.value(kv_head), &mut scratch.gathered);
            scratch.values.repack(values);
            for head in heads.of_kv(kv_head) {
                for block in blocks(sequence.rows.len()) {
                    let visible = n_before + block.end;
                    let rows = sequence.rows.start + block.start..sequence.rows.start + block.end;
                    let queries = heads.view(qkv, width, rows.clone(), heads.query(head));
                    let weights = sized(&mut scratch.weights, rows.len() * visible);
                    let scores = MatMut::new(weights, rows.len(), visible);
                    matmul_packed_prefix(queries, &scratch.keys_transposed, scores, false);
                    let log_sums = &mut log_sums[head * ragged.rows()..][rows.clone()];
                    let first_seen = n_before + block.start + 1;
                    causal_softmax(weights, visible, first_seen, heads.scale, log_sums);
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
            backward_kv_head(config, ragged, sequence, kv_head, qkv, log_sums, dout, dqkv, scratch);
        }
    }
}

fn backward_kv_head(
    config: &ModelConfig,
    ragged: &Ragged,
    sequence: &Sequence,
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
    let keys = heads.gather(qkv, width, sequence, key, &mut scratch.gathered);
    scratch.keys.repack(keys);
    scratch.keys_transposed.repack(keys.t());
    scratch.values.repack(heads.gather(qkv, width, sequence, value, &mut scratch.gathered).t());
    let (dim, n_before) = (config.head_dim, sequence.prefix.len());
    let dkeys = sized(&mut scratch.dkeys, sequence.len() * dim);
    let dvalues = sized(&mut scratch.dvalues, sequence.len() * dim);
    dkeys.fill(0.0);
    dvalues.fill(0.0);
    for head in heads.of_kv(kv_head) {
        let query = heads.query(head);
        for block in blocks(sequence.rows.len()) {
            let visible = n_before + block.end;
            let first_seen = n_before + block.start + 1;
            let rows = sequence.rows.start + block.start..sequence.rows.start + block.end;
            let n = rows.len();
            let queries = heads.view(qkv, width, rows.clone(), query);
            let dout = heads.view(dout, out_width, rows.clone(), query);

            let weights = sized(&mut scratch.weights, n * visible);
            matmul_packed_prefix(queries, &scratch.keys_transposed, MatMut::new(weights, n, visible), false);
            let log_sums = &log_sums[head * ragged.rows()..][rows.clone()];
            causal_softmax_again(weights, visible, first_seen, heads.scale, log_sums);
            let seen = visible * dim;
            let dvalues = MatMut::new(&mut dvalues[..seen], visible, dim);
            matmul(MatRef::new(weights, n, visible).t(), dout, dvalues, true);

            let gradients = sized(&mut scratch.gradients, n * visible);
            matmul_packed_prefix(dout, &scratch.values, MatMut::new(gradients, n, visible), false);
            causal_softmax_backward(weights, visible, first_seen, heads.scale, gradients);
            let gradients = MatRef::new(gradients, n, visible);
            let dqueries = heads.view_mut(dqkv, width, rows.clone(), query);
            matmul_packed_prefix(gradients, &scratch.keys, dqueries, false);
            matmul(gradients.t(), queries, MatMut::new(&mut dkeys[..seen], visible, dim), true);
        }
    }
    heads.scatter(dkeys, dqkv, width, sequence, key);
    heads.scatter(dvalues, dqkv, width, sequence, value);
}
