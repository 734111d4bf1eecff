//! The one place that reads the clock: deadlines of processes and how long things took, never results.

use std::time::{Duration, Instant};

/// A moment to give up at.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "a process that waits is ended by the wall clock alone")]
    pub(crate) fn after(wait: Duration) -> Deadline {
        Deadline(Instant::now() + wait)
    }

    /// This, or after a wait, whichever comes first.
    pub(crate) fn or_after(self, wait: Duration) -> Deadline {
        match self.left() {
            Some(left) if wait < left => Deadline::after(wait),
            _ => self,
        }
    }

    /// What is left, or `None` once it has passed.
    #[expect(clippy::disallowed_methods, reason = "a process that waits is ended by the wall clock alone")]
    pub(crate) fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// When something began.
#[derive(Clone, Copy)]
pub(crate) struct Watch(Instant);

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "for metrics alone")]
    pub(crate) fn start() -> Watch {
        Watch(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "for metrics alone")]
    pub(crate) fn passed(self) -> Duration {
        Instant::now().saturating_duration_since(self.0)
    }
}
