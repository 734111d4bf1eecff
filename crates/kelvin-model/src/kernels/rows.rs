//! Sums of rows and biases.

use super::simd::multiversion;

multiversion! {
    /// Adds `bias` to each row of `x`.
    ///
    /// # Panics
    /// If `x` is not rows of `bias`'s length.
    pub fn add_bias(x: &mut [f32], bias: &[f32]) {
        assert!(x.len().is_multiple_of(bias.len()));
        for row in x.chunks_exact_mut(bias.len()) {
            for (x, bias) in row.iter_mut().zip(bias) {
                *x += bias;
            }
        }
    }

    /// Adds the sum of the rows of `x` to `sums`, top to bottom: the gradient of [`add_bias`].
    ///
    /// # Panics
    /// If `x` is not rows of `sums`'s length.
    pub fn column_sums(x: &[f32], sums: &mut [f32]) {
        assert!(x.len().is_multiple_of(sums.len()));
        for row in x.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }

    /// `into += from`, element by element.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add_into(into: &mut [f32], from: &[f32]) {
        assert_eq!(into.len(), from.len());
        for (into, from) in into.iter_mut().zip(from) {
            *into += from;
        }
    }
}
