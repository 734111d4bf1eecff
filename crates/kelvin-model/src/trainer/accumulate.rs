//! From a batch to the gradient: chunks, slots, and the loss of each token.

use kelvin_core::{
    objective::{Objective, Surrogate},
    policy::LossStats,
    rollout::Sample,
};
use rayon::prelude::*;

use super::{
    TrainCore, Workbench,
    batch::{Bundle, bundles, token_weights},
    plan::Plan,
};
use crate::{
    kernels::{TokenStats, add_into},
    transformer::{Backbone, PredictedRows, Ragged, balanced_chunks},
};

/// Elements that are summed over slots at a time.
const REDUCE_BLOCK: usize = 1 << 14;

/// Sums over the response tokens of one sample.
#[derive(Clone, Copy, Debug, Default)]
struct SampleSums {
    loss: f64,
    entropy: f64,
    kl: f64,
    n_clipped: u64,
}

/// A batch with what its chunks have in common.
struct Job<'job> {
    backbone: Backbone<'job>,
    plan: Plan,
    batch: &'job [Sample],
    bundles: Vec<Bundle>,
    weights: Vec<f64>,
    objective: &'job Objective,
}

impl TrainCore {
    /// Adds the gradient on a checked batch. The rotary table reaches its longest sample.
    pub(super) fn accumulate(&mut self, batch: &[Sample], objective: &Objective) -> LossStats {
        let plan = self.plan;
        let bundles = bundles(batch, plan.chunk_rows);
        let rows: Vec<usize> = bundles.iter().map(|bundle| bundle.rows).collect();
        let chunks = balanced_chunks(&rows, plan.chunk_rows);
        let len = self.gradient.len();
        let n_slots = chunks.len().min(plan.slots_max);
        while self.slots.len() + 1 < n_slots {
            self.slots.push(vec![0.0; len]);
        }
        let job = Job {
            backbone: Backbone {
                params: &self.params,
                lora: self.learnt.lora(),
                rope: &self.rope,
                threads: plan.threads,
            },
            plan,
            batch,
            bundles,
            weights: token_weights(batch, objective.aggregation),
            objective,
        };
        let workbenches = &self.workbenches;
        let mut slots: Vec<&mut Vec<f32>> =
            std::iter::once(&mut self.gradient).chain(&mut self.slots).take(n_slots).collect();
        let sums: Vec<Vec<(usize, SampleSums)>> = slots
            .par_iter_mut()
            .enumerate()
            .map(|(slot_idx, gradient)| {
                let free = workbenches.lock().expect("no thread panics while it holds the lock").pop();
                let mut bench = free.unwrap_or_default();
                let mine = chunks.iter().skip(slot_idx).step_by(n_slots);
                let sums = mine.flat_map(|chunk| job.chunk(chunk, gradient, &mut bench)).collect();
                workbenches.lock().expect("no thread panics while it holds the lock").push(bench);
                sums
            })
            .collect();
        reduce(slots);
        stats(batch, sums.into_iter().flatten())
    }
}

