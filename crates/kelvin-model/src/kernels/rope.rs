//! Rotary positions (Su et al. 2021), half-split as in Hugging Face's `rotate_half`: element `i` of a head
//! turns with element `i + head_dim / 2`.

use std::f32::consts::TAU;

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

    /// The frequency of each of `half` pairs, rounded to f32 at each step at which transformers does: an error of a frequency is
    /// five hundred times as large in the angle at position five hundred.
    fn frequencies(&self, half: usize) -> Vec<f32> {
        let exponent = |pair: usize| f64::from((2 * pair) as f32 / (2 * half) as f32);
        let unscaled = (0..half).map(|pair| 1.0 / self.theta.powf(exponent(pair)) as f32);
        match self.scaling {
            None => unscaled.collect(),
            Some(scaling) => unscaled.map(|frequency| scaling.scaled(frequency)).collect(),
        }
    }
}

impl Llama3Scaling {
    /// PyTorch divides a number by a tensor as it multiplies by the reciprocal.
    fn scaled(&self, frequency: f32) -> f32 {
        let (factor, low, high) = (self.factor as f32, self.low_freq_factor, self.high_freq_factor);
        let (positions, wave) = (self.original_max_position_embeddings, 1.0 / frequency * TAU);
        if ((positions as f64 / low) as f32) < wave {
            frequency / factor
        } else if wave < (positions as f64 / high) as f32 {
            frequency
        } else {
            let keep = (1.0 / wave * positions as f32 - low as f32) / (high - low) as f32;
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

    /// Bits as the functions of `modeling_rope_utils` of transformers 5.23 give them: for heads of width 64 and 80, of each the
    /// frequencies that are listed, and with the scaling of Llama 3.1 for heads of width 16.
    #[test]
    fn frequencies_are_those_of_transformers_to_the_bit() {
        let every = |rope: &Rope, half: usize, first: usize, step: usize| -> Vec<u32> {
            rope.frequencies(half).iter().skip(first).step_by(step).map(|it| it.to_bits()).collect()
        };
        let of_64 = [
            0x3f26_3de0,
            0x3dec_7fd6,
            0x3ca8_398b,
            0x3b6f_520e,
            0x3a2a_3b44,
            0x38f2_2ce2,
            0x37ac_431d,
            0x3675_1070,
        ];
        assert_eq!(every(&Rope::plain(1e6), 32, 1, 4), of_64);
        let of_80 = [
            0x3f35_3bef,
            0x3e00_e9f9,
            0x3cb7_6562,
            0x3b82_73a6,
            0x3a39_9574,
            0x3904_0208,
            0x37bb_cc30,
            0x3685_9528,
        ];
        assert_eq!(every(&Rope::plain(1e6), 40, 1, 5), of_80);
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let scaled = Rope { theta: 500_000.0, scaling: Some(scaling) };
        let of_16 = [
            0x3f80_0000,
            0x3e46_93b0,
            0x3d1a_08c8,
            0x3bee_f74f,
            0x3a09_95d2,
            0x380f_c8f8,
            0x36df_10c4,
            0x35ad_07a7,
        ];
        assert_eq!(every(&scaled, 8, 0, 1), of_16);
        assert_eq!(Rope::plain(500_000.0).frequencies(8)[..4], scaled.frequencies(8)[..4]);
    }
}
