//! Sums that an executor adds up, and a policy that depends on how often it learnt.

use std::sync::Arc;

use kelvin_core::{
    environment::{Environment, Given},
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    rollout::SampleRequest,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};

/// Proposers pose `a b`, whose sum is at most 99; solvers add.
pub(crate) struct Sums(pub(crate) Arc<dyn Executor>);

impl Sums {
    fn outcome(&self, text: &str) -> anyhow::Result<Outcome> {
        let job = Job {
            program: "sum".into(),
            inputs: vec![text.to_owned()],
            names: Names::Literals,
            company: None,
            hash_seed: HashSeed::A,
            calls: Calls::Once,
            limits: Limits::default(),
        };
        Ok(self.0.run(&job)?.remove(0))
    }
}

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
        Ok(match self.outcome(response)? {
            Outcome::Value { .. } => Ok((numbers(response)[0], numbers(response)[1])),
            other => Err(Rejection::new(Reason::RuntimeError, format!("{other:?}"))),
        })
    }
    fn proposal_is_formatted(&self, _: TaskType, response: &str) -> bool {
        response.contains(' ')
    }
    fn solve_prompt(&self, task: &Task<(u64, u64)>) -> String {
        format!("{} + {}", task.payload.0, task.payload.1)
    }
    fn grade(&self, task: &Task<(u64, u64)>, response: &str) -> anyhow::Result<Grade> {
        let (a, b) = task.payload;
        Ok(match self.outcome(&format!("{a} {b}"))? {
            Outcome::Value { repr } if repr == response => Grade::correct(),
            _ => Grade::missed(Miss::Wrong),
        })
    }
    fn identity(&self, task: &Task<(u64, u64)>) -> String {
        format!("{:?}", task.payload)
    }
    fn held_out(&self, _: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<(u64, u64)>> {
        Ok((0..n as u64).map(|it| (90 + it, seed.nth(it).below(10) as u64)).collect())
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(' ').filter_map(|it| it.parse().ok()).collect()
}

/// What the executor of these tests says of an input.
pub(crate) fn add(input: &str) -> Outcome {
    match numbers(input)[..] {
        [a, b] if a + b < 100 => Outcome::Value { repr: (a + b).to_string() },
        _ => Outcome::CompileError { message: "no sum".into() },
    }
}

/// Poses sums, now and then none or an alarming one; the larger they are, the less often it adds right. Depends on its
/// updates, so that one that is lost or done twice shows.
pub(crate) fn respond(request: &SampleRequest, updates: u64) -> String {
    let mut draws = request.seed.nth(updates).draws();
    match request.prompt.split_once(" + ") {
        None if draws.chance(0.1) => "nothing".into(),
        None if draws.chance(0.05) => "3 4 secretly".into(),
        None => format!("{} {}", draws.below(30), draws.below(30)),
        Some((a, b)) => {
            let sum: u64 = a.parse::<u64>().unwrap() + b.parse::<u64>().unwrap();
            let is_right = draws.chance(1.0 - sum as f64 / 130.0);
            if is_right { sum.to_string() } else { (sum + 1 + draws.below(2) as u64).to_string() }
        }
    }
}
