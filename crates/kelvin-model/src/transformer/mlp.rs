//! The gated layer: `down(silu(gate x) * up x)`.

use super::{linear, sized};
use crate::kernels::{swiglu, swiglu_backward};

/// Adds the layer's output to `x`. Keeps `gate_up` for the backward pass; `gated` is scratch.
pub(super) fn forward(
    normed: &[f32],
    (gate_up_weight, down_weight): (&[f32], &[f32]),
    rows: usize,
    gate_up: &mut [f32],
    gated: &mut Vec<f32>,
    x: &mut [f32],
) {
    let width = gate_up.len() / rows / 2;
    linear::forward(normed, gate_up_weight, rows, gate_up, false);
    let gated = sized(gated, rows * width);
    swiglu(gate_up, width, gated);
    linear::forward(gated, down_weight, rows, x, true);
}

/// Given the gradient `dx` by the layer's output, writes that by `normed` to `dnormed` and adds those by the
/// weights. `gate_up` is overwritten.
pub(super) fn backward(
    normed: &[f32],
    (gate_up_weight, down_weight): (&[f32], &[f32]),
    rows: usize,
    gate_up: &mut [f32],
    gated: &mut Vec<f32>,
    dx: &[f32],
    dnormed: &mut [f32],
    (dgate_up_weight, ddown_weight): (&mut [f32], &mut [f32]),
) {
    let width = gate_up.len() / rows / 2;
    let gated = sized(gated, rows * width);
    linear::backward_input(dx, down_weight, rows, gated);
    swiglu_backward(gate_up, width, gated);
    linear::backward_weight(dx, gated, rows, ddown_weight);
    linear::backward_input(gate_up, gate_up_weight, rows, dnormed);
    linear::backward_weight(gate_up, normed, rows, dgate_up_weight);
}
