//! What the phases of an iteration do.

use std::collections::HashSet;

use kelvin_core::{metrics::Metrics, task::Task};
use kelvin_selfplay::{
    r_zero::{
        Memory,
        phase::{Phase, Place},
    },
    settings::{AzrSettings, KnownQuestions, RZeroSettings, Recipe, RunSettings},
    state::RunState,
};

use crate::riddles::{play, settings};

fn with(change: impl FnOnce(&mut RZeroSettings)) -> RunSettings {
    let mut settings = settings();
    change(&mut settings.r_zero);
    settings.azr = settings.r_zero.shared(settings.azr);
    settings
}

struct Run {
    state: RunState,
    rows: Vec<Metrics>,
    tasks: Vec<Task>,
}

fn run(settings: &RunSettings) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = play(dir.path(), settings, None);
    let lines = |name: &str| -> Vec<String> {
        std::fs::read_to_string(dir.path().join(name)).unwrap().lines().map(str::to_owned).collect()
    };
    Run {
        state,
        rows: lines("metrics.jsonl").iter().map(|it| serde_json::from_str(it).unwrap()).collect(),
        tasks: lines("tasks.jsonl").iter().map(|it| serde_json::from_str(it).unwrap()).collect(),
    }
}

#[test]
fn each_phase_moves_its_learner_and_nothing_else() {
    let settings = settings();
    let (mut challenger, mut solver) = (0, 0);
    for steps in 1..=settings.steps {
        let place = Place::of(steps, &settings.r_zero);
        match place.phase {
            Phase::Challenge => challenger += 3,
            Phase::Curriculum => {}
            Phase::Solve => solver += 2,
        }
        if place.ends() {
            let Run { state, rows, .. } = run(&RunSettings { steps, ..settings.clone() });
            let versions: Vec<u64> = state.policies.0.iter().map(|it| it.version).collect();
            assert_eq!(versions, [challenger, solver], "after step {steps}");
            let row = &rows[steps as usize];
            assert_eq!(row["r_zero/phase"], f64::from(place.phase as u8));
            assert_eq!(row.contains_key("update/loss"), place.phase != Phase::Curriculum);
        }
    }
}

#[test]
fn a_curriculum_is_labelled_by_majority_within_the_band() {
    let Run { state, rows, tasks } = run(&settings());
    assert!(!tasks.is_empty());
    for task in &tasks {
        let label = task.label.as_ref().expect("the vote labelled it");
        assert!((0.3..=0.7).contains(&label.share), "{task:?}");
    }
    // Numbers from 4 on are those that solvers do not agree on; 0 is always right.
    assert!(tasks.iter().all(|it| it.payload.as_u64().unwrap() != 0));
    let identities: HashSet<u64> = tasks.iter().map(|it| it.payload.as_u64().unwrap()).collect();
    assert_eq!(identities.len(), tasks.len(), "what is known is not taken again");
    let Memory { curriculum, earlier, .. } = &state.r_zero;
    assert_eq!(curriculum.len() + earlier.len(), tasks.len());
    assert!(!earlier.is_empty() && earlier.iter().all(|it| it.born <= 7));
    let gathered = &rows[4];
    let n_right = earlier
        .iter()
        .filter(|it| it.label.as_ref().unwrap().answer.parse().ok() == it.payload.as_u64() && it.payload != 5)
        .count();
    let n_told = earlier.iter().filter(|it| it.payload != 5).count();
    assert_eq!(gathered["curriculum/audited"], n_told as f64);
    assert!((gathered["curriculum/label_accuracy"] - n_right as f64 / n_told as f64).abs() < 1e-12);
}

#[test]
fn questions_may_come_again_where_the_settings_admit_them() {
    let admitted = run(&with(|it| it.known_questions = KnownQuestions::Admit)).tasks;
    let identities: HashSet<u64> = admitted.iter().map(|it| it.payload.as_u64().unwrap()).collect();
    assert!(identities.len() < admitted.len());
    let refused = run(&with(|it| it.known_questions = KnownQuestions::Refuse)).rows;
    let known: f64 = refused.iter().filter_map(|it| it.get("challenger/known")).sum();
    assert!(0.0 < known, "the second iteration poses what the first kept");
}

