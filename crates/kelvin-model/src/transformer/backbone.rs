//! Embedding and layers: from tokens to the last residual stream, and back.

use kelvin_core::stop::Stop;

use super::{
    embedding,
    layer::{Layer, Saved, Scratch},
    ragged::Ragged,
    sized,
    threads::Threads,
};
use crate::{kernels::RopeTable, lora::Lora, params::Params};

/// What a forward pass keeps for a backward pass, whose gradients are the same bits either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing: there is no backward pass.
    #[default]
    Nothing,
    /// The input of each layer; the rest is computed again (Chen et al. 2016).
    Inputs,
    /// All that is needed.
    All,
}

/// Activations of one chunk, kept between chunks for their memory. One pass uses it at a time.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) ragged: Ragged,
    /// The residual stream, `[rows, hidden]`; after a forward pass that before the final norm, after a backward pass
    /// unspecified.
    pub(crate) x: Vec<f32>,
    /// The gradient by the residual stream, `[rows, hidden]`.
    pub(crate) dx: Vec<f32>,
    /// What the last forward pass kept.
    kept: Keep,
    /// The residual stream before each layer, `[rows, hidden]`.
    inputs: Vec<Vec<f32>>,
    /// One for each layer, or a single one for all.
    saved: Vec<Saved>,
    scratch: Scratch,
}

/// The weights as the passes need them, and who computes.
#[derive(Clone, Copy)]
pub(crate) struct Backbone<'model> {
    /// All weights.
    pub(crate) params: &'model Params,
    /// Adapters that learn instead of the weights.
    pub(crate) lora: Option<&'model Lora>,
    /// Reaches beyond the longest sequence.
    pub(crate) rope: &'model RopeTable,
    pub(crate) threads: Threads,
    /// Once it is asked, passes end at the next layer, and what they leave is of no use.
    pub(crate) stop: Option<&'model Stop>,
}

impl Backbone<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some_and(Stop::is_asked)
    }

    fn layer<'pass>(&'pass self, idx: usize, ragged: &'pass Ragged) -> Layer<'pass> {
        let layout = &self.params.layout;
        Layer {
            config: &layout.config,
            layout: &layout.layers[idx],
            weights: &self.params.flat,
            rope: self.rope,
            ragged,
            lora: self.lora.map(|lora| (lora, idx)),
            threads: self.threads,
        }
    }

    /// Fills `workspace.x` from the tokens of all rows; `workspace.ragged` says where sequences begin.
    pub(crate) fn forward(&self, tokens: &[u32], keep: Keep, workspace: &mut Workspace) {
        let Workspace { ragged, x, kept, inputs, saved, scratch, .. } = workspace;
        let layout = &self.params.layout;
        let (hidden, n_layers) = (layout.config.hidden_size, layout.layers.len());
        assert_eq!(tokens.len(), ragged.rows(), "a token for each row");
        assert!(ragged.longest() <= self.rope.len(), "the rotary table reaches the longest sequence");
        *kept = keep;
        let n_saved = if keep == Keep::All { n_layers } else { 1 };
        saved.resize_with(n_saved.max(saved.len()), Saved::default);
        inputs.resize_with(n_layers, Vec::new);
        let x = sized(x, tokens.len() * hidden);
        embedding::forward(tokens, &self.params.flat[layout.embed.clone()], hidden, x);
        for (idx, input) in inputs.iter_mut().enumerate() {
            if self.is_stopped() {
                return;
            }
            if keep == Keep::Inputs {
                sized(input, x.len()).copy_from_slice(x);
            }
            let saved = &mut saved[if keep == Keep::All { idx } else { 0 }];
            self.layer(idx, ragged).forward(x, saved, scratch);
        }
    }

    /// Adds to `gradient` those by what learns in the layers and the embedding, given `workspace.dx` by the last
    /// residual stream and a workspace that a keeping forward pass over the same tokens left.
    pub(crate) fn backward(&self, tokens: &[u32], gradient: &mut [f32], workspace: &mut Workspace) {
        let Workspace { ragged, x, dx, kept, inputs, saved, scratch, .. } = workspace;
        let layout = &self.params.layout;
        for idx in (0..layout.layers.len()).rev() {
            // What the forward pass kept is not all there, if it was asked before that ended.
            if self.is_stopped() {
                return;
            }
            let layer = self.layer(idx, ragged);
            let saved = match kept {
                Keep::Nothing => panic!("a backward pass follows a forward pass that keeps"),
                Keep::Inputs => {
                    x.copy_from_slice(&inputs[idx]);
                    layer.forward_saving(x, &mut saved[0], scratch);
                    &mut saved[0]
                }
                Keep::All => &mut saved[idx],
            };
            layer.backward(saved, dx, gradient, scratch);
        }
        if self.lora.is_none() {
            let dembed = &mut gradient[layout.embed.clone()];
            embedding::backward(tokens, dx, layout.config.hidden_size, dembed);
        }
    }
}
