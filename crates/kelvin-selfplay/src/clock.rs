//! The only reader of the clock in the recipes. What it says goes under `timing/` in the metrics and nowhere else.

use std::time::Instant;

/// Counts seconds since it started or was last read.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Seconds since the last lap or the start, and begins the next lap.
    pub fn lap(&mut self) -> f64 {
        let ended = Stopwatch::start();
        let begun = std::mem::replace(self, ended);
        self.0.duration_since(begun.0).as_secs_f64()
    }
}
