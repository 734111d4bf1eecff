//! What solutions of drawn problems are worth, why they miss, and what their thoughts and programs do.

use std::collections::BTreeMap;

use kelvin_core::{measures::Behaviour, task::TaskType};

use super::{Recorder, mean_of, share};
use crate::{behaviour::cues, posed, report::StepReport, settings::RunSettings, stage::Solved};

/// The metrics of a step's solutions of one task type.
pub(super) fn record(
    metrics: &mut Recorder,
    report: &StepReport,
    task_type: TaskType,
    settings: &RunSettings,
) {
    let name = |key: &str| format!("solver/{task_type}/{key}");
    let own = report.solved.iter().filter(|it| it.rollout.task_type == task_type);
    mean_of(metrics, name("formatted"), own.clone().map(|it| share(it.grade.formatted)));
    mean_of(metrics, name("accuracy"), own.clone().map(|it| share(it.grade.correct)));
    mean_of(metrics, name("score"), own.clone().map(|it| f64::from(it.grade.score)));
    let is_new = |it: &Solved| settings.azr.first_new_step(it.rollout.step) <= it.born;
    mean_of(metrics, name("fresh"), own.clone().map(|it| share(is_new(it))));
    let (right, wrong): (Vec<_>, Vec<_>) = own.clone().partition(|it| it.grade.correct);
    let n_tokens = |it: &Solved| it.rollout.completion.tokens.len() as f64;
    mean_of(metrics, name("response_tokens_right"), right.iter().map(|it| n_tokens(it)));
    mean_of(metrics, name("response_tokens_wrong"), wrong.iter().map(|it| n_tokens(it)));
    let reflects = right.iter().map(|it| share(0 < cues(&it.rollout.completion.text).n_reflections));
    mean_of(metrics, name("reflection_right"), reflects);
    let mut misses = BTreeMap::<&str, f64>::new();
    for miss in own.clone().filter_map(|it| it.grade.miss) {
        *misses.entry(miss.as_str()).or_default() += 1.0;
    }
    for (reason, count) in misses {
        metrics.set(format!("miss/{task_type}/{reason}"), count);
    }
    if let Some(correlation) = posed::correlation(&report.records.learnability, own) {
        metrics.set(name("learnability_correlation"), correlation);
    }
    let all = report.solved.iter().zip(&report.records.behaviours);
    let of_type: Vec<&(Behaviour, f64)> =
        all.filter(|(it, _)| it.rollout.task_type == task_type).flat_map(|(_, seen)| seen).collect();
    for &behaviour in Behaviour::ALL {
        let values = of_type.iter().filter(|(it, _)| *it == behaviour).map(|(_, value)| *value);
        mean_of(metrics, name(behaviour.as_str()), values);
    }
}
