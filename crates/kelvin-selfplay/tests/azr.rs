//! Whole runs of the recipe on a toy domain with a policy that has no model: the page closes, resumes exactly, and
//! pays what the paper says.

use std::{collections::BTreeMap, path::Path};

use kelvin_core::{
    environment::{Environment, SeedRecord},
    fake::FakePolicy,
    metrics::Metrics,
    policy::Policy,
    rollout::SampleRequest,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use kelvin_selfplay::{
    azr,
    checkpoint::RunDir,
    run::{self, End, Event},
    seeding::{self, Loaded},
    settings::{
        AzrSettings, CheckpointSettings, Duplicates, EvalSettings, RewardSource, RunSettings,
        SamplingSettings, SolveLag,
    },
    state::{HeldOut, RunState},
};
use serde_json::Value;

/// Proposers pose `a b`; solvers add. Sums over 15 are beyond the policy below.
struct Sums;

impl Environment for Sums {
    type Payload = (u64, u64);

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Deduction, TaskType::Abduction]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, (u64, u64))> {
        self.task_types().iter().map(|&it| (it, (1, 1))).collect()
    }
    fn propose_prompt(&self, task_type: TaskType, references: &[Task<(u64, u64)>]) -> String {
        format!("propose {task_type} {:?}", references.iter().map(|it| it.payload).collect::<Vec<_>>())
    }
    fn validate(
        &self,
        _: TaskType,
        _: &[Task<(u64, u64)>],
        response: &str,
    ) -> anyhow::Result<Result<(u64, u64), Rejection>> {
        let numbers: Vec<u64> = response.split(' ').filter_map(|it| it.parse().ok()).collect();
        Ok(match numbers[..] {
            [a, b] => Ok((a, b)),
            _ => Err(Rejection::new(Reason::NoInput, "two numbers expected")),
        })
    }
    fn read_seed(&self, _: TaskType, record: &Value) -> anyhow::Result<SeedRecord<(u64, u64)>> {
        if record["kind"] == "other" {
            return Ok(SeedRecord::OtherType);
        }
        Ok(match (record["a"].as_u64(), record["b"].as_u64()) {
            (Some(a), Some(b)) => SeedRecord::Valid((a, b)),
            (None, _) | (_, None) => SeedRecord::Refused(Rejection::new(Reason::NoInput, "two numbers")),
        })
    }
    fn proposal_is_formatted(&self, _: TaskType, response: &str) -> bool {
        response != "garbage"
    }
    fn solve_prompt(&self, task: &Task<(u64, u64)>) -> String {
        format!("{} + {}", task.payload.0, task.payload.1)
    }
    fn grade(&self, task: &Task<(u64, u64)>, response: &str) -> anyhow::Result<Grade> {
        Ok(match response.parse::<u64>() {
            Ok(sum) if sum == task.payload.0 + task.payload.1 => Grade::correct(),
            Ok(_) => Grade::missed(Miss::Wrong),
            Err(_) => Grade::malformed(),
        })
    }
    fn identity(&self, task: &Task<(u64, u64)>) -> String {
        format!("{:?}", task.payload)
    }
    fn held_out(&self, _: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<(u64, u64)>> {
        Ok((0..n as u64).map(|it| (90 + it, seed.nth(it).below(10) as u64)).collect())
    }
}

/// Proposes two digits, sometimes garbage; adds right half of the time, never over 15. Depends on its updates, so
/// that a resume that loses one shows.
fn respond(request: &SampleRequest, updates: u64) -> String {
    let mut draws = request.seed.nth(updates).draws();
    match request.prompt.split_once(" + ") {
        None if draws.chance(0.2) => "garbage".into(),
        None => format!("{} {}", draws.below(10), draws.below(10)),
        Some((a, b)) => {
            let sum: u64 = a.parse::<u64>().unwrap() + b.parse::<u64>().unwrap();
            if sum <= 15 && draws.chance(0.5) { sum.to_string() } else { (sum + 1).to_string() }
        }
    }
}

