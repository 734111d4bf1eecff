//! What went into a policy and what came out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    objective::is_temperature,
    seed::Seed,
    task::{Step, TaskType},
};

/// Text before tokens. Prompts belong to environments, tokens and chat templates to policies.
pub type Prompt = String;

/// A policy's name in the configuration.
pub type PolicyName = Arc<str>;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Poses tasks (the original's `gen_*`; R-Zero's challenger).
    Proposer,
    /// Answers them (`pred_*`).
    Solver,
}

impl Role {
    /// Both, in the order of metrics and batches.
    pub const ALL: [Role; 2] = [Role::Proposer, Role::Solver];

    /// The spelling in files and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Proposer => "proposer",
            Role::Solver => "solver",
        }
    }
}

/// How to draw tokens. A token is drawn from softmax(logits / temperature) after the truncations, in the order
/// top-k, top-p, min-p; temperature 0 takes the most likely token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the most likely tokens until their probabilities reach this sum; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens less likely than this fraction of the most likely one; 0 drops none.
    pub min_p: f32,
    /// The longest completion, in tokens, the end token included.
    pub max_new_tokens: usize,
    /// Texts that end a completion, wherever they lie in its tokens: at most 16 ([`STOPS_MAX`]), each of 1
    /// to 1,024 bytes ([`STOP_BYTES_MAX`]).
    pub stop: Vec<String>,
}

/// The most stop sequences of a request.
pub const STOPS_MAX: usize = 16;
/// The longest stop sequence, in bytes.
pub const STOP_BYTES_MAX: usize = 1024;

/// Whether tokens can be drawn at this temperature: 0, for the most likely token, or one that can be learnt from.
pub fn is_drawing_temperature(temperature: f32) -> bool {
    temperature == 0.0 || is_temperature(f64::from(temperature))
}

impl Sampling {
    /// Plain sampling at temperature 1.
    pub const fn plain(max_new_tokens: usize) -> Sampling {
        Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, max_new_tokens, stop: Vec::new() }
    }

    /// The most likely token at every place.
    pub fn greedy(max_new_tokens: usize) -> Sampling {
        Sampling { temperature: 0.0, ..Sampling::plain(max_new_tokens) }
    }
}

/// One completion, please.
#[derive(Clone, Debug)]
pub struct SampleRequest {
    /// What the completion continues.
    pub prompt: Prompt,
    /// Decides every token of this row, whoever shares its batch.
    pub seed: Seed,
    /// How to draw.
    pub sampling: Arc<Sampling>,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// An end token, which is the last of `tokens`, or a stop sequence, which the last of `tokens` completes.
    Stop,
    /// The length limit, the request's or the model's.
    Length,
}

/// What a policy drew. The ids are kept: nothing is tokenised again on the way to training.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The prompt as the policy read it.
    pub prompt_tokens: Arc<[u32]>,
    /// The drawn ids as they were drawn: with the end token, or with those of a stop sequence.
    pub tokens: Vec<u32>,
    /// Natural log-probability of each drawn id under the distribution it was drawn from, after temperature and
    /// truncations.
    pub logprobs: Vec<f32>,
    /// Natural log-probability of each drawn id under the model's own distribution, softmax(logits).
    pub plain_logprobs: Vec<f32>,
    /// The drawn text without end tokens; it ends before the stop sequence that begins first.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// How many publications the weights that drew it are older than the newest one; 0 but for engines elsewhere that may
    /// lag.
    pub behind: u64,
}

/// One prompt, one completion, and enough provenance to train on it.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Who drew it.
    pub policy: PolicyName,
    /// The version of the weights that drew it: the policy's at the time, or an older one where an engine elsewhere lagged.
    pub version: u64,
    /// The step it belongs to.
    pub step: Step,
    /// Proposer or solver.
    pub role: Role,
    /// Of which task type.
    pub task_type: TaskType,
    /// Rollouts of one prompt share a group.
    pub group: usize,
    /// The prompt's text, for transcripts.
    pub prompt: Prompt,
    /// What was drawn.
    pub completion: Completion,
}

/// A rollout with its reward.
#[derive(Clone, Debug)]
pub struct Rewarded {
    /// What was drawn.
    pub rollout: Rollout,
    /// What it earned.
    pub reward: f32,
}

/// What a trainer learns from: token ids, a weight, and the group whose mean it enters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Conditioned on, not learnt.
    pub prompt: Arc<[u32]>,
    /// Learnt, every token of it.
    pub response: Vec<u32>,
    /// The advantage of every response token; the weight under a likelihood objective.
    pub advantage: f32,
    /// Log-probabilities before the update, as the trainer computes them, one for each response token; empty means
    /// those of the current weights, so that the ratio is 1.
    pub old_logprobs: Vec<f32>,
    /// Log-probabilities as the sampler computed them, one for each response token, or none; truncated importance
    /// sampling needs them.
    #[serde(default)]
    pub sampler_logprobs: Vec<f32>,
    /// Log-probabilities under the reference policy, one for each response token, or none; a KL term needs them.
    #[serde(default)]
    pub reference_logprobs: Vec<f32>,
    /// Samples of one group are averaged before groups are (see [`crate::objective::Aggregation`]).
    pub group: String,
}

impl Sample {
    /// Tokens that go through the model: all but the last, which predicts nothing.
    pub fn n_processed(&self) -> usize {
        (self.prompt.len() + self.response.len()).saturating_sub(1)
    }
}
