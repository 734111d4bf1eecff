//! Whole runs of the recipe under one setting each: what is left out, what is kept apart, what is preferred. The policy
//! has no model; the domain is words, whose first says how hard a task is.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kelvin_core::{
    environment::{Environment, Given},
    fake::FakePolicy,
    measures::{TypedText, Values},
    metrics::Metrics,
    policy::{Policy, Trainer},
    rollout::{Role, SampleRequest},
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use kelvin_selfplay::{
    azr,
    checkpoint::RunDir,
    metrics,
    report::StepReport,
    run::{self, Event, Grounds},
    seeding,
    settings::{
        AzrSettings, CheckpointSettings, EvalSettings, Eviction, NearDuplicates, RZeroSettings, Recipe,
        RunSettings, SolverMix,
    },
    state::{HeldOut, RunState},
};

const TYPES: [TaskType; 2] = [TaskType::Deduction, TaskType::Abduction];

/// A task is `easy`, `even` or `hard` and some words, which are its shingles. To solve it is to say `yes`.
struct Words;

impl Environment for Words {
    type Payload = String;

    fn task_types(&self) -> &'static [TaskType] {
        &TYPES
    }
    fn seed_tasks(&self) -> Vec<(TaskType, String)> {
        TYPES.map(|it| (it, "easy zero".to_owned())).to_vec()
    }
    fn propose_prompt(&self, task_type: TaskType, given: Given<'_, String>) -> String {
        let shown: Vec<&str> = given.references.iter().map(|it| it.payload.as_str()).collect();
        format!("propose {task_type}: {}", shown.join("; "))
    }
    fn validate(
        &self,
        _: TaskType,
        _: Given<'_, String>,
        response: &str,
    ) -> anyhow::Result<Result<String, Rejection>> {
        Ok(match response {
            "garbage" => Err(Rejection::new(Reason::NoCode, "garbage")),
            words => Ok(words.to_owned()),
        })
    }
    fn proposal_is_formatted(&self, _: TaskType, response: &str) -> bool {
        response != "garbage"
    }
    fn solve_prompt(&self, task: &Task<String>) -> String {
        format!("solve {}", task.payload)
    }
    fn grade(&self, _: &Task<String>, response: &str) -> anyhow::Result<Grade> {
        Ok(if response == "yes" { Grade::correct() } else { Grade::missed(Miss::Wrong) })
    }
    fn identity(&self, task: &Task<String>) -> String {
        task.payload.clone()
    }
    fn shingles(&self, task: &Task<String>) -> Vec<u64> {
        let number = |word: &str| word.parse().ok();
        task.payload.split(' ').filter_map(number).collect()
    }
    fn values(&self, task: &Task<String>) -> Values {
        let value = || vec![TypedText { type_name: "str", text: task.payload.clone() }];
        Values { inputs: value(), outputs: value() }
    }
}

/// Of three themes of forty words with one of them replaced, at any hardness; solved as often as their hardness says.
/// It depends on the updates, so that a resume that loses one shows.
fn respond(request: &SampleRequest, updates: u64) -> String {
    let mut draws = request.seed.nth(updates).draws();
    let Some(task) = request.prompt.strip_prefix("solve ") else {
        let theme = draws.below(3) as u64 * 100;
        let mut words: Vec<u64> = (theme..theme + 40).collect();
        words[draws.below(40)] = 1000 + draws.below(1000) as u64;
        let words: Vec<String> = words.iter().map(u64::to_string).collect();
        return format!("{} {}", draws.pick(&["easy", "even", "hard"]), words.join(" "));
    };
    let right = task.starts_with("easy") || task.starts_with("even") && draws.chance(0.5);
    if right { "yes".into() } else { "no".into() }
}

fn settings(azr: AzrSettings) -> RunSettings {
    RunSettings {
        seed: 11,
        steps: 5,
        task_types: TYPES.to_vec(),
        n_judges: 2,
        azr: AzrSettings {
            batch_size: 8,
            n_estimate: 4,
            seed_factor: 1,
            n_references: 2,
            train_estimates: false,
            ..azr
        },
        recipe: Recipe::Azr,
        r_zero: RZeroSettings::default(),
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: Default::default(),
        eval: EvalSettings { every: 0, ..EvalSettings::default() },
        checkpoint: CheckpointSettings { every: 1, keep: 1, keep_best: 0, transcripts_every: 0 },
        diagnostics: Default::default(),
    }
}

