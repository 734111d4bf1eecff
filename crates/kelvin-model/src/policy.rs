//! The native policy: weights that learn and a packed copy that is drawn from, behind the seams of
//! kelvin-core.

mod options;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, mpsc::Receiver},
};

use anyhow::{Context, bail, ensure};
use kelvin_core::{
    objective::Objective,
    policy::{
        AdamParams, Completions, Exported, Exports, Indexed, LossStats, OptimStats, Part, Sampler,
        SamplerStats, Trainer, UpdateId,
    },
    rollout::SampleRequest,
    seed::Seed,
    stop::{Stop, Stopped},
};

use crate::{
    checkpoint::{self, Checkpoint, Dtype, KeptFields},
    config::ModelConfig,
    kernels::Storage,
    lora::{Lora, LoraConfig},
    params::WeightSource,
    sampler::NativeSampler,
    tokenizer::Tokenizer,
    trainer::TrainCore,
};
pub use options::{NativeOptions, Pack, THREADS_MAX};

/// What of a model learns, and on which weights. Unlike [`NativeOptions`], these decide results.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Where all weights learn, the type of those that passes compute with, that are published and saved; f32 weights
    /// stand behind those in bf16. Adapters are f32, on weights as they are.
    pub dtype: Dtype,
    /// Adapters; with rank 0, all weights learn.
    pub lora: LoraConfig,
    /// The folder of an adapter, as PEFT writes it, whose values are the adapters' first ones.
    pub from: Option<PathBuf>,
    /// What files of adapters call the model that they are for.
    pub base: String,
    /// Of the adapters' first values, where no folder has them.
    pub seed: Seed,
}

impl Default for Training {
    /// All weights, in f32.
    fn default() -> Training {
        Training {
            dtype: Dtype::F32,
            lora: LoraConfig::default(),
            from: None,
            base: String::new(),
            seed: Seed::new(0).fork("lora"),
        }
    }
}

impl Training {
    /// What the weights that are drawn from are held in: those that are bf16 numbers lose nothing in it.
    pub(crate) fn storage(&self) -> Storage {
        match (self.lora.rank, self.dtype) {
            (0, Dtype::Bf16) => Storage::Bf16,
            (_, Dtype::F32 | Dtype::Bf16) => Storage::F32,
        }
    }

    /// The adapters as they begin.
    fn first(&self, model: &ModelConfig) -> anyhow::Result<Lora> {
        let Some(dir) = &self.from else { return Ok(Lora::new(model, &self.lora, self.seed)) };
        let lora = Lora::load(dir, model)?;
        self.lora.require_stored(lora.config(), dir)?;
        Ok(lora)
    }
}

/// A model on this machine's CPU.
pub struct NativePolicy {
    core: TrainCore,
    training: Training,
    tokenizer: Tokenizer,
    /// Any of these ends a completion.
    end_tokens: Vec<u32>,
    options: NativeOptions,
    /// The published weights as decoding reads them, from the first draw on: about the size of the weights again, and
    /// a command that only trains never draws.
    sampler: OnceLock<NativeSampler>,
    /// What samplers did that are gone.
    drawn: SamplerStats,
    /// Whether weights moved that were published and not packed: they are gone.
    is_stale: bool,
    /// Threads for training.
    pool: Arc<rayon::ThreadPool>,
    kept: KeptFields,
    applied: Applied,
    /// Ends draws, scores and gradients early.
    stop: Stop,
}

/// What was done of the latest updates, so that asking again changes nothing.
#[derive(Default)]
struct Applied {
    /// Batches whose gradient was added since the last step, and those of the last step.
    batches: Vec<(UpdateId, u64, LossStats)>,
    step: Option<(UpdateId, OptimStats)>,
    published: Option<UpdateId>,
}

impl NativePolicy {
    /// A policy whose weights all learn and have learnt nothing since `checkpoint`, published.
    ///
    /// # Errors
    /// If there are over 1024 threads or they cannot be started.
    pub fn new(checkpoint: Checkpoint, options: NativeOptions) -> anyhow::Result<NativePolicy> {
        NativePolicy::training(checkpoint, options, Training::default())
    }

    /// [`NativePolicy::new`], where what learns is said by `training`.
    ///
    /// # Errors
    /// As [`NativePolicy::new`], or if the adapters are none that can be made, or those that they go on from cannot be
    /// read, do not fit the model or are others than `training` says.
    pub fn training(
        checkpoint: Checkpoint,
        options: NativeOptions,
        training: Training,
    ) -> anyhow::Result<NativePolicy> {
        let Checkpoint { params, tokenizer, end_tokens, kept, .. } = checkpoint;
        let pool = options.pool()?;
        let core = match (training.lora.rank, training.dtype) {
            (0, Dtype::F32) => TrainCore::new(params),
            (0, Dtype::Bf16) => pool.install(|| TrainCore::rounding(params)),
            (_, Dtype::F32 | Dtype::Bf16) => {
                training.lora.validate()?;
                let lora = training.first(&params.layout.config)?;
                TrainCore::adapting(params, lora)
            }
        };
        Ok(NativePolicy {
            core: core.with_recompute(options.recompute),
            training,
            tokenizer,
            end_tokens,
            options,
            sampler: OnceLock::new(),
            drawn: SamplerStats::default(),
            is_stale: false,
            pool,
            kept,
            applied: Applied::default(),
            stop: Stop::default(),
        })
    }

