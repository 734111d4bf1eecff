//! How many Monte-Carlo solves a task gets. They are drawn in rounds, and a rule looks at complete rounds in the order
//! of requests, so that what it says does not depend on which solve finished first.

use crate::settings::{AzrSettings, EstimateStop};

/// How many more solves to draw after those with these scores, of `n_max` in all; 0 ends the estimate.
pub(super) fn n_more(scores: &[f32], n_max: usize, azr: &AzrSettings) -> usize {
    let left = n_max - scores.len();
    let next = left.min(round_len(azr));
    let is_settled = |rule: fn(&[f32], &AzrSettings) -> bool| !scores.is_empty() && rule(scores, azr);
    match azr.estimate_stop {
        EstimateStop::None => next,
        EstimateStop::Unanimous if is_settled(|scores, _| is_unanimous(scores)) => 0,
        EstimateStop::Interval if is_settled(|scores, azr| width(scores) < azr.estimate_width) => 0,
        EstimateStop::Unanimous | EstimateStop::Interval => next,
    }
}

/// The most solves of a task that are asked for together.
pub(crate) fn round_len(azr: &AzrSettings) -> usize {
    match azr.estimate_stop {
        EstimateStop::None => usize::MAX,
        EstimateStop::Unanimous | EstimateStop::Interval => azr.estimate_round,
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

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;

    fn rule(estimate_stop: EstimateStop) -> AzrSettings {
        AzrSettings { estimate_stop, estimate_round: 4, estimate_width: 0.5, ..AzrSettings::default() }
    }

    #[test]
    fn without_a_rule_all_are_drawn_at_once() {
        let azr = rule(EstimateStop::None);
        assert_eq!(n_more(&[], 8, &azr), 8);
        assert_eq!(n_more(&[0.0; 8], 8, &azr), 0);
        assert_eq!(n_more(&[], 0, &azr), 0);
    }

    #[test]
    fn unanimous_rounds_end_an_estimate() {
        let azr = rule(EstimateStop::Unanimous);
        assert_eq!(n_more(&[], 10, &azr), 4);
        assert_eq!(n_more(&[1.0; 4], 10, &azr), 0);
        assert_eq!(n_more(&[0.0; 4], 10, &azr), 0);
        assert_eq!(n_more(&[1.0, 1.0, 0.0, 1.0], 10, &azr), 4);
        assert_eq!(n_more(&[0.4; 4], 10, &azr), 4, "credit for a part is neither right nor wrong");
        assert_eq!(n_more(&[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 10, &azr), 2, "the rest");
        assert_eq!(n_more(&[], 0, &azr), 0);
    }

    /// Beta(1, 9) has variance 9 / (100 * 11), Beta(5, 5) has 25 / (100 * 11).
    #[test]
    fn narrow_posteriors_end_an_estimate() {
        let azr = rule(EstimateStop::Interval);
        let half: Vec<f32> = [0.0, 1.0].repeat(4);
        assert!((width(&[0.0; 8]) - 4.0 * (9.0f64 / 1100.0).sqrt()).abs() < 1e-12);
        assert!((width(&half) - 4.0 * (25.0f64 / 1100.0).sqrt()).abs() < 1e-12);
        assert_eq!(n_more(&[0.0; 4], 16, &azr), 4, "0.56 wide");
        assert_eq!(n_more(&[0.0; 8], 16, &azr), 0, "0.36 wide");
        assert_eq!(n_more(&half, 16, &azr), 4, "0.60 wide");
    }

    /// Over tasks whose solve rates are uniform: the root mean square of the error of the estimated rate, the largest
    /// mean error of tasks of one rate, and the mean of the solves.
    fn simulated(n_max: usize, azr: &AzrSettings) -> (f64, f64, f64) {
        const RATES: u64 = 20;
        const TASKS: u64 = 4000;
        let (mut squares, mut bias_max, mut n_solves) = (0.0, 0.0f64, 0);
        for rate_idx in 0..RATES {
            let rate = (rate_idx as f64 + 0.5) / RATES as f64;
            let mut sum = 0.0;
            for task in 0..TASKS {
                let seed = Seed::new(1).nth(rate_idx).nth(task);
                let mut scores: Vec<f32> = Vec::new();
                loop {
                    let first = scores.len();
                    let n = n_more(&scores, n_max, azr);
                    if n == 0 {
                        break;
                    }
                    let score = |member: usize| f32::from(u8::from(seed.nth(member as u64).unit() < rate));
                    scores.extend((first..first + n).map(score));
                }
                let error = scores.iter().map(|&it| f64::from(it)).sum::<f64>() / scores.len() as f64 - rate;
                squares += error * error;
                sum += error;
                n_solves += scores.len();
            }
            bias_max = bias_max.max((sum / TASKS as f64).abs());
        }
        let n = (RATES * TASKS) as f64;
        ((squares / n).sqrt(), bias_max, n_solves as f64 / n)
    }

    /// What [`EstimateStop`] says of itself.
    #[test]
    fn errors_stay_under_what_the_settings_claim() {
        let (error, _, n) = simulated(8, &rule(EstimateStop::None));
        assert!((error - 0.144).abs() < 0.002 && n == 8.0, "{error} {n}");
        let (error, bias, n) = simulated(8, &rule(EstimateStop::Unanimous));
        assert!(error < 0.19 && bias < 0.05 && n < 6.6, "{error} {bias} {n}");
        let (error, bias, n) = simulated(16, &rule(EstimateStop::Interval));
        assert!(error < 0.135 && bias < 0.04 && n < 11.4, "{error} {bias} {n}");
    }
}
