//! How far apart the engine that draws and the one that learns compute the same weights.

use serde::{Deserialize, Serialize};

use super::{KlEstimator, bounded};

/// How differently two engines compute the same weights: sums over response tokens, each drawn by the sampler, of the
/// weight `w = p_trainer / p_sampler` before any cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Tokens of which both log-probabilities are known.
    pub n_tokens: u64,
    /// Sum of the k3 estimate of KL(sampler, trainer), in nats.
    pub kl: f64,
    /// Sum of weights.
    pub weight: f64,
    /// Sum of their squares.
    pub weight_square: f64,
}

impl Mismatch {
    /// Takes one token in.
    pub fn add(&mut self, trainer_logprob: f64, sampler_logprob: f64) {
        let weight = bounded(trainer_logprob - sampler_logprob).exp();
        self.n_tokens += 1;
        self.kl += KlEstimator::K3.term(sampler_logprob, trainer_logprob).0;
        self.weight += weight;
        self.weight_square += weight * weight;
    }

    /// Of both parts.
    pub fn join(self, other: Mismatch) -> Mismatch {
        Mismatch {
            n_tokens: self.n_tokens + other.n_tokens,
            kl: self.kl + other.kl,
            weight: self.weight + other.weight,
            weight_square: self.weight_square + other.weight_square,
        }
    }

    /// Mean estimate of KL(sampler, trainer) in nats; `None` where no token is known.
    pub fn kl_mean(self) -> Option<f64> {
        (0 < self.n_tokens).then(|| self.kl / self.n_tokens as f64)
    }

    /// The effective sample size of the tokens as a share of them (Kish 1965): `(sum w)^2 / (n sum w^2)`, 1 where engines
    /// agree; `None` where no token is known.
    pub fn effective_share(self) -> Option<f64> {
        let n = self.n_tokens as f64;
        (0 < self.n_tokens).then(|| self.weight * self.weight / (n * self.weight_square))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tokens by hand: one that both say alike, one that the trainer thinks twice as likely.
    #[test]
    fn sums_by_hand() {
        let mut mismatch = Mismatch::default();
        assert_eq!((mismatch.kl_mean(), mismatch.effective_share()), (None, None));
        mismatch.add(-1.0, -1.0);
        assert_eq!((mismatch.kl_mean(), mismatch.effective_share()), (Some(0.0), Some(1.0)));
        let mut other = Mismatch::default();
        other.add(0.5f64.ln(), 0.25f64.ln());
        let both = mismatch.join(other);
        // (2 - 1 - ln 2) / 2, and (1 + 2)^2 / (2 (1 + 4)).
        assert!((both.kl_mean().unwrap() - 0.5 * (1.0 - 2f64.ln())).abs() < 1e-12);
        assert!((both.effective_share().unwrap() - 0.9).abs() < 1e-12);
        // Far off is large, not infinite.
        other.add(0.0, -1e6);
        assert!(other.kl_mean().unwrap().is_finite() && 0.0 < other.effective_share().unwrap());
    }
}
