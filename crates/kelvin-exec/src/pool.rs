//! A fixed number of slots, each with a warm worker per hash seed, started when first needed. A job holds one
//! slot; callers over the number wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kelvin_core::executor::HashSeed;

use crate::interpreter::{Python, StartError};
use crate::metrics::Counters;
use crate::protocol::Request;
use crate::settle::Attempt;
use crate::worker::{Lost, Worker};

/// Attempts to start a worker before the sandbox counts as broken, and the wait after the first failure, which
/// doubles each time.
const N_STARTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(100);

pub(crate) struct Pool {
    python: Python,
    idle: Mutex<Vec<Slot>>,
    returned: Condvar,
}

#[derive(Default)]
struct Slot {
    /// Indexed by hash seed.
    workers: [Option<Worker>; 2],
}

/// A slot in use.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    slot: Slot,
}

impl Pool {
    pub(crate) fn new(python: Python, n_slots: usize) -> Pool {
        assert!(n_slots > 0, "a pool needs a worker");
        let idle = Mutex::new((0..n_slots).map(|_| Slot::default()).collect());
        Pool { python, idle, returned: Condvar::new() }
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
        let mut wait = FIRST_WAIT;
        let mut reason = String::new();
        for n_tried in 0..N_STARTS {
            if n_tried > 0 {
                std::thread::sleep(wait);
                wait *= 2;
            }
            let worker = self.warm(hash_seed, counters)?;
            counters.n_children.add(1);
            match worker.run(request) {
                Ok(attempt) => return Ok(Ok(attempt)),
                Err(Lost::Worker { detail }) => {
                    self.slot.workers[index(hash_seed)] = None;
                    counters.n_respawns.add(1);
                    return Ok(Err(detail));
                }
                Err(Lost::CannotFork { reason: why }) => reason = format!("it cannot fork: {why}"),
            }
        }
        Err(StartError::Worker { path: self.pool.python.path.clone(), reason })
    }

    /// The slot's worker for a hash seed.
    ///
    /// # Errors
    /// If none starts after several attempts.
    pub(crate) fn warm(
        &mut self,
        hash_seed: HashSeed,
        counters: &Counters,
    ) -> Result<&mut Worker, StartError> {
        let place = &mut self.slot.workers[index(hash_seed)];
        if place.is_none() {
            *place = Some(start(&self.pool.python, hash_seed)?);
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

fn start(python: &Python, hash_seed: HashSeed) -> Result<Worker, StartError> {
    let mut wait = FIRST_WAIT;
    let mut reason = String::new();
    for n_tried in 0..N_STARTS {
        if n_tried > 0 {
            std::thread::sleep(wait);
            wait *= 2;
        }
        match Worker::start(python, hash_seed) {
            Ok(worker) => return Ok(worker),
            Err(why) => reason = why,
        }
    }
    Err(StartError::Worker { path: python.path.clone(), reason })
}

fn index(hash_seed: HashSeed) -> usize {
    match hash_seed {
        HashSeed::A => 0,
        HashSeed::B => 1,
    }
}