#[test]
fn a_step_without_a_curriculum_changes_nothing() {
    let settings = with(|it| (it.band_low, it.band_high) = (0.999, 0.9999));
    let Run { state, rows, tasks } = run(&settings);
    assert!(tasks.is_empty());
    assert_eq!(state.policies.0[1].version, 0);
    assert_eq!(rows.len(), 15);
    assert_eq!(rows[5]["curriculum/size"], 0.0);
    // Three rounds of twenty, all in vain.
    let fates = ["kept", "too_easy", "too_hard", "known", "refused", "no_question"];
    let n: f64 = fates.iter().map(|it| rows[3][&format!("curriculum/{it}")]).sum();
    assert_eq!(n, 60.0);
}

#[test]
fn earlier_curricula_are_replayed() {
    let Run { state, .. } = run(&with(|it| it.replay = 0.5));
    assert!(!state.r_zero.earlier.is_empty());
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &with(|it| it.replay = 0.5), None);
    let earlier: HashSet<String> = state.r_zero.earlier.iter().map(|it| it.payload.to_string()).collect();
    let transcript = std::fs::read_to_string(dir.path().join("transcripts/000012.jsonl")).unwrap();
    let n_replayed = transcript
        .lines()
        .map(|it| serde_json::from_str::<serde_json::Value>(it).unwrap())
        .filter(|it| earlier.contains(it["prompt"].as_str().unwrap().strip_prefix("solve ").unwrap()))
        .count();
    assert_eq!(n_replayed, 3 * 5, "half of six questions, five answers each");
}

#[test]
fn the_first_step_of_a_phase_idles_in_the_released_code() {
    let rates = |idle| -> Vec<Option<f64>> {
        let rows = run(&with(|it| it.idle_first_step = idle)).rows;
        rows[1..8].iter().map(|it| it.get("update/learning_rate").copied()).collect()
    };
    let (on, off) = (Some(1e-6), Some(0.0));
    assert_eq!(rates(false), [on, on, None, None, on, on, on]);
    assert_eq!(rates(true), [off, on, None, None, off, on, on]);
}

/// The solver forgets what it knew in the second of three iterations.
#[test]
fn a_solver_that_falls_is_put_back_and_the_run_ends() {
    let mut falling = RunSettings { steps: 21, ..settings() };
    falling.eval.every = 7;
    let versions = |run: &Run| run.state.policies.0.iter().map(|it| it.version).collect::<Vec<_>>();
    let unwatched = run(&falling);
    // Ten riddles are known after two iterations, and the third has nothing to teach.
    assert_eq!((versions(&unwatched), unwatched.state.step), (vec![18, 12], 21));
    assert_eq!(unwatched.state.r_zero.probes, [1.0, 1.0, 0.0, 0.0]);
    (falling.r_zero.rollback_below, falling.r_zero.patience) = (0.1, 2);
    let put_back = run(&falling);
    assert_eq!(put_back.state.r_zero.probes, [1.0, 1.0, 0.0]);
    assert!(put_back.state.r_zero.ended);
    // The best is the start: nothing was better.
    assert_eq!((versions(&put_back), put_back.state.step), (vec![0, 0], 14));
}

/// Absolute Zero in a domain whose truth is a vote: seeds are voted on, too, and nobody is asked what has no label.
#[test]
fn absolute_zero_learns_from_votes() {
    let azr = AzrSettings {
        batch_size: 8,
        n_estimate: 8,
        n_solutions: 4,
        seed_factor: 1,
        ..AzrSettings::default()
    };
    let settings = RunSettings { recipe: Recipe::Azr, steps: 3, azr, ..settings() };
    let Run { rows, tasks, .. } = run(&settings);
    assert!(8 <= tasks.len() && tasks.iter().all(|it| it.label.is_some()), "{tasks:?}");
    for row in &rows[1..] {
        assert!(0.3 < row["solver/question/accuracy"], "{row:?}");
    }
}
