//! Every metric of a run: its name, its unit and one sentence. A name that is not listed here cannot be recorded.

use kelvin_core::{
    metrics::Metrics,
    policy::SamplerStats,
    rollout::{Finish, Role, Rollout},
    task::TaskType,
};

use crate::{azr::StepReport, reward, settings::RunSettings, state::RunState};

/// One row of the glossary. `*` stands for one segment of the name.
pub struct Definition {
    /// The name, with `*` for a task type, a reason or a count.
    pub pattern: &'static str,
    /// The unit.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn define(pattern: &'static str, unit: &'static str, meaning: &'static str) -> Definition {
    Definition { pattern, unit, meaning }
}

/// The glossary, from which `docs/metrics.md` is generated.
pub const DEFINITIONS: &[Definition] = &[
    define("proposer/*/reward", "reward", "mean reward of the step's proposals of a task type"),
    define("proposer/*/formatted", "share", "proposals with the asked-for form"),
    define("proposer/*/valid", "share", "proposals that became a task"),
    define(
        "proposer/*/learnability",
        "reward",
        "mean learnability of the valid proposals, before the -0.5 rule",
    ),
    define("proposer/*/response_tokens", "tokens", "mean length of a proposal"),
    define("proposer/*/truncated", "share", "proposals cut by the length limit"),
    define("proposer/*/distinct", "share", "different texts among the step's proposals"),
    define("reject/*/*", "proposals", "proposals rejected for a reason"),
    define("estimate/*/solve_rate", "share", "mean Monte-Carlo solve rate of the valid proposals"),
    define("estimate/*/solved_*", "tasks", "valid proposals solved this many times in the estimate"),
    define("solver/*/reward", "reward", "mean reward of the step's solutions of drawn problems"),
    define("solver/*/formatted", "share", "solutions with the asked-for form"),
    define("solver/*/accuracy", "share", "right solutions"),
    define("solver/*/response_tokens", "tokens", "mean length of a solution"),
    define("solver/*/truncated", "share", "solutions cut by the length limit"),
    define("solver/*/fresh", "share", "problems proposed in this step or the one before"),
    define("buffer/*/size", "tasks", "tasks of a type ever admitted"),
    define("update/loss", "loss", "the objective before the update"),
    define("update/entropy", "nats", "mean entropy of the trained tokens' distributions"),
    define("update/grad_norm", "norm", "global gradient norm before clipping"),
    define("update/learning_rate", "rate", "step size of the update"),
    define("update/tokens", "tokens", "response tokens in the update"),
    define("update/clipped_share", "share", "tokens whose gradient the clip stopped"),
    define(
        "update/kl_reference",
        "nats",
        "mean estimate of the divergence from the reference, where there is one",
    ),
    define(
        "update/importance_mean",
        "ratio",
        "mean weight that mends the sampler's mismatch, where it is on",
    ),
    define("update/importance_max", "ratio", "the largest such weight, at most the cap"),
    define("seed/proposals", "proposals", "proposals of the seed stage"),
    define(
        "eval/*/accuracy",
        "share",
        "held-out solve rate at the sampling temperature; `mean` is over task types",
    ),
    define("eval/*/accuracy_ci95", "share", "half of its 95 % interval over tasks"),
    define("eval/*/greedy", "share", "held-out tasks solved greedily"),
    define("eval/*/greedy_ci95", "share", "half of its 95 % interval over tasks"),
    define(
        "eval/*/pass_at_*",
        "share",
        "held-out tasks solved by any of the samples (with `_ci95`: half its interval)",
    ),
    define("timing/propose_s", "seconds", "proposing and validating"),
    define("timing/estimate_s", "seconds", "Monte-Carlo solving and grading"),
    define("timing/solve_s", "seconds", "solving and grading"),
    define("timing/update_s", "seconds", "rewards, advantages, the update"),
    define("timing/step_s", "seconds", "the whole step with its records"),
    define("timing/eval_s", "seconds", "the held-out evaluation"),
    define("timing/seed_s", "seconds", "the seed stage"),
    define(
        "system/prefill_saved",
        "share",
        "prompt tokens of the step that were not computed, as another prompt begins alike",
    ),
    define("system/rows_per_pass", "rows", "mean rows in a pass through the model while sampling"),
    define("system/preemptions", "rows", "rows that lost their memory to older ones and were computed again"),
];

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
        of_proposals(&mut metrics, report, task_type, settings);
        of_solutions(&mut metrics, report, task_type, state);
        let size = state.buffer.log().iter().filter(|it| it.task_type == task_type).count();
        metrics.set(format!("buffer/{task_type}/size"), size as f64);
        for role in Role::ALL {
            let own = |rollout: &Rollout| rollout.role == role && rollout.task_type == task_type;
            let of = report.rewarded.iter().filter(|it| own(&it.rollout));
            let name = |key: &str| format!("{}/{task_type}/{key}", role.as_str());
            set_mean(&mut metrics, name("reward"), of.clone().map(|it| f64::from(it.reward)));
            let lengths = of.clone().map(|it| it.rollout.completion.tokens.len() as f64);
            set_mean(&mut metrics, name("response_tokens"), lengths);
            let truncated = of.map(|it| share(it.rollout.completion.finish == Finish::Length));
            set_mean(&mut metrics, name("truncated"), truncated);
        }
    }
    metrics.set("update/loss".into(), report.loss.loss);
    metrics.set("update/entropy".into(), report.loss.entropy);
    metrics.set("update/clipped_share".into(), report.loss.clipped_share);
    metrics.set("update/tokens".into(), report.loss.n_tokens as f64);
    if settings.objective.kl_coefficient != 0.0 {
        metrics.set("update/kl_reference".into(), report.loss.kl_reference);
    }
    if settings.objective.importance_cap != 0.0 {
        metrics.set("update/importance_mean".into(), report.loss.importance_mean);
        metrics.set("update/importance_max".into(), report.loss.importance_max);
    }
    metrics.set("update/grad_norm".into(), report.optim.grad_norm);
    metrics.set("update/learning_rate".into(), settings.optimizer.at(state.step).learning_rate);
    metrics.set("timing/propose_s".into(), report.seconds.propose);
    metrics.set("timing/estimate_s".into(), report.seconds.estimate);
    metrics.set("timing/solve_s".into(), report.seconds.solve);
    metrics.set("timing/update_s".into(), report.seconds.update);
    metrics.into_metrics()
}