    /// The published weights, packed if they are not yet.
    fn packed(&self) -> anyhow::Result<&NativeSampler> {
        ensure!(
            !self.is_stale || self.sampler.get().is_some(),
            "the weights have moved since they were published, and the published ones were not kept\n\
             hint: publish before drawing"
        );
        Ok(self.sampler.get_or_init(|| self.sampler_of_learnt()))
    }

    /// Draws from the weights as they are now.
    fn sampler_of_learnt(&self) -> NativeSampler {
        let mut sampler = NativeSampler::of_published(
            self.config(),
            self.core.published(),
            self.training.storage(),
            self.tokenizer.clone(),
            self.end_tokens.clone(),
            self.options.clone(),
            Arc::clone(&self.pool),
        );
        sampler.listen(self.stop.clone());
        sampler
    }

    /// What the sampler draws from becomes what was learnt.
    fn publish_now(&mut self) {
        let NativePolicy { core, sampler, .. } = self;
        if let Some(sampler) = sampler.get_mut() {
            sampler.publish(core.published());
        }
        self.is_stale = false;
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
        &self.end_tokens
    }

    /// The ids of `text`, as the sampler reads a prompt.
    ///
    /// # Errors
    /// If the tokenizer fails on it.
    pub fn tokenize(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    /// Writes the weights as they are now, published or not, with adapters merged, as a folder for transformers.
    /// `dir` is made if missing.
    ///
    /// # Errors
    /// If the weights are lost ([`TrainCore::check_whole`]), or a file cannot be written.
    pub fn export(&self, dir: &Path, dtype: Dtype) -> anyhow::Result<()> {
        self.core.check_whole()?;
        let weights = (self.config(), &self.core.published() as &dyn WeightSource);
        self.pool
            .install(|| checkpoint::save(dir, dtype, weights, &self.tokenizer, &self.end_tokens, &self.kept))
    }

    /// Writes the adapters as they are now, as a folder for PEFT, with the tokenizer that they learnt with beside them:
    /// the model's own may have tokens that were demoted. `dir` is made if missing.
    ///
    /// # Errors
    /// If all weights learn, the adapters are lost ([`TrainCore::check_whole`]), or a file cannot be written.
    pub fn export_adapter(&self, dir: &Path) -> anyhow::Result<()> {
        self.core.check_whole()?;
        let lora =
            self.core.lora().context("all weights learn: there is no adapter\nhint: export the model")?;
        lora.save(dir, &self.training.base)?;
        self.tokenizer.save(dir)
    }
}

impl Exports for NativePolicy {
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported> {
        match self.core.lora() {
            Some(_) => self.export_adapter(dir).map(|()| Exported::Adapter),
            None => self.export(dir, self.training.dtype).map(|()| Exported::Model),
        }
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
        let digest = part.digest(objective);
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
        match self.options.pack {
            Pack::ForDraws => {
                self.drawn = self.stats();
                self.sampler.take();
            }
            // Training needs the memory, and what prompts computed is of no use after the step.
            Pack::Always => {
                if let Some(sampler) = self.sampler.get_mut() {
                    sampler.forget_prompts();
                }
            }
        }
        let given =
            self.pool.install(|| self.core.forward_backward_part(part.samples, objective, part.whole));
        let stats = given.inspect_err(|error| {
            // The gradient so far is gone with it.
            if error.is::<Stopped>() {
                self.applied.batches.clear();
            }
        })?;
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
                self.is_stale = true;
                Ok(stats)
            }
            Err(error) => {
                // The gradient is gone: the batches must be given again.
                self.applied.batches.clear();
                self.is_stale |= self.core.check_whole().is_err();
                Err(error)
            }
        }
    }

    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        if self.applied.published != Some(update) {
            self.core.check_whole()?;
            self.publish_now();
            self.applied.published = Some(update);
        }
        Ok(())
    }

    fn sampler(&self) -> &dyn Sampler {
        self
    }

    fn listen(&mut self, stop: Stop) {
        self.core.listen(stop.clone());
        if let Some(sampler) = self.sampler.get_mut() {
            sampler.listen(stop.clone());
        }
        self.stop = stop;
    }

    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        self.core.reset_moments();
        Ok(())
    }

    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        Ok(Box::new(self.sampler_of_learnt()))
    }

    /// Adapters alone, where they are what learns: the model that they are for is named, not copied.
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        stored::save(self, dir)
    }

    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.core = stored::restore(self, dir)?;
        self.core.listen(self.stop.clone());
        self.publish_now();
        self.applied = Applied::default();
        Ok(())
    }
}

impl Sampler for NativePolicy {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        self.packed()?.serve(requests, completions)
    }

    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        self.packed()?.logprobs(sequences, temperature)
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(self.tokenizer.encode(prompt)?.len())
    }

    fn stats(&self) -> SamplerStats {
        self.sampler.get().map_or(self.drawn, |it| it.stats().after(self.drawn))
    }
}
