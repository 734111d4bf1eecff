//! From token losses to one number: the weight of each token in the loss.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Objective;
use crate::rollout::Sample;

/// How token losses become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Mean over groups of the mean over a group's tokens (azr.md section 5.2, the recommended one).
    GroupToken,
    /// Mean over all tokens (DAPO, Yu et al. 2025, Eq. 8).
    Token,
    /// Mean over sequences of the mean over a sequence's tokens (AZR Eq. 9; GRPO, Shao et al. 2024, Eq. 3).
    Sequence,
    /// Mean over sequences of the sum over a sequence's tokens, divided by [`Objective::constant_length`]: no length
    /// is favoured (Dr. GRPO, Liu et al. 2025). A length of 1 is the plain policy gradient.
    Constant,
}

/// What the weights of a batch's tokens follow from. It is taken of the whole batch and given with each part of
/// it, so that the loss does not depend on how a batch is split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Normalisation {
    n_sequences: u64,
    n_tokens: u64,
    tokens_by_group: BTreeMap<String, u64>,
}

impl Normalisation {
    /// Of a whole batch.
    pub fn of<'batch>(batch: impl IntoIterator<Item = &'batch Sample>) -> Normalisation {
        let mut whole = Normalisation::default();
        for sample in batch {
            let n = sample.response.len() as u64;
            whole.n_sequences += 1;
            whole.n_tokens += n;
            match whole.tokens_by_group.get_mut(&sample.group) {
                Some(tokens) => *tokens += n,
                None => {
                    whole.tokens_by_group.insert(sample.group.clone(), n);
                }
            }
        }
        whole
    }

    /// Samples of the whole batch.
    pub fn n_sequences(&self) -> u64 {
        self.n_sequences
    }

    /// The weight in the loss of each response token of `sample`. Over the whole batch the weights sum to 1, but for
    /// [`Aggregation::Constant`]: there to the mean response length over the constant one.
    ///
    /// # Panics
    /// If the sample's group is not in the batch that this was taken of.
    pub fn weight(&self, objective: &Objective, sample: &Sample) -> f64 {
        match objective.aggregation {
            Aggregation::GroupToken => {
                let tokens = self.tokens_by_group.get(&sample.group).expect("a part has groups of its batch");
                1.0 / (self.tokens_by_group.len() as f64 * *tokens as f64)
            }
            Aggregation::Token => 1.0 / self.n_tokens as f64,
            Aggregation::Sequence => 1.0 / (self.n_sequences as f64 * sample.response.len() as f64),
            Aggregation::Constant => 1.0 / (self.n_sequences as f64 * objective.constant_length as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Surrogate;

    fn batch() -> Vec<Sample> {
        [(1, "a"), (3, "a"), (4, "b")]
            .map(|(n, group)| Sample { response: vec![7; n], group: group.to_owned(), ..Sample::default() })
            .to_vec()
    }

    fn weights(aggregation: Aggregation) -> Vec<f64> {
        let objective =
            Objective { constant_length: 16, ..Objective::new(Surrogate::Likelihood, aggregation) };
        let whole = Normalisation::of(&batch());
        batch().iter().map(|sample| whole.weight(&objective, sample)).collect()
    }

    #[test]
    fn weights_are_those_of_the_definitions() {
        assert_eq!(weights(Aggregation::GroupToken), [1.0 / 8.0; 3]);
        assert_eq!(weights(Aggregation::Token), [1.0 / 8.0; 3]);
        assert_eq!(weights(Aggregation::Sequence), [1.0 / 3.0, 1.0 / 9.0, 1.0 / 12.0]);
        assert_eq!(weights(Aggregation::Constant), [1.0 / 48.0; 3]);
    }

    #[test]
    fn weights_sum_to_one_over_the_batch() {
        for aggregation in [Aggregation::GroupToken, Aggregation::Token, Aggregation::Sequence] {
            let sum: f64 = weights(aggregation)
                .iter()
                .zip(batch())
                .map(|(weight, sample)| weight * sample.response.len() as f64)
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "{aggregation:?}: {sum}");
        }
    }
}
