//! What a batch must be like, and what each of its tokens weighs.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use kelvin_core::{
    objective::{Aggregation, Objective},
    rollout::Sample,
};

use crate::{config::ModelConfig, transformer::check_tokens};

/// Rows of a sample in the network: every token but the last, which predicts nothing.
pub(super) fn rows(sample: &Sample) -> usize {
    sample.prompt.len() + sample.response.len() - 1
}

/// Samples of one prompt, which a pass reads once for all of them.
#[derive(Debug)]
pub(super) struct Bundle {
    /// Places in the batch, in its order.
    pub(super) samples: Vec<usize>,
    /// Rows that they take together.
    pub(super) rows: usize,
}

/// The batch by prompts, in order of their first samples. A bundle that would outgrow a chunk is followed by
/// another one of the same prompt.
pub(super) fn bundles(batch: &[Sample], chunk_rows: usize) -> Vec<Bundle> {
    let mut latest: HashMap<&[u32], usize> = HashMap::new();
    let mut bundles: Vec<Bundle> = Vec::new();
    for (idx, sample) in batch.iter().enumerate() {
        let n_more = sample.response.len() - 1;
        let with_room = latest.get(&*sample.prompt).filter(|&&it| bundles[it].rows + n_more <= chunk_rows);
        match with_room {
            Some(&it) => {
                bundles[it].samples.push(idx);
                bundles[it].rows += n_more;
            }
            None => {
                latest.insert(&sample.prompt, bundles.len());
                bundles.push(Bundle { samples: vec![idx], rows: rows(sample) });
            }
        }
    }
    bundles
}

/// See [`super::TrainCore::forward_backward`] for what is an error.
pub(super) fn check(config: &ModelConfig, batch: &[Sample], objective: &Objective) -> Result<()> {
    ensure!(!batch.is_empty(), "the batch is empty\nhint: skip the update when there is nothing to learn");
    let temperature = objective.temperature;
    ensure!(
        temperature.is_finite() && 0.0 < temperature,
        "the objective's temperature is {temperature}\nhint: it is the sampling temperature, above 0"
    );
    ensure!(
        objective.entropy_coefficient.is_finite(),
        "the entropy coefficient is {}\nhint: it is a finite number, usually 0",
        objective.entropy_coefficient
    );
    for (idx, sample) in batch.iter().enumerate() {
        let (prompt, response) = (&sample.prompt, &sample.response);
        ensure!(
            !prompt.is_empty(),
            "sample {idx} has an empty prompt\nhint: the first response token needs a token before it"
        );
        ensure!(!response.is_empty(), "sample {idx} has an empty response\nhint: leave such samples out");
        let len = prompt.len() + response.len();
        check_tokens(config, format_args!("sample {idx}"), len, prompt.iter().chain(response))?;
        ensure!(
            sample.advantage.is_finite(),
            "sample {idx} has the advantage {}\nhint: advantages are finite",
            sample.advantage
        );
        ensure!(
            sample.old_logprobs.is_empty() || sample.old_logprobs.len() == response.len(),
            "sample {idx} has {} log-probabilities for {} response tokens\nhint: one each, or none at all",
            sample.old_logprobs.len(),
            response.len()
        );
    }
    Ok(())
}

/// The weight of each response token of each sample in the loss; over all tokens they sum to 1.
pub(super) fn token_weights(batch: &[Sample], aggregation: Aggregation) -> Vec<f64> {
    let mut group_tokens: HashMap<&str, usize> = HashMap::new();
    for sample in batch {
        *group_tokens.entry(&sample.group).or_default() += sample.response.len();
    }
    let all_tokens: usize = batch.iter().map(|sample| sample.response.len()).sum();
    let weight = |sample: &Sample| match aggregation {
        Aggregation::GroupToken => {
            1.0 / (group_tokens.len() as f64 * group_tokens[sample.group.as_str()] as f64)
        }
        Aggregation::Token => 1.0 / all_tokens as f64,
        Aggregation::Sequence => 1.0 / (batch.len() as f64 * sample.response.len() as f64),
    };
    batch.iter().map(weight).collect()
}
