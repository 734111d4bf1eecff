//! The one place of the command line that reads the clock: for templates that tell the model the date.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 in UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "a template that asks for the date is told it, as in transformers"
)]
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).expect("seconds fit for ages"))
}
