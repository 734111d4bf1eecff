//! What one thread of an executor runs children on: a warm worker for each hash seed and preload, started when first
//! needed, replaced when lost or worn.

use std::time::Duration;

use kelvin_core::executor::HashSeed;

use crate::clock::Watch;
use crate::interpreter::{Python, StartError};
use crate::metrics::Counters;
use crate::preload::Preload;
use crate::protocol::Request;
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

/// As many turns as there are attempts, with the waits before all but the first.
fn patiently() -> impl Iterator<Item = ()> {
    (0..N_STARTS).map(|n_failed| {
        if 0 < n_failed {
            std::thread::sleep(FIRST_WAIT * 2u32.pow(n_failed - 1));
        }
    })
}

pub(crate) struct Station {
    python: Python,
    layers: Layers,
    /// Indexed by hash seed, then by preload.
    workers: [[Option<Worker>; 2]; 2],
}

impl Station {
    /// `first` is a lean worker with the first hash seed.
    pub(crate) fn new(python: Python, layers: Layers, first: Option<Worker>) -> Station {
        Station { python, layers, workers: [[first, None], [None, None]] }
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
    ) -> Result<Result<Attempt, String>, StartError> {
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
                        *self.place(hash_seed, preload) = None;
                        counters.n_recycled.add(1);
                    }
                    return Ok(Ok(attempt));
                }
                Err(Lost::Worker { detail }) => {
                    *self.place(hash_seed, preload) = None;
                    counters.n_respawns.add(1);
                    return Ok(Err(detail));
                }
                Err(Lost::CannotFork { reason: why }) => reason = format!("it cannot fork: {why}"),
            }
        }
        Err(StartError::Worker { path: self.python.path.clone(), reason })
    }

    fn place(&mut self, hash_seed: HashSeed, preload: Preload) -> &mut Option<Worker> {
        let of_seed = match hash_seed {
            HashSeed::A => &mut self.workers[0],
            HashSeed::B => &mut self.workers[1],
        };
        match preload {
            Preload::Lean => &mut of_seed[0],
            Preload::Full => &mut of_seed[1],
        }
    }

    /// The worker for a hash seed and a preload.
    fn warm(
        &mut self,
        hash_seed: HashSeed,
        preload: Preload,
        counters: &Counters,
    ) -> Result<&mut Worker, StartError> {
        if self.place(hash_seed, preload).is_none() {
            let worker = self.start(hash_seed, preload)?;
            counters.n_starts.add(1);
            *self.place(hash_seed, preload) = Some(worker);
        }
        Ok(self.place(hash_seed, preload).as_mut().expect("started above"))
    }

    fn start(&self, hash_seed: HashSeed, preload: Preload) -> Result<Worker, StartError> {
        let mut reason = String::new();
        for () in patiently() {
            match Worker::start(&self.python, hash_seed, preload, &self.layers) {
                Ok(worker) => return Ok(worker),
                Err(why) => reason = why,
            }
        }
        Err(StartError::Worker { path: self.python.path.clone(), reason })
    }
}
