//! Sums that an executor adds up: tasks of every type, which can be posed badly and answered wrongly.

use std::{collections::BTreeMap, sync::Arc};

use kelvin_core::{
    environment::{Environment, Given},
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};

/// Inputs that a verdict runs a program on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// To validate a proposal, under a first hash seed and, if it holds there, under a second.
    pub validate: usize,
    /// To grade an answer.
    pub grade: usize,
}

/// Proposers pose `a b`, solvers add. The first word of an answer is the answer, and what follows the numbers of a proposal
/// is not read: responses can be told apart by the rest of their words.
pub struct Sums {
    executor: Arc<dyn Executor>,
    programs: BTreeMap<TaskType, Programs>,
}

impl Sums {
    /// Sums whose verdicts run so many programs on `executor`; where none are named none run.
    pub fn new(executor: Arc<dyn Executor>, programs: BTreeMap<TaskType, Programs>) -> Sums {
        Sums { executor, programs }
    }

    fn programs(&self, task_type: TaskType) -> Programs {
        self.programs.get(&task_type).copied().unwrap_or_default()
    }

    /// What `n` runs of `program` on `input` come to.
    fn outcome(
        &self,
        n: usize,
        program: &str,
        input: &str,
        (calls, hash_seed): (Calls, HashSeed),
    ) -> anyhow::Result<Outcome> {
        if n == 0 {
            return Ok(add(input));
        }
        let job = Job {
            program: program.into(),
            inputs: vec![input.to_owned(); n],
            names: Names::Literals,
            company: None,
            hash_seed,
            calls,
            limits: Limits::default(),
        };
        Ok(self.executor.run(&job)?.swap_remove(0))
    }
}

impl Environment for Sums {
    type Payload = (u64, u64);

    fn task_types(&self) -> &'static [TaskType] {
        TaskType::ALL
    }
    fn seed_tasks(&self) -> Vec<(TaskType, (u64, u64))> {
        self.task_types().iter().map(|&it| (it, (1, 1))).collect()
    }
    fn propose_prompt(&self, task_type: TaskType, given: Given<'_, (u64, u64)>) -> String {
        format!("propose {task_type} {:?}", given.references.iter().map(|it| it.payload).collect::<Vec<_>>())
    }
    fn validate(
        &self,
        task_type: TaskType,
        _: Given<'_, (u64, u64)>,
        response: &str,
    ) -> anyhow::Result<Result<(u64, u64), Rejection>> {
        let n = self.programs(task_type).validate;
        for hash_seed in [HashSeed::A, HashSeed::B] {
            match self.outcome(n, response, response, (Calls::Twice, hash_seed))? {
                Outcome::Value { .. } => {}
                other => return Ok(Err(Rejection::new(Reason::RuntimeError, format!("{other:?}")))),
            }
        }
        Ok(Ok((numbers(response)[0], numbers(response)[1])))
    }
    fn proposal_is_formatted(&self, _: TaskType, response: &str) -> bool {
        response.contains(' ')
    }
    fn solve_prompt(&self, task: &Task<(u64, u64)>) -> String {
        format!("{} + {}", task.payload.0, task.payload.1)
    }
    fn grade(&self, task: &Task<(u64, u64)>, response: &str) -> anyhow::Result<Grade> {
        let (a, b) = task.payload;
        let n = self.programs(task.task_type).grade;
        Ok(match self.outcome(n, response, &format!("{a} {b}"), (Calls::Once, HashSeed::A))? {
            Outcome::Value { repr } if response.split(' ').next() == Some(&repr) => Grade::correct(),
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
    text.split(' ').filter_map(|it| it.parse::<u32>().ok()).map(u64::from).collect()
}

/// What an executor of sums says of an input.
pub fn add(input: &str) -> Outcome {
    match numbers(input)[..] {
        [a, b] => Outcome::Value { repr: (a + b).to_string() },
        _ => Outcome::CompileError { message: "no sum".into() },
    }
}
