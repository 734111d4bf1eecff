//! Rows of the embedding, and the gradient's way back to them.

use crate::kernels::add_into;

/// `x[row] = embed[token]`.
pub(super) fn forward(tokens: &[u32], embed: &[f32], hidden: usize, x: &mut [f32]) {
    for (row, &token) in x.chunks_exact_mut(hidden).zip(tokens) {
        row.copy_from_slice(&embed[token as usize * hidden..][..hidden]);
    }
}

/// `dembed[token] += dx[row]`, in the order of rows.
pub(super) fn backward(tokens: &[u32], dx: &[f32], hidden: usize, dembed: &mut [f32]) {
    for (row, &token) in dx.chunks_exact(hidden).zip(tokens) {
        add_into(&mut dembed[token as usize * hidden..][..hidden], row);
    }
}
