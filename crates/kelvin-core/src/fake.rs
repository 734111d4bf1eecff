//! A policy without a model: a function from request to text. Recipes are tested on it.

use std::{path::Path, sync::mpsc::Receiver};

use anyhow::Context;

use crate::{
    objective::Objective,
    policy::{
        AdamParams, Completions, Exported, Exports, Indexed, LossStats, OptimStats, Part, Sampler, Trainer,
        UpdateId,
    },
    rollout::{Completion, Finish, SampleRequest},
};

/// Answers with `respond(request, updates so far)`, one token a byte.
pub struct FakePolicy<F> {
    respond: F,
    updates: u64,
}

impl<F: Fn(&SampleRequest, u64) -> String + Send + Sync> FakePolicy<F> {
    /// A policy that says what `respond` says.
    pub fn new(respond: F) -> FakePolicy<F> {
        FakePolicy { respond, updates: 0 }
    }
}

impl<F: Fn(&SampleRequest, u64) -> String + Send + Sync> Sampler for FakePolicy<F> {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        // Last come, first served: callers must not rely on the order.
        let mut pending: Vec<Indexed<SampleRequest>> = Vec::new();
        loop {
            pending.extend(requests.try_iter());
            let next = match pending.pop() {
                Some(next) => next,
                None => match requests.recv() {
                    Ok(next) => next,
                    Err(_) => return Ok(()),
                },
            };
            let (index, request) = next;
            let text = (self.respond)(&request, self.updates);
            let tokens: Vec<u32> = text.bytes().map(u32::from).chain([256]).collect();
            let completion = Completion {
                prompt_tokens: request.prompt.bytes().map(u32::from).collect(),
                logprobs: vec![0.0; tokens.len()],
                plain_logprobs: vec![0.0; tokens.len()],
                tokens,
                text,
                finish: Finish::Stop,
                behind: 0,
            };
            if completions.send(index, completion).is_err() {
                return Ok(());
            }
        }
    }

    fn logprobs(&self, sequences: &[Vec<u32>], _temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(sequences.iter().map(|it| vec![0.0; it.len().saturating_sub(1)]).collect())
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}

/// What a fake policy was: its weights say nothing, so neither does this.
struct Frozen;

impl Sampler for Frozen {
    fn serve(&self, _: Receiver<Indexed<SampleRequest>>, _: Completions) -> anyhow::Result<()> {
        unreachable!("what is frozen is compared with, nothing is drawn from it")
    }
    fn logprobs(&self, sequences: &[Vec<u32>], _temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(sequences.iter().map(|it| vec![0.0; it.len().saturating_sub(1)]).collect())
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}

impl<F: Fn(&SampleRequest, u64) -> String + Send + Sync> Trainer for FakePolicy<F> {
    fn forward_backward_part(
        &mut self,
        _update: UpdateId,
        part: Part<'_>,
        _objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        Ok(LossStats {
            n_tokens: part.samples.iter().map(|it| it.response.len() as u64).sum(),
            n_processed: part.samples.iter().map(|it| it.n_processed() as u64).sum(),
            ..LossStats::default()
        })
    }
    fn optim_step(&mut self, update: UpdateId, _adam: &AdamParams) -> anyhow::Result<OptimStats> {
        self.updates = update;
        Ok(OptimStats::default())
    }
    fn publish(&mut self, _update: UpdateId) -> anyhow::Result<()> {
        Ok(())
    }
    fn sampler(&self) -> &dyn Sampler {
        self
    }
    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        Ok(Box::new(Frozen))
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::write(dir.join("updates"), self.updates.to_string()).context("saving a fake policy")
    }
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.updates = std::fs::read_to_string(dir.join("updates"))?.parse()?;
        Ok(())
    }
}

/// An adapter's configuration without an adapter: it has no weights.
impl<F: Fn(&SampleRequest, u64) -> String + Send + Sync> Exports for FakePolicy<F> {
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported> {
        std::fs::write(dir.join("adapter_config.json"), "{}").context("exporting a fake policy")?;
        Ok(Exported::Adapter)
    }
}
