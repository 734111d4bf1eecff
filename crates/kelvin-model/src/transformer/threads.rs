//! Who computes the operations of a pass: one thread, or all of the pool. The bits are the same.
//!
//! Rows are shared out where an operation works on each row by itself. What sums over rows in order, such as the
//! gradient by a norm's gain, stays on one thread: beside the products it is little.

use rayon::prelude::*;

use crate::kernels::{MatMut, MatRef, matmul, matmul_parallel, rms_norm, swiglu, swiglu_backward};

/// Rows that a thread takes at a time.
const SHARE_ROWS: usize = 64;

/// Threads of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling one; others work on other chunks.
    One,
    /// All of rayon's pool, within each operation.
    All,
}

impl Threads {
    /// [`matmul`].
    pub(super) fn matmul(self, a: MatRef, b: MatRef, c: MatMut, accumulate: bool) {
        match self {
            Threads::One => matmul(a, b, c, accumulate),
            Threads::All => matmul_parallel(a, b, c, accumulate),
        }
    }

    /// [`rms_norm`].
    pub(super) fn rms_norm(self, x: &[f32], gain: &[f32], eps: f32, y: &mut [f32], factors: &mut [f32]) {
        match self {
            Threads::One => rms_norm(x, gain, eps, y, factors),
            Threads::All => {
                let share = SHARE_ROWS * gain.len();
                let rows = x.par_chunks(share).zip(y.par_chunks_mut(share));
                rows.zip(factors.par_chunks_mut(SHARE_ROWS))
                    .for_each(|((x, y), factors)| rms_norm(x, gain, eps, y, factors));
            }
        }
    }

    /// [`swiglu`].
    pub(super) fn swiglu(self, gate_up: &[f32], width: usize, out: &mut [f32]) {
        match self {
            Threads::One => swiglu(gate_up, width, out),
            Threads::All => {
                let share = SHARE_ROWS * width;
                let rows = gate_up.par_chunks(2 * share).zip(out.par_chunks_mut(share));
                rows.for_each(|(gate_up, out)| swiglu(gate_up, width, out));
            }
        }
    }

    /// [`swiglu_backward`].
    pub(super) fn swiglu_backward(self, gate_up: &mut [f32], width: usize, dout: &mut [f32]) {
        match self {
            Threads::One => swiglu_backward(gate_up, width, dout),
            Threads::All => {
                let share = SHARE_ROWS * width;
                let rows = gate_up.par_chunks_mut(2 * share).zip(dout.par_chunks_mut(share));
                rows.for_each(|(gate_up, dout)| swiglu_backward(gate_up, width, dout));
            }
        }
    }
}
