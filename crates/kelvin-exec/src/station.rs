//! What one thread of an executor runs children on: a warm worker for each hash seed and preload, started when first
//! needed, replaced when lost or worn.

use std::time::Duration;

use kelvin_core::executor::HashSeed;

use crate::clock::Watch;
use crate::fate::{Fate, Refused};
use crate::interpreter::{Python, StartError};
use crate::metrics::Counters;
use crate::preload::Preload;
use crate::protocol::Request;
use crate::restore::Restorer;
use crate::sandbox::Layers;
use crate::settle::Attempt;
use crate::worker::{Lost, Worker};

/// Attempts to start a worker before the sandbox counts as broken, and the wait after the first failure, which
/// doubles each time.
const N_STARTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A worker is worn after this many children, or this much more memory than after its first, in KiB.
const WORN_CHILDREN: u64 = 50_000;
const WORN_KIB: u64 = 64 << 10;

/// A child that can be set back is asked for so often at most: a machine that cannot do it never can.
const REFUSALS_MAX: u32 = 2;

/// As many turns as there are attempts, with the waits before all but the first.
fn patiently() -> impl Iterator<Item = ()> {
    (0..N_STARTS).map(|n_failed| {
        if 0 < n_failed {
            std::thread::sleep(FIRST_WAIT * 2u32.pow(n_failed - 1));
        }
    })
}

/// Which child will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// One that is as good as new.
    Enough,
    /// One that is forked for the purpose.
    Forked,
}

pub(crate) struct Station {
    python: Python,
    layers: Layers,
    /// See [`Station::place`].
    places: [[Place; 3]; 2],
    /// After so many jobs that are forked it is worth while to have one; [`u32::MAX`] for never.
    restore_after: u32,
}

/// The workers for one hash seed and preload.
#[derive(Default)]
struct Place {
    worker: Option<Worker>,
    /// One whose child is set back after each job.
    restorer: Option<Restorer>,
    /// Since a child could last not be set back.
    n_forked: u32,
    n_refused: u32,
}

impl Station {
    /// `first` is a lean worker with the first hash seed.
    pub(crate) fn new(python: Python, layers: Layers, first: Option<Worker>, restore_after: u32) -> Station {
        let mut station = Station { python, layers, places: Default::default(), restore_after };
        station.place(HashSeed::A, Preload::Lean).worker = first;
        station
    }

    /// Runs one child on a warm worker, starting one where there is none.
    ///
    /// # Errors
    /// `Ok(Err(detail))` if the worker was lost on the way; [`StartError`] if none can be had.
    pub(crate) fn attempt(
        &mut self,
        hash_seed: HashSeed,
        preload: Preload,
        request: &Request<'_>,
        counters: &Counters,
        fresh: Fresh,
    ) -> Result<Result<Attempt, String>, StartError> {
        if fresh == Fresh::Enough
            && let Some(attempt) = self.attempt_restored(hash_seed, preload, request, counters)
        {
            return Ok(attempt);
        }
        let mut reason = String::new();
        for () in patiently() {
            let worker = self.warm(hash_seed, preload, counters)?;
            counters.n_children.add(1);
            let watch = Watch::start();
            match worker.run(request) {
                Ok((attempt, cpu)) => {
                    counters.child.add(watch.passed());
                    counters.child_cpu.add(cpu);
                    if WORN_CHILDREN <= worker.n_children || WORN_KIB <= worker.grown_kib() {
                        self.place(hash_seed, preload).worker = None;
                        counters.n_recycled.add(1);
                    }
                    return Ok(Ok(attempt));
                }
                Err(Lost::Worker { detail }) => {
                    self.place(hash_seed, preload).worker = None;
                    counters.n_respawns.add(1);
                    return Ok(Err(detail));
                }
                Err(Lost::CannotFork { reason: why }) => reason = format!("it cannot fork: {why}"),
            }
        }
        Err(StartError::Worker { path: self.python.path.clone(), reason })
    }

