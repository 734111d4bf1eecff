//! The seam to the model: draw from weights, move weights.

use std::{
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
};

use serde::{Deserialize, Serialize};

use crate::{
    objective::{Normalisation, Objective},
    rollout::{Completion, PolicyName, Sample, SampleRequest},
};

/// A request with its index, which comes back with its completion.
pub type Indexed<T> = (usize, T);

/// Draws completions. Sampling is a stream: requests are taken as they come and completions given as they
/// finish, so that validation and grading run while other rows still decode.
pub trait Sampler: Send + Sync {
    /// Serves until `requests` is closed and every row has finished. Completions come in any order. If the
    /// receiver of `completions` is gone, the remaining rows are dropped.
    ///
    /// # Errors
    /// If the backend fails; a prompt that leaves no room for a token is an error of the caller.
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Sender<Indexed<Completion>>,
    ) -> anyhow::Result<()>;

    /// Log-probability of each token after the first, for whole sequences, at the given temperature.
    ///
    /// # Errors
    /// If the backend fails or a token is not in the vocabulary.
    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>>;

    /// Length of a prompt in tokens, as `serve` would read it.
    ///
    /// # Errors
    /// If the text cannot be tokenised.
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize>;

    /// One completion for each request, in their order.
    ///
    /// # Errors
    /// See [`Sampler::serve`].
    fn sample(&self, requests: Vec<SampleRequest>) -> anyhow::Result<Vec<Completion>> {
        let n = requests.len();
        let (to_sampler, from_caller) = channel();
        let (to_caller, from_sampler) = channel();
        for indexed in requests.into_iter().enumerate() {
            to_sampler.send(indexed).expect("the receiver is held below");
        }
        drop(to_sampler);
        self.serve(from_caller, to_caller)?;
        let mut completions: Vec<Option<Completion>> = (0..n).map(|_| None).collect();
        for (index, completion) in from_sampler {
            assert!(completions[index].replace(completion).is_none(), "request {index} was answered twice");
        }
        Ok(completions.into_iter().map(|it| it.expect("every request is answered")).collect())
    }
}

/// AdamW (Loshchilov and Hutter 2019) and the clip of the global gradient norm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamParams {
    /// Step size of this update.
    pub learning_rate: f64,
    /// First decay.
    pub beta1: f64,
    /// Second decay.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; matrices only.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; 0 turns clipping off.
    pub grad_clip: f64,
}

/// What a loss says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossStats {
    /// The objective.
    pub loss: f64,
    /// Mean over response tokens of the entropy, in nats.
    pub entropy: f64,
    /// Mean over response tokens of `old_logprob - logprob`, an estimate of KL(old, new).
    pub kl_old_new: f64,
    /// Share of response tokens whose gradient the clip stopped, or for CISPO whose weight it bounded.
    pub clipped_share: f64,
    /// The part of it below the range: tokens that have become too unlikely.
    pub clipped_low_share: f64,
    /// The part of it above the range, the dual clip's included.
    pub clipped_high_share: f64,
    /// Mean over response tokens of the ratio of new to old probability, as the surrogate reads it.
    pub ratio_mean: f64,
    /// The largest ratio.
    pub ratio_max: f64,
    /// Mean over response tokens of the weight of truncated importance sampling; 1 where it is off.
    pub importance_mean: f64,
    /// The largest weight.
    pub importance_max: f64,
    /// Mean over response tokens of the estimate of KL(new, reference); 0 where there is no reference.
    pub kl_reference: f64,
    /// Response tokens.
    pub n_tokens: u64,
}

