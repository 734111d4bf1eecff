//! The native policy: weights that learn and a packed copy that is drawn from, behind the seams of
//! kelvin-core.

mod options;
#[cfg(test)]
mod tests;

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::Path,
    sync::mpsc::{Receiver, Sender},
};

use anyhow::{Context, bail, ensure};
use kelvin_core::{
    objective::Objective,
    policy::{AdamParams, Indexed, LossStats, OptimStats, Part, Sampler, Trainer, UpdateId},
    rollout::{Completion, Sample, SampleRequest},
};

use crate::{
    checkpoint::{self, Checkpoint, Dtype, read_tensors, write_tensors},
    config::ModelConfig,
    params::{Layout, Tensor},
    sampler::NativeSampler,
    trainer::{Moments, TrainCore},
};
pub use options::NativeOptions;

const OPTIMIZER_SAFETENSORS: &str = "optimizer.safetensors";
/// Names of the moments, before the name of their weight; those of PyTorch's Adam.
const MOMENT_NAMES: [&str; 2] = ["exp_avg", "exp_avg_sq"];
const STEP: &str = "step";

/// A model on this machine's CPU.
pub struct NativePolicy {
    core: TrainCore,
    sampler: NativeSampler,
    /// Threads for training.
    pool: rayon::ThreadPool,
    applied: Applied,
}

/// What was done of the latest updates, so that asking again changes nothing.
#[derive(Default)]
struct Applied {
    /// Batches whose gradient was added since the last step, and those of the last step.
    batches: Vec<(UpdateId, u64, LossStats)>,
    step: Option<(UpdateId, OptimStats)>,
    published: Option<UpdateId>,
}

/// The most threads that a policy starts; more would only take turns.
const THREADS_MAX: usize = 1024;

impl NativePolicy {
    /// A policy that has learnt nothing since `checkpoint`, published.
    ///
    /// # Errors
    /// If there are over 1024 threads or they cannot be started.
    pub fn new(checkpoint: Checkpoint, options: NativeOptions) -> anyhow::Result<NativePolicy> {
        ensure!(
            options.threads <= THREADS_MAX,
            "{} threads are too many\nhint: at most {THREADS_MAX}, or 0 for one on each core",
            options.threads
        );
        let Checkpoint { params, tokenizer, end_tokens, .. } = checkpoint;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.n_threads())
            .thread_name(|index| format!("train-{index}"))
            .build()
            .context("starting threads\nhint: set fewer threads")?;
        let sampler = pool.install(|| NativeSampler::new(&params, tokenizer, end_tokens, options));
        Ok(NativePolicy { core: TrainCore::new(params), sampler, pool, applied: Applied::default() })
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.core.params().layout.config
    }

    /// Weights, gradient and moments.
    pub fn core(&self) -> &TrainCore {
        &self.core
    }

    /// The ids that end a completion.
    pub fn end_tokens(&self) -> &[u32] {
        &self.sampler.end_tokens
    }

    /// The ids of `text`, as the sampler reads a prompt.
    ///
    /// # Errors
    /// If the tokenizer fails on it.
    pub fn tokenize(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        self.sampler.tokenizer.encode(text)
    }

    /// Writes the weights as they are now, published or not, as a folder for transformers. `dir` is made if
    /// missing.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn export(&self, dir: &Path, dtype: Dtype) -> anyhow::Result<()> {
        let NativeSampler { tokenizer, end_tokens, .. } = &self.sampler;
        checkpoint::save(dir, dtype, self.core.params(), tokenizer, end_tokens)
    }
}

