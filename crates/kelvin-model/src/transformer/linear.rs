//! `y = x W^T`, with `W[out, in]` row-major as in PyTorch, and the adapters on it: `y += s (x A^T) B^T`.

use std::ops::Range;

use super::threads::Threads;
use crate::{
    kernels::{MatMut, MatRef},
    lora::{Branch, Lora},
};

/// A matrix in use.
#[derive(Clone, Debug)]
pub(super) struct Linear<'pass> {
    /// `[out, in]`.
    pub(super) weight: &'pass [f32],
    pub(super) learnt: Learnt<'pass>,
    pub(super) threads: Threads,
}

/// What of a matrix learns.
#[derive(Clone, Debug)]
pub(super) enum Learnt<'pass> {
    /// Its weights, whose gradient lies there.
    Weight(Range<usize>),
    /// The adapters on it; none of them leaves it as it is.
    Branches(&'pass Lora, &'pass [Branch]),
}

impl Linear<'_> {
    fn branches(&self) -> impl Iterator<Item = (&Lora, &Branch)> {
        let branches = match self.learnt {
            Learnt::Weight(_) => None,
            Learnt::Branches(lora, branches) => Some(branches.iter().map(move |branch| (lora, branch))),
        };
        branches.into_iter().flatten()
    }

    /// `y[rows, out] = x[rows, in] W^T`, or `+=`.
    pub(super) fn forward(&self, x: &[f32], rows: usize, y: &mut [f32], accumulate: bool) {
        let (inner, outer) = (x.len() / rows, y.len() / rows);
        let weight = MatRef::new(self.weight, outer, inner).t();
        self.threads.matmul(MatRef::new(x, rows, inner), weight, MatMut::new(y, rows, outer), accumulate);
        for (lora, branch) in self.branches() {
            let low = self.low(lora, branch, x, rows);
            let rank = lora.config().rank;
            let b = MatRef::new(&lora.flat[branch.b.clone()], branch.outputs.len(), rank).t();
            let y = MatMut::strided(&mut y[branch.outputs.start..], rows, branch.outputs.len(), outer);
            self.threads.matmul(MatRef::new(&low, rows, rank), b, y, true);
        }
    }

    /// `dx[rows, in] = dy[rows, out] W`.
    pub(super) fn backward_input(&self, dy: &[f32], rows: usize, dx: &mut [f32]) {
        let (inner, outer) = (dx.len() / rows, dy.len() / rows);
        let weight = MatRef::new(self.weight, outer, inner);
        self.threads.matmul(MatRef::new(dy, rows, outer), weight, MatMut::new(dx, rows, inner), false);
        for (lora, branch) in self.branches() {
            let dlow = self.low_gradient(lora, branch, dy, rows);
            let rank = lora.config().rank;
            let a = MatRef::new(&lora.flat[branch.a.clone()], rank, inner);
            self.threads.matmul(MatRef::new(&dlow, rows, rank), a, MatMut::new(dx, rows, inner), true);
        }
    }

    /// Adds to `gradient`, laid out as all that learns, the gradient by the weights, `dW[out, in] += dy^T x`, or by
    /// the adapters.
    pub(super) fn backward_weight(&self, dy: &[f32], x: &[f32], rows: usize, gradient: &mut [f32]) {
        let (inner, outer) = (x.len() / rows, dy.len() / rows);
        let x_rows = MatRef::new(x, rows, inner);
        if let Learnt::Weight(at) = &self.learnt {
            let dweight = MatMut::new(&mut gradient[at.clone()], outer, inner);
            self.threads.matmul(MatRef::new(dy, rows, outer).t(), x_rows, dweight, true);
        }
        for (lora, branch) in self.branches() {
            let rank = lora.config().rank;
            let (low, dlow) = (self.low(lora, branch, x, rows), self.low_gradient(lora, branch, dy, rows));
            let db = MatMut::new(&mut gradient[branch.b.clone()], branch.outputs.len(), rank);
            self.threads.matmul(outputs(branch, dy, rows).t(), MatRef::new(&low, rows, rank), db, true);
            let da = MatMut::new(&mut gradient[branch.a.clone()], rank, inner);
            self.threads.matmul(MatRef::new(&dlow, rows, rank).t(), x_rows, da, true);
        }
    }

    /// `s x A^T`, `[rows, rank]`. Computed again in the backward pass rather than kept.
    fn low(&self, lora: &Lora, branch: &Branch, x: &[f32], rows: usize) -> Vec<f32> {
        let (rank, inner) = (lora.config().rank, branch.inputs);
        let a = MatRef::new(&lora.flat[branch.a.clone()], rank, inner).t();
        self.scaled(lora, MatRef::new(x, rows, inner), a)
    }

    /// `s dy B`, the gradient by `x A^T`.
    fn low_gradient(&self, lora: &Lora, branch: &Branch, dy: &[f32], rows: usize) -> Vec<f32> {
        let rank = lora.config().rank;
        let b = MatRef::new(&lora.flat[branch.b.clone()], branch.outputs.len(), rank);
        self.scaled(lora, outputs(branch, dy, rows), b)
    }

    fn scaled(&self, lora: &Lora, left: MatRef, right: MatRef) -> Vec<f32> {
        let mut product = vec![0.0; left.rows() * right.cols()];
        let (rows, cols) = (left.rows(), right.cols());
        self.threads.matmul(left, right, MatMut::new(&mut product, rows, cols), false);
        let scale = lora.config().scale();
        product.iter_mut().for_each(|it| *it *= scale);
        product
    }
}

/// The columns of `dy` that an adapter wrote.
fn outputs<'data>(branch: &Branch, dy: &'data [f32], rows: usize) -> MatRef<'data> {
    let outer = dy.len() / rows;
    MatRef::strided(&dy[branch.outputs.start..], rows, branch.outputs.len(), outer)
}
