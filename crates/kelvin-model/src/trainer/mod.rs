//! Gradients of an objective on a batch, and AdamW.
//!
//! Samples of one prompt read it once: the eight solutions of one task cost little more than their own tokens.
//!
//! Results are the same bits for any number of threads: a batch is cut into chunks by its prompts and the lengths
//! of its samples, chunk `i` adds to gradient slot `i mod slots`, a slot's chunks run in order, and slots are summed
//! in order. Threads share out slots, nothing else.

mod accumulate;
mod batch;
mod loss;
mod optimizer;

use std::sync::Mutex;

use anyhow::{Result, ensure};
use kelvin_core::{
    objective::{Normalisation, Objective},
    policy::{AdamParams, LossStats, OptimStats},
    rollout::Sample,
};

use crate::{
    kernels::RopeTable,
    params::Params,
    transformer::{Head, PredictedRows, Workspace},
};

/// Weights, the gradient held, and the state of AdamW.
#[derive(Debug)]
pub struct TrainCore {
    params: Params,
    moments: Moments,
    gradient: Vec<f32>,
    /// Whether a gradient is held.
    is_held: bool,
    /// Gradient slots after the first, which is `gradient` itself; zero between calls.
    slots: Vec<Vec<f32>>,
    rope: RopeTable,
    /// Memory of the passes, as many as threads ever worked at once.
    workbenches: Mutex<Vec<Workbench>>,
}

/// State of AdamW.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient, laid out as the weights.
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
    /// A trainer that has taken no step.
    pub fn new(params: Params) -> TrainCore {
        let len = params.layout.len;
        let moments = Moments { first: vec![0.0; len], second: vec![0.0; len], step: 0 };
        TrainCore::resume(params, moments).expect("fresh moments fit")
    }

    /// A trainer that goes on where another stopped.
    ///
    /// # Errors
    /// If the moments are not laid out as the weights.
    pub fn resume(params: Params, moments: Moments) -> Result<TrainCore> {
        let len = params.layout.len;
        ensure!(
            moments.first.len() == len && moments.second.len() == len,
            "the optimizer has moments for {} and {} weights, the model {len} weights\nhint: take both from one \
             checkpoint",
            moments.first.len(),
            moments.second.len()
        );
        let config = &params.layout.config;
        let rope = RopeTable::new(config.head_dim, config.rope_theta, 0);
        Ok(TrainCore {
            moments,
            gradient: vec![0.0; len],
            is_held: false,
            slots: Vec::new(),
            rope,
            workbenches: Mutex::default(),
            params,
        })
    }

    /// The weights.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The state of AdamW.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The gradient held, laid out as the weights; zero if none is.
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
    pub fn forward_backward_part(
        &mut self,
        part: &[Sample],
        objective: &Objective,
        whole: &Normalisation,
    ) -> Result<LossStats> {
        batch::check(&self.params.layout.config, part, objective)?;
        let longest = part.iter().map(batch::rows).max().unwrap_or(0);
        self.rope.extend(longest);
        let stats = self.accumulate(part, objective, whole);
        self.is_held = true;
        Ok(stats)
    }

    /// Takes one AdamW step with the gradient held, clipped to its global norm, and clears it. Weight decay
    /// applies to matrices only.
    ///
    /// # Errors
    /// If no gradient is held, or its norm is not finite: then weights and moments stay as they were, and the
    /// gradient is cleared.
    pub fn optim_step(&mut self, adam: &AdamParams) -> Result<OptimStats> {
        ensure!(self.is_held, "no gradient is held\nhint: call forward_backward before optim_step");
        let stats = optimizer::step(&mut self.params, &self.gradient, &mut self.moments, adam);
        optimizer::clear(&mut self.gradient);
        self.is_held = false;
        stats
    }
}
