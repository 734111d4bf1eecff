//! The seam to a domain: what can be proposed, solved and graded.

use anyhow::bail;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Rejection, Task, TaskType},
};

/// What a record of a seed file came to.
#[derive(Clone, Debug, PartialEq)]
pub enum SeedRecord<P> {
    /// A problem that passed the checks of a proposal.
    Valid(P),
    /// It did not pass.
    Refused(Rejection),
    /// A record of another type of task.
    OtherType,
}

/// One self-play domain. Implement this; the recipes hold it as `dyn DynEnvironment`.
pub trait Environment: Send + Sync {
    /// A problem of this domain.
    type Payload: Serialize + DeserializeOwned;

    /// The task types it can pose.
    fn task_types(&self) -> &'static [TaskType];

    /// What a run without seed files starts from.
    fn seed_tasks(&self) -> Vec<(TaskType, Self::Payload)>;

    /// Whose tasks a proposer sees. AZR's induction sees abduction and deduction.
    fn reference_types(&self, task_type: TaskType) -> Vec<TaskType> {
        vec![task_type]
    }

    /// How many references a proposal of this type needs: `None` for "as many as the recipe shows",
    /// `Some(1)` for induction, whose proposal is about its one reference.
    fn references_needed(&self, _task_type: TaskType) -> Option<usize> {
        None
    }

    /// Which buffers a proposal of this type enters in the seed stage. AZR's abduction and deduction share one
    /// seed set.
    fn seed_types(&self, task_type: TaskType) -> Vec<TaskType> {
        vec![task_type]
    }

    /// What the proposer reads.
    fn propose_prompt(&self, task_type: TaskType, references: &[Task<Self::Payload>]) -> Prompt;

    /// Checks a proposal that was made from `references`.
    ///
    /// # Errors
    /// `Err` is a broken world; `Ok(Err(_))` is a bad proposal.
    fn validate(
        &self,
        task_type: TaskType,
        references: &[Task<Self::Payload>],
        response: &str,
    ) -> anyhow::Result<Result<Self::Payload, Rejection>>;

    /// Checks a proposal of the seed stage, where an environment may have rules of its own.
    ///
    /// # Errors
    /// As [`Environment::validate`].
    fn validate_seed(
        &self,
        task_type: TaskType,
        references: &[Task<Self::Payload>],
        response: &str,
    ) -> anyhow::Result<Result<Self::Payload, Rejection>> {
        self.validate(task_type, references, response)
    }

    /// Checks a record of a seed file as it would check a proposal of this type.
    ///
    /// # Errors
    /// If the world is broken, or the domain has no seed files.
    fn read_seed(&self, task_type: TaskType, _record: &Value) -> anyhow::Result<SeedRecord<Self::Payload>> {
        bail!("no seed file holds {task_type} tasks of this environment\nhint: leave out its seed files")
    }

    /// Whether the response has the form that the prompt asked for (AZR's format score).
    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool;

    /// What the solver reads.
    fn solve_prompt(&self, task: &Task<Self::Payload>) -> Prompt;

    /// Grades an answer.
    ///
    /// # Errors
    /// `Err` is a broken world; a bad answer is a [`Grade`].
    fn grade(&self, task: &Task<Self::Payload>, response: &str) -> anyhow::Result<Grade>;

    /// The answer a response commits to; environments without ground truth vote on it.
    fn answer(&self, _task: &Task<Self::Payload>, _response: &str) -> Option<String> {
        None
    }

    /// What makes two tasks the same problem: the key of duplicate checks.
    fn identity(&self, task: &Task<Self::Payload>) -> String;

    /// What a task must not share with a held-out one: for programs, the program, whatever its input.
    fn family(&self, task: &Task<Self::Payload>) -> String {
        self.identity(task)
    }

    /// `n` fresh tasks of one type that no policy proposed, for a held-out set. Empty where the domain has no
    /// generator of its own.
    ///
    /// # Errors
    /// If making them needs the world and the world is broken.
    fn held_out(&self, _task_type: TaskType, _n: usize, _seed: Seed) -> anyhow::Result<Vec<Self::Payload>> {
        Ok(Vec::new())
    }
}

