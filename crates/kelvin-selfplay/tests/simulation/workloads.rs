//! Recordings of steps of random settings: they are whole, and depend on no thread.

use std::collections::BTreeMap;

use kelvin_core::{seed::Seed, task::TaskType};
use kelvin_selfplay::{
    r_zero::phase::Phase,
    settings::{AzrSettings, EstimateStop, ObjectiveSettings, RZeroSettings, Recipe, RunSettings, SolveLag},
    simulation::{Habits, Programs, Purpose, Span, Workload, record, record_iteration},
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

/// What an iteration of R-Zero asks for follows from its settings where every question is one.
#[test]
fn an_iteration_is_recorded_by_its_phases() {
    let drawn = settings(&mut Seed::new(1).draws());
    let rules = RZeroSettings {
        challenger_steps: 3,
        curriculum_steps: 4,
        solver_steps: 5,
        questions: 12,
        votes: 5,
        pool: 40,
        label_votes: 4,
        pool_rounds_max: 3,
        // No round is enough.
        curriculum_min: 1000,
        band_low: 0.0,
        band_high: 1.0,
        solver_batch: 6,
        solver_rollouts: 3,
        challenger_updates: 4,
        solver_updates: 1,
        replay: 0.5,
        ..RZeroSettings::default()
    };
    let of = |rules: &RZeroSettings, kl_coefficient: f64, n_judges: usize| {
        let settings = RunSettings {
            recipe: Recipe::RZero,
            task_types: vec![TaskType::Abduction],
            azr: rules.shared(drawn.azr.clone()),
            r_zero: rules.clone(),
            objective: ObjectiveSettings { kl_coefficient, ..drawn.objective },
            n_judges,
            ..drawn.clone()
        };
        let programs = BTreeMap::from([(TaskType::Abduction, Programs { validate: 3, grade: 2 })]);
        record_iteration(&settings, programs, Habits { valid: 1.0, solve_rates: [0.5, 0.5] }, 2).unwrap()
    };
    let phases = of(&rules, 0.1, 1);
    assert_eq!(of(&rules, 0.1, 3), phases, "it depends on no thread");
    let rows = |it: &Workload| [Purpose::Propose, Purpose::Estimate, Purpose::Solve].map(|at| it.n_rows(at));
    let scored = |it: &Workload| [Purpose::Propose, Purpose::Solve].map(|at| it.n_scored(at));
    let trained = |it: &Workload| it.rows.iter().filter(|it| it.is_trained).count();
    let [challenger, curriculum, solver] = Phase::ALL.map(|it| &phases[&it][1]);
    assert_eq!((phases.len(), phases[&Phase::Challenge].len()), (3, 2));
    // All questions answer one prompt; a reference and the weights before four updates score each.
    assert_eq!((rows(challenger), trained(challenger)), ([12, 60, 0], 12));
    assert_eq!((challenger.n_prompts(Purpose::Propose), scored(challenger)), (1, [24, 0]));
    assert_eq!((challenger.n_published, challenger.n_programs()), (4, 12 * 6 + 60 * 2));
    // A round is posed when the one before is answered.
    let asks: Vec<_> = curriculum.asks.iter().map(|it| (it.after.clone(), it.rows.len())).collect();
    assert_eq!(asks, [(0..0, 10), (0..10, 40), (10..50, 10), (50..60, 40), (60..100, 10), (100..110, 40)]);
    assert_eq!((trained(curriculum), curriculum.n_published, scored(curriculum)), (0, 0, [0, 0]));
    assert_eq!(curriculum.n_prompts(Purpose::Propose), 1, "also that of a later round");
    // Half of its questions are those of an iteration before.
    assert_eq!((rows(solver), trained(solver), scored(solver)), ([0, 0, 18], 18, [0, 18]));
    assert_eq!((solver.n_published, solver.n_prompts(Purpose::Solve)), (1, 6));
    let plain = of(&RZeroSettings { challenger_steps: 0, two_policies: false, ..rules.clone() }, 0.0, 1);
    assert_eq!(plain.len(), 2);
    assert_eq!(scored(&plain[&Phase::Solve][0]), [0, 0]);
}