fn state(trainer: Box<dyn Trainer>) -> RunState {
    RunState::new(vec![Policy { name: "policy".into(), version: 0, trainer }])
}

/// Each step's report with its metrics.
fn steps(settings: &RunSettings) -> (RunState, Vec<(StepReport, Metrics)>) {
    let mut state = state(Box::new(FakePolicy::new(respond)));
    let held_out = HeldOut::new(&Words, &settings.task_types, &settings.eval).unwrap();
    seeding::seed(&mut state, &Words, &held_out, settings).unwrap();
    let step = |_| {
        let report = azr::step(&mut state, &Words, &held_out, settings).unwrap();
        let metrics = metrics::of_step(&report, &state, settings);
        (report, metrics)
    };
    let all = (0..settings.steps).map(step).collect();
    (state, all)
}

/// Plays in `dir` until after a step, or to the end; gives the records but for the time they took.
fn play(dir: &Path, settings: &RunSettings, stop_after: u32) -> [String; 2] {
    let run_dir = RunDir::open(dir).unwrap();
    let mut state = state(Box::new(FakePolicy::new(respond)));
    if let Some((_, newest)) = run_dir.newest(&mut |it| panic!("{it}")).unwrap() {
        run_dir.restore(&newest, &mut state, &Words).unwrap();
    }
    let at = std::cell::Cell::new(state.step);
    let mut watch = |it: Event<'_>| {
        if let Event::Recorded { step, .. } = it {
            at.set(step);
        }
    };
    run::run(&mut state, Grounds::of(&Words), settings, &run_dir, &|| stop_after <= at.get(), &mut watch)
        .unwrap();
    let rows = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let timeless = rows.lines().map(|line| {
        let row: BTreeMap<String, f64> = serde_json::from_str(line).unwrap();
        let may_differ = |key: &str| key.starts_with("timing/") || key.starts_with("system/memory");
        format!("{:?}\n", row.into_iter().filter(|(key, _)| !may_differ(key)).collect::<Vec<_>>())
    });
    [std::fs::read_to_string(dir.join("tasks.jsonl")).unwrap(), timeless.collect()]
}

fn assert_resumes_exactly(settings: &RunSettings) {
    let whole = tempfile::tempdir().unwrap();
    let expected = play(whole.path(), settings, u32::MAX);
    let by_one_judge = tempfile::tempdir().unwrap();
    assert_eq!(
        play(by_one_judge.path(), &RunSettings { n_judges: 1, ..settings.clone() }, u32::MAX),
        expected
    );
    let cut = tempfile::tempdir().unwrap();
    for stop in 0..settings.steps {
        play(cut.path(), settings, stop);
    }
    assert_eq!(play(cut.path(), settings, u32::MAX), expected, "stopped after each step");
}

#[test]
fn the_solver_warms_up_alone() {
    let (state, all) = steps(&settings(AzrSettings { solver_only_steps: 2, ..AzrSettings::default() }));
    for (at, (report, metrics)) in all.iter().enumerate() {
        let proposes = 2 <= at;
        assert_eq!(report.estimated.len(), if proposes { 16 } else { 0 });
        assert_eq!(report.solved.len(), 16);
        let has_proposers = report.batch.iter().any(|it| it.group.starts_with("proposer/"));
        assert_eq!((has_proposers, report.batch.len()), (proposes, if proposes { 32 } else { 16 }));
        assert_eq!(metrics.contains_key("proposer/deduction/valid"), proposes);
    }
    assert_eq!(state.buffer.tasks(TYPES[0]).filter(|it| it.born != 0).map(|it| it.born).min(), Some(3));
}

#[test]
fn a_frozen_proposer_still_poses_the_tasks() {
    let (state, all) = steps(&settings(AzrSettings { train_propose: false, ..AzrSettings::default() }));
    for (report, _) in &all {
        assert!(report.batch.iter().all(|it| it.group.starts_with("solver/")));
        assert_eq!(report.batch.len(), 16);
        assert!(report.rewarded.iter().any(|it| it.rollout.role == Role::Proposer), "it is measured");
    }
    assert_eq!(state.buffer.n_admitted(TYPES[0]), 8 + 5 * 8);
    assert!(all[1].0.solved.iter().all(|it| it.born == 1));
}