/// [`Environment`] with the payload erased to JSON, which is also how tasks lie on disk.
pub trait DynEnvironment: Send + Sync {
    /// See [`Environment::task_types`].
    fn task_types(&self) -> &'static [TaskType];
    /// See [`Environment::seed_tasks`].
    fn seed_tasks(&self) -> Vec<Task>;
    /// See [`Environment::reference_types`].
    fn reference_types(&self, task_type: TaskType) -> Vec<TaskType>;
    /// See [`Environment::references_needed`].
    fn references_needed(&self, task_type: TaskType) -> Option<usize>;
    /// See [`Environment::seed_types`].
    fn seed_types(&self, task_type: TaskType) -> Vec<TaskType>;
    /// See [`Environment::propose_prompt`].
    ///
    /// # Errors
    /// If a reference is another environment's.
    fn propose_prompt(&self, task_type: TaskType, references: &[Task]) -> anyhow::Result<Prompt>;
    /// See [`Environment::validate`].
    ///
    /// # Errors
    /// If the world is broken.
    fn validate(
        &self,
        task_type: TaskType,
        references: &[Task],
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>>;
    /// See [`Environment::validate_seed`].
    ///
    /// # Errors
    /// If the world is broken.
    fn validate_seed(
        &self,
        task_type: TaskType,
        references: &[Task],
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>>;
    /// See [`Environment::read_seed`].
    ///
    /// # Errors
    /// If the world is broken, or the domain has no seed files.
    fn read_seed(&self, task_type: TaskType, record: &Value) -> anyhow::Result<SeedRecord<Task>>;
    /// See [`Environment::proposal_is_formatted`].
    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool;
    /// See [`Environment::solve_prompt`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn solve_prompt(&self, task: &Task) -> anyhow::Result<Prompt>;
    /// See [`Environment::grade`].
    ///
    /// # Errors
    /// If the world is broken.
    fn grade(&self, task: &Task, response: &str) -> anyhow::Result<Grade>;
    /// See [`Environment::answer`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn answer(&self, task: &Task, response: &str) -> anyhow::Result<Option<String>>;
    /// See [`Environment::identity`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn identity(&self, task: &Task) -> anyhow::Result<String>;
    /// See [`Environment::family`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn family(&self, task: &Task) -> anyhow::Result<String>;
    /// See [`Environment::held_out`].
    ///
    /// # Errors
    /// If the world is broken.
    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Task>>;
}

impl<E: Environment> DynEnvironment for E {
    fn task_types(&self) -> &'static [TaskType] {
        Environment::task_types(self)
    }
    fn seed_tasks(&self) -> Vec<Task> {
        Environment::seed_tasks(self)
            .into_iter()
            .map(|(task_type, payload)| erase(task_type, payload))
            .collect()
    }
    fn reference_types(&self, task_type: TaskType) -> Vec<TaskType> {
        Environment::reference_types(self, task_type)
    }
    fn references_needed(&self, task_type: TaskType) -> Option<usize> {
        Environment::references_needed(self, task_type)
    }
    fn seed_types(&self, task_type: TaskType) -> Vec<TaskType> {
        Environment::seed_types(self, task_type)
    }
    fn propose_prompt(&self, task_type: TaskType, references: &[Task]) -> anyhow::Result<Prompt> {
        Ok(Environment::propose_prompt(self, task_type, &typed(references)?))
    }
    fn validate(
        &self,
        task_type: TaskType,
        references: &[Task],
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        let outcome = Environment::validate(self, task_type, &typed(references)?, response)?;
        Ok(outcome.map(|payload| erase(task_type, payload)))
    }
    fn validate_seed(
        &self,
        task_type: TaskType,
        references: &[Task],
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        let outcome = Environment::validate_seed(self, task_type, &typed(references)?, response)?;
        Ok(outcome.map(|payload| erase(task_type, payload)))
    }
    fn read_seed(&self, task_type: TaskType, record: &Value) -> anyhow::Result<SeedRecord<Task>> {
        Ok(match Environment::read_seed(self, task_type, record)? {
            SeedRecord::Valid(payload) => SeedRecord::Valid(erase(task_type, payload)),
            SeedRecord::Refused(rejection) => SeedRecord::Refused(rejection),
            SeedRecord::OtherType => SeedRecord::OtherType,
        })
    }
    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool {
        Environment::proposal_is_formatted(self, task_type, response)
    }
    fn solve_prompt(&self, task: &Task) -> anyhow::Result<Prompt> {
        Ok(Environment::solve_prompt(self, &task.typed()?))
    }
    fn grade(&self, task: &Task, response: &str) -> anyhow::Result<Grade> {
        Environment::grade(self, &task.typed()?, response)
    }
    fn answer(&self, task: &Task, response: &str) -> anyhow::Result<Option<String>> {
        Ok(Environment::answer(self, &task.typed()?, response))
    }
    fn identity(&self, task: &Task) -> anyhow::Result<String> {
        Ok(Environment::identity(self, &task.typed()?))
    }
    fn family(&self, task: &Task) -> anyhow::Result<String> {
        Ok(Environment::family(self, &task.typed()?))
    }
    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Task>> {
        let payloads = Environment::held_out(self, task_type, n, seed)?;
        Ok(payloads.into_iter().map(|payload| erase(task_type, payload)).collect())
    }
}

fn typed<P: DeserializeOwned>(tasks: &[Task]) -> anyhow::Result<Vec<Task<P>>> {
    tasks.iter().map(Task::typed).collect()
}

fn erase(task_type: TaskType, payload: impl Serialize) -> Task {
    let payload = serde_json::to_value(payload).expect("payloads are plain data");
    Task { task_type, born: 0, label: None, payload }
}
