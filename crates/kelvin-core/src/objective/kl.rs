//! The pull towards a reference policy: estimates of KL(policy, reference) from single tokens (Schulman 2020,
//! *Approximating KL Divergence*), as terms of the loss.

use serde::{Deserialize, Serialize};

use super::LOG_RATIO_MAX;

/// A pull towards a reference policy, added to each token's loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlTerm {
    /// How the divergence is estimated.
    pub estimator: KlEstimator,
    /// Times the estimate, added to the loss.
    pub coefficient: f64,
}

/// An estimate of KL(policy, reference) at a token drawn from the policy, with `d = log p_ref - log p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `-d`: unbiased. Its derivative is 1 whatever the reference says and has mean 0: as a term of the loss it is
    /// noise, as a statistic it is the plain one.
    K1,
    /// `d^2 / 2`: its derivative is unbiased for the gradient of the divergence.
    K2,
    /// `exp(d) - 1 - d`: unbiased, never negative; GRPO's (Shao et al. 2024, Eq. 4). At most [`K3_MAX`].
    K3,
}

/// Where k3 and its derivative end (objectives.md section 4): one token far off would outweigh all others.
pub const K3_MAX: f64 = 10.0;

impl KlEstimator {
    /// The estimate and its derivative by `logprob`.
    pub fn term(self, logprob: f64, reference: f64) -> (f64, f64) {
        let d = reference - logprob;
        match self {
            KlEstimator::K1 => (-d, 1.0),
            KlEstimator::K2 => (0.5 * d * d, -d),
            KlEstimator::K3 => {
                // Far over the bound already; the exponential must not overflow.
                let d = d.min(LOG_RATIO_MAX);
                match d.exp() - 1.0 - d {
                    k3 if k3 < K3_MAX => (k3, 1.0 - d.exp()),
                    _ => (K3_MAX, 0.0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [KlEstimator; 3] = [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3];

    #[test]
    fn derivatives_match_finite_differences() {
        for estimator in ALL {
            // k3 ends between 2.61 and 2.62, and between -10.9 and -11.1.
            for d in [-30.0, -11.1, -10.9, -3.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 2.0, 2.61, 2.62, 30.0] {
                let (x, h) = (-1.7, 1e-6);
                let at = |logprob: f64| estimator.term(logprob, x + d).0;
                let (value, slope) = estimator.term(x, x + d);
                let numeric = (at(x + h) - at(x - h)) / (2.0 * h);
                assert!((numeric - slope).abs() < 1e-7, "{estimator:?} {d}: {numeric} {slope}");
                assert!(value.is_finite() && (d != 0.0 || value == 0.0));
            }
        }
    }

    /// Expectations over a small vocabulary, exactly: k1 and k3 give the divergence, and the derivatives of k2 its
    /// gradient by the policy's logits.
    #[test]
    fn expectations_are_those_of_the_divergence() {
        let softmax = |logits: [f64; 3]| {
            let sum: f64 = logits.iter().map(|it| it.exp()).sum();
            logits.map(|it| it.exp() / sum)
        };
        let (logits, reference) = ([0.3, -0.4, 0.9], softmax([0.1, 0.5, -0.2]));
        let kl = |logits: [f64; 3]| {
            softmax(logits).iter().zip(reference).map(|(p, q)| p * (p / q).ln()).sum::<f64>()
        };
        let policy = softmax(logits);
        let expect = |estimator: KlEstimator| {
            policy.iter().zip(reference).map(|(p, q)| p * estimator.term(p.ln(), q.ln()).0).sum::<f64>()
        };
        assert!((expect(KlEstimator::K1) - kl(logits)).abs() < 1e-12);
        assert!((expect(KlEstimator::K3) - kl(logits)).abs() < 1e-12);
        for (idx, q) in reference.iter().enumerate() {
            let (mut up, mut down) = (logits, logits);
            (up[idx], down[idx]) = (logits[idx] + 1e-6, logits[idx] - 1e-6);
            let numeric = (kl(up) - kl(down)) / 2e-6;
            // d log p_k / d logit_i = [k = i] - p_i.
            let slopes: Vec<f64> = policy
                .iter()
                .zip(reference)
                .map(|(p, q)| p * KlEstimator::K2.term(p.ln(), q.ln()).1)
                .collect();
            let estimated = slopes[idx] - policy[idx] * slopes.iter().sum::<f64>();
            assert!((numeric - estimated).abs() < 1e-9, "{idx} {q}: {numeric} {estimated}");
        }
    }
}