#[test]
fn without_references_every_proposer_is_asked_the_same() {
    for (include_references, n_shown) in [(true, 2), (false, 0)] {
        let (_, all) = steps(&settings(AzrSettings { include_references, ..AzrSettings::default() }));
        for (report, _) in &all {
            let proposals = report.rewarded.iter().filter(|it| it.rollout.role == Role::Proposer);
            for it in proposals {
                let (head, shown) = it.rollout.prompt.split_once(": ").unwrap();
                assert_eq!(head, format!("propose {}", it.rollout.task_type));
                assert_eq!(shown.split("; ").filter(|it| !it.is_empty()).count(), n_shown);
            }
        }
    }
}

#[test]
fn task_types_that_are_left_out_are_not_played() {
    let settings = RunSettings { task_types: vec![TYPES[1]], ..settings(AzrSettings::default()) };
    let (state, all) = steps(&settings);
    assert_eq!(state.buffer.n_admitted(TYPES[0]), 0);
    for (report, metrics) in &all {
        assert!(report.rewarded.iter().all(|it| it.rollout.task_type == TYPES[1]));
        assert_eq!(report.batch.len(), 16);
        assert!(metrics.keys().all(|it| !it.contains("deduction")));
    }
}

/// Each proposal shares at least 38 of 42 words with every other of its theme, that is 0.90.
#[test]
fn near_duplicates_are_counted_and_rejected_where_the_settings_say_so() {
    let (state, all) = steps(&settings(AzrSettings::default()));
    let last = &all[4].1;
    assert!(last["proposer/deduction/near_buffer"] > 0.9 && last["proposer/deduction/near_reference"] > 0.3);
    assert_eq!(state.buffer.n_admitted(TYPES[0]), 8 + 5 * 8);
    let reject =
        AzrSettings { near_duplicates: NearDuplicates::Reject, seed_rounds_max: 3, ..AzrSettings::default() };
    let (state, all) = steps(&settings(reject.clone()));
    let (report, last) = &all[4];
    assert!(last["reject/deduction/similar"] >= 6.0, "{last:?}");
    assert!(last["proposer/deduction/near_buffer"] > 0.7);
    assert!(state.buffer.n_admitted(TYPES[0]) <= 1 + 3 + 5, "three themes and some chance");
    for (it, rewarded) in report.estimated.iter().zip(&report.rewarded) {
        if it.outcome.as_ref().is_err_and(|it| it.reason == Reason::Similar) {
            assert_eq!(rewarded.reward, -1.0);
        }
    }
    assert_resumes_exactly(&settings(reject));
}

#[test]
fn a_band_draws_what_is_neither_easy_nor_hard() {
    let uniform = AzrSettings { solver_mix: SolverMix::Uniform, n_solutions: 2, ..AzrSettings::default() };
    let share = |azr: AzrSettings| {
        let (_, all) = steps(&RunSettings { steps: 12, ..settings(azr) });
        let late: Vec<&str> = all[6..]
            .iter()
            .flat_map(|(report, _)| &report.solved)
            .map(|it| it.rollout.prompt.as_str())
            .collect();
        late.iter().filter(|it| it.starts_with("solve even")).count() as f64 / late.len() as f64
    };
    let banded = AzrSettings { band: [0.2, 0.8], ..uniform.clone() };
    let (plain, preferred) = (share(uniform.clone()), share(banded.clone()));
    assert!(plain < 0.5 && 0.65 < preferred, "{plain} {preferred}");
    for solve_lag in [0, 1] {
        let azr = AzrSettings { solve_lag: solve_lag.try_into().unwrap(), buffer_max: 20, ..banded.clone() };
        assert_resumes_exactly(&settings(azr));
    }
    let dir = tempfile::tempdir().unwrap();
    for (azr, is_saved) in [(uniform, false), (banded, true)] {
        let dir = dir.path().join(is_saved.to_string());
        std::fs::create_dir(&dir).unwrap();
        play(&dir, &settings(azr), 2);
        let saved = std::fs::read_to_string(dir.join("checkpoints/000002/state.json")).unwrap();
        assert_eq!(saved.contains("solve_rates"), is_saved);
    }
}

