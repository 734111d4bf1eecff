//! SwiGLU (Shazeer 2020): `silu(gate) * up`.

use super::{
    math::{LANES, fast_exp},
    simd::multiversion,
};

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
            for ((out, gate), up) in out.chunks_mut(LANES).zip(gate.chunks(LANES)).zip(up.chunks(LANES)) {
                let (g, u) = (load(gate), load(up));
                let mut y = [0f32; LANES];
                for lane in 0..LANES {
                    y[lane] = silu(g[lane]).0 * u[lane];
                }
                store(out, &y);
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
            let gates = gate.chunks_mut(LANES).zip(up.chunks_mut(LANES));
            for (dout, (gate, up)) in dout.chunks_mut(LANES).zip(gates) {
                let (mut g, mut u, mut d) = (load(gate), load(up), load(dout));
                for lane in 0..LANES {
                    let (silu, sigmoid) = silu(g[lane]);
                    let (up, dy) = (u[lane], d[lane]);
                    g[lane] = dy * up * (sigmoid + silu * (1.0 - sigmoid));
                    u[lane] = dy * silu;
                    d[lane] = silu * up;
                }
                store(gate, &g);
                store(up, &u);
                store(dout, &d);
            }
        }
    }
}

/// `x * sigmoid(x)`, and `sigmoid(x)`.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + fast_exp(-x));
    (x * sigmoid, sigmoid)
}

/// Up to [`LANES`] elements, then zeros. Working on copies spares the compiler the question whether the slices
/// of a row overlap, which it answers with scalar code.
#[inline(always)]
fn load(from: &[f32]) -> [f32; LANES] {
    match from.try_into() {
        Ok(whole) => whole,
        Err(_) => {
            let mut lanes = [0f32; LANES];
            lanes[..from.len()].copy_from_slice(from);
            lanes
        }
    }
}

#[inline(always)]
fn store(to: &mut [f32], lanes: &[f32; LANES]) {
    match <&mut [f32; LANES]>::try_from(&mut *to) {
        Ok(whole) => *whole = *lanes,
        Err(_) => to.copy_from_slice(&lanes[..to.len()]),
    }
}
