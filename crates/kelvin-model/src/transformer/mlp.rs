//! The gated layer: `down(silu(gate x) * up x)`.

use super::{linear::Linear, sized};

/// The matrices of the layer.
pub(super) struct Mlp<'pass> {
    /// Gate, then up.
    pub(super) gate_up: Linear<'pass>,
    pub(super) down: Linear<'pass>,
}

impl Mlp<'_> {
    /// Fills `gate_up`, which the backward pass needs.
    pub(super) fn forward_gate_up(&self, normed: &[f32], rows: usize, gate_up: &mut [f32]) {
        self.gate_up.forward(normed, rows, gate_up, false);
    }

    /// Adds the layer's output to `x`. `gated` is scratch.
    pub(super) fn forward_down(&self, gate_up: &[f32], rows: usize, gated: &mut Vec<f32>, x: &mut [f32]) {
        let width = gate_up.len() / rows / 2;
        let gated = sized(gated, rows * width);
        self.down.threads.swiglu(gate_up, width, gated);
        self.down.forward(gated, rows, x, true);
    }

    /// Given the gradient `dx` by the layer's output, writes that by `normed` to `dnormed` and adds those by what
    /// learns to `gradient`. `gate_up` is overwritten.
    pub(super) fn backward(
        &self,
        normed: &[f32],
        rows: usize,
        gate_up: &mut [f32],
        gated: &mut Vec<f32>,
        dx: &[f32],
        dnormed: &mut [f32],
        gradient: &mut [f32],
    ) {
        let width = gate_up.len() / rows / 2;
        let gated = sized(gated, rows * width);
        self.down.backward_input(dx, rows, gated);
        self.down.threads.swiglu_backward(gate_up, width, gated);
        self.down.backward_weight(dx, gated, rows, gradient);
        self.gate_up.backward_input(gate_up, rows, dnormed);
        self.gate_up.backward_weight(gate_up, normed, rows, gradient);
    }
}