/// Appendix C, 4: the cap binds from the fourth step on.
#[test]
fn a_run_with_a_full_buffer_goes_on_solving_new_tasks() {
    for eviction in [Eviction::Oldest, Eviction::Reservoir, Eviction::KeepOldest] {
        let azr = AzrSettings { buffer_max: 32, eviction, ..AzrSettings::default() };
        let settings = RunSettings { steps: 12, ..settings(azr) };
        let (state, all) = steps(&settings);
        assert_eq!(state.buffer.tasks(TYPES[0]).count(), 32);
        let n_counted = all[11].1["types/output/instances"];
        assert_eq!(n_counted, state.buffer.n_admitted(TYPES[0]) as f64, "evicted tasks stay counted");
        assert!(32.0 < n_counted);
        let fresh = all[11].1["solver/deduction/fresh"];
        assert_eq!(fresh, if eviction == Eviction::KeepOldest { 0.0 } else { 1.0 }, "{eviction:?}");
        if eviction == Eviction::Reservoir {
            assert_resumes_exactly(&RunSettings { steps: 6, ..settings });
        }
    }
}

/// Appendix C, 7: a policy that says what its schedule says, and the metrics that follow from it by hand. The seeds are
/// easy. Then come, again and again: an easy task, one that every other solve gets right, a hard one, and garbage.
#[test]
fn a_scripted_policy_reproduces_its_metrics() {
    let n_proposed = AtomicUsize::new(0);
    let solves: Mutex<HashMap<String, usize>> = Mutex::default();
    let script = move |request: &SampleRequest, _: u64| match request.prompt.strip_prefix("solve ") {
        None => {
            let at = n_proposed.fetch_add(1, Ordering::Relaxed);
            match (at < 4, at % 4) {
                (true, _) | (false, 0) => format!("easy no{at}"),
                (false, 1) => format!("even no{at}"),
                (false, 2) => format!("hard no{at}"),
                (false, _) => "garbage".into(),
            }
        }
        Some(task) => {
            let mut solves = solves.lock().unwrap();
            let n = solves.entry(task.to_owned()).or_default();
            *n += 1;
            let right = task.starts_with("easy") || task.starts_with("even") && *n % 2 == 1;
            if right { "yes".into() } else { "no".into() }
        }
    };
    let azr = AzrSettings { batch_size: 4, ..settings(AzrSettings::default()).azr };
    let settings = RunSettings { task_types: vec![TYPES[0]], azr, ..settings(AzrSettings::default()) };
    let mut state = state(Box::new(FakePolicy::new(script)));
    let held_out = HeldOut::new(&Words, &settings.task_types, &settings.eval).unwrap();
    assert_eq!(seeding::seed(&mut state, &Words, &held_out, &settings).unwrap(), 4);
    let mut rows = (0..2).map(|_| {
        let report = azr::step(&mut state, &Words, &held_out, &settings).unwrap();
        metrics::of_step(&report, &state, &settings)
    });
    let (first, second) = (rows.next().unwrap(), rows.next().unwrap());
    for (name, expected) in [
        ("proposer/deduction/valid", 0.75),
        ("proposer/deduction/formatted", 0.75),
        // -0.5, 0.5, -0.5 and -1.
        ("proposer/deduction/reward", -0.375),
        ("proposer/deduction/learnability", 0.5 / 3.0),
        ("proposer/deduction/distinct", 1.0),
        ("reject/deduction/no_code", 1.0),
        ("estimate/deduction/solve_rate", 0.5),
        ("estimate/deduction/solved_0", 1.0),
        ("estimate/deduction/solved_2", 1.0),
        ("estimate/deduction/solved_4", 1.0),
        ("estimate/deduction/solved_3", 0.0),
    ] {
        for row in [&first, &second] {
            assert!((row[name] - expected).abs() < 1e-6, "{name}: {} {expected}", row[name]);
        }
    }
    // The first step solves four seeds; the second one its three new tasks and a seed.
    for (name, of_first, of_second) in [
        ("solver/deduction/accuracy", 1.0, 0.75),
        ("solver/deduction/reward", 1.0, 0.625),
        ("solver/deduction/fresh", 1.0, 0.75),
        ("buffer/deduction/size", 7.0, 10.0),
        // Each byte is a token, and each completion has an end.
        ("update/tokens", (9 * 3 + 8) as f64 + 16.0, (9 + 9 + 10 + 8) as f64 + 15.0),
    ] {
        assert_eq!((first[name], second[name]), (of_first, of_second), "{name}");
    }
}
