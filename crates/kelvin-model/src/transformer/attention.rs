//! Causal grouped-query attention, 32 query rows at a time.
//!
//! Weights are never stored for a whole sequence: the forward pass keeps one logarithm per row and head, and
//! the backward pass computes a block's weights again from it (FlashAttention-2, Dao 2023, section 3.1).

use std::ops::Range;

use rayon::prelude::*;

use super::{
    ragged::{Ragged, Sequence},
    sized,
    threads::Threads,
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
}

/// Blocks of query rows within a sequence of `len` rows.
fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(len))
}

/// A key-value head of a sequence: what one thread works on at a time.
#[derive(Clone, Copy)]
struct Unit<'pass> {
    sequence: &'pass Sequence,
    kv_head: usize,
}

fn units<'pass>(config: &ModelConfig, ragged: &'pass Ragged) -> Vec<Unit<'pass>> {
    let kv_heads = 0..config.num_key_value_heads;
    let of = |sequence| kv_heads.clone().map(move |kv_head| Unit { sequence, kv_head });
    ragged.sequences().iter().flat_map(of).collect()
}

/// Where a unit's query heads write: into rows of all heads, or into a buffer of their own.
struct Place<'to> {
    data: &'to mut [f32],
    width: usize,
    /// Of the sequence's first own row and the unit's first query head.
    first: usize,
}

impl Place<'_> {
    /// Head `idx` of the unit in rows of the sequence.
    fn head(&mut self, dim: usize, idx: usize, rows: &Range<usize>) -> MatMut<'_> {
        let start = self.first + rows.start * self.width + idx * dim;
        MatMut::strided(&mut self.data[start..], rows.len(), dim, self.width)
    }
}

/// Attends within each sequence and its prefix: from turned queries and keys and values `qkv[rows, qkv_width]` to
/// `out[rows, query_width]`. Stores `log_sums[heads, rows]`.
pub(super) fn forward(
    config: &ModelConfig,
    ragged: &Ragged,
    threads: Threads,
    qkv: &[f32],
    out: &mut [f32],
    log_sums: &mut [f32],
    scratch: &mut Scratch,
) {
    let heads = Heads::new(config);
    let (width, n_rows, group) = (config.query_width(), ragged.rows(), config.heads_per_kv());
    let units = units(config, ragged);
    match threads {
        Threads::One => {
            for unit in units {
                let (first_row, first_head) = (unit.sequence.rows.start, unit.kv_head * group);
                let first = first_row * width + heads.query(first_head);
                let place = Place { data: &mut *out, width, first };
                let log_sums = &mut log_sums[first_head * n_rows + first_row..];
                forward_unit(config, unit, qkv, place, (log_sums, n_rows), scratch);
            }
        }
        Threads::All => {
            let own_width = group * config.head_dim;
            let attended: Vec<(Vec<f32>, Vec<f32>)> = units
                .par_iter()
                .map_init(Scratch::default, |scratch, unit| {
                    let len = unit.sequence.rows.len();
                    let (mut out, mut log_sums) = (vec![0.0; len * own_width], vec![0.0; group * len]);
                    let place = Place { data: &mut out, width: own_width, first: 0 };
                    forward_unit(config, *unit, qkv, place, (&mut log_sums, len), scratch);
                    (out, log_sums)
                })
                .collect();
            for (unit, (from, own_sums)) in units.iter().zip(&attended) {
                let (rows, first_head) = (&unit.sequence.rows, unit.kv_head * group);
                copy_heads(from, own_width, out, (width, heads.query(first_head)), rows);
                for (idx, from) in own_sums.chunks_exact(rows.len()).enumerate() {
                    log_sums[(first_head + idx) * n_rows..][rows.clone()].copy_from_slice(from);
                }
            }
        }
    }
}

/// Copies rows of a unit's buffer to its columns of `rows`.
fn copy_heads(
    from: &[f32],
    own_width: usize,
    to: &mut [f32],
    (width, first_col): (usize, usize),
    rows: &Range<usize>,
) {
    for (from, row) in from.chunks_exact(own_width).zip(rows.clone()) {
        to[row * width + first_col..][..own_width].copy_from_slice(from);
    }
}

