//! The one place that reads the clock: deadlines of processes, never results.

use std::time::{Duration, Instant};

/// A moment to give up at.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "a process that waits is ended by the wall clock alone")]
    pub(crate) fn after(wait: Duration) -> Deadline {
        Deadline(Instant::now() + wait)
    }

    /// What is left, or `None` once it has passed.
    #[expect(clippy::disallowed_methods, reason = "a process that waits is ended by the wall clock alone")]
    pub(crate) fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}
