//! Embedding and layers: from tokens to the last residual stream, and back.

use super::{
    embedding,
    layer::{Layer, Saved, Scratch},
    ragged::Ragged,
    sized,
};
use crate::{kernels::RopeTable, params::Params};

/// Activations of one chunk, kept between chunks for their memory. One thread uses it at a time.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) ragged: Ragged,
    /// The residual stream, `[rows, hidden]`; after a forward pass that before the final norm.
    pub(crate) x: Vec<f32>,
    /// The gradient by the residual stream, `[rows, hidden]`.
    pub(crate) dx: Vec<f32>,
    saved: Vec<Saved>,
    scratch: Scratch,
}

/// The weights as the passes need them.
#[derive(Clone, Copy)]
pub(crate) struct Backbone<'model> {
    /// All weights.
    pub(crate) params: &'model Params,
    /// Reaches beyond the longest sequence.
    pub(crate) rope: &'model RopeTable,
}

impl Backbone<'_> {
    fn layer<'pass>(&'pass self, idx: usize, ragged: &'pass Ragged) -> Layer<'pass> {
        let layout = &self.params.layout;
        Layer {
            config: &layout.config,
            layout: &layout.layers[idx],
            weights: &self.params.flat,
            rope: self.rope,
            ragged,
        }
    }

    /// Fills `workspace.x` from the tokens of all rows; `workspace.ragged` says where sequences begin. With
    /// `keep`, also what [`Backbone::backward`] needs.
    pub(crate) fn forward(&self, tokens: &[u32], keep: bool, workspace: &mut Workspace) {
        let Workspace { ragged, x, saved, scratch, .. } = workspace;
        let layout = &self.params.layout;
        let hidden = layout.config.hidden_size;
        assert_eq!(tokens.len(), ragged.rows(), "a token for each row");
        assert!(ragged.longest() <= self.rope.len(), "the rotary table reaches the longest sequence");
        let n_saved = if keep { layout.layers.len() } else { 1 };
        saved.resize_with(n_saved.max(saved.len()), Saved::default);
        let x = sized(x, tokens.len() * hidden);
        embedding::forward(tokens, &self.params.flat[layout.embed.clone()], hidden, x);
        for idx in 0..layout.layers.len() {
            self.layer(idx, ragged).forward(x, &mut saved[if keep { idx } else { 0 }], scratch);
        }
    }

    /// Adds to `gradient` those by the layers and the embedding, given `workspace.dx` by the last residual
    /// stream and a workspace that a keeping forward pass over the same tokens left.
    pub(crate) fn backward(&self, tokens: &[u32], gradient: &mut [f32], workspace: &mut Workspace) {
        let Workspace { ragged, dx, saved, scratch, .. } = workspace;
        let layout = &self.params.layout;
        for (idx, saved) in saved.iter_mut().enumerate().take(layout.layers.len()).rev() {
            self.layer(idx, ragged).backward(saved, dx, gradient, scratch);
        }
        let dembed = &mut gradient[layout.embed.clone()];
        embedding::backward(tokens, dx, layout.config.hidden_size, dembed);
    }
}
