//! The numbers of a step. Each has a name, a unit and one sentence in the glossary; a name that is not there cannot be
//! recorded.

mod glossary;
mod proposals;
mod responses;
mod solutions;
mod timing;

use std::collections::{BTreeMap, HashSet};

use kelvin_core::{metrics::Metrics, policy::SamplerStats, rollout::Role};

pub use glossary::{DEFINITIONS, Definition};
pub use timing::of_time;

use crate::{
    behaviour::Alarm,
    report::{StepReport, Updated},
    settings::{Recipe, RunSettings},
    state::RunState,
};

/// Metrics that refuse names without a definition.
#[derive(Default)]
pub struct Recorder(Metrics);

impl Recorder {
    /// Sets a metric.
    ///
    /// # Panics
    /// If the name has no definition, or the value is not a number: both are mistakes of ours.
    pub fn set(&mut self, name: String, value: f64) {
        assert!(DEFINITIONS.iter().any(|it| matches(it.pattern, &name)), "metric `{name}` has no definition");
        assert!(value.is_finite(), "metric `{name}` is {value}");
        self.0.insert(name, value);
    }

    /// Sets many.
    pub fn extend(&mut self, metrics: Metrics) {
        for (name, value) in metrics {
            self.set(name, value);
        }
    }

    /// The value of a metric that was set.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// What was set.
    pub fn into_metrics(self) -> Metrics {
        self.0
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), name.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some("{role}"), Some(segment)) if Role::ALL.iter().any(|it| it.as_str() == segment) => {}
            (Some(pattern), Some(segment)) => match pattern.split_once('*') {
                Some((prefix, _)) if segment.starts_with(prefix) && prefix.len() < segment.len() => {}
                None if pattern == segment => {}
                Some(_) | None => return false,
            },
            (Some(_), None) | (None, Some(_)) => return false,
        }
    }
}

/// The metrics of a step, without its evaluation.
pub fn of_step(report: &StepReport, state: &RunState, settings: &RunSettings) -> Metrics {
    let mut metrics = Recorder::default();
    for &task_type in &settings.task_types {
        proposals::record(&mut metrics, report, task_type, settings);
        solutions::record(&mut metrics, report, task_type, settings);
        let size = state.buffer.n_admitted(task_type);
        metrics.set(format!("buffer/{task_type}/size"), size as f64);
        for role in Role::ALL {
            responses::record(&mut metrics, report, role, task_type);
        }
    }
    metrics.extend(state.buffer.types().metrics());
    of_update(&mut metrics, report, settings);
    metrics.extend(report.own.clone());
    metrics.set("system/estimates_dropped".into(), report.n_dropped as f64);
    metrics.into_metrics()
}

fn of_update(metrics: &mut Recorder, report: &StepReport, settings: &RunSettings) {
    let Some(Updated { loss, optim, learning_rate }) = report.update else { return };
    metrics.set("update/loss".into(), loss.loss);
    metrics.set("update/entropy".into(), loss.entropy);
    metrics.set("update/kl_old_new".into(), loss.kl_old_new);
    metrics.set("update/clipped_share".into(), loss.clipped_share);
    metrics.set("update/clipped_low_share".into(), loss.clipped_low_share);
    metrics.set("update/clipped_high_share".into(), loss.clipped_high_share);
    metrics.set("update/tokens".into(), loss.n_tokens as f64);
    metrics.set("update/tokens_processed".into(), loss.n_processed as f64);
    if settings.objective.kl_coefficient != 0.0 {
        metrics.set("update/kl_reference".into(), loss.kl_reference);
    }
    if settings.objective.importance_cap != 0.0 {
        metrics.set("update/importance_mean".into(), loss.importance_mean);
        metrics.set("update/importance_max".into(), loss.importance_max);
    }
    for (name, value) in [
        ("update/mismatch_kl", loss.mismatch.kl_mean()),
        ("update/mismatch_effective", loss.mismatch.effective_share()),
    ] {
        value.into_iter().for_each(|it| metrics.set(name.into(), it));
    }
    let estimates_train = settings.recipe == Recipe::Azr && settings.azr.train_estimates;
    let estimates = report.attempts.iter().filter(|_| estimates_train).map(|it| &it.rollout);
    let behind = report.rewarded.iter().map(|it| &it.rollout).chain(estimates);
    let behind = behind.map(|it| it.completion.behind as f64);
    let most = behind.clone().fold(0.0, f64::max);
    if 0.0 < most {
        metrics.set("update/behind_max".into(), most);
        mean_of(metrics, "update/behind_mean".into(), behind);
    }
    metrics.set("update/grad_norm".into(), optim.grad_norm);
    metrics.set("update/learning_rate".into(), learning_rate);
}

/// How many responses of a step alarm, in all and by category.
pub fn of_alarms(alarms: &[Alarm]) -> Metrics {
    let mut metrics = Recorder::default();
    let mut by_category = BTreeMap::<&str, usize>::new();
    let responses: HashSet<_> = alarms.iter().map(|it| (it.phase, it.index)).collect();
    let categories: HashSet<_> = alarms.iter().map(|it| (it.category, it.phase, it.index)).collect();
    for (category, _, _) in categories {
        *by_category.entry(category).or_default() += 1;
    }
    metrics.set("alarms/responses".into(), responses.len() as f64);
    for (category, n_responses) in by_category {
        metrics.set(format!("alarms/{category}"), n_responses as f64);
    }
    metrics.into_metrics()
}

/// What the sampler did in a step; nothing where it does not count.
pub fn of_sampler(stats: SamplerStats) -> Metrics {
    let mut metrics = Recorder::default();
    if 0 < stats.steps {
        metrics.set("system/tokens_decoded".into(), stats.tokens_decoded as f64);
        metrics.set("system/tokens_processed".into(), stats.tokens_processed() as f64);
        metrics.set("system/prefill_saved".into(), stats.prefill_saved());
        metrics.set("system/rows_per_pass".into(), stats.rows_per_step());
        metrics.set("system/preemptions".into(), stats.preemptions as f64);
    }
    metrics.into_metrics()
}

fn share(it: bool) -> f64 {
    f64::from(u8::from(it))
}

/// Sets the largest and the smallest, or nothing.
fn spread(metrics: &mut Recorder, name: &str, values: impl Iterator<Item = f64> + Clone) {
    if let (Some(max), Some(min)) = (values.clone().reduce(f64::max), values.reduce(f64::min)) {
        metrics.set(format!("{name}_max"), max);
        metrics.set(format!("{name}_min"), min);
    }
}

/// Sets the mean, or nothing where there is nothing to average.
fn mean_of(metrics: &mut Recorder, name: String, values: impl Iterator<Item = f64>) {
    let (n, sum) = values.fold((0usize, 0.0), |(n, sum), it| (n + 1, sum + it));
    if 0 < n {
        metrics.set(name, sum / n as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_their_patterns() {
        assert!(matches("eval/*/accuracy", "eval/mean/accuracy"));
        assert!(matches("estimate/*/solved_*", "estimate/deduction/solved_3"));
        assert!(!matches("estimate/*/solved_*", "estimate/deduction/solved_"));
        assert!(!matches("eval/*/accuracy", "eval/accuracy"));
        assert!(!matches("update/loss", "update/loss/more"));
        assert!(matches("{role}/*/reward", "solver/deduction/reward"));
        assert!(!matches("{role}/*/reward", "sovler/deduction/reward"));
    }

    #[test]
    #[should_panic(expected = "no definition")]
    fn undefined_names_are_refused() {
        Recorder::default().set("sovler/accuracy".into(), 1.0);
    }
}
