//! Requests between the thread that receives them and the workers that decode them.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use kelvin_core::{rollout::Sampling, seed::Seed};

/// One row to decode.
pub(super) struct Pending {
    /// Comes back with the completion.
    pub(super) index: usize,
    pub(super) prompt: Arc<[u32]>,
    pub(super) seed: Seed,
    pub(super) sampling: Arc<Sampling>,
    /// The longest the row can become, in tokens.
    pub(super) longest: usize,
}

/// Shared by all workers.
pub(super) struct Queue {
    n_workers: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Pending>,
    /// Rows that workers hold.
    n_active: usize,
    /// No more requests come.
    closed: bool,
    /// Somebody failed, or nobody listens: drop everything.
    stopped: bool,
}

/// What a worker does next.
pub(super) enum Taken {
    /// Decode these and what it holds already.
    Rows(Vec<Pending>),
    /// Return.
    Done,
}

impl Queue {
    pub(super) fn new(n_workers: usize) -> Queue {
        Queue { n_workers, state: Mutex::default(), changed: Condvar::new() }
    }

    /// A poisoned lock only says that some worker panicked, which its handle tells; the state is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, requests: Vec<Pending>) {
        self.lock().pending.extend(requests);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Gives a worker that holds `n_held` rows, of which `n_finished` have ended since it last asked, more
    /// rows as long as `has_room` says so and the rest of the workers get their share. Waits only if it would
    /// have none.
    pub(super) fn take(
        &self,
        n_held: usize,
        n_finished: usize,
        mut has_room: impl FnMut(&Pending) -> bool,
    ) -> Taken {
        let mut state = self.lock();
        state.n_active -= n_finished;
        loop {
            if state.stopped {
                return Taken::Done;
            }
            let share = (state.n_active + state.pending.len()).div_ceil(self.n_workers);
            let mut rows = Vec::new();
            while n_held + rows.len() < share && state.pending.front().is_some_and(&mut has_room) {
                rows.extend(state.pending.pop_front());
            }
            state.n_active += rows.len();
            if 0 < n_held + rows.len() {
                return Taken::Rows(rows);
            }
            if state.closed && state.pending.is_empty() {
                return Taken::Done;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Stops the queue when a worker leaves by an error or a panic, so that nobody waits for it.
pub(super) struct StopUnlessDone<'queue> {
    pub(super) queue: &'queue Queue,
    pub(super) done: bool,
}

impl Drop for StopUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.queue.stop();
        }
    }
}
