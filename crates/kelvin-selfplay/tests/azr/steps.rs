//! What a step pays, trains on and records.

use kelvin_core::{
    rollout::Role,
    task::{Reason, TaskType},
};
use kelvin_selfplay::{
    azr,
    report::StepReport,
    seeding,
    settings::{Duplicates, RewardSource, RunSettings, SolveLag, Term},
    state::{HeldOut, RunState},
};

use crate::sums::{Sums, settings, state};

/// One step with the given settings after seeding.
fn one_step(settings: &RunSettings) -> (RunState, StepReport) {
    let mut state = state();
    let held_out = HeldOut::new(&Sums, &settings.task_types, &settings.eval).unwrap();
    seeding::seed(&mut state, &Sums, &held_out, settings).unwrap();
    let report = azr::step(&mut state, &Sums, &held_out, settings).unwrap();
    (state, report)
}

#[test]
fn the_seed_stage_fills_every_buffer() {
    let (state, _) = one_step(&settings());
    for task_type in settings().task_types {
        assert_eq!(state.buffer.tasks(task_type).filter(|it| it.born == 0).count(), 16);
    }
}

#[test]
fn lag_decides_whose_tasks_are_solved() {
    let mut settings = settings();
    let (_, lagged) = one_step(&settings);
    assert!(lagged.solved.iter().all(|it| it.born == 0), "with lag 1 the first step solves seeds");
    settings.azr.solve_lag = SolveLag::Zero;
    let (_, direct) = one_step(&settings);
    assert!(direct.solved.iter().any(|it| it.born == 1), "with lag 0 it solves its own proposals");
}

#[test]
fn rewards_follow_the_verifier_and_batches_the_ablation() {
    let mut settings = settings();
    let (_, report) = one_step(&settings);
    assert_eq!(report.batch.len(), 2 * 2 * 8);
    for (estimated, rewarded) in report.estimated.iter().zip(&report.rewarded) {
        if estimated.outcome.is_err() {
            assert_eq!(rewarded.reward, -1.0);
        }
    }
    settings.azr.train_propose = false;
    let (_, report) = one_step(&settings);
    assert_eq!(report.batch.len(), 2 * 8);
    assert!(report.batch.iter().all(|it| it.group.starts_with("solver/")));
    settings.azr.reward = RewardSource::Random;
    let (_, report) = one_step(&settings);
    assert!(report.rewarded.iter().all(|it| it.reward == 1.0 || it.reward == -0.5));
}

#[test]
fn several_solutions_of_a_problem_are_compared_with_one_another() {
    let mut settings = settings();
    settings.azr.train_propose = false;
    settings.azr.n_solutions = 4;
    let (_, report) = one_step(&settings);
    assert_eq!(report.solved.len(), 2 * 8 * 4);
    let mixed = report.solved.chunks(4).filter(|of_one| {
        assert!(of_one.iter().all(|it| it.rollout.prompt == of_one[0].rollout.prompt));
        of_one.iter().any(|it| it.grade.correct) && !of_one.iter().all(|it| it.grade.correct)
    });
    let n_mixed = mixed.count();
    assert!((1..16).contains(&n_mixed), "sums over 15 are never right, others half of the time: {n_mixed}");
    assert_eq!(report.batch.len(), 4 * n_mixed);
    for of_one in report.batch.chunks(4) {
        let sum: f32 = of_one.iter().map(|it| it.advantage).sum();
        assert!(sum.abs() < 1e-5, "advantages of one problem sum to {sum}");
    }
}

#[test]
fn duplicates_are_rejected_where_the_settings_say_so() {
    let mut settings = settings();
    settings.azr.duplicates = Duplicates::Reject;
    let (state, report) = one_step(&settings);
    let mut seen = std::collections::HashSet::new();
    let mut tasks = settings.task_types.iter().flat_map(|it| state.buffer.tasks(*it));
    assert!(tasks.all(|it| seen.insert((it.task_type, it.payload.to_string()))));
    let rejected = report.estimated.iter().filter_map(|it| it.outcome.as_ref().err());
    assert!(rejected.filter(|it| it.reason == Reason::Duplicate).count() > 0, "8 of 100 pairs repeat soon");
}

/// Learnable proposals earn their complexity, bounded, and their distance; the others what they earn without.
#[test]
fn intrinsic_terms_are_paid_on_top_of_learnability() {
    let plain = settings();
    let mut paying = settings();
    paying.intrinsic.complexity = Term { coefficient: 0.1, max: 0.3 };
    paying.intrinsic.mean_edit_distance = Term { coefficient: 1.0, max: 1.0 };
    paying.intrinsic.answer_diversity = Term { coefficient: 0.5, max: 1.0 };
    let ((_, without), (_, with)) = (one_step(&plain), one_step(&paying));
    let mut n_paid = 0;
    for (at, estimated) in with.estimated.iter().enumerate() {
        let (before, after) = (without.rewarded[at].reward, with.rewarded[at].reward);
        let Ok((task, _)) = &estimated.outcome else {
            assert_eq!((before, after), (-1.0, -1.0));
            continue;
        };
        let seen = with.records.seen[at].unwrap();
        assert_eq!(without.records.seen[at].unwrap().mean_edit_distance, None, "not rewarded, not measured");
        if before <= 0.0 {
            assert_eq!(before, after, "not learnable");
            continue;
        }
        let complexity = task.payload[0].as_f64().unwrap();
        let distance = seen.mean_edit_distance.unwrap();
        assert!([0.0, 0.5, 1.0].contains(&distance), "two references: {distance}");
        let terms = (0.1 * complexity).min(0.3) + distance + 0.5 * seen.answer_diversity.unwrap();
        assert!((f64::from(after - before) - terms).abs() < 1e-6, "{before} {after} {terms}");
        n_paid += 1;
    }
    assert!(0 < n_paid);
    paying.azr.reward = RewardSource::Random;
    let (_, coin) = one_step(&paying);
    assert!(coin.rewarded.iter().all(|it| it.reward == 1.0 || it.reward == -0.5), "a coin pays nothing else");
}

