//! Gradients of an objective on a batch, and AdamW.
//!
//! Samples of one prompt read it once: the eight solutions of one task cost little more than their own tokens.
//!
//! Results are the same bits for any number of threads: a batch is cut into chunks by its prompts and the lengths
//! of its samples, chunk `i` adds to gradient slot `i mod slots`, a slot's chunks run in order, and slots are summed
//! in order. Threads share out slots, or for a large model, which has one slot, the operations of a pass
//! (`plan.rs`).

mod accumulate;
mod batch;
mod learnt;
mod optimizer;
mod plan;
mod slots;
#[cfg(test)]
mod tests;

use std::{slice, sync::Mutex};

use anyhow::{Result, ensure};
use kelvin_core::{
    objective::{Normalisation, Objective},
    policy::{AdamParams, LossStats, OptimStats},
    rollout::Sample,
    stop::{Stop, Stopped},
};

use crate::{
    kernels::RopeTable,
    lora::{Lora, Merged},
    params::{Params, Tensor},
    transformer::{Head, PredictedRows, Workspace},
};
use learnt::Learnt;
pub(crate) use plan::Plan;
pub use plan::Recompute;

/// Weights, what of them learns, the gradient held, and the state of AdamW.
#[derive(Debug)]
pub struct TrainCore {
    /// What passes compute with.
    params: Params,
    learnt: Learnt,
    plan: Plan,
    moments: Moments,
    gradient: Vec<f32>,
    /// Whether a gradient is held.
    is_held: bool,
    /// Whether a step left numbers behind that are not finite.
    is_lost: bool,
    /// Buffers of gradient slots after the first, which is `gradient` itself; zero between calls.
    free: Vec<Vec<f32>>,
    rope: RopeTable,
    /// Memory of the passes, as many as threads ever worked at once.
    workbenches: Mutex<Vec<Workbench>>,
    /// Ends a gradient early.
    stop: Stop,
}

/// State of AdamW.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient, laid out as what learns.
    pub first: Vec<f32>,
    /// Running mean of its square.
    pub second: Vec<f32>,
    /// Steps taken.
    pub step: u64,
}

/// What one thread needs to work on a chunk.
#[derive(Debug, Default)]
struct Workbench {
    workspace: Workspace,
    head: Head,
    predicted: PredictedRows,
    inputs: Vec<u32>,
}

impl TrainCore {
    /// A trainer of all weights that has taken no step.
    pub fn new(params: Params) -> TrainCore {
        TrainCore::of(params, Learnt::Weights)
    }

    /// A trainer of all weights whose passes compute with them rounded to bf16, to nearest, ties to even. Steps are
    /// taken on weights in f32 behind them, `params` to begin with; what is rounded is [`TrainCore::params`].
    pub fn rounding(params: Params) -> TrainCore {
        let master = params.flat.clone();
        let mut core = TrainCore::of(params, Learnt::Rounded(master));
        core.learnt.settle(&mut core.params.flat);
        core
    }

    /// A trainer of adapters on weights that stay as they are.
    pub fn adapting(params: Params, lora: Lora) -> TrainCore {
        TrainCore::of(params, Learnt::Adapters(lora))
    }

    fn of(params: Params, learnt: Learnt) -> TrainCore {
        let config = &params.layout.config;
        let rope = RopeTable::new(config.head_dim, &config.rope, 0);
        let len = learnt.len(&params);
        TrainCore {
            plan: Plan::new(params.layout.len),
            moments: Moments { first: vec![0.0; len], second: vec![0.0; len], step: 0 },
            gradient: vec![0.0; len],
            is_held: false,
            is_lost: false,
            free: Vec::new(),
            rope,
            workbenches: Mutex::default(),
            stop: Stop::default(),
            learnt,
            params,
        }
    }

    /// Ends a gradient between two layers from now on, when `stop` is asked.
    pub fn listen(&mut self, stop: Stop) {
        self.stop = stop;
    }

    /// Forgets the state of AdamW.
    pub fn reset_moments(&mut self) {
        let Moments { first, second, step } = &mut self.moments;
        first.fill(0.0);
        second.fill(0.0);
        *step = 0;
    }

