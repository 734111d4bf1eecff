//! From a batch to the gradient: chunks and slots.

use kelvin_core::{
    objective::{BatchLoss, Normalisation, Objective, Said, SampleSums},
    policy::LossStats,
    rollout::Sample,
};

use super::{
    TrainCore, Workbench,
    batch::{Bundle, bundles},
    optimizer,
    plan::Plan,
    slots::Slots,
};
use crate::{
    kernels::TokenStats,
    transformer::{Backbone, PredictedRows, Ragged, Threads, balanced_chunks, sized},
};

/// A batch with what its chunks have in common.
struct Job<'job> {
    backbone: Backbone<'job>,
    plan: Plan,
    batch: &'job [Sample],
    bundles: Vec<Bundle>,
    loss: BatchLoss<'job>,
    /// Divides the logits.
    temperature: f32,
}

impl TrainCore {
    /// Adds the gradient on a checked part of the batch that `whole` was taken of. The rotary table reaches its
    /// longest sample. `None` if it was asked to stop before the end: then the gradient held is cleared.
    pub(super) fn accumulate(
        &mut self,
        batch: &[Sample],
        objective: &Objective,
        whole: &Normalisation,
    ) -> Option<LossStats> {
        let plan = self.plan;
        let bundles = bundles(batch, plan.chunk_rows);
        let rows: Vec<usize> = bundles.iter().map(|bundle| bundle.rows).collect();
        let chunks = balanced_chunks(&rows, plan.chunk_rows);
        let n_slots = chunks.len().min(plan.slots_max);
        let job = Job {
            backbone: Backbone {
                params: &self.params,
                lora: self.learnt.lora(),
                rope: &self.rope,
                threads: plan.threads,
                stop: Some(&self.stop),
            },
            plan,
            batch,
            bundles,
            loss: BatchLoss::new(batch, objective, whole),
            temperature: objective.temperature as f32,
        };
        let (workbenches, stop) = (&self.workbenches, &self.stop);
        let slots = Slots::new(n_slots, &mut self.gradient, &mut self.free);
        let work = || {
            let free = workbenches.lock().expect("no thread panics while it holds the lock").pop();
            let mut bench = free.unwrap_or_default();
            let mut sums = Vec::new();
            while let Some((slot_idx, mut gradient)) = slots.take() {
                let of_slot = chunks.iter().skip(slot_idx).step_by(n_slots);
                for chunk in of_slot {
                    let of_chunk = job.chunk(chunk, gradient.as_mut(), &mut bench);
                    // Its passes may have ended early.
                    if stop.is_asked() {
                        break;
                    }
                    sums.extend(of_chunk);
                }
                slots.finish(slot_idx, gradient);
            }
            workbenches.lock().expect("no thread panics while it holds the lock").push(bench);
            sums
        };
        // Where threads share the operations of a pass, there is one slot and nobody else may be busy.
        let sums: Vec<Vec<SampleSums>> = match plan.threads {
            Threads::One => rayon::broadcast(|_| work()),
            Threads::All => vec![work()],
        };
        let is_whole = sums.iter().map(Vec::len).sum::<usize>() == batch.len();
        let n_processed = rows.iter().sum::<usize>() as u64;
        let stats = is_whole.then(|| LossStats { n_processed, ..job.loss.stats(sums.into_iter().flatten()) });
        if !is_whole {
            optimizer::clear(&mut self.gradient);
        }
        stats
    }
}

impl Job<'_> {
    /// Adds the gradient on the bundles of a chunk to `gradient`.
    fn chunk(&self, members: &[usize], gradient: &mut [f32], bench: &mut Workbench) -> Vec<SampleSums> {
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

        let mut sums = self.loss.begin(&samples);
        let temperature = self.temperature;
        if self.loss.is_coupled(&samples) {
            // The logits of a block do not outlive it, so they are computed again for the gradient.
            head.forward(self.backbone, &workspace.x, predicted, temperature, |row, token| {
                let (member, token_idx) = places[row];
                self.loss.read(&mut sums[member], token_idx, said(token));
            });
        }
        sized(&mut workspace.dx, workspace.x.len());
        head.forward_backward(
            self.backbone,
            &workspace.x,
            predicted,
            temperature,
            |row, token| {
                let (member, token_idx) = places[row];
                let (by_logprob, by_entropy) = self.loss.token(&mut sums[member], token_idx, said(token));
                (by_logprob as f32, by_entropy as f32)
            },
            gradient,
            &mut workspace.dx,
        );
        self.backbone.backward(inputs, gradient, workspace);
        sums
    }
}

fn said(token: TokenStats) -> Said {
    Said { logprob: f64::from(token.logprob), entropy: f64::from(token.entropy) }
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
