//! Softmax of rows, and the causal forms that blocked attention needs.

use super::{
    math::{dot_body, each, exp_sum_body, fast_exp, max_body},
    simd::multiversion,
};

/// `row = softmax(row * scale)`, for a positive scale; returns `log(sum(exp(row * scale)))` of what it was.
#[inline(always)]
fn softmax_body(row: &mut [f32], scale: f32) -> f32 {
    let max = max_body(row) * scale;
    let sum = exp_sum_body(row, scale, max);
    let inverse = 1.0 / sum;
    each(row, |weight| weight * inverse);
    max + sum.ln()
}

multiversion! {
    /// Turns scores of consecutive queries into attention weights: row `i` of `scores` (`width` floats) is the
    /// query that sees the first `first_visible + i` keys; the rest of the row becomes zero. Stores
    /// `log(sum(exp(score * scale)))` of each row. The scale is positive.
    ///
    /// # Panics
    /// If the lengths do not fit or a query sees more keys than a row has.
    pub fn causal_softmax(
        scores: &mut [f32],
        width: usize,
        first_visible: usize,
        scale: f32,
        log_sums: &mut [f32],
    ) {
        assert_eq!(scores.len(), log_sums.len() * width);
        for (idx, (row, log_sum)) in scores.chunks_exact_mut(width).zip(log_sums).enumerate() {
            let (seen, unseen) = row.split_at_mut(first_visible + idx);
            *log_sum = softmax_body(seen, scale);
            unseen.fill(0.0);
        }
    }

    /// The weights of [`causal_softmax`] again, from scores and the sums it stored (equal to rounding).
    ///
    /// # Panics
    /// As [`causal_softmax`].
    pub fn causal_softmax_again(
        scores: &mut [f32],
        width: usize,
        first_visible: usize,
        scale: f32,
        log_sums: &[f32],
    ) {
        assert_eq!(scores.len(), log_sums.len() * width);
        for (idx, (row, log_sum)) in scores.chunks_exact_mut(width).zip(log_sums).enumerate() {
            let (seen, unseen) = row.split_at_mut(first_visible + idx);
            each(seen, |score| fast_exp(score * scale - *log_sum));
            unseen.fill(0.0);
        }
    }

    /// Overwrites the gradients by the weights with those by the scores, for rows as in [`causal_softmax`].
    ///
    /// # Panics
    /// As [`causal_softmax`].
    pub fn causal_softmax_backward(
        weights: &[f32],
        width: usize,
        first_visible: usize,
        scale: f32,
        gradients: &mut [f32],
    ) {
        assert_eq!(weights.len(), gradients.len());
        assert!(weights.len().is_multiple_of(width));
        let rows = weights.chunks_exact(width).zip(gradients.chunks_exact_mut(width));
        for (idx, (weights, gradients)) in rows.enumerate() {
            let visible = first_visible + idx;
            let (seen, unseen) = gradients.split_at_mut(visible);
            let mean = dot_body(&weights[..visible], seen);
            for (gradient, weight) in seen.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - mean) * scale;
            }
            unseen.fill(0.0);
        }
    }
}
