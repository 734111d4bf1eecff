//! Where the time of a step went.

use kelvin_core::metrics::Metrics;

use super::Recorder;
use crate::report::Seconds;

/// Where the `step_s` seconds of a step went.
pub fn of_time(seconds: &Seconds, step_s: f64) -> Metrics {
    let mut metrics = Recorder::default();
    let Seconds { sampling, measure_s, update_s } = seconds;
    for (name, seconds) in [
        ("propose", sampling.propose_s),
        ("validate", sampling.validate_s),
        ("estimate", sampling.estimate_s),
        ("solve", sampling.solve_s),
        ("grade", sampling.grade_s),
        ("servers", sampling.servers_s),
        ("measure", *measure_s),
        ("update", *update_s),
        ("other", step_s - sampling.phases_s() - measure_s - update_s),
        ("step", step_s),
    ] {
        metrics.set(format!("timing/{name}_s"), seconds);
    }
    if 0.0 < sampling.whole_s {
        metrics.set("timing/sampler_idle".into(), 1.0 - sampling.decoding_s() / sampling.whole_s);
    }
    for (name, verdicts_s) in [("validation", &sampling.validations_s), ("grading", &sampling.gradings_s)] {
        for (quantile, percent) in [("p50", 50), ("p99", 99)] {
            if let Some(seconds) = percentile(verdicts_s, percent) {
                metrics.set(format!("timing/{name}_{quantile}_s"), seconds);
            }
        }
    }
    metrics.into_metrics()
}

/// The least of the values that so many in a hundred do not exceed; nothing of nothing.
fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::StreamTime;

    #[test]
    fn phases_sum_to_the_step() {
        let sampling = StreamTime {
            propose_s: 1.0,
            validate_s: 0.5,
            estimate_s: 4.0,
            solve_s: 2.0,
            grade_s: 0.25,
            servers_s: 0.25,
            whole_s: 8.0,
            validations_s: (1..=200).map(f64::from).collect(),
            gradings_s: Vec::new(),
        };
        let metrics = of_time(&Seconds { sampling, measure_s: 0.75, update_s: 3.0 }, 12.0);
        let phases =
            ["propose", "validate", "estimate", "solve", "grade", "servers", "measure", "update", "other"];
        let sum: f64 = phases.iter().map(|it| metrics[&format!("timing/{it}_s")]).sum();
        assert_eq!((sum, metrics["timing/step_s"], metrics["timing/other_s"]), (12.0, 12.0, 0.25));
        assert_eq!(metrics["timing/sampler_idle"], 0.125);
        assert_eq!((metrics["timing/validation_p50_s"], metrics["timing/validation_p99_s"]), (100.0, 198.0));
        assert!(!metrics.contains_key("timing/grading_p50_s"), "nothing was graded");
    }
}
