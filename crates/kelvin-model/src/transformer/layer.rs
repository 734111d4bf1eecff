//! One decoder layer: `x += attention(norm(x))`, then `x += mlp(norm(x))`.

use std::ops::Range;

use super::{
    attention,
    linear::{Learnt, Linear},
    mlp::Mlp,
    ragged::Ragged,
    sized,
    threads::Threads,
};
use crate::{
    config::ModelConfig,
    kernels::{
        RopeTable, add_bias, column_sums, head_norm, head_norm_backward, rms_norm_backward, rms_norm_scaled,
        rope_rows, rope_rows_backward,
    },
    lora::{Lora, Matrix},
    params::LayerLayout,
};

/// What the backward pass of a layer needs, besides its weights.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// The residual stream before attention and before the gated layer, `[rows, hidden]`.
    input: Vec<f32>,
    middle: Vec<f32>,
    /// Factors of the two norms, `[rows]`.
    input_factors: Vec<f32>,
    middle_factors: Vec<f32>,
    /// Queries and keys before their norms, `[rows, query_width + kv_width]`; empty without such norms.
    unnormed: Vec<f32>,
    /// Factors of these norms, `[rows, heads]`.
    query_factors: Vec<f32>,
    key_factors: Vec<f32>,
    /// Turned queries and keys, and values, `[rows, qkv_width]`.
    qkv: Vec<f32>,
    /// `[heads, rows]`, see [`attention::forward`].
    log_sums: Vec<f32>,
    /// Output of attention, `[rows, query_width]`.
    attended: Vec<f32>,
    /// `[rows, 2 * intermediate]`.
    gate_up: Vec<f32>,
}

/// Memory that layers share.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    normed: Vec<f32>,
    gated: Vec<f32>,
    dnormed: Vec<f32>,
    dattended: Vec<f32>,
    dqkv: Vec<f32>,
    /// Gradients by gains that do not learn.
    unused: Vec<f32>,
    attention: attention::Scratch,
}

/// A layer's weights, the shape, and the rows they are applied to.
#[derive(Clone, Copy)]
pub(super) struct Layer<'model> {
    pub(super) config: &'model ModelConfig,
    pub(super) layout: &'model LayerLayout,
    pub(super) weights: &'model [f32],
    pub(super) rope: &'model RopeTable,
    pub(super) ragged: &'model Ragged,
    /// What learns instead of the weights, with the index of the layer.
    pub(super) lora: Option<(&'model Lora, usize)>,
    pub(super) threads: Threads,
}

