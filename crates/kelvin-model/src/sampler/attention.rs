//! Attention of one position over the blocks of a cache.

use std::sync::Arc;

use super::cache::{BLOCK, Block};
use crate::kernels::{exp_sum, row_max, simd::multiversion};

multiversion! {
    /// Attention for one key-value head. `queries` and `out` are `[heads_per_kv, head_dim]`; the head's keys
    /// start at `start` of each block; the first `n` positions are seen. `scores` is scratch for whole
    /// blocks.
    ///
    /// # Panics
    /// If the lengths do not fit, or `n` is zero.
    pub fn attend(
        queries: &[f32],
        blocks: &[Arc<Block>],
        start: usize,
        head_dim: usize,
        n: usize,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        assert!(0 < n && n <= blocks.len() * BLOCK && blocks.len() * BLOCK <= scores.len());
        assert_eq!(queries.len(), out.len());
        let blocks = &blocks[..n.div_ceil(BLOCK)];
        let head_floats = head_dim * BLOCK;
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (query, out) in queries.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
            for (block, scores) in blocks.iter().zip(scores.chunks_exact_mut(BLOCK)) {
                let keys = &block.floats()[start..][..head_floats];
                let mut sums = [0f32; BLOCK];
                for (&query, keys) in query.iter().zip(keys.chunks_exact(BLOCK)) {
                    for lane in 0..BLOCK {
                        sums[lane] += query * keys[lane];
                    }
                }
                for lane in 0..BLOCK {
                    scores[lane] = sums[lane] * scale;
                }
            }
            // Positions of the last block that are not seen weigh nothing, and whole blocks have no
            // remainder.
            let whole = &mut scores[..blocks.len() * BLOCK];
            whole[n..].fill(f32::MIN);
            let max = row_max(whole);
            let inverse = 1.0 / exp_sum(whole, max);
            let weights = &whole[..n];
            match head_dim {
                32 => mix::<32>(weights, blocks, start + head_floats, inverse, out),
                64 => mix::<64>(weights, blocks, start + head_floats, inverse, out),
                128 => mix::<128>(weights, blocks, start + head_floats, inverse, out),
                _ => {
                    out.fill(0.0);
                    for (weights, block) in weights.chunks(BLOCK).zip(blocks) {
                        let values = &block.floats()[start + head_floats..][..head_floats];
                        for (weight, values) in weights.iter().zip(values.chunks_exact(head_dim)) {
                            for (out, value) in out.iter_mut().zip(values) {
                                *out += weight * value;
                            }
                        }
                    }
                    for out in out.iter_mut() {
                        *out *= inverse;
                    }
                }
            }
        }
    }
}

/// Sum of values by weight, times `inverse`, for a width known to the compiler.
#[inline(always)]
fn mix<const DIM: usize>(
    weights: &[f32],
    blocks: &[Arc<Block>],
    start: usize,
    inverse: f32,
    out: &mut [f32],
) {
    let mut sums = [0f32; DIM];
    for (weights, block) in weights.chunks(BLOCK).zip(blocks) {
        let values = &block.floats()[start..][..DIM * BLOCK];
        for (weight, value) in weights.iter().zip(values.chunks_exact(DIM)) {
            for lane in 0..DIM {
                sums[lane] += weight * value[lane];
            }
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = sum * inverse;
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;
    use crate::{
        kernels::{decode_attention, simd::forced::each_level},
        sampler::cache::{Cache, Pool, Shape},
    };

    #[test]
    fn blocks_give_what_contiguous_keys_give() {
        for head_dim in [6, 32, 64, 128] {
            for n in [1, 31, 32, 33, 70] {
                let shape = Shape { n_layers: 2, n_heads: 2, head_dim };
                let random = |name: &str, len: usize| -> Vec<f32> {
                    let seed = Seed::new(3).fork(name);
                    (0..len).map(|index| seed.nth(index as u64).unit() as f32 - 0.5).collect()
                };
                let (queries, keys) = (random("q", 3 * head_dim), random("k", n * head_dim));
                let values = random("v", n * head_dim);
                let (mut cache, mut pool) = (Cache::default(), Pool::new(shape));
                let other = vec![7.0; head_dim];
                for (position, (key, value)) in
                    keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim)).enumerate()
                {
                    cache.make_writable(position, &mut pool);
                    let (keys, values) = ([&other[..], key].concat(), [&other[..], value].concat());
                    cache.write(shape, 1, position, &keys, &values);
                }
                let mut expected = vec![0.0; queries.len()];
                let scale = 1.0 / (head_dim as f32).sqrt();
                decode_attention(&queries, &keys, &values, head_dim, scale, &mut vec![0.0; n], &mut expected);
                let outs = each_level(|_| {
                    let (mut out, mut scores) = (vec![0.0; queries.len()], vec![0.0; 3 * BLOCK]);
                    let start = shape.head_start(1, 1);
                    attend(&queries, &cache.blocks, start, head_dim, n, &mut scores, &mut out);
                    out
                });
                assert!(outs.windows(2).all(|pair| pair[0] == pair[1]), "instruction sets differ");
                for (out, expected) in outs[0].iter().zip(&expected) {
                    assert!((out - expected).abs() < 1e-6, "{head_dim} {n}: {out} {expected}");
                }
            }
        }
    }
}