#[test]
fn distances_are_sampled_and_copies_are_seen() {
    let mut settings = settings();
    settings.diagnostics.distance_every = 1;
    settings.azr.duplicates = Duplicates::Admit;
    let (state, report) = one_step(&settings);
    let seen: Vec<_> = report.records.seen.iter().flatten().collect();
    assert!(seen.iter().all(|it| it.mean_edit_distance.is_some()));
    assert!(seen.iter().any(|it| it.is_duplicate) && !seen.iter().all(|it| it.is_duplicate));
    let copies = seen.iter().filter(|it| it.is_reference);
    assert!(copies.clone().all(|it| it.is_duplicate && it.mean_edit_distance < Some(1.0)));
    let metrics = kelvin_selfplay::metrics::of_step(&report, &state, &settings);
    let n_seeds = state.buffer.n_admitted(TaskType::Deduction);
    assert_eq!(metrics["types/output/int/instances"], n_seeds as f64, "deduction's outputs alone");
    assert!(metrics["proposer/deduction/duplicate"] <= 1.0);
    assert!(metrics["solver/deduction/reward_min"] <= metrics["solver/deduction/reward"]);
}

/// A copy of what was shown is told from other copies, whether it becomes a task or not.
#[test]
fn copies_of_references_are_seen_where_copies_are_rejected() {
    let mut settings = settings();
    (settings.azr.batch_size, settings.azr.n_references) = (16, 12);
    let seen_under = |settings: &RunSettings| {
        let (_, report) = one_step(settings);
        let seen: Vec<(bool, bool)> =
            report.records.seen.iter().flatten().map(|it| (it.is_duplicate, it.is_reference)).collect();
        seen
    };
    settings.azr.duplicates = Duplicates::Admit;
    let admitted = seen_under(&settings);
    settings.azr.duplicates = Duplicates::Reject;
    assert_eq!(seen_under(&settings), admitted);
    assert!(admitted.iter().any(|(_, is_reference)| *is_reference), "some of 100 pairs were shown");
    let (_, report) = one_step(&settings);
    let reasons = report.estimated.iter().filter_map(|it| it.outcome.as_ref().err().map(|it| it.reason));
    let n_copies = reasons.filter(|it| *it == Reason::ReferenceCopy).count();
    assert_eq!(n_copies, admitted.iter().filter(|(_, is_reference)| *is_reference).count());
}

/// Each role and task type has its own number, which is recorded under its own name and no other.
#[test]
fn rewards_are_recorded_under_their_role_and_type() {
    let (state, mut report) = one_step(&settings());
    let synthetic = |role: Role, task_type: TaskType| match (role, task_type) {
        (Role::Proposer, TaskType::Deduction) => 0.125,
        (Role::Proposer, _) => 0.25,
        (Role::Solver, TaskType::Deduction) => 0.5,
        (Role::Solver, _) => 1.0,
    };
    for rewarded in &mut report.rewarded {
        rewarded.reward = synthetic(rewarded.rollout.role, rewarded.rollout.task_type);
    }
    let metrics = kelvin_selfplay::metrics::of_step(&report, &state, &settings());
    for (name, reward) in [
        ("proposer/deduction/reward", 0.125),
        ("proposer/abduction/reward", 0.25),
        ("solver/deduction/reward", 0.5),
        ("solver/abduction/reward", 1.0),
    ] {
        let recorded = ["", "_min", "_max"].map(|it| metrics[&format!("{name}{it}")]);
        assert_eq!(recorded, [reward; 3], "{name}");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_judges() {
    let (_, one) = one_step(&RunSettings { n_judges: 1, ..settings() });
    let (_, many) = one_step(&RunSettings { n_judges: 8, ..settings() });
    assert_eq!(one.batch, many.batch);
}

#[test]
fn a_run_can_be_measured_on_types_that_it_does_not_play() {
    let mut settings = settings();
    settings.eval.task_types = vec![TaskType::Induction];
    assert!(!settings.task_types.contains(&TaskType::Induction));
    let held_out = HeldOut::new(&Sums, &settings.task_types, &settings.eval).unwrap();
    assert_eq!(held_out.tasks.len(), settings.eval.n_tasks);
    assert!(held_out.tasks.iter().all(|it| it.task_type == TaskType::Induction));
}
