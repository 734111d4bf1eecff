//! Attention of one position over keys and values that lie in blocks of positions: the same bits as the products and
//! the softmax by which the trainer attends to many at once, so that what is drawn is scored as it was drawn.

use super::{
    gemm::K_BLOCK,
    math::multiply_add,
    simd::{self, Level, PORTABLE_FUSES},
    softmax::softmax_body,
};

/// Positions of a block; also the lanes of a score kernel.
pub const ATTEND_BLOCK: usize = 32;
/// Floats of a head that are summed at once where its width is none that the compiler knows.
const STRIP: usize = 16;

/// One key-value head and the positions that see it.
#[derive(Clone, Copy)]
struct Seen<B> {
    /// Blocks by index, from the head's keys on: `[head_dim, 32]`, then its values, `[32, head_dim]`.
    block: B,
    head_dim: usize,
    /// Positions.
    n: usize,
}

/// Attention for one key-value head. `queries` and `out` are `[heads_per_kv, head_dim]`. `block(i)` has the head's
/// keys at positions `32 i` to `32 i + 31` as `[head_dim, 32]`, then its values there as `[32, head_dim]`; the first
/// `n` positions are seen. `scores` is scratch for whole blocks.
///
/// # Panics
/// If the lengths do not fit, a block is too short, or `n` is zero.
pub fn attend<'data>(
    queries: &[f32],
    block: impl Fn(usize) -> &'data [f32] + Copy,
    head_dim: usize,
    n: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let whole = n.next_multiple_of(ATTEND_BLOCK);
    assert!(0 < n && whole <= scores.len());
    assert_eq!(queries.len(), out.len());
    let (seen, scores) = (Seen { block, head_dim, n }, &mut scores[..whole]);
    match simd::level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `level` is at most what this machine was found to have.
        Level::Avx512 => unsafe { avx512(queries, seen, scores, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2(queries, seen, scores, out) },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx512 | Level::Avx2 => body::<PORTABLE_FUSES>(queries, seen, scores, out),
        Level::Portable => body::<PORTABLE_FUSES>(queries, seen, scores, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
fn avx512<'data>(
    queries: &[f32],
    seen: Seen<impl Fn(usize) -> &'data [f32] + Copy>,
    scores: &mut [f32],
    out: &mut [f32],
) {
    body::<true>(queries, seen, scores, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<'data>(
    queries: &[f32],
    seen: Seen<impl Fn(usize) -> &'data [f32] + Copy>,
    scores: &mut [f32],
    out: &mut [f32],
) {
    body::<true>(queries, seen, scores, out);
}

#[inline(always)]
fn body<'data, const FUSED: bool>(
    queries: &[f32],
    seen: Seen<impl Fn(usize) -> &'data [f32] + Copy>,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let head_dim = seen.head_dim;
    let scale = 1.0 / (head_dim as f32).sqrt();
    for (query, out) in queries.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
        for (idx, scores) in scores.chunks_exact_mut(ATTEND_BLOCK).enumerate() {
            score::<FUSED>(query, (seen.block)(idx), scores);
        }
        let weights = &mut scores[..seen.n];
        softmax_body(weights, scale);
        match head_dim {
            32 => mix::<32, FUSED>(weights, seen, 0, out),
            64 => mix::<64, FUSED>(weights, seen, 0, out),
            128 => mix::<128, FUSED>(weights, seen, 0, out),
            _ => {
                let (whole, rest) = out.split_at_mut(head_dim / STRIP * STRIP);
                for (idx, strip) in whole.chunks_exact_mut(STRIP).enumerate() {
                    mix::<STRIP, FUSED>(weights, seen, idx * STRIP, strip);
                }
                for (idx, out) in rest.iter_mut().enumerate() {
                    mix::<1, FUSED>(weights, seen, whole.len() + idx, std::slice::from_mut(out));
                }
            }
        }
    }
}

/// Products of a query with the keys of a block.
#[inline(always)]
fn score<const FUSED: bool>(query: &[f32], keys: &[f32], scores: &mut [f32]) {
    let keys = keys[..query.len() * ATTEND_BLOCK].chunks(K_BLOCK * ATTEND_BLOCK);
    for (idx, (query, keys)) in query.chunks(K_BLOCK).zip(keys).enumerate() {
        let mut sums = [0f32; ATTEND_BLOCK];
        for (&query, keys) in query.iter().zip(keys.chunks_exact(ATTEND_BLOCK)) {
            for lane in 0..ATTEND_BLOCK {
                sums[lane] = multiply_add::<FUSED>(query, keys[lane], sums[lane]);
            }
        }
        for (score, sum) in scores.iter_mut().zip(sums) {
            *score = if idx == 0 { sum } else { *score + sum };
        }
    }
}

/// Sum of values by weight, for `WIDTH` floats of a head from `first` on.
#[inline(always)]
fn mix<'data, const WIDTH: usize, const FUSED: bool>(
    weights: &[f32],
    seen: Seen<impl Fn(usize) -> &'data [f32] + Copy>,
    first: usize,
    out: &mut [f32],
) {
    let head_dim = seen.head_dim;
    for (part_idx, weights) in weights.chunks(K_BLOCK).enumerate() {
        let mut sums = [0f32; WIDTH];
        for (idx, weights) in weights.chunks(ATTEND_BLOCK).enumerate() {
            let block = (seen.block)(part_idx * (K_BLOCK / ATTEND_BLOCK) + idx);
            let values = &block[head_dim * ATTEND_BLOCK..][..head_dim * ATTEND_BLOCK];
            for (&weight, value) in weights.iter().zip(values.chunks_exact(head_dim)) {
                let value = &value[first..][..WIDTH];
                for lane in 0..WIDTH {
                    sums[lane] = multiply_add::<FUSED>(weight, value[lane], sums[lane]);
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = if part_idx == 0 { sum } else { *out + sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            MatMut, MatRef, PackedMatrix, causal_softmax, matmul_packed,
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
                let (group, scale) = (3, 1.0 / (head_dim as f32).sqrt());
                let queries = uniform(group * head_dim, 33);
                let (keys, values) = (uniform(n * head_dim, 34), uniform(n * head_dim, 35));
                let blocks = blocks(&keys, &values, head_dim);
                each_level(|level| {
                    let (mut scores, mut out) = (vec![0.0; n + 32], vec![9.0; group * head_dim]);
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
