//! Attention of one position over keys and values that lie in blocks of positions, by the products and the softmax with
//! which the trainer attends to many at once: the same bits, so that what is drawn is scored as it was drawn.

use super::{
    gemm::K_BLOCK,
    micro::{self, MAX_TILE_ROWS, PANEL, Sums, Tile},
    simd,
    softmax::causal_softmax,
};

/// Positions of a block: its keys are a panel.
pub const ATTEND_BLOCK: usize = PANEL;

/// Attention for one key-value head. `queries` and `out` are `[heads_per_kv, head_dim]`. `block(i)` has the head's
/// keys at positions `32 i` to `32 i + 31` as `[head_dim, 32]`, then its values there as `[32, head_dim]`; the first
/// `n` positions are seen. `scores` is scratch, whole blocks for each query.
///
/// # Panics
/// If the lengths do not fit, a block is too short, or `n` is zero.
pub fn attend<'data>(
    queries: &[f32],
    block: impl Fn(usize) -> &'data [f32],
    head_dim: usize,
    n: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let (whole, n_queries) = (n.next_multiple_of(ATTEND_BLOCK), queries.len() / head_dim);
    assert!(0 < n && queries.len() == n_queries * head_dim && n_queries * whole <= scores.len());
    assert_eq!(queries.len(), out.len());
    for idx in 0..whole / ATTEND_BLOCK {
        let keys = &block(idx)[..head_dim * ATTEND_BLOCK];
        score(queries, head_dim, keys, &mut scores[idx * ATTEND_BLOCK..], whole);
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    for weights in scores.chunks_exact_mut(whole).take(n_queries) {
        causal_softmax(&mut weights[..n], n, n, scale, &mut [0.0]);
    }
    let values = |idx: usize| &block(idx)[head_dim * ATTEND_BLOCK..][..head_dim * ATTEND_BLOCK];
    let weights = scores.chunks(MAX_TILE_ROWS * whole);
    for (weights, out) in weights.zip(out.chunks_mut(MAX_TILE_ROWS * head_dim)) {
        for first in (0..head_dim).step_by(PANEL) {
            mix(weights, whole, n, &values, head_dim, first, out);
        }
    }
}

/// Products of queries with the keys of a block, to the block's columns of `scores`, whose rows are `whole` apart.
fn score(queries: &[f32], head_dim: usize, keys: &[f32], scores: &mut [f32], whole: usize) {
    let n_queries = queries.len() / head_dim;
    assert!((n_queries - 1) * whole + PANEL <= scores.len() && keys.len() == head_dim * PANEL);
    for first in (0..head_dim).step_by(K_BLOCK) {
        let tile = Tile {
            k: K_BLOCK.min(head_dim - first),
            a: queries[first..].as_ptr(),
            a_row: head_dim,
            a_col: 1,
            b: keys[first * PANEL..].as_ptr(),
            b_row: PANEL,
            c: scores.as_mut_ptr(),
            c_row: whole,
            sums: Sums::added_if(0 < first),
        };
        // SAFETY: each query has `k` floats from `first` on, the keys as many rows; the rows of C lie in `scores` and do
        // not meet, since `whole` is 32 at least. `level` is at most what this machine was found to have.
        unsafe { micro::rows(simd::level(), n_queries, tile) };
    }
}

