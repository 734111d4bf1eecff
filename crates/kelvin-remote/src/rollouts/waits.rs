//! How long draws wait for servers: the time in which rows are asked for and none of them is being drawn, since each waits for
//! a server that may draw or for its next try. Where any server draws there is no such time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::clock::now;

/// Counts that time.
#[derive(Default)]
pub(super) struct Waits(Mutex<Count>);

#[derive(Default)]
struct Count {
    n_rows: usize,
    n_waiting: usize,
    /// When the last row that was drawn came to wait.
    since: Option<Instant>,
    waited: Duration,
}

/// A row that is asked for, until it is dropped.
pub(super) struct Asked<'waits>(&'waits Waits);

/// A row that waits, until it is dropped.
pub(super) struct Waiting<'waits>(&'waits Waits);

impl Waits {
    /// A row is asked for.
    pub(super) fn asked(&self) -> Asked<'_> {
        self.change(|it| it.n_rows += 1);
        Asked(self)
    }

    /// One of the rows that are asked for waits.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        self.change(|it| it.n_waiting += 1);
        Waiting(self)
    }

    /// Microseconds so far.
    pub(super) fn us(&self) -> u64 {
        let count = self.count();
        let now_too = count.since.map_or(Duration::ZERO, |it| it.elapsed());
        u64::try_from((count.waited + now_too).as_micros()).unwrap_or(u64::MAX)
    }

    fn change(&self, change: impl FnOnce(&mut Count)) {
        let mut count = self.count();
        change(&mut count);
        let all_wait = 0 < count.n_rows && count.n_rows == count.n_waiting;
        match count.since {
            None if all_wait => count.since = Some(now()),
            Some(since) if !all_wait => {
                count.waited += since.elapsed();
                count.since = None;
            }
            None | Some(_) => {}
        }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.change(|it| it.n_rows -= 1);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.change(|it| it.n_waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time goes by only while all that is asked for waits.
    #[test]
    fn what_is_drawn_beside_is_no_waiting() {
        let waits = Waits::default();
        let runs = || waits.count().since.is_some();
        let first = waits.asked();
        let second = waits.asked();
        let waiting = waits.waiting();
        assert!(!runs(), "the other one is drawn");
        drop(second);
        assert!(runs());
        let third = waits.asked();
        assert!(!runs());
        let both = waits.waiting();
        assert!(runs());
        drop((waiting, both, first, third));
        assert!(!runs());
        let so_far = waits.us();
        assert_eq!(waits.us(), so_far, "nobody waits");
    }
}