impl LossStats {
    /// What a batch says whose parts say `self` and `other`: losses add up, since both are of the whole batch's
    /// normalisation; means weigh by tokens.
    pub fn join(self, other: LossStats) -> LossStats {
        let n_tokens = self.n_tokens + other.n_tokens;
        let share = |n: u64| n as f64 / n_tokens.max(1) as f64;
        let mean =
            |of: fn(&LossStats) -> f64| share(self.n_tokens) * of(&self) + share(other.n_tokens) * of(&other);
        LossStats {
            loss: self.loss + other.loss,
            entropy: mean(|it| it.entropy),
            kl_old_new: mean(|it| it.kl_old_new),
            clipped_share: mean(|it| it.clipped_share),
            clipped_low_share: mean(|it| it.clipped_low_share),
            clipped_high_share: mean(|it| it.clipped_high_share),
            ratio_mean: mean(|it| it.ratio_mean),
            ratio_max: self.ratio_max.max(other.ratio_max),
            importance_mean: mean(|it| it.importance_mean),
            importance_max: self.importance_max.max(other.importance_max),
            kl_reference: mean(|it| it.kl_reference),
            n_tokens,
        }
    }
}

/// What an optimizer step says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptimStats {
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// Names one update, so that a remote trainer can be asked again without applying it twice.
pub type UpdateId = u64;

/// A part of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Part<'batch> {
    /// Tells it from an equal part of the same update.
    pub idx: usize,
    /// Its samples.
    pub samples: &'batch [Sample],
    /// Taken of the whole batch.
    pub whole: &'batch Normalisation,
}

/// Moves weights.
pub trait Trainer: Send {
    /// Adds the gradient of `objective` on a part of a batch to the gradient held. The sum over all parts does not
    /// depend on how the batch is split.
    ///
    /// # Errors
    /// If the backend fails, or a sample is empty, too long for the model, or lacks what the objective needs.
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats>;

    /// Adds the gradient of `objective` on a whole batch to the gradient held.
    ///
    /// # Errors
    /// See [`Trainer::forward_backward_part`].
    fn forward_backward(
        &mut self,
        update: UpdateId,
        batch: &[Sample],
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        let whole = Normalisation::of(batch);
        self.forward_backward_part(update, Part { idx: 0, samples: batch, whole: &whole }, objective)
    }

    /// Applies the gradient held and clears it. The sampler still draws from the published weights.
    ///
    /// # Errors
    /// If the backend fails or the gradient is not finite.
    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats>;

    /// Makes the weights those that [`Trainer::sampler`] draws from.
    ///
    /// # Errors
    /// If they cannot be delivered; asking again is safe.
    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()>;

    /// Draws from the published weights. The borrow is the proof that they cannot move meanwhile.
    fn sampler(&self) -> &dyn Sampler;

    /// Writes weights, tokenizer and optimizer into `dir`, which exists and is empty.
    ///
    /// # Errors
    /// If writing fails.
    fn save(&self, dir: &Path) -> anyhow::Result<()>;

    /// Takes back what [`Trainer::save`] wrote, bit for bit, and publishes it.
    ///
    /// # Errors
    /// If a file is missing, damaged, or another model's.
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()>;
}

/// A name, the number of updates behind the weights, and what moves them.
pub struct Policy {
    /// The name in the configuration.
    pub name: PolicyName,
    /// Updates so far.
    pub version: u64,
    /// The backend.
    pub trainer: Box<dyn Trainer>,
}

/// A policy as the stages see it: frozen weights with a name and a version.
#[derive(Clone, Copy)]
pub struct Player<'policy> {
    /// The policy's name.
    pub name: &'policy PolicyName,
    /// The policy's version.
    pub version: u64,
    /// Draws from it.
    pub sampler: &'policy dyn Sampler,
}

impl Policy {
    /// The policy as it stands, borrowed: it cannot learn while the player lives.
    pub fn player(&self) -> Player<'_> {
        Player { name: &self.name, version: self.version, sampler: self.trainer.sampler() }
    }

    /// One optimizer step and its publication.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn update(
        &mut self,
        batch: &[Sample],
        objective: &Objective,
        adam: &AdamParams,
    ) -> anyhow::Result<(LossStats, OptimStats)> {
        let update = self.version + 1;
        let loss = self.trainer.forward_backward(update, batch, objective)?;
        let optim = self.trainer.optim_step(update, adam)?;
        self.trainer.publish(update)?;
        self.version = update;
        Ok((loss, optim))
    }
}