fn settings() -> RunSettings {
    RunSettings {
        seed: 7,
        steps: 6,
        task_types: vec![TaskType::Deduction, TaskType::Abduction],
        n_judges: 3,
        azr: AzrSettings {
            batch_size: 8,
            n_estimate: 4,
            seed_factor: 2,
            n_references: 2,
            ..AzrSettings::default()
        },
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: SamplingSettings::default(),
        eval: EvalSettings { every: 2, n_tasks: 5, n_samples: 4, seed: 1 },
        checkpoint: CheckpointSettings { every: 1, keep: 3, transcripts_every: 1 },
    }
}

fn state() -> RunState {
    RunState::new(vec![Policy {
        name: "policy".into(),
        version: 0,
        trainer: Box::new(FakePolicy::new(respond)),
    }])
}

fn play(dir: &Path, settings: &RunSettings, stop_after: Option<u32>) -> End {
    let dir = RunDir::open(dir).unwrap();
    let mut state = state();
    let mut warnings = Vec::new();
    dir.restore(&mut state, &Sums, &mut |it| warnings.push(it)).unwrap();
    let at = std::cell::Cell::new(state.step);
    let end = run::run(
        &mut state,
        &Sums,
        settings,
        &dir,
        &|| stop_after.is_some_and(|it| it <= at.get()),
        &mut |it| {
            if let Event::Recorded { step, .. } = it {
                at.set(step);
            }
        },
    );
    end.unwrap()
}

/// Every file that must not differ between two identical runs; timings and what the machine did are taken out.
fn outcome(dir: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    files.insert("tasks".into(), std::fs::read_to_string(dir.join("tasks.jsonl")).unwrap());
    let metrics = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = metrics.lines().map(|line| {
        let row: Metrics = serde_json::from_str(line).unwrap();
        format!(
            "{:?}",
            row.into_iter()
                .filter(|(key, _)| !key.starts_with("timing/") && !key.starts_with("system/"))
                .collect::<Vec<_>>()
        )
    });
    files.insert("metrics".into(), rows.collect::<Vec<_>>().join("\n"));
    for entry in std::fs::read_dir(dir.join("transcripts")).unwrap() {
        let path = entry.unwrap().path();
        files.insert(
            path.file_name().unwrap().to_string_lossy().into(),
            std::fs::read_to_string(path).unwrap(),
        );
    }
    files
}

#[test]
fn stopping_anywhere_and_resuming_changes_nothing() {
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(play(whole.path(), &settings(), None), End::Finished);
    let expected = outcome(whole.path());
    assert_eq!(expected.len(), 2 + 6, "six transcripts");
    for stop in 0..6 {
        let cut = tempfile::tempdir().unwrap();
        assert_eq!(play(cut.path(), &settings(), Some(stop)), End::Interrupted);
        assert_eq!(play(cut.path(), &settings(), None), End::Finished);
        assert_eq!(outcome(cut.path()), expected, "stopped after step {stop}");
    }
}

#[test]
fn records_after_the_checkpoint_are_cut_back() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(3));
    let append = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + text).unwrap();
    };
    append("metrics.jsonl", "{\"step\":4,\"half a li");
    append("tasks.jsonl", "{}\n");
    std::fs::write(dir.path().join("transcripts/000004.jsonl"), "torn").unwrap();
    play(dir.path(), &settings(), None);
    let whole = tempfile::tempdir().unwrap();
    play(whole.path(), &settings(), None);
    assert_eq!(outcome(dir.path()), outcome(whole.path()));
}

#[test]
fn a_damaged_newest_checkpoint_is_named_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(4));
    std::fs::write(dir.path().join("checkpoints/000004/policy/updates"), "40").unwrap();
    let mut state = state();
    let mut warnings = Vec::new();
    let run_dir = RunDir::open(dir.path()).unwrap();
    let step = run_dir.restore(&mut state, &Sums, &mut |it| warnings.push(it)).unwrap();
    assert_eq!((step, state.step), (Some(3), 3));
    assert!(warnings[0].contains("000004") && warnings[0].contains("policy/updates"), "{warnings:?}");
}

