//! Objectives as data, with a scalar reference in f64 that every backend is checked against.

use serde::{Deserialize, Serialize};

/// What is minimised for each response token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Surrogate {
    /// `-w log p`: maximum likelihood with the sample's advantage as its weight. Pretraining uses weight 1.
    Likelihood,
    /// PPO's clipped ratio: `-min(r A, clip(r, 1 - low, 1 + high) A)`, and for negative advantages not below
    /// `-dual |A|` (dual clip; infinite turns it off).
    PpoClip {
        /// Lower clip.
        low: f64,
        /// Upper clip.
        high: f64,
        /// Dual clip, over 1.
        dual: f64,
    },
}

/// How token losses become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Mean over groups of the mean over a group's tokens (azr.md section 5.2, the recommended one).
    GroupToken,
    /// Mean over all tokens.
    Token,
    /// Mean over sequences of the mean over a sequence's tokens (AZR Eq. 9).
    Sequence,
}

/// The whole objective of one update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The loss of a token.
    pub surrogate: Surrogate,
    /// How token losses are averaged.
    pub aggregation: Aggregation,
    /// Times the entropy of the token's distribution, subtracted from its loss.
    pub entropy_coefficient: f64,
    /// The sampling temperature; logits are divided by it before log-probabilities and entropies.
    pub temperature: f64,
}

/// Bounds of the log-ratio, against overflow (azr.md section 5.2).
pub const LOG_RATIO_MAX: f64 = 20.0;

impl Surrogate {
    /// The loss of one token and its derivative with respect to `logprob`.
    pub fn per_token(&self, logprob: f64, old_logprob: f64, advantage: f64) -> (f64, f64) {
        match *self {
            Surrogate::Likelihood => (-advantage * logprob, -advantage),
            Surrogate::PpoClip { low, high, dual } => {
                let log_ratio = logprob - old_logprob;
                let ratio = log_ratio.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).exp();
                let slope = if log_ratio.abs() < LOG_RATIO_MAX { -advantage * ratio } else { 0.0 };
                let free = -advantage * ratio;
                let clipped = -advantage * ratio.clamp(1.0 - low, 1.0 + high);
                if free < clipped {
                    return (clipped, 0.0);
                }
                if advantage < 0.0 && -advantage * dual < free {
                    return (-advantage * dual, 0.0);
                }
                (free, slope)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: Surrogate = Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 };

    #[test]
    fn descending_raises_what_earned_more() {
        for surrogate in [CLIP, Surrogate::Likelihood] {
            assert!(surrogate.per_token(-1.0, -1.0, 1.0).1 < 0.0);
            assert!(0.0 < surrogate.per_token(-1.0, -1.0, -1.0).1);
        }
    }

    #[test]
    fn derivative_matches_finite_differences() {
        for advantage in [-1.5, -0.1, 0.7, 2.0] {
            for shift in [-2.0, -0.5, -0.1, 0.0, 0.1, 0.5, 2.0] {
                let (old, h) = (-1.3, 1e-6);
                let at = |x: f64| CLIP.per_token(old + shift + x, old, advantage).0;
                let numeric = (at(h) - at(-h)) / (2.0 * h);
                let analytic = CLIP.per_token(old + shift, old, advantage).1;
                assert!((numeric - analytic).abs() < 1e-5, "{advantage} {shift}: {numeric} {analytic}");
            }
        }
    }

    #[test]
    fn the_ratio_is_clipped_not_the_advantage() {
        assert_eq!(CLIP.per_token(0.0, 0.0, 50.0).0, -50.0);
        assert_eq!(CLIP.per_token(1.0, 0.0, 1.0), (-1.28, 0.0));
        assert_eq!(CLIP.per_token(5.0, 0.0, -1.0), (3.0, 0.0));
    }
}
