//! What goes wrong in a life, but for its disk. Which job, draw or update it hits follows from the number of the simulation and of the life
//! and from what is asked, not from which thread asked first.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
};

use anyhow::{bail, ensure};
use kelvin_core::{
    executor::{Executor, Job, Outcome},
    fake::FakePolicy,
    objective::Objective,
    policy::{AdamParams, Completions, Indexed, LossStats, OptimStats, Part, Sampler, Trainer, UpdateId},
    rollout::SampleRequest,
    seed::{Draws, Seed},
    stop::Stopped,
};
use kelvin_selfplay::simulation::add;

/// What every injected error says.
pub(crate) const INJECTED: &str = "injected";

/// How likely it is that each kind of thing goes wrong, each time that it could.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rates {
    pub(crate) executor: f64,
    pub(crate) sampler: f64,
    pub(crate) stop: f64,
    pub(crate) trainer: f64,
    pub(crate) disk: f64,
}

/// An executor that breaks.
pub(crate) struct Breaking {
    pub(crate) seed: Seed,
    pub(crate) rate: f64,
}

impl Executor for Breaking {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        let breaks = job.inputs.iter().any(|it| self.seed.fork(it).draws().chance(self.rate));
        ensure!(!breaks, "{INJECTED}: the executor is broken");
        Ok(job.inputs.iter().map(|it| add(it)).collect())
    }
    fn parallelism(&self) -> usize {
        2
    }
}

type Respond = fn(&SampleRequest, u64) -> String;

/// A policy whose draws, updates and files fail.
pub(crate) struct Failing {
    pub(crate) inner: FakePolicy<Respond>,
    pub(crate) seed: Seed,
    pub(crate) rates: Rates,
    /// Calls so far.
    calls: AtomicU64,
}

impl Failing {
    pub(crate) fn new(respond: Respond, seed: Seed, rates: Rates) -> Failing {
        Failing { inner: FakePolicy::new(respond), seed, rates, calls: AtomicU64::new(0) }
    }

    fn draws(&self) -> Draws {
        self.seed.nth(self.calls.fetch_add(1, Ordering::Relaxed)).draws()
    }

    fn trains(&self, what: &str) -> anyhow::Result<()> {
        ensure!(!self.draws().chance(self.rates.trainer), "{INJECTED}: {what}");
        Ok(())
    }
}

impl Sampler for Failing {
    /// Some of the rows that were asked for at once come back before it fails.
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        let mut draws = self.draws();
        let (fails, stops) = (draws.chance(self.rates.sampler), draws.chance(self.rates.stop));
        if !fails && !stops {
            return self.inner.serve(requests, completions);
        }
        let (to_inner, some) = mpsc::channel();
        for request in requests.try_iter().take(draws.below(6)) {
            to_inner.send(request).expect("the receiver is held");
        }
        drop(to_inner);
        self.inner.serve(some, completions)?;
        match stops {
            true => Err(Stopped.into()),
            false => bail!("{INJECTED}: the sampler failed"),
        }
    }
    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        self.inner.logprobs(sequences, temperature)
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        self.inner.prompt_len(prompt)
    }
}

impl Trainer for Failing {
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        self.trains("no gradient")?;
        if self.draws().chance(self.rates.stop) {
            return Err(Stopped.into());
        }
        self.inner.forward_backward_part(update, part, objective)
    }
    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        self.trains("no step")?;
        self.inner.optim_step(update, adam)
    }
    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        self.trains("not published")?;
        self.inner.publish(update)
    }
    fn sampler(&self) -> &dyn Sampler {
        self
    }
    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        self.inner.reset_optimizer()
    }
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        self.inner.freeze()
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.trains("not saved")?;
        self.inner.save(dir)
    }
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.inner.restore(dir)
    }
}
