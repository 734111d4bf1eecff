//! The one place that reads the clock here: how long calls took and how long episodes idled, never what they are worth.

use std::time::{Duration, Instant};

/// When something began or was last heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Instant);

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "for metrics and for ending what idles")]
    pub(crate) fn now() -> Moment {
        Moment(Instant::now())
    }

    pub(crate) fn passed(self) -> Duration {
        self.0.elapsed()
    }
}