#[test]
fn with_every_checkpoint_damaged_nothing_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    let metrics = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        std::fs::write(entry.unwrap().path().join("policy/updates"), "40").unwrap();
    }
    let mut warnings = Vec::new();
    let run_dir = RunDir::open(dir.path()).unwrap();
    let error = run_dir.restore(&mut state(), &Sums, &mut |it| warnings.push(it)).unwrap_err();
    assert!(format!("{error:#}").contains("hint:"), "{error:#}");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap(), metrics);
}

#[test]
fn a_run_that_lost_its_checkpoints_is_not_started_over() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    for entry in std::fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        std::fs::remove_file(entry.unwrap().path().join("COMPLETE")).unwrap();
    }
    let error = RunDir::open(dir.path()).unwrap().restore(&mut state(), &Sums, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("no checkpoint any more"), "{error:#}");
    assert!(dir.path().join("tasks.jsonl").exists());
}

/// Cut off between the seeding's first records and its checkpoint.
#[test]
fn a_run_without_a_checkpoint_starts_over_without_a_trace() {
    let whole = tempfile::tempdir().unwrap();
    play(whole.path(), &settings(), None);
    let cut = tempfile::tempdir().unwrap();
    play(cut.path(), &settings(), Some(0));
    std::fs::remove_dir_all(cut.path().join("checkpoints")).unwrap();
    std::fs::write(cut.path().join("transcripts/000009.jsonl"), "torn").unwrap();
    play(cut.path(), &settings(), None);
    assert_eq!(outcome(cut.path()), outcome(whole.path()));
}

#[test]
fn an_edited_task_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    let path = dir.path().join("tasks.jsonl");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replacen('1', "2", 1)).unwrap();
    let error = RunDir::open(dir.path()).unwrap().restore(&mut state(), &Sums, &mut |_| ()).unwrap_err();
    assert!(format!("{error:#}").contains("changed since the checkpoint"), "{error:#}");
}

/// One step with the given settings after seeding.
fn one_step(settings: &RunSettings) -> (RunState, azr::StepReport) {
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
        assert_eq!(state.buffer.pool(task_type, usize::MAX).iter().filter(|it| it.born == 0).count(), 16);
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
    assert!(state.buffer.log().iter().all(|it| seen.insert((it.task_type, it.payload.to_string()))));
    let rejected = report.estimated.iter().filter_map(|it| it.outcome.as_ref().err());
    assert!(rejected.filter(|it| it.reason == Reason::Duplicate).count() > 0, "8 of 100 pairs repeat soon");
}

#[test]
fn results_do_not_depend_on_the_number_of_judges() {
    let (_, one) = one_step(&RunSettings { n_judges: 1, ..settings() });
    let (_, many) = one_step(&RunSettings { n_judges: 8, ..settings() });
    assert_eq!(one.batch, many.batch);
}

