//! Rotary positions (Su et al. 2021), half-split as in Hugging Face's `rotate_half`: element `i` of a head
//! turns with element `i + head_dim / 2`.

use super::simd::multiversion;

/// How fast pairs turn. Pair `i` of `n` has the frequency `theta^(-i / n)` in radians a position, scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// For contexts beyond those of the first training.
    pub scaling: Option<Llama3Scaling>,
}

/// The scaling of Llama 3.1 and later (`rope_type` "llama3" of transformers): long waves are stretched, short
/// ones kept, those between blended. Fields are named as in `config.json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// By how much long waves are stretched.
    pub factor: f64,
    /// Waves longer than `original_max_position_embeddings` over this are long.
    pub low_freq_factor: f64,
    /// Waves shorter than `original_max_position_embeddings` over this are short.
    pub high_freq_factor: f64,
    /// Positions of the first training.
    pub original_max_position_embeddings: usize,
}

impl Rope {
    /// Frequencies that are not scaled.
    pub fn plain(theta: f64) -> Rope {
        Rope { theta, scaling: None }
    }

    /// The frequency of each of `half` pairs, rounded to f32 as Hugging Face's are.
    fn frequencies(&self, half: usize) -> Vec<f32> {
        let unscaled = (0..half).map(|pair| self.theta.powf(-(pair as f64) / half as f64) as f32);
        match self.scaling {
            None => unscaled.collect(),
            Some(scaling) => unscaled.map(|frequency| scaling.scaled(frequency)).collect(),
        }
    }
}

impl Llama3Scaling {
    fn scaled(&self, frequency: f32) -> f32 {
        let (factor, low, high) =
            (self.factor as f32, self.low_freq_factor as f32, self.high_freq_factor as f32);
        let waves = self.original_max_position_embeddings as f32 * frequency / std::f32::consts::TAU;
        if high < waves {
            frequency
        } else if waves < low {
            frequency / factor
        } else {
            let keep = (waves - low) / (high - low);
            (1.0 - keep) * frequency / factor + keep * frequency
        }
    }
}

/// Cosines and sines for positions `0..len`.
#[derive(Clone, Debug, Default)]
pub struct RopeTable {
    half: usize,
    frequencies: Vec<f32>,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// The table for heads of width `head_dim` (even).
    pub fn new(head_dim: usize, rope: &Rope, len: usize) -> RopeTable {
        let half = head_dim / 2;
        let frequencies = rope.frequencies(half);
        let mut table = RopeTable { half, frequencies, cos: Vec::new(), sin: Vec::new() };
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
            for frequency in &self.frequencies {
                // Angles are rounded to f32 as Hugging Face's are.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As `_compute_llama3_parameters` of transformers 5.23 gives for Llama 3.1 with heads of width 16.
    #[test]
    fn llama3_frequencies_are_those_of_transformers() {
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let rope = Rope { theta: 500_000.0, scaling: Some(scaling) };
        let expected: [f32; 8] = [
            1.0,
            0.193_922_76,
            0.037_606_03,
            0.007_292_665,
            0.000_524_846,
            3.428_102_4e-5,
            6.647_869_7e-6,
            1.289_173_2e-6,
        ];
        for (got, expected) in rope.frequencies(8).into_iter().zip(expected) {
            assert!((got - expected).abs() <= 3e-7 * expected, "{got}, transformers {expected}");
        }
        assert_eq!(Rope::plain(500_000.0).frequencies(8)[..4], rope.frequencies(8)[..4]);
    }
}