    /// Runs a request in a child that is set back afterwards; `None` where none stands ready.
    fn attempt_restored(
        &mut self,
        hash_seed: HashSeed,
        preload: Preload,
        request: &Request<'_>,
        counters: &Counters,
    ) -> Option<Result<Attempt, String>> {
        let mut restorer = self.prepared(hash_seed, preload, request, counters)?;
        counters.n_children.add(1);
        let watch = Watch::start();
        let ran = match restorer.run(request) {
            Ok(ran) => ran,
            Err(Lost::Worker { detail } | Lost::CannotFork { reason: detail }) => {
                counters.n_respawns.add(1);
                self.place(hash_seed, preload).n_forked = 0;
                return Some(Err(detail));
            }
        };
        counters.child.add(watch.passed());
        counters.child_cpu.add(ran.cpu);
        let place = self.place(hash_seed, preload);
        match ran.fate {
            Fate::Restored => counters.n_restored.add(1),
            Fate::Spent | Fate::Gone => place.n_forked = 0,
            Fate::Unsound => {
                counters.n_unsound.add(1);
                self.restore_after = u32::MAX;
                self.places.as_flattened_mut().iter_mut().for_each(|it| it.restorer = None);
                return Some(Err("a child was not set back whole".into()));
            }
        }
        place.restorer = (ran.fate != Fate::Gone).then_some(restorer);
        // A verdict that a forked child might not come to is left to one.
        Some(if ran.is_final { Ok(ran.attempt) } else { Err("time or memory ran out".into()) })
    }

    /// A worker whose child stands ready, if it is worth while and can be had.
    fn prepared(
        &mut self,
        hash_seed: HashSeed,
        preload: Preload,
        request: &Request<'_>,
        counters: &Counters,
    ) -> Option<Restorer> {
        let restore_after = self.restore_after;
        let place = self.place(hash_seed, preload);
        let is_worth_while = restore_after <= place.n_forked && place.n_refused < REFUSALS_MAX;
        if !is_worth_while || !Restorer::takes(request) {
            place.n_forked = place.n_forked.saturating_add(1);
            return None;
        }
        let started = match place.restorer.take() {
            Some(restorer) => Ok(restorer),
            None => Restorer::start(&self.python, hash_seed, preload, &self.layers)
                .inspect(|_| counters.n_starts.add(1)),
        };
        let ready = started.and_then(|mut it| it.prepare(request.limits.memory_bytes).map(|()| it));
        if let Err(Refused) = &ready {
            let place = self.place(hash_seed, preload);
            (place.n_forked, place.n_refused) = (0, place.n_refused + 1);
        }
        ready.ok()
    }

    fn place(&mut self, hash_seed: HashSeed, preload: Preload) -> &mut Place {
        let of_seed = match hash_seed {
            HashSeed::A => &mut self.places[0],
            HashSeed::B => &mut self.places[1],
        };
        match preload {
            Preload::Lean => &mut of_seed[0],
            Preload::Full => &mut of_seed[1],
            Preload::Library => &mut of_seed[2],
        }
    }

    /// The worker for a hash seed and a preload.
    fn warm(
        &mut self,
        hash_seed: HashSeed,
        preload: Preload,
        counters: &Counters,
    ) -> Result<&mut Worker, StartError> {
        if self.place(hash_seed, preload).worker.is_none() {
            let worker = self.start(hash_seed, preload)?;
            counters.n_starts.add(1);
            self.place(hash_seed, preload).worker = Some(worker);
        }
        Ok(self.place(hash_seed, preload).worker.as_mut().expect("started above"))
    }

    fn start(&self, hash_seed: HashSeed, preload: Preload) -> Result<Worker, StartError> {
        let mut reason = String::new();
        for () in patiently() {
            match Worker::start(&self.python, hash_seed, preload, &self.layers, -1) {
                Ok(worker) => return Ok(worker),
                Err(why) => reason = why,
            }
        }
        Err(StartError::Worker { path: self.python.path.clone(), reason })
    }
}