impl Job<'_> {
    /// Adds the gradient on the bundles of a chunk to `gradient`.
    fn chunk(
        &self,
        members: &[usize],
        gradient: &mut [f32],
        bench: &mut Workbench,
    ) -> Vec<(usize, SampleSums)> {
        let Workbench { workspace, head, predicted, inputs } = bench;
        let samples: Vec<usize> =
            members.iter().flat_map(|&bundle| &self.bundles[bundle].samples).copied().collect();
        lay_out(
            members.iter().map(|&it| &self.bundles[it]),
            self.batch,
            &mut workspace.ragged,
            predicted,
            inputs,
        );
        // For each prediction, the place of its sample in the chunk and of its token in the response.
        let places: Vec<(usize, usize)> = samples
            .iter()
            .enumerate()
            .flat_map(|(member, &idx)| (0..self.batch[idx].response.len()).map(move |token| (member, token)))
            .collect();
        let keep = self.plan.keep(&self.backbone.params.layout.config, inputs.len());
        self.backbone.forward(inputs, keep, workspace);

        let mut sums: Vec<(usize, SampleSums)> =
            samples.iter().map(|&idx| (idx, SampleSums::default())).collect();
        workspace.dx.resize(workspace.x.len(), 0.0);
        head.forward_backward(
            self.backbone,
            &workspace.x,
            predicted,
            self.objective.temperature as f32,
            |row, token| {
                let (member, token_idx) = places[row];
                let (idx, sums) = &mut sums[member];
                self.token(*idx, token_idx, token, sums)
            },
            gradient,
            &mut workspace.dx,
        );
        self.backbone.backward(inputs, gradient, workspace);
        sums
    }

    /// Derivatives of the whole loss by one response token's log-probability and entropy.
    fn token(&self, idx: usize, token_idx: usize, token: TokenStats, sums: &mut SampleSums) -> (f32, f32) {
        let (sample, weight) = (&self.batch[idx], self.weights[idx]);
        let (logprob, entropy) = (f64::from(token.logprob), f64::from(token.entropy));
        let old = sample.old_logprobs.get(token_idx).map_or(logprob, |&old| f64::from(old));
        let advantage = f64::from(sample.advantage);
        let (loss, slope) = self.objective.surrogate.per_token(logprob, old, advantage);
        let is_clipped = match self.objective.surrogate {
            Surrogate::Likelihood => false,
            Surrogate::PpoClip { .. } => slope == 0.0 && advantage != 0.0,
        };
        sums.loss += weight * (loss - self.objective.entropy_coefficient * entropy);
        sums.entropy += entropy;
        sums.kl += old - logprob;
        sums.n_clipped += u64::from(is_clipped);
        ((weight * slope) as f32, (-weight * self.objective.entropy_coefficient) as f32)
    }
}

/// Writes the rows of bundles: the prompt and the first sample's response as one sequence, each further response
/// as one that goes on from the prompt. Every row but a prompt's earlier ones predicts.
fn lay_out<'bundles>(
    bundles: impl Iterator<Item = &'bundles Bundle>,
    batch: &[Sample],
    ragged: &mut Ragged,
    predicted: &mut PredictedRows,
    inputs: &mut Vec<u32>,
) {
    ragged.clear();
    inputs.clear();
    predicted.rows.clear();
    predicted.tokens.clear();
    for bundle in bundles {
        let prompt = &batch[bundle.samples[0]].prompt;
        let prompt_rows = ragged.rows()..ragged.rows() + prompt.len();
        inputs.extend(prompt.iter());
        for (at, &idx) in bundle.samples.iter().enumerate() {
            let response = &batch[idx].response;
            let n_read = response.len() - 1;
            let own = match at {
                0 => ragged.push(prompt.len() + n_read).end - n_read..ragged.rows(),
                _ => ragged.push_after(prompt_rows.clone(), n_read),
            };
            inputs.extend(&response[..n_read]);
            predicted.rows.push(prompt_rows.end - 1);
            predicted.rows.extend(own);
            predicted.tokens.extend(response);
        }
    }
}

/// Adds all slots to the first, in order, and leaves the others zero.
fn reduce(slots: Vec<&mut Vec<f32>>) {
    let mut slots = slots.into_iter();
    let into = slots.next().expect("there is a first slot");
    let mut blocks: Vec<(&mut [f32], Vec<&mut [f32]>)> =
        into.chunks_mut(REDUCE_BLOCK).map(|block| (block, Vec::new())).collect();
    for slot in slots {
        for ((_, others), block) in blocks.iter_mut().zip(slot.chunks_mut(REDUCE_BLOCK)) {
            others.push(block);
        }
    }
    blocks.into_par_iter().for_each(|(into, others)| {
        for other in others {
            add_into(into, other);
            other.fill(0.0);
        }
    });
}

/// Sums in the order of the batch.
fn stats(batch: &[Sample], sums: impl Iterator<Item = (usize, SampleSums)>) -> LossStats {
    let mut by_sample = vec![SampleSums::default(); batch.len()];
    for (idx, sums) in sums {
        by_sample[idx] = sums;
    }
    let n_tokens = batch.iter().map(|sample| sample.response.len() as u64).sum();
    let mut stats = LossStats { n_tokens, ..LossStats::default() };
    let mut n_clipped = 0;
    for sums in by_sample {
        stats.loss += sums.loss;
        stats.entropy += sums.entropy / n_tokens as f64;
        stats.kl_old_new += sums.kl / n_tokens as f64;
        n_clipped += sums.n_clipped;
    }
    stats.clipped_share = n_clipped as f64 / n_tokens as f64;
    stats
}
