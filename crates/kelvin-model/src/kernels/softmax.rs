//! Softmax of rows, and the causal forms that blocked attention needs.

use super::{
    math::{dot_body, each, exp_sum_body, fast_exp, max_body},
    simd::multiversion,
};

multiversion! {
    /// `row = softmax(row * scale)`, for a positive scale.
    pub fn softmax_row(row: &mut [f32], scale: f32) {
        let max = max_body(row) * scale;
        let inverse = 1.0 / exp_sum_body(row, scale, max);
        each(row, |weight| weight * inverse);
    }

    /// `row = exp(row - shift)`; returns the sum.
    pub fn exp_sum(row: &mut [f32], shift: f32) -> f32 {
        exp_sum_body(row, 1.0, shift)
    }

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
            let max = max_body(seen) * scale;
            let sum = exp_sum_body(seen, scale, max);
            *log_sum = max + sum.ln();
            let inverse = 1.0 / sum;
            each(seen, |weight| weight * inverse);
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