impl Trainer for NativePolicy {
    /// One update may be given several batches. A batch that an update was given before is not added again;
    /// its first answer comes back.
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        let digest = digest(part, objective);
        let known = self.applied.batches.iter().find(|(id, known, _)| (*id, *known) == (update, digest));
        if let Some(&(_, _, stats)) = known {
            return Ok(stats);
        }
        if self.applied.step.is_some_and(|(id, _)| id == update) {
            bail!(
                "update {update} has taken its step and is given another batch\n\
                 hint: number the next update {}",
                update + 1
            );
        }
        let stats =
            self.pool.install(|| self.core.forward_backward_part(part.samples, objective, part.whole))?;
        self.applied.batches.retain(|(id, _, _)| *id == update);
        self.applied.batches.push((update, digest, stats));
        Ok(stats)
    }

    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        if let Some((_, stats)) = self.applied.step.filter(|(id, _)| *id == update) {
            return Ok(stats);
        }
        match self.pool.install(|| self.core.optim_step(adam)) {
            Ok(stats) => {
                self.applied.step = Some((update, stats));
                Ok(stats)
            }
            Err(error) => {
                // The gradient is gone: the batches must be given again.
                self.applied.batches.clear();
                Err(error)
            }
        }
    }

    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        if self.applied.published != Some(update) {
            self.pool.install(|| self.sampler.publish(self.core.params()));
            self.applied.published = Some(update);
        }
        Ok(())
    }

    fn sampler(&self) -> &dyn Sampler {
        &self.sampler
    }

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.export(dir, Dtype::F32)?;
        let Moments { first, second, step } = self.core.moments();
        let tensors = moment_tensors(&self.core.params().layout);
        write_tensors(
            &dir.join(OPTIMIZER_SAFETENSORS),
            tensors.iter().map(|tensor| {
                let Tensor { range, .. } = tensor;
                let values = match range.start.checked_sub(first.len()) {
                    None => &first[range.clone()],
                    Some(start) => &second[start..start + range.len()],
                };
                (tensor, values)
            }),
            Dtype::F32,
            &[(STEP, &step.to_string())],
        )
    }

    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        let Checkpoint { config, params, tokenizer, end_tokens } = Checkpoint::load(dir)?;
        let same = config == *self.config()
            && tokenizer.json() == self.sampler.tokenizer.json()
            && end_tokens == self.sampler.end_tokens;
        ensure!(
            same,
            "the checkpoint {} is of another model (its shape, tokenizer or end tokens differ)\n\
             hint: resume the run with the model it was started with",
            dir.display()
        );
        let len = params.layout.len;
        let mut first = vec![0.0; 2 * len];
        let metadata = read_tensors(dir, OPTIMIZER_SAFETENSORS, &moment_tensors(&params.layout), &mut first)?;
        let step = metadata.get(STEP).and_then(|step| step.parse().ok()).with_context(|| {
            format!("{OPTIMIZER_SAFETENSORS} does not say its step\nhint: the file was not written by kelvin")
        })?;
        let second = first.split_off(len);
        self.core = TrainCore::resume(params, Moments { first, second, step })?;
        self.pool.install(|| self.sampler.publish(self.core.params()));
        self.applied = Applied::default();
        Ok(())
    }
}

impl Sampler for NativePolicy {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Sender<Indexed<Completion>>,
    ) -> anyhow::Result<()> {
        self.sampler.serve(requests, completions)
    }

    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        self.sampler.logprobs(sequences, temperature)
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        self.sampler.prompt_len(prompt)
    }
}

/// The first moments, then the second, each laid out as the weights.
fn moment_tensors(layout: &Layout) -> Vec<Tensor> {
    let named = |(index, moment): (usize, &'static str)| {
        let shift = index * layout.len;
        layout.tensors().into_iter().map(move |tensor| Tensor {
            name: format!("{moment}.{}", tensor.name),
            range: tensor.range.start + shift..tensor.range.end + shift,
            ..tensor
        })
    };
    MOMENT_NAMES.into_iter().enumerate().flat_map(named).collect()
}

/// Tells parts of one update apart within a process.
fn digest(part: Part<'_>, objective: &Objective) -> u64 {
    let Part { idx, samples, whole } = part;
    let mut hasher = DefaultHasher::new();
    format!("{idx} {objective:?} {whole:?}").hash(&mut hasher);
    for sample in samples {
        let Sample { prompt, response, advantage, old_logprobs, sampler_logprobs, reference_logprobs, group } =
            sample;
        (prompt, response, advantage.to_bits(), group).hash(&mut hasher);
        for logprobs in [old_logprobs, sampler_logprobs, reference_logprobs] {
            logprobs.iter().map(|it| it.to_bits()).collect::<Vec<_>>().hash(&mut hasher);
        }
    }
    hasher.finish()
}
