//! What proposals are worth, why they are rejected, and what the programs among them look like.

use std::collections::{BTreeMap, HashSet};

use kelvin_core::task::TaskType;

use super::{Recorder, mean_of, share};
use crate::{intrinsic::Seen, learnability, report::StepReport, reward, settings::RunSettings};

/// The metrics of a step's proposals of one task type.
pub(super) fn record(
    metrics: &mut Recorder,
    report: &StepReport,
    task_type: TaskType,
    settings: &RunSettings,
) {
    let name = |key: &str| format!("proposer/{task_type}/{key}");
    let own = report.estimated.iter().filter(|it| it.rollout.task_type == task_type);
    mean_of(metrics, name("formatted"), own.clone().map(|it| share(it.formatted)));
    mean_of(metrics, name("valid"), own.clone().map(|it| share(it.outcome.is_ok())));
    let texts: HashSet<&str> = own.clone().map(|it| it.rollout.completion.text.as_str()).collect();
    if 0 < own.clone().count() {
        metrics.set(name("distinct"), texts.len() as f64 / own.clone().count() as f64);
    }
    let valid = || own.clone().filter_map(|it| it.outcome.as_ref().ok());
    let rates: Vec<f32> = valid().map(|(_, grades)| reward::solve_rate(grades)).collect();
    let learnable = valid().map(|(_, grades)| f64::from(learnability::learnability(grades, &settings.azr)));
    mean_of(metrics, name("learnability"), learnable);
    let estimate = |key: &str| format!("estimate/{task_type}/{key}");
    mean_of(metrics, estimate("solve_rate"), rates.iter().map(|&it| f64::from(it)));
    mean_of(metrics, estimate("draws"), valid().map(|(_, grades)| grades.len() as f64));
    let n = settings.azr.n_estimate;
    for count in 0..=n {
        let tasks = rates.iter().filter(|&&it| (it * n as f32).round() as usize == count).count();
        metrics.set(estimate(&format!("solved_{count}")), tasks as f64);
    }
    let mut reasons = BTreeMap::<&str, f64>::new();
    for rejection in own.filter_map(|it| it.outcome.as_ref().err()) {
        *reasons.entry(rejection.reason.as_str()).or_default() += 1.0;
    }
    for (reason, count) in reasons {
        metrics.set(format!("reject/{task_type}/{reason}"), count);
    }
    record_seen(metrics, report, task_type);
}

fn record_seen(metrics: &mut Recorder, report: &StepReport, task_type: TaskType) {
    let name = |key: &str| format!("proposer/{task_type}/{key}");
    let all = report.estimated.iter().zip(&report.records.seen);
    let own: Vec<&Seen> = all
        .filter(|(it, _)| it.rollout.task_type == task_type)
        .filter_map(|(_, seen)| seen.as_ref())
        .collect();
    mean_of(metrics, name("duplicate"), own.iter().map(|it| share(it.is_duplicate)));
    mean_of(metrics, name("reference_copy"), own.iter().map(|it| share(it.is_reference)));
    let near = || report.records.near.iter().filter(|it| it.task_type == task_type);
    mean_of(metrics, name("near_reference"), near().map(|it| share(it.reference)));
    mean_of(metrics, name("near_buffer"), near().map(|it| share(it.buffer)));
    let programs = || own.iter().filter_map(|it| it.program);
    mean_of(metrics, name("program_lines"), programs().map(|it| it.program_lines));
    mean_of(metrics, name("comment_density"), programs().map(|it| it.comment_density));
    mean_of(metrics, name("complexity"), programs().map(|it| it.complexity));
    mean_of(metrics, name("halstead"), programs().map(|it| it.halstead));
    mean_of(metrics, name("maintainability"), programs().map(|it| it.maintainability));
    mean_of(metrics, name("mean_edit_distance"), own.iter().filter_map(|it| it.mean_edit_distance));
    mean_of(metrics, name("answer_diversity"), own.iter().filter_map(|it| it.answer_diversity));
    mean_of(metrics, name("input_diversity"), own.iter().filter_map(|it| it.input_diversity));
    mean_of(metrics, name("output_diversity"), own.iter().filter_map(|it| it.output_diversity));
}
