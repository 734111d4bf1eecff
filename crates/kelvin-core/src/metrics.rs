//! The numbers of one step.

use std::collections::BTreeMap;

/// Slash-separated names to values. Whatever may differ between two identical runs lies under `timing/` or `system/`
/// and nowhere else.
pub type Metrics = BTreeMap<String, f64>;