/// Sums of values by weight for up to 32 floats of the head from `first` on. `weights` are rows of `whole`, of which `n`
/// count, for at most as many queries as a tile has rows; `out` is `[queries, head_dim]`.
fn mix<'data>(
    weights: &[f32],
    whole: usize,
    n: usize,
    values: &impl Fn(usize) -> &'data [f32],
    head_dim: usize,
    first: usize,
    out: &mut [f32],
) {
    let (n_queries, width) = (out.len() / head_dim, PANEL.min(head_dim - first));
    assert!(n <= whole && n_queries <= MAX_TILE_ROWS && n_queries * whole <= weights.len());
    let (mut sums, mut copied) = ([0f32; MAX_TILE_ROWS * PANEL], [0f32; ATTEND_BLOCK * PANEL]);
    for part in (0..n).step_by(K_BLOCK) {
        for start in (part..n.min(part + K_BLOCK)).step_by(ATTEND_BLOCK) {
            let (values, k) = (values(start / ATTEND_BLOCK), ATTEND_BLOCK.min(n - start));
            let (b, b_row) = if width == PANEL {
                (&values[first..], head_dim)
            } else {
                for (to, from) in copied.chunks_exact_mut(PANEL).zip(values.chunks_exact(head_dim)) {
                    to[..width].copy_from_slice(&from[first..]);
                }
                (&copied[..], PANEL)
            };
            assert!((k - 1) * b_row + PANEL <= b.len());
            let tile = Tile {
                k,
                a: weights[start..].as_ptr(),
                a_row: whole,
                a_col: 1,
                b: b.as_ptr(),
                b_row,
                c: sums.as_mut_ptr(),
                c_row: PANEL,
                sums: if start == part { Sums::Fresh } else { Sums::Continued },
            };
            // SAFETY: each row of weights has `k` of them from `start` on, B has `k` rows of 32 floats, and `sums` whole
            // rows for all queries. `level` is at most what this machine was found to have.
            unsafe { micro::rows(simd::level(), n_queries, tile) };
        }
        for (out, sums) in out.chunks_exact_mut(head_dim).zip(sums.chunks_exact(PANEL)) {
            for (out, sum) in out[first..][..width].iter_mut().zip(sums) {
                *out = if part == 0 { *sum } else { *out + sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            MatMut, MatRef, PackedMatrix, matmul_packed,
            numeric::{inner, uniform},
            simd::forced::each_level,
        },
        *,
    };

    /// Blocks of keys and values `[n, head_dim]`, with other numbers where nothing is seen.
    fn blocks(keys: &[f32], values: &[f32], head_dim: usize) -> Vec<Vec<f32>> {
        let half = head_dim * ATTEND_BLOCK;
        let rows = keys.chunks(half).zip(values.chunks(half));
        rows.map(|(keys, values)| {
            let mut block = vec![7.0; 2 * half];
            for (position, key) in keys.chunks_exact(head_dim).enumerate() {
                key.iter().enumerate().for_each(|(dim, it)| block[dim * ATTEND_BLOCK + position] = *it);
            }
            block[half..][..values.len()].copy_from_slice(values);
            block
        })
        .collect()
    }

    #[test]
    fn attention_is_softmax_of_scores_times_values_to_the_bit() {
        for head_dim in [6, 32, 40, 64, 128, 300] {
            for n in [1, 31, 32, 33, 70, 600] {
                let (group, scale) = (14, 1.0 / (head_dim as f32).sqrt());
                let queries = uniform(group * head_dim, 33);
                let (keys, values) = (uniform(n * head_dim, 34), uniform(n * head_dim, 35));
                let blocks = blocks(&keys, &values, head_dim);
                each_level(|level| {
                    let (mut scores, mut out) = (vec![0.0; group * (n + 32)], vec![9.0; group * head_dim]);
                    attend(&queries, |idx| &blocks[idx][..], head_dim, n, &mut scores, &mut out);

                    let (mut weights, mut products) = (vec![0.0; group * n], vec![0.0; group * head_dim]);
                    let keys = PackedMatrix::new(MatRef::new(&keys, n, head_dim).t());
                    let queries = MatRef::new(&queries, group, head_dim);
                    matmul_packed(queries, &keys, MatMut::new(&mut weights, group, n), false);
                    for row in weights.chunks_exact_mut(n) {
                        causal_softmax(row, n, n, scale, &mut [0.0]);
                    }
                    let values = PackedMatrix::new(MatRef::new(&values, n, head_dim));
                    let rows = MatMut::new(&mut products, group, head_dim);
                    matmul_packed(MatRef::new(&weights, group, n), &values, rows, false);
                    assert_eq!(out, products, "{level:?} {head_dim} {n}");
                });
            }
        }
    }

    #[test]
    fn attention_is_right() {
        let (head_dim, n) = (40, 70);
        let (query, keys, values) = (uniform(40, 33), uniform(n * 40, 34), uniform(n * 40, 35));
        let blocks = blocks(&keys, &values, head_dim);
        let (mut scores, mut out) = (vec![0.0; 96], vec![9.0; head_dim]);
        attend(&query, |idx| &blocks[idx][..], head_dim, n, &mut scores, &mut out);
        let weight = |key| (inner(&query, key) / (head_dim as f64).sqrt()).exp();
        let weights: Vec<f64> = keys.chunks_exact(head_dim).map(weight).collect();
        for (idx, &got) in out.iter().enumerate() {
            let rows = weights.iter().zip(values.chunks_exact(head_dim));
            let mixed: f64 = rows.map(|(weight, value)| weight * f64::from(value[idx])).sum();
            assert!((f64::from(got) - mixed / weights.iter().sum::<f64>()).abs() < 5e-6);
        }
    }
}
