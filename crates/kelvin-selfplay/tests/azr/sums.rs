//! A domain of sums, a policy without a model, and runs with both.

use std::{collections::BTreeMap, path::Path};

use kelvin_core::{
    environment::{Environment, Given, SeedRecord},
    fake::FakePolicy,
    measures::{Distance, Extent, Measures, TypedText, Values},
    metrics::Metrics,
    policy::Policy,
    rollout::SampleRequest,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use kelvin_selfplay::{
    checkpoint::RunDir,
    run::{self, End, Event, Grounds},
    settings::{
        AzrSettings, CheckpointSettings, EvalSettings, RZeroSettings, Recipe, RunSettings, SamplingSettings,
    },
    state::RunState,
};
use serde_json::Value;

/// Proposers pose `a b`; solvers add. Sums over 15 are beyond the policy below.
pub(crate) struct Sums;

impl Environment for Sums {
    type Payload = (u64, u64);

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Deduction, TaskType::Abduction]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, (u64, u64))> {
        self.task_types().iter().map(|&it| (it, (1, 1))).collect()
    }
    fn propose_prompt(&self, task_type: TaskType, given: Given<'_, (u64, u64)>) -> String {
        format!("propose {task_type} {:?}", given.references.iter().map(|it| it.payload).collect::<Vec<_>>())
    }
    fn validate(
        &self,
        _: TaskType,
        _: Given<'_, (u64, u64)>,
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
    fn values(&self, task: &Task<(u64, u64)>) -> Values {
        let (a, b) = task.payload;
        let value = |type_name, text: String| vec![TypedText { type_name, text }];
        Values { inputs: value("tuple", format!("{a}, {b}")), outputs: value("int", (a + b).to_string()) }
    }
    fn measures(&self, task: &Task<(u64, u64)>, _: Extent) -> Option<Measures> {
        Some(Measures { complexity: task.payload.0 as f64, ..Measures::default() })
    }
    fn distance(&self, a: &Task<(u64, u64)>, b: &Task<(u64, u64)>, _: Distance, _: Extent) -> Option<f64> {
        Some(if a.payload == b.payload { 0.0 } else { 1.0 })
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
pub(crate) fn respond(request: &SampleRequest, updates: u64) -> String {
    let mut draws = request.seed.nth(updates).draws();
    match request.prompt.split_once(" + ") {
        None if draws.chance(0.2) => "garbage".into(),
        None if draws.chance(0.05) => "3 4 and I secretly count on more".into(),
        None => format!("{} {}", draws.below(10), draws.below(10)),
        Some((a, b)) => {
            let sum: u64 = a.parse::<u64>().unwrap() + b.parse::<u64>().unwrap();
            if sum <= 15 && draws.chance(0.5) { sum.to_string() } else { (sum + 1).to_string() }
        }
    }
}

pub(crate) fn settings() -> RunSettings {
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
            train_estimates: false,
            ..AzrSettings::default()
        },
        recipe: Recipe::Azr,
        r_zero: RZeroSettings::default(),
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: SamplingSettings::default(),
        eval: EvalSettings { every: 2, n_tasks: 5, n_samples: 4, ..EvalSettings::default() },
        checkpoint: CheckpointSettings { every: 1, keep: 3, keep_best: 0, transcripts_every: 1 },
        diagnostics: Default::default(),
    }
}

pub(crate) fn state() -> RunState {
    RunState::new(vec![Policy {
        name: "policy".into(),
        version: 0,
        trainer: Box::new(FakePolicy::new(respond)),
    }])
}

pub(crate) fn play(dir: &Path, settings: &RunSettings, stop_after: Option<u32>) -> End {
    let dir = RunDir::open(dir).unwrap();
    let mut state = state();
    if let Some((_, newest)) = dir.newest(&mut |_| ()).unwrap() {
        dir.restore(&newest, &mut state, &Sums).unwrap();
    }
    let at = std::cell::Cell::new(state.step);
    let end = run::run(
        &mut state,
        Grounds::of(&Sums),
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
pub(crate) fn outcome(dir: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for name in ["tasks", "alarms"] {
        let text = std::fs::read_to_string(dir.join(name).with_extension("jsonl")).unwrap();
        files.insert(name.into(), text);
    }
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
