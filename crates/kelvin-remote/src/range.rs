//! Ranges of settings, checked alike for every engine.

/// A key, whether its value is in its range, and the range.
pub(crate) type Checked = (&'static str, bool, &'static str);

/// What [`seconds`] takes.
pub(crate) const SECONDS: &str = "from 0.001 to 1000000";

/// Whether a time can be waited for.
pub(crate) fn seconds(value: f64) -> bool {
    (0.001..=1e6).contains(&value)
}

/// What any HTTP client is told.
pub(crate) fn of_client(retries: u32, pause_ms: u64, reply_bytes_max: usize) -> [Checked; 3] {
    [
        ("retries", retries <= 1000, "from 0 to 1000"),
        ("pause_ms", pause_ms <= 20_000, "from 0 to 20000"),
        ("reply_bytes_max", 1 << 16 <= reply_bytes_max, "at least 65536"),
    ]
}

/// The first that is not in its range, with the range.
///
/// # Errors
/// If there is one.
pub(crate) fn require(
    checked: impl IntoIterator<Item = Checked>,
) -> Result<(), (&'static str, &'static str)> {
    match checked.into_iter().find(|it| !it.1) {
        Some((key, _, range)) => Err((key, range)),
        None => Ok(()),
    }
}