    /// The same, going on from the optimizer's state of another.
    ///
    /// # Errors
    /// If the moments are not laid out as what learns.
    pub fn with_moments(mut self, moments: Moments) -> Result<TrainCore> {
        let len = self.gradient.len();
        ensure!(
            moments.first.len() == len && moments.second.len() == len,
            "the optimizer has moments for {} and {} weights, but {len} learn\nhint: take both from one checkpoint",
            moments.first.len(),
            moments.second.len()
        );
        self.moments = moments;
        Ok(self)
    }

    /// The same, with less or more of the activations kept.
    pub fn with_recompute(mut self, recompute: Recompute) -> TrainCore {
        self.plan.recompute = recompute;
        self
    }

    /// The weights that passes compute with; without adapters, if those learn.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The adapters, if they are what learns.
    pub fn lora(&self) -> Option<&Lora> {
        self.learnt.lora()
    }

    /// What the optimizer moves, as named parts of one vector.
    pub fn learnt(&self) -> (&[f32], Vec<Tensor>) {
        (self.learnt.flat(&self.params), self.learnt.tensors(&self.params))
    }

    /// The weights as others are to see them, to be read row by row: with adapters merged.
    pub fn published(&self) -> Merged<'_> {
        Merged::new(&self.params, self.learnt.lora().map_or(&[], slice::from_ref))
    }

    /// The state of AdamW.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The gradient held, laid out as what learns; zero if none is.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Adds the gradient of `objective` on a whole batch to the gradient held. The loss is over response tokens.
    ///
    /// # Errors
    /// See [`TrainCore::forward_backward_part`].
    pub fn forward_backward(&mut self, batch: &[Sample], objective: &Objective) -> Result<LossStats> {
        self.forward_backward_part(batch, objective, &Normalisation::of(batch))
    }

    /// Adds the gradient of `objective` on a part of the batch that `whole` was taken of to the gradient held.
    ///
    /// # Errors
    /// If the part is empty, or a sample has an empty prompt or response, a token outside the vocabulary, more
    /// tokens than the model has positions, an advantage or log-probability that is not finite, or not all
    /// log-probabilities that the objective needs; the message names the sample. The gradient held stays as it was.
    /// Or if it was asked to stop: then no gradient is held any more.
    pub fn forward_backward_part(
        &mut self,
        part: &[Sample],
        objective: &Objective,
        whole: &Normalisation,
    ) -> Result<LossStats> {
        batch::check(&self.params.layout.config, part, objective)?;
        let longest = part.iter().map(Sample::n_processed).max().unwrap_or(0);
        self.rope.extend(longest);
        let stats = self.accumulate(part, objective, whole);
        self.is_held = stats.is_some();
        Ok(stats.ok_or(Stopped)?)
    }

    /// Takes one AdamW step with the gradient held, clipped to its global norm, and clears it. Weight decay
    /// applies to matrices only.
    ///
    /// # Errors
    /// If no gradient is held, or its norm is not finite: then weights and moments stay as they were, and the
    /// gradient is cleared. Or if it leaves a weight or a moment behind that is not finite: then they are lost, and
    /// [`TrainCore::check_whole`] says so from then on.
    pub fn optim_step(&mut self, adam: &AdamParams) -> Result<OptimStats> {
        self.check_whole()?;
        ensure!(self.is_held, "no gradient is held\nhint: call forward_backward before optim_step");
        let tensors = self.learnt.tensors(&self.params);
        let weights = self.learnt.flat_mut(&mut self.params);
        let stats = optimizer::step(weights, tensors, &self.gradient, &mut self.moments, adam);
        self.learnt.settle(&mut self.params.flat);
        optimizer::clear(&mut self.gradient);
        self.is_held = false;
        let stats = stats?;
        self.is_lost = stats.is_none();
        self.check_whole()?;
        Ok(stats.expect("a step that has no numbers left the weights lost"))
    }

    /// Checks that no step has left numbers behind that are not finite.
    ///
    /// # Errors
    /// If one has.
    pub fn check_whole(&self) -> Result<()> {
        ensure!(
            !self.is_lost,
            "a step left weights or moments that are not finite, and the model is lost\nhint: go on from the newest \
             checkpoint with a lower learning rate or weight decay"
        );
        Ok(())
    }
}
