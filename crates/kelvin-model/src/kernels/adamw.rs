//! AdamW (Loshchilov and Hutter 2019, algorithm 2) on slices.

use super::simd::multiversion;

/// Constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Step size.
    pub learning_rate: f32,
    /// First decay and 1 minus it, which f32 cannot subtract without loss.
    pub beta1: (f32, f32),
    /// Second decay and 1 minus it.
    pub beta2: (f32, f32),
    /// Added to the root of the corrected second moment.
    pub eps: f32,
    /// What decoupled weight decay leaves: `1 - learning_rate * weight_decay`.
    pub keep: f32,
    /// `1 / (1 - beta1^step)`.
    pub correction1: f32,
    /// `1 / (1 - beta2^step)`.
    pub correction2: f32,
    /// Multiplies the gradient: the clip of its global norm.
    pub grad_scale: f32,
}

multiversion! {
    /// One step on weights and moments.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn adamw(weights: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32], step: AdamStep) {
        assert_eq!((gradients.len(), first.len(), second.len()), (weights.len(), weights.len(), weights.len()));
        let moments = first.iter_mut().zip(second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradients).zip(moments) {
            let gradient = gradient * step.grad_scale;
            *first = step.beta1.0 * *first + step.beta1.1 * gradient;
            *second = step.beta2.0 * *second + step.beta2.1 * (gradient * gradient);
            let root = (*second * step.correction2).sqrt() + step.eps;
            *weight = *weight * step.keep - step.learning_rate * (*first * step.correction1) / root;
        }
    }

    /// Sum of squares, in f64, in a fixed order.
    pub fn sum_of_squares(values: &[f32]) -> f64 {
        let mut sums = [0f64; 8];
        let chunks = values.chunks_exact(8);
        let tail = chunks.remainder();
        for chunk in chunks {
            for lane in 0..8 {
                let value = f64::from(chunk[lane]);
                sums[lane] += value * value;
            }
        }
        let tail: f64 = tail.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        sums.iter().sum::<f64>() + tail
    }
}
