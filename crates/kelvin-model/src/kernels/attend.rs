//! Attention of one new token over a cache.

use super::{
    math::{dot_body, exp_sum_body, fold, max_body},
    simd::multiversion,
};

multiversion! {
    /// One row's attention for one key-value head: `queries` and `out` are `[heads_per_kv, head_dim]`, `keys`
    /// and `values` `[n, head_dim]`, all contiguous; `scores` is scratch for at least `n`.
    ///
    /// # Panics
    /// If the lengths do not fit, or there is no key.
    pub fn decode_attention(
        queries: &[f32],
        keys: &[f32],
        values: &[f32],
        head_dim: usize,
        scale: f32,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        assert_eq!((queries.len(), keys.len()), (out.len(), values.len()));
        assert!(queries.len().is_multiple_of(head_dim) && keys.len().is_multiple_of(head_dim));
        let n = keys.len() / head_dim;
        assert!(0 < n && n <= scores.len());
        let scores = &mut scores[..n];
        for (query, out) in queries.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
            match head_dim {
                32 => score::<32>(query, keys, scale, scores),
                64 => score::<64>(query, keys, scale, scores),
                128 => score::<128>(query, keys, scale, scores),
                _ => {
                    for (score, key) in scores.iter_mut().zip(keys.chunks_exact(head_dim)) {
                        *score = dot_body(query, key) * scale;
                    }
                }
            }
            let max = max_body(scores);
            let inverse = 1.0 / exp_sum_body(scores, 1.0, max);
            match head_dim {
                32 => mix::<32>(scores, values, inverse, out),
                64 => mix::<64>(scores, values, inverse, out),
                128 => mix::<128>(scores, values, inverse, out),
                _ => {
                    out.fill(0.0);
                    for (weight, value) in scores.iter().zip(values.chunks_exact(head_dim)) {
                        for (out, value) in out.iter_mut().zip(value) {
                            *out += weight * value;
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

/// Scores of one query of a width known to the compiler.
#[inline(always)]
fn score<const DIM: usize>(query: &[f32], keys: &[f32], scale: f32, scores: &mut [f32]) {
    let query: &[f32; DIM] = query.try_into().expect("a query is one head wide");
    for (score, key) in scores.iter_mut().zip(keys.chunks_exact(DIM)) {
        let mut products = [0f32; DIM];
        for lane in 0..DIM {
            products[lane] = query[lane] * key[lane];
        }
        *score = fold(&products) * scale;
    }
}

/// Sum of values by weight, times `inverse`, for a width known to the compiler.
#[inline(always)]
fn mix<const DIM: usize>(weights: &[f32], values: &[f32], inverse: f32, out: &mut [f32]) {
    let mut sums = [0f32; DIM];
    for (weight, value) in weights.iter().zip(values.chunks_exact(DIM)) {
        for lane in 0..DIM {
            sums[lane] += weight * value[lane];
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = sum * inverse;
    }
}
