//! `y = x W^T`, with `W[out, in]` row-major as in PyTorch.

use crate::kernels::{MatMut, MatRef, matmul};

/// `y[rows, out] = x[rows, in] W^T`, or `+=`.
pub(super) fn forward(x: &[f32], weight: &[f32], rows: usize, y: &mut [f32], accumulate: bool) {
    let (inner, outer) = (x.len() / rows, y.len() / rows);
    let weight = MatRef::new(weight, outer, inner).t();
    matmul(MatRef::new(x, rows, inner), weight, MatMut::new(y, rows, outer), accumulate);
}

/// `dx[rows, in] = dy[rows, out] W`.
pub(super) fn backward_input(dy: &[f32], weight: &[f32], rows: usize, dx: &mut [f32]) {
    let (inner, outer) = (dx.len() / rows, dy.len() / rows);
    let weight = MatRef::new(weight, outer, inner);
    matmul(MatRef::new(dy, rows, outer), weight, MatMut::new(dx, rows, inner), false);
}

/// `dW[out, in] += dy^T x`.
pub(super) fn backward_weight(dy: &[f32], x: &[f32], rows: usize, dweight: &mut [f32]) {
    let (inner, outer) = (x.len() / rows, dy.len() / rows);
    let dy = MatRef::new(dy, rows, outer).t();
    matmul(dy, MatRef::new(x, rows, inner), MatMut::new(dweight, outer, inner), true);
}
