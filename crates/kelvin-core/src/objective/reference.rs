//! The loss of a whole batch in f64, given what a model says of its tokens: what trainers are compared with.

use super::{Normalisation, Objective, Token};
use crate::rollout::Sample;

/// What a model says of the response tokens of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Log-probability of each, at the objective's temperature.
    pub logprobs: Vec<f64>,
    /// Entropy of each distribution, in nats.
    pub entropies: Vec<f64>,
}

/// A loss with its derivatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The loss.
    pub loss: f64,
    /// Its derivatives by log-probabilities and entropies, in the places of what they are by. Weights that the
    /// definition holds fixed are.
    pub by: Vec<Scored>,
}

/// The objective on a batch.
///
/// # Panics
/// If `scored` does not fit the batch, or the batch the objective (see [`Objective::check`]).
pub fn evaluate(objective: &Objective, batch: &[Sample], scored: &[Scored]) -> Evaluated {
    assert_eq!(batch.len(), scored.len(), "a score for each sample");
    let whole = Normalisation::of(batch);
    let mut evaluated = Evaluated { loss: 0.0, by: Vec::with_capacity(batch.len()) };
    for (sample, scored) in batch.iter().zip(scored) {
        let n = sample.response.len();
        assert!(scored.logprobs.len() == n && scored.entropies.len() == n, "a score for each token");
        let weight = whole.weight(objective, sample);
        let log_ratio = sequence_log_ratio(sample, &scored.logprobs);
        let mut by = Scored { logprobs: Vec::with_capacity(n), entropies: Vec::with_capacity(n) };
        for (idx, (&logprob, &entropy)) in scored.logprobs.iter().zip(&scored.entropies).enumerate() {
            let token = objective.token(&Token::of(sample, idx, logprob, entropy, log_ratio));
            evaluated.loss += weight * token.value;
            by.logprobs.push(weight * token.by_logprob);
            by.entropies.push(weight * token.by_entropy);
        }
        evaluated.by.push(by);
    }
    evaluated
}

/// Mean over the response of log-probability less old log-probability; 0 where the old policy is the current one.
fn sequence_log_ratio(sample: &Sample, logprobs: &[f64]) -> f64 {
    let shifts = logprobs.iter().zip(&sample.old_logprobs).map(|(&now, &old)| now - f64::from(old));
    shifts.sum::<f64>() / logprobs.len() as f64
}