/// `log_sums` begins at the unit's first head and the sequence's first own row, with so many floats from head to head.
fn forward_unit(
    config: &ModelConfig,
    unit: Unit,
    qkv: &[f32],
    mut place: Place,
    (log_sums, log_sums_stride): (&mut [f32], usize),
    scratch: &mut Scratch,
) {
    let Unit { sequence, kv_head } = unit;
    let heads = Heads::new(config);
    let (dim, width, n_before) = (config.head_dim, config.qkv_width(), sequence.prefix.len());
    let keys = heads.gather(qkv, width, sequence, heads.key(kv_head), &mut scratch.gathered);
    scratch.keys_transposed.repack(keys.t());
    let values = heads.gather(qkv, width, sequence, heads.value(kv_head), &mut scratch.gathered);
    scratch.values.repack(values);
    for (idx, head) in heads.of_kv(kv_head).enumerate() {
        for block in blocks(sequence.rows.len()) {
            let visible = n_before + block.end;
            let rows = sequence.rows.start + block.start..sequence.rows.start + block.end;
            let queries = heads.view(qkv, width, rows, heads.query(head));
            let weights = sized(&mut scratch.weights, block.len() * visible);
            let scores = MatMut::new(weights, block.len(), visible);
            matmul_packed_prefix(queries, &scratch.keys_transposed, scores, false);
            let log_sums = &mut log_sums[idx * log_sums_stride..][block.clone()];
            let first_seen = n_before + block.start + 1;
            causal_softmax(weights, visible, first_seen, heads.scale, log_sums);
            let weights = MatRef::new(weights, block.len(), visible);
            matmul_packed_prefix(weights, &scratch.values, place.head(dim, idx, &block), false);
        }
    }
}

/// What the backward pass is given: [`forward`]'s input, its sums, and the gradient by its output.
#[derive(Clone, Copy)]
struct Given<'pass> {
    config: &'pass ModelConfig,
    n_rows: usize,
    qkv: &'pass [f32],
    log_sums: &'pass [f32],
    dout: &'pass [f32],
}

/// Writes to `dqkv` the gradient by `qkv`, given `dout` and what [`forward`] was given and stored.
pub(super) fn backward(
    config: &ModelConfig,
    ragged: &Ragged,
    threads: Threads,
    qkv: &[f32],
    log_sums: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
    scratch: &mut Scratch,
) {
    dqkv.fill(0.0);
    let heads = Heads::new(config);
    let given = Given { config, n_rows: ragged.rows(), qkv, log_sums, dout };
    let (width, units) = (config.qkv_width(), units(config, ragged));
    // Rows of a prefix get from several sequences, always in their order.
    let scatter = |dqkv: &mut [f32], unit: Unit, dkeys: &[f32], dvalues: &[f32]| {
        heads.scatter(dkeys, dqkv, width, unit.sequence, heads.key(unit.kv_head));
        heads.scatter(dvalues, dqkv, width, unit.sequence, heads.value(unit.kv_head));
    };
    let first_query = |unit: Unit| heads.query(unit.kv_head * config.heads_per_kv());
    match threads {
        Threads::One => {
            for unit in units {
                let first = unit.sequence.rows.start * width + first_query(unit);
                backward_unit(given, unit, Place { data: &mut *dqkv, width, first }, scratch);
                scatter(dqkv, unit, &scratch.dkeys, &scratch.dvalues);
            }
        }
        Threads::All => {
            let own_width = config.heads_per_kv() * config.head_dim;
            let gradients: Vec<[Vec<f32>; 3]> = units
                .par_iter()
                .map_init(Scratch::default, |scratch, unit| {
                    let mut dqueries = vec![0.0; unit.sequence.rows.len() * own_width];
                    let place = Place { data: &mut dqueries, width: own_width, first: 0 };
                    backward_unit(given, *unit, place, scratch);
                    [dqueries, std::mem::take(&mut scratch.dkeys), std::mem::take(&mut scratch.dvalues)]
                })
                .collect();
            for (unit, [dqueries, dkeys, dvalues]) in units.iter().zip(&gradients) {
                copy_heads(dqueries, own_width, dqkv, (width, first_query(*unit)), &unit.sequence.rows);
                scatter(dqkv, *unit, dkeys, dvalues);
            }
        }
    }
}

/// Writes the gradients by the unit's queries to `place`, and those by its keys and values to the scratch.
fn backward_unit(given: Given, unit: Unit, mut place: Place, scratch: &mut Scratch) {
    let Given { config, n_rows, qkv, log_sums, dout } = given;
    let Unit { sequence, kv_head } = unit;
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
    for (idx, head) in heads.of_kv(kv_head).enumerate() {
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
            let log_sums = &log_sums[head * n_rows..][rows];
            causal_softmax_again(weights, visible, first_seen, heads.scale, log_sums);
            let seen = visible * dim;
            let dvalues = MatMut::new(&mut dvalues[..seen], visible, dim);
            matmul(MatRef::new(weights, n, visible).t(), dout, dvalues, true);

            let gradients = sized(&mut scratch.gradients, n * visible);
            matmul_packed_prefix(dout, &scratch.values, MatMut::new(gradients, n, visible), false);
            causal_softmax_backward(weights, visible, first_seen, heads.scale, gradients);
            let gradients = MatRef::new(gradients, n, visible);
            matmul_packed_prefix(gradients, &scratch.keys, place.head(dim, idx, &block), false);
            matmul(gradients.t(), queries, MatMut::new(&mut dkeys[..seen], visible, dim), true);
        }
    }
}
