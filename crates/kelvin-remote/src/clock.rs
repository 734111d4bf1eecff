//! The one place of this crate that reads the clock: for trackers, which put runs and points in the order of their times, and
//! for how long draws wait.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 in UTC.
#[expect(clippy::disallowed_methods, reason = "no result depends on it")]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64)
}

/// This moment.
#[expect(clippy::disallowed_methods, reason = "no result depends on it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
