//! An evaluation of which a part may teach: what is screened, and what is recorded beside the whole.

use kelvin_core::{
    environment::{Environment, Floors, Given},
    fake::FakePolicy,
    metrics::Metrics,
    policy::Policy,
    rollout::SampleRequest,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use kelvin_selfplay::{
    checkpoint::RunDir,
    run::{self, Event, Grounds},
    settings::{EvalSettings, RunSettings},
    state::{HeldOut, RunState},
};

use crate::sums::settings;

/// Tasks are digits, all of which are evaluated. Of deductions the even ones may teach, of abductions none; those are posed
/// over 9 alone.
struct Digits;

impl Environment for Digits {
    type Payload = u64;

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Deduction, TaskType::Abduction]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, u64)> {
        vec![(TaskType::Deduction, 0), (TaskType::Abduction, 10)]
    }
    fn propose_prompt(&self, task_type: TaskType, _: Given<'_, u64>) -> String {
        format!("propose {task_type}")
    }
    fn validate(
        &self,
        _: TaskType,
        _: Given<'_, u64>,
        response: &str,
    ) -> anyhow::Result<Result<u64, Rejection>> {
        Ok(response.parse().map_err(|_| Rejection::new(Reason::NoInput, "a number is expected")))
    }
    fn proposal_is_formatted(&self, _: TaskType, _: &str) -> bool {
        true
    }
    fn solve_prompt(&self, task: &Task<u64>) -> String {
        task.payload.to_string()
    }
    fn grade(&self, task: &Task<u64>, response: &str) -> anyhow::Result<Grade> {
        let is_right = response == task.payload.to_string();
        Ok(if is_right { Grade::correct() } else { Grade::missed(Miss::Wrong) })
    }
    fn identity(&self, task: &Task<u64>) -> String {
        format!("{} {}", task.task_type, task.payload)
    }
    fn held_out(&self, _: TaskType, n: usize, _: Seed) -> anyhow::Result<Vec<u64>> {
        Ok((0..n as u64).collect())
    }
    fn may_teach(&self, task: &Task<u64>) -> bool {
        task.task_type == TaskType::Deduction && task.payload.is_multiple_of(2)
    }
    fn floors(&self, task_type: TaskType) -> Option<Floors> {
        (task_type == TaskType::Deduction).then_some(Floors { uniform: 0.1, constant: 0.3 })
    }
}

/// Poses digits, or numbers over 9; solves all but 1, 5 and 9.
fn respond(request: &SampleRequest, _updates: u64) -> String {
    let digit = request.seed.below(10);
    match request.prompt.as_str() {
        "propose deduction" => digit.to_string(),
        "propose abduction" => (10 + digit).to_string(),
        number if number.parse::<u64>().unwrap() % 4 == 1 => "wrong".to_owned(),
        number => number.to_owned(),
    }
}

fn digits() -> RunSettings {
    let eval = EvalSettings { every: 1, n_tasks: 10, n_samples: 2, ..EvalSettings::default() };
    RunSettings { steps: 2, eval, ..settings() }
}

fn rows(settings: &RunSettings) -> (RunState, Vec<Metrics>) {
    let dir = tempfile::tempdir().unwrap();
    let trainer = Box::new(FakePolicy::new(respond));
    let mut state = RunState::new(vec![Policy { name: "policy".into(), version: 0, trainer }]);
    let mut rows = Vec::new();
    run::run(
        &mut state,
        Grounds::of(&Digits),
        settings,
        &RunDir::open(dir.path()).unwrap(),
        &|| false,
        &mut |it| {
            if let Event::Recorded { metrics, .. } = it {
                rows.push(metrics.clone());
            }
        },
    )
    .unwrap();
    (state, rows)
}

#[test]
fn what_may_teach_is_admitted_and_the_rest_is_not() {
    let settings = digits();
    let held_out = HeldOut::new(&Digits, &settings.task_types, &settings.eval).unwrap();
    assert_eq!((held_out.tasks.len(), held_out.families.len()), (20, 15));
    let (state, rows) = rows(&settings);
    let mut deductions: Vec<u64> =
        state.buffer.tasks(TaskType::Deduction).map(|it| it.payload.as_u64().unwrap()).collect();
    assert!(deductions.iter().all(|it| it.is_multiple_of(2)), "{deductions:?}");
    deductions.sort_unstable();
    deductions.dedup();
    assert_eq!(deductions, [0, 2, 4, 6, 8]);
    assert!(0.0 < rows[1]["reject/deduction/held_out"]);
}

#[test]
fn withheld_tasks_and_floors_stand_beside_the_whole() {
    let (_, rows) = rows(&digits());
    assert_eq!(rows.len(), 3);
    for (step, row) in rows.iter().enumerate() {
        // 1, 5 and 9 are wrong: of ten, and of the five odd ones.
        assert_eq!((row["eval/deduction/accuracy"], row["eval/deduction/withheld"]), (0.7, 0.4));
        assert_eq!((row["eval/mean/accuracy"], row["eval/mean/withheld"]), (0.7, 0.4));
        let half_width = 1.96 * (0.3f64 / 5.0).sqrt();
        assert!((row["eval/deduction/withheld_ci95"] - half_width).abs() < 1e-12);
        assert!(!row.contains_key("eval/abduction/withheld"), "all of them are");
        let floors =
            ["uniform", "constant"].map(|it| row.get(&format!("eval/deduction/floor_{it}")).copied());
        assert_eq!(floors, if step == 0 { [Some(0.1), Some(0.3)] } else { [None, None] });
        assert!(!row.contains_key("eval/abduction/floor_uniform"));
    }
}

#[test]
fn without_an_evaluation_there_are_no_floors() {
    let mut settings = digits();
    settings.eval.every = 0;
    let (_, rows) = rows(&settings);
    assert!(rows.iter().flatten().all(|(name, _)| !name.starts_with("eval/")));
}
