//! What an objective must be like, and what it needs of a batch.

use anyhow::{Result, ensure};

use super::{Aggregation, KlTerm, Objective, Surrogate};
use crate::rollout::Sample;

/// Whether log-probabilities at this temperature can be computed and learnt from, from 1e-6 to 1e6: backends divide
/// logits by it in f32, or multiply by its reciprocal.
pub fn is_temperature(temperature: f64) -> bool {
    (1e-6f32..=1e6).contains(&(temperature as f32))
}

impl Objective {
    /// Checks the objective, and that each sample has what it needs.
    ///
    /// # Errors
    /// If a number is out of range; if a response is empty, an advantage or a log-probability is not finite, there
    /// are log-probabilities for some tokens of a response but not for all, or those that the objective needs are
    /// missing. The message names the sample.
    pub fn check(&self, batch: &[Sample]) -> Result<()> {
        self.check_numbers()?;
        for (idx, sample) in batch.iter().enumerate() {
            ensure!(
                !sample.response.is_empty(),
                "sample {idx} has an empty response\nhint: leave such samples out"
            );
            ensure!(
                sample.advantage.is_finite(),
                "sample {idx} has the advantage {}\nhint: advantages are finite",
                sample.advantage
            );
            self.check_logprobs(idx, sample)?;
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        let temperature = self.temperature;
        ensure!(
            is_temperature(temperature),
            "the objective's temperature is {temperature:?}\nhint: it is the sampling temperature, above 0 and finite, \
             also in f32"
        );
        let (low, high, dual) = match self.surrogate {
            Surrogate::Likelihood => (0.0, 0.0, f64::INFINITY),
            Surrogate::PpoClip { low, high, dual } => (low, high, dual),
            Surrogate::Gspo { low, high } | Surrogate::Cispo { low, high } => (low, high, f64::INFINITY),
        };
        ensure!(
            (0.0..=1.0).contains(&low) && 0.0 <= high && 1.0 < dual,
            "the clips of the ratio are {low}, {high} and {dual}\nhint: the lower is from 0 to 1, the upper 0 or more, \
             the dual clip over 1"
        );
        ensure!(
            self.entropy_coefficient.is_finite(),
            "the entropy coefficient is {}\nhint: it is a finite number, usually 0",
            self.entropy_coefficient
        );
        ensure!(
            self.aggregation != Aggregation::Constant || 0 < self.constant_length,
            "responses are divided by a constant length of 0\nhint: give the longest response's, in tokens"
        );
        if let Some(KlTerm { coefficient, .. }) = self.kl {
            ensure!(
                coefficient.is_finite(),
                "the KL coefficient is {coefficient}\nhint: it is a finite number such as 0.01"
            );
        }
        if let Some(cap) = self.importance_cap {
            ensure!(
                cap.is_finite() && 0.0 < cap,
                "the importance cap is {cap}\nhint: it is over 0, usually 2"
            );
        }
        Ok(())
    }

    fn check_logprobs(&self, idx: usize, sample: &Sample) -> Result<()> {
        let n = sample.response.len();
        for (name, logprobs, needed_by) in [
            ("old_logprobs", &sample.old_logprobs, None),
            (
                "sampler_logprobs",
                &sample.sampler_logprobs,
                self.importance_cap.map(|_| "truncated importance sampling"),
            ),
            ("reference_logprobs", &sample.reference_logprobs, self.kl.map(|_| "the KL term")),
        ] {
            ensure!(
                logprobs.is_empty() || logprobs.len() == n,
                "sample {idx} has {} log-probabilities in {name} for {n} response tokens\nhint: one each, or none \
                 at all",
                logprobs.len()
            );
            ensure!(
                logprobs.iter().all(|it| it.is_finite()),
                "sample {idx} has a log-probability in {name} that is not finite\nhint: a token that was drawn has a \
                 probability over 0"
            );
            if let Some(needed_by) = needed_by {
                ensure!(
                    !logprobs.is_empty(),
                    "sample {idx} has no {name}, which {needed_by} needs\nhint: give one for each response token, or \
                     turn {needed_by} off"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::KlEstimator;

    fn told(objective: Objective, break_it: impl Fn(&mut Sample)) -> String {
        let mut batch = vec![Sample { response: vec![1, 2], ..Sample::default() }; 2];
        break_it(&mut batch[1]);
        let error = objective.check(&batch).unwrap_err().to_string();
        assert!(error.contains("\nhint: "), "{error}");
        error.split('\n').next().unwrap().to_owned()
    }

    #[test]
    fn what_is_missing_is_named() {
        let plain = Objective::new(Surrogate::Likelihood, Aggregation::Token);
        let kl = Some(KlTerm { estimator: KlEstimator::K3, coefficient: 0.01 });
        let capped = Objective { importance_cap: Some(2.0), ..plain };
        let ok = |_: &mut Sample| {};
        for (objective, break_it, message) in [
            (
                Objective { kl, ..plain },
                ok as fn(&mut Sample),
                "sample 0 has no reference_logprobs, which the KL term needs",
            ),
            (capped, ok, "sample 0 has no sampler_logprobs, which truncated importance sampling needs"),
            (
                plain,
                |it| it.old_logprobs = vec![-1.0],
                "sample 1 has 1 log-probabilities in old_logprobs for 2 response tokens",
            ),
            (
                plain,
                |it| it.reference_logprobs = vec![-1.0, f32::NEG_INFINITY],
                "sample 1 has a log-probability in reference_logprobs that is not finite",
            ),
            (plain, |it| it.advantage = f32::NAN, "sample 1 has the advantage NaN"),
            (plain, |it| it.response.clear(), "sample 1 has an empty response"),
            (Objective { importance_cap: Some(0.0), ..plain }, ok, "the importance cap is 0"),
            (Objective { temperature: 0.0, ..plain }, ok, "the objective's temperature is 0.0"),
            (Objective { temperature: 1e300, ..plain }, ok, "the objective's temperature is 1e300"),
            (Objective { temperature: 1e-50, ..plain }, ok, "the objective's temperature is 1e-50"),
            (
                Objective { surrogate: Surrogate::PpoClip { low: -3.0, high: 0.2, dual: 3.0 }, ..plain },
                ok,
                "the clips of the ratio are -3, 0.2 and 3",
            ),
            (
                Objective { surrogate: Surrogate::PpoClip { low: 0.2, high: 0.2, dual: f64::NAN }, ..plain },
                ok,
                "the clips of the ratio are 0.2, 0.2 and NaN",
            ),
            (
                Objective { surrogate: Surrogate::Cispo { low: 1.0, high: -1.5 }, ..plain },
                ok,
                "the clips of the ratio are 1, -1.5 and inf",
            ),
            (
                Objective { aggregation: Aggregation::Constant, ..plain },
                ok,
                "responses are divided by a constant length of 0",
            ),
        ] {
            assert_eq!(told(objective, break_it), message);
        }
    }
}
