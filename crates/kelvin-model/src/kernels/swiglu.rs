//! SwiGLU (Shazeer 2020): `silu(gate) * up`.

use super::{math::fast_exp, simd::multiversion};

multiversion! {
    /// Rows of gate and up side by side (`2 * width`) to rows of `width`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn swiglu(gate_up: &[f32], width: usize, out: &mut [f32]) {
        assert_eq!(gate_up.len(), 2 * out.len());
        assert!(out.len().is_multiple_of(width));
        for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + fast_exp(-gate)) * up;
            }
        }
    }

    /// Overwrites `gate_up` with its gradient, and `dout` with the value of [`swiglu`], which the weight
    /// gradient of the next matrix needs.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn swiglu_backward(gate_up: &mut [f32], width: usize, dout: &mut [f32]) {
        assert_eq!(gate_up.len(), 2 * dout.len());
        assert!(dout.len().is_multiple_of(width));
        for (row, dout) in gate_up.chunks_exact_mut(2 * width).zip(dout.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at_mut(width);
            for ((dout, gate), up) in dout.iter_mut().zip(gate).zip(up) {
                let (g, u, d) = (*gate, *up, *dout);
                let sigmoid = 1.0 / (1.0 + fast_exp(-g));
                let silu = g * sigmoid;
                *gate = d * u * (sigmoid + silu * (1.0 - sigmoid));
                *up = d * silu;
                *dout = g / (1.0 + fast_exp(-g)) * u;
            }
        }
    }
}