/// What the sampler did in a step; nothing where it does not count.
pub fn of_sampler(stats: SamplerStats) -> Metrics {
    let mut metrics = Recorder::default();
    if 0 < stats.steps {
        metrics.set("system/prefill_saved".into(), stats.prefill_saved());
        metrics.set("system/rows_per_pass".into(), stats.rows_per_step());
        metrics.set("system/preemptions".into(), stats.preemptions as f64);
    }
    metrics.into_metrics()
}

fn of_proposals(metrics: &mut Recorder, report: &StepReport, task_type: TaskType, settings: &RunSettings) {
    let own = report.estimated.iter().filter(|it| it.rollout.task_type == task_type);
    let formatted = own.clone().map(|it| share(it.formatted));
    set_mean(metrics, format!("proposer/{task_type}/formatted"), formatted);
    set_mean(metrics, format!("proposer/{task_type}/valid"), own.clone().map(|it| share(it.outcome.is_ok())));
    let texts: std::collections::HashSet<&str> =
        own.clone().map(|it| it.rollout.completion.text.as_str()).collect();
    let distinct = texts.len() as f64 / own.clone().count().max(1) as f64;
    metrics.set(format!("proposer/{task_type}/distinct"), distinct);
    let rates: Vec<f32> = own
        .clone()
        .filter_map(|it| it.outcome.as_ref().ok())
        .map(|(_, grades)| reward::solve_rate(grades))
        .collect();
    let learnable = rates.iter().map(|&it| f64::from(reward::learnability(it, settings.azr.learnability)));
    set_mean(metrics, format!("proposer/{task_type}/learnability"), learnable);
    set_mean(metrics, format!("estimate/{task_type}/solve_rate"), rates.iter().map(|&it| f64::from(it)));
    let n = settings.azr.n_estimate;
    for count in 0..=n {
        let tasks = rates.iter().filter(|&&it| (it * n as f32).round() as usize == count).count();
        metrics.set(format!("estimate/{task_type}/solved_{count}"), tasks as f64);
    }
    let mut reasons = std::collections::BTreeMap::<&str, f64>::new();
    for rejection in own.filter_map(|it| it.outcome.as_ref().err()) {
        *reasons.entry(rejection.reason.as_str()).or_default() += 1.0;
    }
    for (reason, count) in reasons {
        metrics.set(format!("reject/{task_type}/{reason}"), count);
    }
}

fn of_solutions(metrics: &mut Recorder, report: &StepReport, task_type: TaskType, state: &RunState) {
    let own = report.solved.iter().filter(|it| it.rollout.task_type == task_type);
    let formatted = own.clone().map(|it| share(it.grade.formatted));
    set_mean(metrics, format!("solver/{task_type}/formatted"), formatted);
    set_mean(metrics, format!("solver/{task_type}/accuracy"), own.clone().map(|it| share(it.grade.correct)));
    let fresh = own.map(|it| share(state.step <= it.born + 1));
    set_mean(metrics, format!("solver/{task_type}/fresh"), fresh);
}

fn share(it: bool) -> f64 {
    f64::from(u8::from(it))
}

/// Sets the mean, or nothing where there is nothing to average.
fn set_mean(metrics: &mut Recorder, name: String, values: impl Iterator<Item = f64>) {
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
    }

    #[test]
    #[should_panic(expected = "no definition")]
    fn undefined_names_are_refused() {
        Recorder::default().set("sovler/accuracy".into(), 1.0);
    }
}
