//! Riddles whose answers nobody checks, two policies without a model, and runs with both.

use std::path::Path;

use kelvin_core::{
    environment::{Environment, Given},
    fake::FakePolicy,
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

/// A challenger poses a number from 0 to 9; the right answer is itself, but only a vote says so. The larger the number, the
/// less solvers agree.
pub(crate) struct Riddles;

impl Environment for Riddles {
    type Payload = u64;

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Question]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, u64)> {
        Vec::new()
    }
    fn propose_prompt(&self, _: TaskType, _: Given<'_, u64>) -> String {
        "pose".to_owned()
    }
    fn validate(
        &self,
        _: TaskType,
        _: Given<'_, u64>,
        response: &str,
    ) -> anyhow::Result<Result<u64, Rejection>> {
        Ok(response.parse().map_err(|_| Rejection::new(Reason::NoAnswer, "a number is expected")))
    }
    fn proposal_is_formatted(&self, _: TaskType, _: &str) -> bool {
        true
    }
    fn solve_prompt(&self, task: &Task<u64>) -> String {
        format!("solve {}", task.payload)
    }
    fn grade(&self, task: &Task<u64>, response: &str) -> anyhow::Result<Grade> {
        let label = task.label.as_ref().expect("nobody grades what has no label");
        Ok(match self.answer(task, response) {
            Some(answer) if answer == label.answer => Grade::correct(),
            Some(_) => Grade::missed(Miss::Wrong),
            None => Grade::malformed(),
        })
    }
    fn truth_by_vote(&self) -> bool {
        true
    }
    fn answer(&self, _: &Task<u64>, response: &str) -> Option<String> {
        response.parse::<u64>().ok().map(|it| it.to_string())
    }
    fn truth(&self, task: &Task<u64>) -> Option<String> {
        (task.payload != 5).then(|| task.payload.to_string())
    }
    fn identity(&self, task: &Task<u64>) -> String {
        task.payload.to_string()
    }
    /// Numbers that no challenger poses.
    fn held_out(&self, _: TaskType, n: usize, _: Seed) -> anyhow::Result<Vec<u64>> {
        Ok((100..).take(n).collect())
    }
}

/// Updates after which a solver knows no held-out answer any more: in the second iteration of [`settings`].
const FORGETS_AT: u64 = 8;

/// Poses a number, sometimes none; answers it right less often the larger it is, sometimes not at all. Depends on its
/// updates, so that a resume that loses one shows.
pub(crate) fn respond(request: &SampleRequest, updates: u64) -> String {
    let mut draws = request.seed.nth(updates).draws();
    let asked = request.prompt.strip_prefix("solve ");
    if let Some(held_out) = asked.and_then(|it| it.parse::<u64>().ok()).filter(|it| 100 <= *it) {
        return (held_out + u64::from(FORGETS_AT <= updates)).to_string();
    }
    match asked {
        None if draws.chance(0.1) => "I pose nothing".to_owned(),
        None => draws.below(10).to_string(),
        Some(_) if draws.chance(0.02) => "I cannot say".to_owned(),
        Some(number) => {
            let number: u64 = number.parse().unwrap();
            let is_right = draws.chance(1.0 - number as f64 / 12.0);
            if is_right { number.to_string() } else { (number + 1 + draws.below(3) as u64).to_string() }
        }
    }
}

pub(crate) fn settings() -> RunSettings {
    let r_zero = RZeroSettings {
        challenger_steps: 2,
        curriculum_steps: 2,
        solver_steps: 3,
        questions: 32,
        pool: 40,
        curriculum_min: 4,
        solver_batch: 6,
        challenger_updates: 3,
        solver_updates: 2,
        ..RZeroSettings::default()
    };
    RunSettings {
        seed: 3,
        steps: 14,
        task_types: vec![TaskType::Question],
        n_judges: 2,
        recipe: Recipe::RZero,
        azr: r_zero.shared(AzrSettings::default()),
        r_zero,
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: SamplingSettings::default(),
        eval: EvalSettings { every: 0, ..EvalSettings::default() },
        checkpoint: CheckpointSettings { every: 1, keep: 2, keep_best: 0, transcripts_every: 1 },
        diagnostics: Default::default(),
    }
}

pub(crate) fn state() -> RunState {
    let policy =
        |name: &str| Policy { name: name.into(), version: 0, trainer: Box::new(FakePolicy::new(respond)) };
    RunState::new(vec![policy("challenger"), policy("solver")])
}

/// Plays to the end, or until so many steps are done.
pub(crate) fn play(dir: &Path, settings: &RunSettings, stop_after: Option<u32>) -> (RunState, End) {
    let dir = RunDir::open(dir).unwrap();
    let mut state = state();
    if let Some((_, newest)) = dir.newest(&mut |it| panic!("{it}")).unwrap() {
        dir.restore(&newest, &mut state, &Riddles).unwrap();
    }
    let at = std::cell::Cell::new(state.step);
    let end = run::run(
        &mut state,
        Grounds::of(&Riddles),
        settings,
        &dir,
        &|| stop_after.is_some_and(|it| it <= at.get()),
        &mut |it| {
            if let Event::Recorded { step, .. } = it {
                at.set(step);
            }
        },
    );
    (state, end.unwrap())
}
