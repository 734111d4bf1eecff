//! Weights as decoding reads them: packed once for every publication, then shared by all workers.

use rayon::prelude::*;

use crate::{
    config::ModelConfig,
    kernels::{MatRef, PackedMatrix},
    params::{LayerLayout, Params},
};

/// A packed copy of [`Params`].
pub(super) struct Weights {
    pub(super) config: ModelConfig,
    /// `[vocab, hidden]`.
    pub(super) embed: Vec<f32>,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) final_norm: Vec<f32>,
    pub(super) head: PackedMatrix,
}

/// One decoder layer; matrices are packed for rows times matrix.
#[derive(Default)]
pub(super) struct LayerWeights {
    pub(super) input_norm: Vec<f32>,
    pub(super) qkv: PackedMatrix,
    /// Empty without bias.
    pub(super) qkv_bias: Vec<f32>,
    /// Empty without norms of heads.
    pub(super) q_norm: Vec<f32>,
    pub(super) k_norm: Vec<f32>,
    pub(super) o: PackedMatrix,
    /// Empty without bias.
    pub(super) o_bias: Vec<f32>,
    pub(super) post_norm: Vec<f32>,
    pub(super) gate_up: PackedMatrix,
    pub(super) down: PackedMatrix,
}

impl Weights {
    pub(super) fn new(params: &Params) -> Weights {
        let config = params.layout.config.clone();
        let layers = (0..config.num_hidden_layers).map(|_| LayerWeights::default()).collect();
        let mut weights = Weights {
            config,
            embed: Vec::new(),
            layers,
            final_norm: Vec::new(),
            head: PackedMatrix::default(),
        };
        weights.publish(params);
        weights
    }

    /// Takes over `params`, which are of the same shape, in the memory held.
    pub(super) fn publish(&mut self, params: &Params) {
        let Params { layout, flat } = params;
        let (vocab, hidden) = (self.config.vocab_size, self.config.hidden_size);
        self.embed.clear();
        self.embed.extend_from_slice(&flat[layout.embed.clone()]);
        self.final_norm.clear();
        self.final_norm.extend_from_slice(&flat[layout.final_norm.clone()]);
        rayon::join(
            || self.head.repack(MatRef::new(&flat[layout.head.clone()], vocab, hidden).t()),
            || {
                let layers = self.layers.par_iter_mut().zip(&layout.layers);
                layers.for_each(|(weights, at)| weights.publish(at, flat, &self.config));
            },
        );
    }
}

impl LayerWeights {
    fn publish(&mut self, at: &LayerLayout, flat: &[f32], config: &ModelConfig) {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        for (to, from) in [
            (&mut self.input_norm, &at.input_norm),
            (&mut self.qkv_bias, &at.qkv_bias),
            (&mut self.q_norm, &at.q_norm),
            (&mut self.k_norm, &at.k_norm),
            (&mut self.o_bias, &at.o_bias),
            (&mut self.post_norm, &at.post_norm),
        ] {
            to.clear();
            to.extend_from_slice(&flat[from.clone()]);
        }
        for (to, from, outputs, inputs) in [
            (&mut self.qkv, &at.qkv_weight, config.qkv_width(), hidden),
            (&mut self.o, &at.o_weight, hidden, config.query_width()),
            (&mut self.gate_up, &at.gate_up_weight, 2 * ffn, hidden),
            (&mut self.down, &at.down_weight, hidden, ffn),
        ] {
            to.repack(MatRef::new(&flat[from.clone()], outputs, inputs).t());
        }
    }
}
