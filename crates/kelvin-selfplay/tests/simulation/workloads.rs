//! Recordings of steps of random settings: they are whole, and depend on no thread.

use std::collections::BTreeMap;

use kelvin_core::{seed::Seed, task::TaskType};
use kelvin_selfplay::{
    settings::{AzrSettings, EstimateStop, Recipe, RunSettings, SolveLag},
    simulation::{Habits, Programs, Purpose, Span, Workload, record},
};

use crate::lives::settings;

fn recorded(settings: &RunSettings, n_judges: usize) -> Vec<Workload> {
    let settings = RunSettings { n_judges, ..settings.clone() };
    let programs = BTreeMap::from([(TaskType::Abduction, Programs { validate: 3, grade: 2 })]);
    let habits = Habits { valid: 0.7, solve_rates: [0.5, 0.5] };
    record(&settings, programs, habits, Span { n_before: 1, n_recorded: 2 }).unwrap()
}

#[test]
fn what_is_asked_for_depends_on_no_thread() {
    let mut n_rounds = 0;
    for number in 0..40 {
        let mut draws = Seed::new(number).fork("workload").draws();
        let drawn = settings(&mut draws);
        let azr = AzrSettings {
            n_estimate: 1 + draws.below(12),
            estimate_stop: *draws.pick(&[
                EstimateStop::None,
                EstimateStop::Unanimous,
                EstimateStop::Interval,
            ]),
            estimate_round: 1 + draws.below(4),
            n_solutions: 1 + draws.below(3),
            ..drawn.azr.clone()
        };
        let settings = RunSettings { recipe: Recipe::Azr, azr, ..drawn };
        let steps = recorded(&settings, 1);
        assert_eq!(recorded(&settings, 2 + draws.below(4)), steps, "{number}");
        for step in &steps {
            n_rounds += is_whole(step, &settings.azr);
        }
    }
    assert!(0 < n_rounds, "some estimates go on after a round");
}

/// Gives how many rounds there are beyond the first ones.
fn is_whole(step: &Workload, azr: &AzrSettings) -> usize {
    let mut n_before = 0;
    for ask in &step.asks {
        assert!(ask.rows.start == n_before && ask.after.end <= n_before);
        n_before = ask.rows.end;
    }
    assert_eq!(n_before, step.rows.len());
    let is_tried = |at: usize| step.asks.iter().any(|it| it.after == (at..at + 1));
    for (at, row) in step.rows.iter().enumerate() {
        let (validate, grade) = if row.task_type == TaskType::Abduction { (3, 2) } else { (0, 0) };
        let n_programs = match row.purpose {
            // What holds under the first hash seed runs under the second.
            Purpose::Propose if is_tried(at) => 2 * validate,
            Purpose::Propose => validate,
            Purpose::Solve | Purpose::Estimate => grade,
        };
        assert_eq!(row.n_programs, n_programs);
        assert!(row.purpose != Purpose::Estimate || azr.train_estimates || !row.is_trained);
    }
    assert_eq!(step.n_rows(Purpose::Propose), 2 * azr.batch_size);
    let is_of = |at: usize, purpose| step.rows[at].purpose == purpose;
    let last = step.asks.last().expect("a step asks");
    let solves_later = is_of(last.rows.start, Purpose::Solve) && !last.after.is_empty();
    assert_eq!(solves_later, azr.solve_lag == SolveLag::Zero);
    step.asks.iter().filter(|it| !it.after.is_empty() && is_of(it.after.start, Purpose::Estimate)).count()
}
