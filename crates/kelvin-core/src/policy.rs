//! The seam to the model: draw from weights, move weights.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    ops::Deref,
    path::Path,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, Sender, channel},
    },
};

use serde::{Deserialize, Serialize};

use crate::{
    notices::Notices,
    objective::{Mismatch, Normalisation, Objective},
    rollout::{Completion, PolicyName, Sample, SampleRequest},
    stop::Stop,
};

/// A request with its index, which comes back with its completion.
pub type Indexed<T> = (usize, T);

/// Where completions go. Unlike a plain sender it knows whether anybody listens before there is something to send, so
/// that work for nobody ends soon.
#[derive(Clone, Debug)]
pub struct Completions {
    to: Sender<Indexed<Completion>>,
    listener: Weak<()>,
}

/// Where completions come out: a receiver. Dropping it says that no more are wanted.
#[derive(Debug)]
pub struct Listener {
    from: Receiver<Indexed<Completion>>,
    _listens: Arc<()>,
}

/// Nobody listens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NobodyListens;

/// Both ends of a stream of completions without a bound.
pub fn completions() -> (Completions, Listener) {
    let ((to, from), listens) = (channel(), Arc::new(()));
    (Completions { to, listener: Arc::downgrade(&listens) }, Listener { from, _listens: listens })
}

impl Completions {
    /// Gives the completion of the request with this index.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn send(&self, index: usize, completion: Completion) -> Result<(), NobodyListens> {
        self.to.send((index, completion)).map_err(|_| NobodyListens)
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        0 < self.listener.strong_count()
    }
}

impl Deref for Listener {
    type Target = Receiver<Indexed<Completion>>;

    fn deref(&self) -> &Receiver<Indexed<Completion>> {
        &self.from
    }
}

/// What a sampler has done since it was made. Depends on how rows met, so two identical runs may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerStats {
    /// Tokens of the prompts asked for.
    pub prompt_tokens: u64,
    /// Of these, the ones that went through the model, each time that they did.
    pub prompt_tokens_computed: u64,
    /// Tokens drawn.
    pub tokens_decoded: u64,
    /// Drawn tokens that went through the model again, for rows that had lost their memory.
    pub tokens_recomputed: u64,
    /// Blocks of keys and values that rows or remembered prompts hold now.
    pub kv_blocks: u64,
    /// The most there were.
    pub kv_blocks_peak: u64,
    /// Rows that lost their memory to older ones, each time.
    pub preemptions: u64,
    /// Passes through the model.
    pub steps: u64,
    /// Rows that took part in them, summed.
    pub rows_stepped: u64,
    /// Microseconds in which rows were asked for and none was drawn, since all waited for somebody to draw them.
    pub waited_us: u64,
}

impl SamplerStats {
    /// Tokens that went through the model.
    pub fn tokens_processed(&self) -> u64 {
        self.prompt_tokens_computed + self.tokens_decoded + self.tokens_recomputed
    }

    /// What was done since `earlier`. Blocks are no sums: they stay as they are.
    pub fn since(self, earlier: SamplerStats) -> SamplerStats {
        SamplerStats {
            prompt_tokens: self.prompt_tokens - earlier.prompt_tokens,
            prompt_tokens_computed: self.prompt_tokens_computed - earlier.prompt_tokens_computed,
            tokens_decoded: self.tokens_decoded - earlier.tokens_decoded,
            tokens_recomputed: self.tokens_recomputed - earlier.tokens_recomputed,
            preemptions: self.preemptions - earlier.preemptions,
            steps: self.steps - earlier.steps,
            rows_stepped: self.rows_stepped - earlier.rows_stepped,
            waited_us: self.waited_us - earlier.waited_us,
            ..self
        }
    }

    /// What was done by this sampler and by one before it that is gone.
    pub fn after(self, earlier: SamplerStats) -> SamplerStats {
        SamplerStats {
            prompt_tokens: self.prompt_tokens + earlier.prompt_tokens,
            prompt_tokens_computed: self.prompt_tokens_computed + earlier.prompt_tokens_computed,
            tokens_decoded: self.tokens_decoded + earlier.tokens_decoded,
            tokens_recomputed: self.tokens_recomputed + earlier.tokens_recomputed,
            kv_blocks: self.kv_blocks,
            kv_blocks_peak: self.kv_blocks_peak.max(earlier.kv_blocks_peak),
            preemptions: self.preemptions + earlier.preemptions,
            steps: self.steps + earlier.steps,
            rows_stepped: self.rows_stepped + earlier.rows_stepped,
            waited_us: self.waited_us + earlier.waited_us,
        }
    }

    /// Share of the prompt tokens asked for that did not go through the model; below 0 where rows that lost their memory
    /// made up for it.
    pub fn prefill_saved(self) -> f64 {
        1.0 - self.prompt_tokens_computed as f64 / self.prompt_tokens.max(1) as f64
    }

