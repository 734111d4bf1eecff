//! A trainer whose draws come from servers: what it learns is written for them at every publication.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
};

use anyhow::ensure;
use kelvin_core::{
    notices::Notices,
    objective::Objective,
    policy::{
        AdamParams, Completions, Exports, Indexed, LossStats, OptimStats, Part, Sampler, SamplerStats,
        Trainer, UpdateId,
    },
    rollout::SampleRequest,
    stop::{Stop, Stopped},
    vocabulary::Vocabulary,
};

use super::{fleet::Fleet, settings::RolloutSettings, shelf::Shelf};
use crate::{drawing, threads::Threads};

/// A trainer here, servers that draw. Log-probabilities are the trainer's own.
pub struct Rollouts<T> {
    inner: T,
    vocabulary: Arc<dyn Vocabulary>,
    threads: Threads,
    fleet: Arc<Fleet>,
    shelf: Shelf,
    /// Whether servers were given the published weights: not before the first draw of a run that begins or goes on.
    is_delivered: Mutex<bool>,
    /// Of the next publication.
    next_number: AtomicU64,
    /// Whether weights moved since they were published: they can no longer be written.
    is_stale: bool,
    published: Option<UpdateId>,
}

impl<T: Exports> Rollouts<T> {
    /// Draws of `inner`, a policy of this name, come from servers, which are shown `key`. Nothing is asked of them yet.
    ///
    /// # Errors
    /// If an address is none, or would send keys in plain text to another machine; if the folder cannot be written or
    /// threads cannot be started.
    pub fn new(
        inner: T,
        name: &str,
        vocabulary: Arc<dyn Vocabulary>,
        settings: RolloutSettings,
        key: Option<&str>,
    ) -> anyhow::Result<Rollouts<T>> {
        let shelf = Shelf::new(&settings, name)?;
        Ok(Rollouts {
            inner,
            vocabulary,
            threads: Threads::start()?,
            fleet: Arc::new(Fleet::new(settings, key)?),
            shelf,
            is_delivered: Mutex::new(false),
            next_number: AtomicU64::new(0),
            is_stale: false,
            published: None,
        })
    }

    /// The trainer.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Writes the weights and sees to it that servers have them, unless the run is asked to stop.
    fn deliver(&self) -> anyhow::Result<()> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let version = self.shelf.put(number, |dir| self.inner.export_weights(dir))?;
        let released = self.threads.wait_heeding(self.fleet.offer(version))?;
        released.iter().try_for_each(|it| {
            self.shelf.drop(it)?;
            self.fleet.forget(it);
            Ok(())
        })
    }

    /// Delivers what is published and was not delivered yet.
    fn require_delivered(&self) -> anyhow::Result<()> {
        let mut is_delivered = self.is_delivered.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_delivered {
            ensure!(
                !self.is_stale,
                "the weights have moved since they were published, and no server has the published ones\nhint: publish \
                 before drawing"
            );
            self.deliver()?;
            *is_delivered = true;
        }
        Ok(())
    }
}

impl<T> Drop for Rollouts<T> {
    fn drop(&mut self) {
        for version in self.threads.wait(self.fleet.say_goodbye()) {
            // What stays behind takes room, nothing else.
            drop(self.shelf.drop(&version));
        }
    }
}

impl<T: Exports + Sync> Trainer for Rollouts<T> {
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        self.inner.forward_backward_part(update, part, objective)
    }

    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        self.is_stale |= self.published != Some(update);
        self.inner.optim_step(update, adam)
    }

    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        if self.published == Some(update) {
            return Ok(());
        }
        self.inner.publish(update)?;
        self.is_stale = false;
        *self.is_delivered.get_mut().unwrap_or_else(PoisonError::into_inner) = false;
        match self.require_delivered() {
            // They are published all the same, and whoever draws from them delivers them.
            Err(error) if error.is::<Stopped>() => {}
            delivered => delivered?,
        }
        self.published = Some(update);
        Ok(())
    }

    fn sampler(&self) -> &dyn Sampler {
        self
    }

    fn listen(&mut self, stop: Stop) {
        self.threads.listen(stop.clone());
        self.inner.listen(stop);
    }

    fn notices(&self) -> Notices {
        self.fleet.notices.clone()
    }

    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        self.inner.reset_optimizer()
    }

    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        self.inner.freeze()
    }

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.inner.save(dir)
    }

    fn forget(&self, dir: &Path) {
        self.inner.forget(dir);
    }

    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.inner.restore(dir)?;
        *self.is_delivered.get_mut().unwrap_or_else(PoisonError::into_inner) = false;
        (self.is_stale, self.published) = (false, None);
        // Those before were not learnt from on the way to these.
        self.fleet.forget_older();
        Ok(())
    }
}

impl<T: Exports + Sync> Sampler for Rollouts<T> {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        self.require_delivered()?;
        let _tending = self.fleet.tend(self.threads.handle());
        let place = (&self.threads, &*self.vocabulary);
        let n_most = self.fleet.settings.concurrent_max;
        drawing::serve(place, n_most, &requests, &completions, |row| {
            let (fleet, vocabulary) = (Arc::clone(&self.fleet), Arc::clone(&self.vocabulary));
            async move { fleet.draw(&*vocabulary, &row).await }
        })
    }

    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        self.inner.sampler().logprobs(sequences, temperature)
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(self.vocabulary.encode(prompt)?.len())
    }

    fn stats(&self) -> SamplerStats {
        SamplerStats { waited_us: self.fleet.waits.us(), ..SamplerStats::default() }
    }
}
