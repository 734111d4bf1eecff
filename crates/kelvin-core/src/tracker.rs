//! Where numbers go.

use std::collections::BTreeMap;

use crate::task::Step;

/// Slash-separated names to values. Whatever may differ between two identical runs lies under `timing/` and
/// `system/` and nowhere else.
pub type Metrics = BTreeMap<String, f64>;

/// A sink for the metrics of a run.
pub trait Tracker {
    /// One step's metrics.
    ///
    /// # Errors
    /// If they cannot be written.
    fn record(&mut self, step: Step, metrics: &Metrics) -> anyhow::Result<()>;
}
