//! Objectives as data, with a scalar reference in f64 that every backend is checked against.
//!
//! A method of the field is an advantage estimator (`advantage.rs` of kelvin-selfplay), a [`Surrogate`], an
//! [`Aggregation`] and perhaps a [`KlTerm`]; docs/papers/objectives.md says which combination is which paper. The loss of a
//! batch is the sum over its response tokens of weight times [`Objective::token`].

mod aggregation;
mod batch;
mod check;
mod kl;
mod mismatch;
mod reference;
mod surrogate;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use aggregation::{Aggregation, Normalisation};
pub use batch::{BatchLoss, Said, SampleSums};
pub use check::is_temperature;
pub use kl::{K3_MAX, KlEstimator, KlTerm};
pub use mismatch::Mismatch;
pub use reference::{Evaluated, Scored, evaluate};
pub use surrogate::{LOG_RATIO_MAX, Side, Surrogate, Term};

use crate::rollout::Sample;

/// The whole objective of one update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The loss of a token.
    pub surrogate: Surrogate,
    /// How token losses are averaged.
    pub aggregation: Aggregation,
    /// What [`Aggregation::Constant`] divides a response's sum by, in tokens; the others have no use for it.
    #[serde(default)]
    pub constant_length: u64,
    /// The pull towards a reference policy; needs [`Sample::reference_logprobs`].
    #[serde(default)]
    pub kl: Option<KlTerm>,
    /// C of truncated importance sampling (Yao et al. 2025): where trainer and sampler compute differently, a
    /// token's surrogate counts `min(p_old / p_sampler, C)` times, the weight held fixed. Needs
    /// [`Sample::sampler_logprobs`].
    #[serde(default)]
    pub importance_cap: Option<f64>,
    /// Times the entropy of the token's distribution, subtracted from its loss.
    pub entropy_coefficient: f64,
    /// The sampling temperature; logits are divided by it before log-probabilities and entropies.
    pub temperature: f64,
}

/// What the loss of one response token is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// Its log-probability under the weights that learn.
    pub logprob: f64,
    /// The entropy of the distribution it was taken from, in nats.
    pub entropy: f64,
    /// Its sample's advantage.
    pub advantage: f64,
    /// Its log-probability before this batch's updates, held fixed.
    pub old_logprob: f64,
    /// Mean over the response of log-probability less old log-probability.
    pub sequence_log_ratio: f64,
    /// Its log-probability as the sampler computed it.
    pub sampler_logprob: Option<f64>,
    /// Its log-probability under the reference policy.
    pub reference_logprob: Option<f64>,
}

/// The loss of one response token before it is weighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLoss {
    /// The loss.
    pub value: f64,
    /// Its derivative by the token's log-probability. For a sequence-level ratio, the token's share of the
    /// derivative of the sum over the response.
    pub by_logprob: f64,
    /// Its derivative by the entropy.
    pub by_entropy: f64,
    /// `p / p_old` as the surrogate reads it: the token's, or the response's.
    pub ratio: f64,
    /// Where the clip took hold.
    pub clipped: Option<Side>,
    /// The weight of truncated importance sampling; 1 where it is off.
    pub importance: f64,
    /// The estimate of the divergence from the reference; 0 where there is none.
    pub kl_reference: f64,
}

impl Objective {
    /// No KL, no correction, no entropy bonus, temperature 1.
    pub const fn new(surrogate: Surrogate, aggregation: Aggregation) -> Objective {
        Objective {
            surrogate,
            aggregation,
            constant_length: 0,
            kl: None,
            importance_cap: None,
            entropy_coefficient: 0.0,
            temperature: 1.0,
        }
    }

    /// The loss of one token.
    ///
    /// # Panics
    /// If the token lacks a log-probability that the objective needs; [`Objective::check`] finds such batches.
    pub fn token(&self, token: &Token) -> TokenLoss {
        let log_ratio = match self.surrogate.is_sequence_level() {
            true => token.sequence_log_ratio,
            false => token.logprob - token.old_logprob,
        };
        let Term { mut value, mut slope, clipped } =
            self.surrogate.term(token.logprob, log_ratio, token.advantage);
        let mut importance = 1.0;
        if let Some(cap) = self.importance_cap {
            let sampler = token.sampler_logprob.expect("the batch was checked for log-probabilities");
            importance = bounded(token.old_logprob - sampler).exp().min(cap);
            value *= importance;
            slope *= importance;
        }
        value -= self.entropy_coefficient * token.entropy;
        let mut kl_reference = 0.0;
        if let Some(KlTerm { estimator, coefficient }) = self.kl {
            let reference = token.reference_logprob.expect("the batch was checked for log-probabilities");
            let (kl, by_logprob) = estimator.term(token.logprob, reference);
            value += coefficient * kl;
            slope += coefficient * by_logprob;
            kl_reference = kl;
        }
        TokenLoss {
            value,
            by_logprob: slope,
            by_entropy: -self.entropy_coefficient,
            ratio: bounded(log_ratio).exp(),
            clipped,
            importance,
            kl_reference,
        }
    }
}

impl Token {
    /// Token `idx` of a sample's response. Without old log-probabilities the old policy is the one that learns.
    pub fn of(sample: &Sample, idx: usize, logprob: f64, entropy: f64, sequence_log_ratio: f64) -> Token {
        let at = |logprobs: &[f32]| logprobs.get(idx).map(|&it| f64::from(it));
        Token {
            logprob,
            entropy,
            advantage: f64::from(sample.advantage),
            old_logprob: at(&sample.old_logprobs).unwrap_or(logprob),
            sequence_log_ratio,
            sampler_logprob: at(&sample.sampler_logprobs),
            reference_logprob: at(&sample.reference_logprobs),
        }
    }
}

/// A log-ratio that can be exponentiated.
fn bounded(log_ratio: f64) -> f64 {
    log_ratio.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX)
}