    /// Rows in a pass through the model, on average.
    pub fn rows_per_step(self) -> f64 {
        self.rows_stepped as f64 / self.steps.max(1) as f64
    }
}

/// Draws completions. Sampling is a stream: requests are taken as they come and completions given as they
/// finish, so that validation and grading run while other rows still decode.
pub trait Sampler: Send + Sync {
    /// Serves until `requests` is closed and every row has finished. Completions come in any order. If nobody
    /// listens to `completions` any more, the remaining rows are dropped.
    ///
    /// # Errors
    /// If the backend fails; a prompt that leaves no room for a token is an error of the caller.
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
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

    /// Ends draws and scores from now on with [`Stopped`](crate::stop::Stopped) soon after `stop` is asked, as
    /// [`Trainer::listen`] does for a policy that learns.
    fn listen(&mut self, stop: Stop) {
        drop(stop);
    }

    /// What was done so far; zeros if the backend does not count.
    fn stats(&self) -> SamplerStats {
        SamplerStats::default()
    }

    /// One completion for each request, in their order.
    ///
    /// # Errors
    /// See [`Sampler::serve`].
    fn sample(&self, requests: Vec<SampleRequest>) -> anyhow::Result<Vec<Completion>> {
        let n = requests.len();
        let (to_sampler, from_caller) = channel();
        let (to_caller, from_sampler) = completions();
        for indexed in requests.into_iter().enumerate() {
            to_sampler.send(indexed).expect("the receiver is held below");
        }
        drop(to_sampler);
        self.serve(from_caller, to_caller)?;
        let mut completions: Vec<Option<Completion>> = (0..n).map(|_| None).collect();
        for (index, completion) in from_sampler.iter() {
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
    /// How far the sampler's log-probabilities are from the trainer's.
    pub mismatch: Mismatch,
    /// Response tokens.
    pub n_tokens: u64,
    /// Tokens that went through the model: of each sample all but the last, and a prompt once for samples that the trainer
    /// reads together.
    pub n_processed: u64,
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
            mismatch: self.mismatch.join(other.mismatch),
            n_tokens,
            n_processed: self.n_processed + other.n_processed,
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

impl Part<'_> {
    /// Tells parts of one update apart, within a process.
    pub fn digest(&self, objective: &Objective) -> u64 {
        let Part { idx, samples, whole } = self;
        let mut hasher = DefaultHasher::new();
        format!("{idx} {objective:?} {whole:?}").hash(&mut hasher);
        for sample in *samples {
            let Sample {
                prompt,
                response,
                advantage,
                old_logprobs,
                sampler_logprobs,
                reference_logprobs,
                group,
            } = sample;
            (prompt, response, advantage.to_bits(), group).hash(&mut hasher);
            for logprobs in [old_logprobs, sampler_logprobs, reference_logprobs] {
                logprobs.iter().map(|it| it.to_bits()).collect::<Vec<_>>().hash(&mut hasher);
            }
        }
        hasher.finish()
    }
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

    /// Ends long work from now on with [`Stopped`](crate::stop::Stopped) soon after `stop` is asked: draws, scores and
    /// gradients, in none of which weights move. A backend that cannot goes on to the end of what it does.
    fn listen(&mut self, stop: Stop) {
        drop(stop);
    }

    /// Where it says what whoever watches should know and what is no error. A backend that has nothing to say says nothing.
    fn notices(&self) -> Notices {
        Notices::default()
    }

    /// Forgets what the optimizer remembers: its moments and its count of steps.
    ///
    /// # Errors
    /// If the backend fails.
    fn reset_optimizer(&mut self) -> anyhow::Result<()>;

    /// The published weights as they are now, kept beside those that learn: what a KL term pulls towards.
    ///
    /// # Errors
    /// If they cannot be copied.
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>>;

    /// Writes weights, tokenizer and optimizer into `dir`, which exists and is empty.
    ///
    /// # Errors
    /// If writing fails.
    fn save(&self, dir: &Path) -> anyhow::Result<()>;

    /// Removes what [`Trainer::save`] put elsewhere for what it wrote into `dir`, which nobody goes on from any more and which is
    /// removed next. Where that fails it takes room, nothing else. A backend that puts nothing elsewhere has nothing to do.
    fn forget(&self, dir: &Path) {
        let _ = dir;
    }

    /// Takes back what [`Trainer::save`] wrote, bit for bit, and publishes it.
    ///
    /// # Errors
    /// If a file is missing, damaged, or another model's.
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()>;
}

/// A trainer that can write its weights for engines elsewhere, which draw from them.
pub trait Exports: Trainer {
    /// Writes the weights as they are now, published or not, into `dir`, which exists and is empty: an adapter folder as PEFT
    /// has it, or a model folder as transformers has it.
    ///
    /// # Errors
    /// If the weights are lost or a file cannot be written.
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported>;
}

/// What a folder of [`Exports`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exported {
    /// Adapters alone.
    Adapter,
    /// All weights.
    Model,
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
