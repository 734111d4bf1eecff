//! Rotary positions (Su et al. 2021), half-split as in Hugging Face's `rotate_half`: element `i` of a head
//! turns with element `i + head_dim / 2`.

use super::simd::multiversion;

/// Cosines and sines for positions `0..len`.
#[derive(Clone, Debug, Default)]
pub struct RopeTable {
    half: usize,
    theta: f64,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// The table for heads of width `head_dim` (even) and base `theta`.
    pub fn new(head_dim: usize, theta: f64, len: usize) -> RopeTable {
        let mut table = RopeTable { half: head_dim / 2, theta, cos: Vec::new(), sin: Vec::new() };
        table.extend(len);
        table
    }

    /// Positions in the table.
    pub fn len(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Whether it holds no position.
    pub fn is_empty(&self) -> bool {
        self.cos.is_empty()
    }

    /// Grows to at least `len` positions.
    pub fn extend(&mut self, len: usize) {
        for position in self.len()..len {
            for pair in 0..self.half {
                // Frequencies and angles are rounded to f32 as Hugging Face's are.
                let frequency = self.theta.powf(-(pair as f64) / self.half as f64) as f32;
                let angle = f64::from(position as f32 * frequency);
                self.cos.push(angle.cos() as f32);
                self.sin.push(angle.sin() as f32);
            }
        }
    }
}

/// Turns the first `n_heads` heads of each row of `x`, in place. A row is `row_width` floats and stands at the
/// position of the same index.
///
/// # Panics
/// If the lengths do not fit or a position is not in the table.
pub fn rope_rows(x: &mut [f32], row_width: usize, n_heads: usize, positions: &[usize], table: &RopeTable) {
    turn(x, row_width, n_heads, positions, table, 1.0);
}

/// The gradient of [`rope_rows`]: turns back.
///
/// # Panics
/// As [`rope_rows`].
pub fn rope_rows_backward(
    dx: &mut [f32],
    row_width: usize,
    n_heads: usize,
    positions: &[usize],
    table: &RopeTable,
) {
    turn(dx, row_width, n_heads, positions, table, -1.0);
}

multiversion! {
    #[doc(hidden)]
    pub fn turn(
        x: &mut [f32],
        row_width: usize,
        n_heads: usize,
        positions: &[usize],
        table: &RopeTable,
        direction: f32,
    ) {
        let half = table.half;
        assert_eq!(x.len(), positions.len() * row_width);
        assert!(n_heads * 2 * half <= row_width);
        for (row, &position) in x.chunks_exact_mut(row_width).zip(positions) {
            let cos = &table.cos[position * half..][..half];
            let sin = &table.sin[position * half..][..half];
            for head in row[..n_heads * 2 * half].chunks_exact_mut(2 * half) {
                let (low, high) = head.split_at_mut(half);
                for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    let (a, b, sin) = (*low, *high, sin * direction);
                    *low = a * cos - b * sin;
                    *high = b * cos + a * sin;
                }
            }
        }
    }
}
