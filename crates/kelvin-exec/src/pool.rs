//! A fixed number of slots, each with a warm worker per hash seed and preload, started when first needed. A job holds one
//! slot; callers over the number wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kelvin_core::executor::HashSeed;

use crate::interpreter::{Python, StartError};
use crate::metrics::Counters;
use crate::preload::{self, Preload};
use crate::protocol::Request;
use crate::sandbox::Layers;
use crate::settle::Attempt;
use crate::worker::{Lost, Worker};

/// Attempts to start a worker before the sandbox counts as broken, and the wait after the first failure, which
/// doubles each time.
const N_STARTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(100);

pub(crate) struct Pool {
    python: Python,
    layers: Layers,
    idle: Mutex<Vec<Slot>>,
    returned: Condvar,
}

#[derive(Default)]
struct Slot {
    /// Indexed by hash seed, then by preload.
    workers: [[Option<Worker>; 2]; 2],
}

/// A slot in use.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    slot: Slot,
}

impl Pool {
    /// With a worker that is warm already, a lean one with the first hash seed.
    pub(crate) fn new(python: Python, layers: Layers, first: Worker, n_slots: usize) -> Pool {
        assert!(n_slots > 0, "a pool needs a worker");
        let mut slots: Vec<Slot> = (0..n_slots).map(|_| Slot::default()).collect();
        *slots[n_slots - 1].place(HashSeed::A, Preload::Lean) = Some(first);
        Pool { python, layers, idle: Mutex::new(slots), returned: Condvar::new() }
    }

    pub(crate) fn python(&self) -> &Python {
        &self.python
    }

    /// Waits for a slot. The one returned last comes first: its workers are warm.
    pub(crate) fn lease(&self) -> Lease<'_> {
        let mut idle = self.lock();
        loop {
            if let Some(slot) = idle.pop() {
                return Lease { pool: self, slot };
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A panic elsewhere leaves the list of slots whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
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
}

impl Lease<'_> {
    /// Runs one child on a warm worker, starting one where there is none.
    ///
    /// # Errors
    /// `Ok(Err(detail))` if the worker was lost on the way; [`StartError`] if none can be had.
    pub(crate) fn attempt(
        &mut self,
        hash_seed: HashSeed,
        request: &Request<'_>,
        counters: &Counters,
    ) -> Result<Result<Attempt, String>, StartError> {
        let preload = preload::needed(request.inputs.iter().copied().chain([request.program]));
        let mut wait = FIRST_WAIT;
        let mut reason = String::new();
        for n_tried in 0..N_STARTS {
            if n_tried > 0 {
                std::thread::sleep(wait);
                wait *= 2;
            }
            let worker = self.warm(hash_seed, preload, counters)?;
            counters.n_children.add(1);
            match worker.run(request) {
                Ok(attempt) => return Ok(Ok(attempt)),
                Err(Lost::Worker { detail }) => {
                    *self.slot.place(hash_seed, preload) = None;
                    counters.n_respawns.add(1);
                    return Ok(Err(detail));
                }
                Err(Lost::CannotFork { reason: why }) => reason = format!("it cannot fork: {why}"),
            }
        }
        Err(StartError::Worker { path: self.pool.python.path.clone(), reason })
    }

    /// The slot's worker for a hash seed and a preload.
    ///
    /// # Errors
    /// If none starts after several attempts.
    fn warm(
        &mut self,
        hash_seed: HashSeed,
        preload: Preload,
        counters: &Counters,
    ) -> Result<&mut Worker, StartError> {
        let place = self.slot.place(hash_seed, preload);
        if place.is_none() {
            *place = Some(start(self.pool, hash_seed, preload)?);
            counters.n_starts.add(1);
        }
        Ok(place.as_mut().expect("started above"))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.lock().push(std::mem::take(&mut self.slot));
        self.pool.returned.notify_one();
    }
}

fn start(pool: &Pool, hash_seed: HashSeed, preload: Preload) -> Result<Worker, StartError> {
    let mut wait = FIRST_WAIT;
    let mut reason = String::new();
    for n_tried in 0..N_STARTS {
        if n_tried > 0 {
            std::thread::sleep(wait);
            wait *= 2;
        }
        match Worker::start(&pool.python, hash_seed, preload, &pool.layers) {
            Ok(worker) => return Ok(worker),
            Err(why) => reason = why,
        }
    }
    Err(StartError::Worker { path: pool.python.path.clone(), reason })
}
