//! Scalar functions and reductions that the compiler vectorises. Sums run in a fixed number of lanes in a
//! fixed order, so the instruction set does not change them.

use super::simd::multiversion;

/// `exp(x)` to 3e-7 of itself between -87 and 88, and its value there outside: the nearest multiple of ln 2
/// taken off in two parts (Cody and Waite 1980), a polynomial of degree 6 for what is left, times a power of 2.
#[inline(always)]
pub fn fast_exp(x: f32) -> f32 {
    /// Added to a number, 1.5 * 2^23 leaves the nearest integer in the low bits; taken off again, rounded.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 to 9 bits, so that its product with an exponent is exact, and the rest of ln 2.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = (x - whole * LN_2.0) - whole * LN_2.1;
    // Taylor: 1 / i!. The first term left out is below 1.2e-7 at ln(2) / 2.
    let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0));
    let power = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * tail)));
    // The exponent's bits of 2^whole. A conversion to i32 would saturate, for which there is no instruction.
    power * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits()))
}

/// Lanes of a sum of products.
const DOT_LANES: usize = 32;
/// Lanes of the other reductions.
pub(super) const LANES: usize = 16;

/// Body of [`dot`], for use inside other kernels.
#[inline(always)]
pub(super) fn dot_body(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; DOT_LANES];
    let whole = a.len() / DOT_LANES * DOT_LANES;
    for (a, b) in a[..whole].chunks_exact(DOT_LANES).zip(b[..whole].chunks_exact(DOT_LANES)) {
        for lane in 0..DOT_LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    // What is left joins the lanes too, so that zeros after it would not change the sum.
    for ((sum, a), b) in sums.iter_mut().zip(&a[whole..]).zip(&b[whole..]) {
        *sum += a * b;
    }
    fold(&sums)
}

/// Sum of lanes, halving: the order does not depend on the width of a register.
#[inline(always)]
pub(super) fn fold<const N: usize>(lanes: &[f32; N]) -> f32 {
    let mut lanes = *lanes;
    let mut width = N;
    while 1 < width {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// Body of [`row_max`], for use inside other kernels.
#[inline(always)]
pub(super) fn max_body(row: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let tail = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            maxima[lane] = if chunk[lane] > maxima[lane] { chunk[lane] } else { maxima[lane] };
        }
    }
    maxima.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// `row = exp(row * scale - shift)`; returns the sum.
#[inline(always)]
pub(super) fn exp_sum_body(row: &mut [f32], scale: f32, shift: f32) -> f32 {
    let mut sums = [0f32; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = fast_exp(chunk[lane] * scale - shift);
            sums[lane] += chunk[lane];
        }
    }
    let tail = chunks.into_remainder();
    let mut padded = [0f32; LANES];
    padded[..tail.len()].copy_from_slice(tail);
    for lane in 0..LANES {
        let power = fast_exp(padded[lane] * scale - shift);
        padded[lane] = if lane < tail.len() { power } else { 0.0 };
        sums[lane] += padded[lane];
    }
    tail.copy_from_slice(&padded[..tail.len()]);
    fold(&sums)
}

/// Replaces each element `x` by `f(x)`. The last few take as long as a whole chunk, not as long as that many
/// scalars.
#[inline(always)]
pub(super) fn each(row: &mut [f32], f: impl Fn(f32) -> f32) {
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for x in chunk {
            *x = f(*x);
        }
    }
    let tail = chunks.into_remainder();
    let mut padded = [0f32; LANES];
    padded[..tail.len()].copy_from_slice(tail);
    for x in &mut padded {
        *x = f(*x);
    }
    tail.copy_from_slice(&padded[..tail.len()]);
}

multiversion! {
    /// Inner product of two slices of one length.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        dot_body(a, b)
    }

    /// The largest element, negative infinity for none; NaN elements are passed over.
    pub fn row_max(row: &[f32]) -> f32 {
        max_body(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_exp_is_close() {
        let mut worst = 0f64;
        for idx in 0..=1_000_000 {
            let x = -87.0 + 175.0 * (idx as f32 / 1e6);
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(fast_exp(x)) / exact - 1.0).abs());
        }
        assert!(worst < 3e-7, "{worst}");
        assert_eq!(fast_exp(0.0), 1.0);
        assert_eq!(fast_exp(-1e30), fast_exp(-87.0));
    }
}
