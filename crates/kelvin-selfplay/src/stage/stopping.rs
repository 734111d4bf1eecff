//! How many Monte-Carlo solves a task gets. They are drawn in rounds, and a rule looks at complete rounds in the order
//! of requests, so that what it says does not depend on which solve finished first.

use crate::settings::{AzrSettings, EstimateStop};

/// How many more solves to draw after those with these scores, of `n_max` in all; 0 ends the estimate.
pub(super) fn n_more(scores: &[f32], n_max: usize, azr: &AzrSettings) -> usize {
    let left = n_max - scores.len();
    let is_settled = |rule: fn(&[f32], &AzrSettings) -> bool| !scores.is_empty() && rule(scores, azr);
    match azr.estimate_stop {
        EstimateStop::None => left,
        EstimateStop::Unanimous if is_settled(|scores, _| is_unanimous(scores)) => 0,
        EstimateStop::Interval if is_settled(|scores, azr| width(scores) < azr.estimate_width) => 0,
        EstimateStop::Unanimous | EstimateStop::Interval => left.min(azr.estimate_round),
    }
}

fn is_unanimous(scores: &[f32]) -> bool {
    scores.iter().all(|&it| it == 0.0) || scores.iter().all(|&it| it == 1.0)
}

/// Four standard deviations of the posterior of the solve rate under a uniform prior: Beta(1 + s, 1 + n - s) after n
/// solves with s right. Credit for part of an answer counts as that part.
fn width(scores: &[f32]) -> f64 {
    let right: f64 = scores.iter().map(|&it| f64::from(it)).sum();
    let (a, b) = (1.0 + right, 1.0 + scores.len() as f64 - right);
    let sum = a + b;
    4.0 * (a * b / (sum + 1.0)).sqrt() / sum
}