impl Layer<'_> {
    fn weight(&self, range: &Range<usize>) -> &[f32] {
        &self.weights[range.clone()]
    }

    fn linear(&self, range: &Range<usize>, matrix: Matrix) -> Linear<'_> {
        let learnt = match self.lora {
            None => Learnt::Weight(range.clone()),
            Some((lora, layer_idx)) => Learnt::Branches(lora, lora.branches(layer_idx, matrix)),
        };
        Linear { weight: self.weight(range), learnt, threads: self.threads }
    }

    fn mlp(&self) -> Mlp<'_> {
        Mlp {
            gate_up: self.linear(&self.layout.gate_up_weight, Matrix::GateUp),
            down: self.linear(&self.layout.down_weight, Matrix::Down),
        }
    }

    /// Where the gradient by a gain is added.
    fn gain_gradient<'to>(
        &self,
        range: &Range<usize>,
        gradient: &'to mut [f32],
        unused: &'to mut Vec<f32>,
    ) -> &'to mut [f32] {
        match self.lora {
            None => &mut gradient[range.clone()],
            Some(_) => sized(unused, range.len()),
        }
    }

    fn turned_heads(&self) -> usize {
        self.config.num_attention_heads + self.config.num_key_value_heads
    }

    /// Normalises each query and key head, and keeps what the backward pass needs.
    fn normalise_heads(&self, saved: &mut Saved) {
        let (config, rows) = (self.config, self.ragged.rows());
        let (qkv_width, query_width) = (config.qkv_width(), config.query_width());
        let turned = query_width + config.kv_width();
        let unnormed = sized(&mut saved.unnormed, rows * turned);
        for (to, from) in unnormed.chunks_exact_mut(turned).zip(saved.qkv.chunks_exact(qkv_width)) {
            to.copy_from_slice(&from[..turned]);
        }
        for (columns, gain, factors, heads) in [
            (0..query_width, &self.layout.q_norm, &mut saved.query_factors, config.num_attention_heads),
            (query_width..turned, &self.layout.k_norm, &mut saved.key_factors, config.num_key_value_heads),
        ] {
            let (gain, factors) = (self.weight(gain), sized(factors, rows * heads));
            head_norm(&mut saved.qkv, qkv_width, columns, gain, config.rms_norm_eps, factors);
        }
    }

    fn normalise_heads_backward(
        &self,
        saved: &Saved,
        dqkv: &mut [f32],
        gradient: &mut [f32],
        unused: &mut Vec<f32>,
    ) {
        let (qkv_width, query_width) = (self.config.qkv_width(), self.config.query_width());
        let turned = query_width + self.config.kv_width();
        for (columns, gain, factors) in [
            (0..query_width, &self.layout.q_norm, &saved.query_factors),
            (query_width..turned, &self.layout.k_norm, &saved.key_factors),
        ] {
            let (dgain, gain) = (self.gain_gradient(gain, gradient, unused), self.weight(gain));
            head_norm_backward(&saved.unnormed, turned, columns, gain, factors, dqkv, qkv_width, dgain);
        }
    }

    /// Moves the residual stream through the layer.
    pub(super) fn forward(&self, x: &mut [f32], saved: &mut Saved, scratch: &mut Scratch) {
        self.forward_saving(x, saved, scratch);
        self.mlp().forward_down(&saved.gate_up, self.ragged.rows(), &mut scratch.gated, x);
    }

    /// The part of [`Layer::forward`] after which `saved` is filled; all that [`Layer::backward`] needs computed again.
    pub(super) fn forward_saving(&self, x: &mut [f32], saved: &mut Saved, scratch: &mut Scratch) {
        let (config, layout, rows) = (self.config, self.layout, self.ragged.rows());
        let qkv_width = config.qkv_width();
        let normed = sized(&mut scratch.normed, x.len());
        let eps = config.rms_norm_eps;

        sized(&mut saved.input, x.len()).copy_from_slice(x);
        let factors = sized(&mut saved.input_factors, rows);
        self.threads.rms_norm(x, self.weight(&layout.input_norm), eps, normed, factors);
        let qkv = sized(&mut saved.qkv, rows * qkv_width);
        self.linear(&layout.qkv_weight, Matrix::Qkv).forward(normed, rows, qkv, false);
        if config.qkv_bias() {
            add_bias(qkv, self.weight(&layout.qkv_bias));
        }
        if config.qk_norm() {
            self.normalise_heads(saved);
        }
        let qkv = &mut saved.qkv[..];
        rope_rows(qkv, qkv_width, self.turned_heads(), self.ragged.positions(), self.rope);
        let attended = sized(&mut saved.attended, rows * config.query_width());
        let log_sums = sized(&mut saved.log_sums, rows * config.num_attention_heads);
        let attention = &mut scratch.attention;
        attention::forward(config, self.ragged, self.threads, qkv, attended, log_sums, attention);
        self.linear(&layout.o_weight, Matrix::Output).forward(attended, rows, x, true);
        if config.o_bias() {
            add_bias(x, self.weight(&layout.o_bias));
        }

        sized(&mut saved.middle, x.len()).copy_from_slice(x);
        let factors = sized(&mut saved.middle_factors, rows);
        self.threads.rms_norm(x, self.weight(&layout.post_norm), eps, normed, factors);
        let gate_up = sized(&mut saved.gate_up, rows * 2 * config.intermediate_size);
        self.mlp().forward_gate_up(normed, rows, gate_up);
    }

    /// Moves the gradient `dx` by the residual stream back through the layer and adds the gradients by what learns
    /// in it to `gradient`, which is laid out as all that learns. `saved` is consumed.
    pub(super) fn backward(
        &self,
        saved: &mut Saved,
        dx: &mut [f32],
        gradient: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (layout, rows) = (self.layout, self.ragged.rows());
        let normed = sized(&mut scratch.normed, dx.len());
        let dnormed = sized(&mut scratch.dnormed, dx.len());

        let gain = self.weight(&layout.post_norm);
        rms_norm_scaled(&saved.middle, gain, &saved.middle_factors, normed);
        let gated = &mut scratch.gated;
        self.mlp().backward(normed, rows, &mut saved.gate_up, gated, dx, dnormed, gradient);
        let dgain = self.gain_gradient(&layout.post_norm, gradient, &mut scratch.unused);
        rms_norm_backward(&saved.middle, gain, &saved.middle_factors, dnormed, dx, dgain);

        let dattended = sized(&mut scratch.dattended, saved.attended.len());
        let output = self.linear(&layout.o_weight, Matrix::Output);
        output.backward_input(dx, rows, dattended);
        output.backward_weight(dx, &saved.attended, rows, gradient);
        if self.config.o_bias() && self.lora.is_none() {
            column_sums(dx, &mut gradient[layout.o_bias.clone()]);
        }
        let dqkv = sized(&mut scratch.dqkv, saved.qkv.len());
        let attention = &mut scratch.attention;
        attention::backward(
            self.config,
            self.ragged,
            self.threads,
            &saved.qkv,
            &saved.log_sums,
            dattended,
            dqkv,
            attention,
        );
        let positions = self.ragged.positions();
        rope_rows_backward(dqkv, self.config.qkv_width(), self.turned_heads(), positions, self.rope);
        if self.config.qk_norm() {
            self.normalise_heads_backward(saved, dqkv, gradient, &mut scratch.unused);
        }
        if self.config.qkv_bias() && self.lora.is_none() {
            column_sums(dqkv, &mut gradient[layout.qkv_bias.clone()]);
        }
        let gain = self.weight(&layout.input_norm);
        rms_norm_scaled(&saved.input, gain, &saved.input_factors, normed);
        let qkv = self.linear(&layout.qkv_weight, Matrix::Qkv);
        qkv.backward_weight(dqkv, normed, rows, gradient);
        qkv.backward_input(dqkv, rows, dnormed);
        let dgain = self.gain_gradient(&layout.input_norm, gradient, &mut scratch.unused);
        rms_norm_backward(&saved.input, gain, &saved.input_factors, dnormed, dx, dgain);
    }
}
