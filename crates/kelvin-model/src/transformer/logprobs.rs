//! Log-probabilities of given sequences.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::{
    Backbone, CHUNK_ROWS, Head, Keep, PredictedRows, Threads, Workspace, balanced_chunks, check_tokens,
};
use crate::{kernels::RopeTable, params::Params};

/// Natural log-probability of each token after the first, for each sequence, under
/// `softmax(logits / temperature)`. A sequence's numbers do not depend on the others, nor on threads.
///
/// # Errors
/// If a sequence is empty, longer than the model's positions or has a token outside the vocabulary, or the
/// temperature is not positive.
pub fn forward_logprobs<S: AsRef<[u32]> + Sync>(
    params: &Params,
    sequences: &[S],
    temperature: f32,
) -> Result<Vec<Vec<f32>>> {
    ensure!(
        temperature.is_finite() && 0.0 < temperature,
        "temperature {temperature} has no log-probabilities\nhint: pass a positive number, 1 for the model's own"
    );
    for (idx, sequence) in sequences.iter().enumerate() {
        let tokens = sequence.as_ref();
        ensure!(!tokens.is_empty(), "sequence {idx} is empty\nhint: a sequence has at least one token");
        check_tokens(&params.layout.config, format_args!("sequence {idx}"), tokens.len(), tokens)?;
    }
    let rows: Vec<usize> = sequences.iter().map(|sequence| sequence.as_ref().len() - 1).collect();
    let config = &params.layout.config;
    let longest = rows.iter().copied().max().unwrap_or(0);
    let rope = RopeTable::new(config.head_dim, &config.rope, longest);
    let backbone = Backbone { params, rope: &rope, lora: None, threads: Threads::One, stop: None };
    let chunks = balanced_chunks(&rows, CHUNK_ROWS);
    let scored: Vec<Vec<f32>> = chunks
        .par_iter()
        .map_init(
            || (Workspace::default(), Head::default()),
            |(workspace, head), chunk| {
                let members = chunk.iter().map(|&idx| sequences[idx].as_ref());
                score(backbone, members, temperature, workspace, head)
            },
        )
        .collect();
    let mut logprobs = vec![Vec::new(); sequences.len()];
    for (chunk, scored) in chunks.iter().zip(scored) {
        let mut rest = scored.as_slice();
        for &idx in chunk {
            let own;
            (own, rest) = rest.split_at(rows[idx]);
            logprobs[idx] = own.to_vec();
        }
    }
    Ok(logprobs)
}

/// Log-probabilities of a chunk, sequence after sequence.
fn score<'tokens>(
    backbone: Backbone,
    members: impl Iterator<Item = &'tokens [u32]> + Clone,
    temperature: f32,
    workspace: &mut Workspace,
    head: &mut Head,
) -> Vec<f32> {
    workspace.ragged.clear();
    for tokens in members.clone() {
        workspace.ragged.push(tokens.len() - 1);
    }
    let inputs: Vec<u32> = members.clone().flat_map(|tokens| &tokens[..tokens.len() - 1]).copied().collect();
    let tokens: Vec<u32> = members.flat_map(|tokens| &tokens[1..]).copied().collect();
    let mut logprobs = vec![0.0; inputs.len()];
    if inputs.is_empty() {
        return logprobs;
    }
    backbone.forward(&inputs, Keep::Nothing, workspace);
    let predicted = PredictedRows { rows: (0..inputs.len()).collect(), tokens };
    head.forward(backbone, &workspace.x, &predicted, temperature, |idx, stats| {
        logprobs[idx] = stats.logprob;
    });
    logprobs
}