/// A seed file: two sums that are new, one of them twice, one that is held out, one without a number, one of another
/// kind, and then as many as `n_more`.
fn seed_file(dir: &Path, settings: &RunSettings, n_more: u64) -> std::path::PathBuf {
    let held_out = HeldOut::new(&Sums, &settings.task_types, &settings.eval).unwrap();
    let (a, b): (u64, u64) = serde_json::from_value(held_out.tasks[0].payload.clone()).unwrap();
    let mut lines = vec![
        r#"{"a": 20, "b": 1}"#.to_owned(),
        r#"{"a": 20, "b": 2, "imports": []}"#.to_owned(),
        String::new(),
        r#"{"a": 20, "b": 1}"#.to_owned(),
        format!(r#"{{"a": {a}, "b": {b}}}"#),
        r#"{"a": 20}"#.to_owned(),
        r#"{"kind": "other"}"#.to_owned(),
    ];
    lines.extend((0..n_more).map(|it| format!(r#"{{"a": 30, "b": {it}}}"#)));
    let path = dir.join("seeds.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn seeded(settings: &RunSettings) -> anyhow::Result<(RunState, Vec<Loaded>)> {
    let mut state = state();
    let held_out = HeldOut::new(&Sums, &settings.task_types, &settings.eval)?;
    let loaded = seeding::load(&mut state, &Sums, &held_out, settings)?;
    seeding::seed(&mut state, &Sums, &held_out, settings)?;
    Ok((state, loaded))
}

#[test]
fn seed_files_are_checked_counted_cut_and_filled_up() {
    let dir = tempfile::tempdir().unwrap();
    for n_more in [0, 30] {
        let mut settings = settings();
        let path = seed_file(dir.path(), &settings, n_more);
        settings.azr.seed_files = vec![path.clone()];
        let (state, loaded) = seeded(&settings).unwrap();
        let refused = BTreeMap::from([(Reason::Duplicate, 1), (Reason::HeldOut, 1), (Reason::NoInput, 1)]);
        let n = n_more as usize;
        assert_eq!(loaded, [Loaded { path, n_records: n + 5, n_valid: n + 2, refused }]);
        let line = loaded[0].line();
        assert!(line.ends_with("seeds; refused: 1 no_input, 1 duplicate, 1 held_out"), "{line}");
        let pool = |task_type| -> Vec<(u64, u64)> {
            let tasks = state.buffer.pool(task_type, usize::MAX).into_iter();
            tasks.map(|it| serde_json::from_value(it.payload.clone()).unwrap()).collect()
        };
        let (given, proposed) = (pool(TaskType::Deduction), pool(TaskType::Abduction));
        assert_eq!((given.len(), proposed.len()), (16, 16));
        assert_eq!(given[..2], [(20, 1), (20, 2)], "in the order of the file, without the first task");
        assert_eq!(given.iter().filter(|it| it.0 == 30).count(), n.min(14));
        assert_eq!(proposed[0], (1, 1), "a type without a file begins as ever");
        let settings = RunSettings { n_judges: 1, ..settings };
        assert_eq!(state.buffer.log(), seeded(&settings).unwrap().0.buffer.log());
    }
}

#[test]
fn a_seed_file_that_gives_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings();
    let path = dir.path().join("seeds.jsonl");
    settings.azr.seed_files = vec![path.clone()];
    let told = |text: Option<&str>| {
        text.inspect(|text| std::fs::write(&path, text).unwrap());
        let error = format!("{:#}", seeded(&settings).err().expect("no seeds"));
        assert!(error.contains("\nhint: "), "{error}");
        error
    };
    assert!(told(None).contains("cannot read the seed file"));
    assert!(told(Some("{}\n[1]\n")).contains("seeds.jsonl:2: not a JSON object"));
    assert!(told(Some("{}\n{\"a\": 1}\n")).contains("0 of 2 records"));
    assert!(told(Some("{\"kind\": \"other\"}\n")).contains("0 of 0 records"));
}

#[test]
fn a_run_of_seeds_alone_stops_after_them_and_starts_over_without_a_trace() {
    let files = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.azr.seed_files = vec![seed_file(files.path(), &settings, 4)];
    settings.azr.seed_only = true;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        assert_eq!(play(dir.path(), &settings, None), End::Finished);
    }
    let records = |dir: &Path| {
        let tasks = std::fs::read_to_string(dir.join("tasks.jsonl")).unwrap();
        let metrics = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        assert_eq!((tasks.lines().count(), metrics.lines().count()), (32, 1));
        assert!(!metrics.contains("eval/"), "seeds are not evaluated");
        tasks
    };
    let whole = records(dirs[0].path());
    std::fs::remove_dir_all(dirs[1].path().join("checkpoints")).unwrap();
    assert_eq!(play(dirs[1].path(), &settings, None), End::Finished, "cut off before its checkpoint");
    assert_eq!(records(dirs[1].path()), whole);
    assert_eq!(play(dirs[1].path(), &settings, None), End::Finished, "there is nothing to go on with");
    assert_eq!(records(dirs[1].path()), whole);
}
