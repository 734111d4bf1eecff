//! The seam to a domain: what can be proposed, solved and graded.

use anyhow::bail;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    measures::{Behaviour, Distance, Extent, Measures, Values},
    metrics::Metrics,
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Rejection, Task, TaskType},
};

/// What a proposal is made from.
#[derive(Debug)]
pub struct Given<'tasks, P = Value> {
    /// The tasks that the prompt shows; what an induction proposal is about.
    pub references: &'tasks [Task<P>],
    /// The tasks whose programs the proposed one has to call; none for most proposals.
    pub helpers: &'tasks [Task<P>],
}

impl<P> Clone for Given<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Given<'_, P> {}

impl<'tasks, P> Given<'tasks, P> {
    /// References without helpers.
    pub fn references(references: &'tasks [Task<P>]) -> Given<'tasks, P> {
        Given { references, helpers: &[] }
    }
}

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

    /// Whether the program of `task` can be a helper of a new task of this type: a function that the new program has
    /// to call (AZR appendix D.2).
    fn can_help(&self, _task_type: TaskType, _task: &Task<Self::Payload>) -> bool {
        false
    }

    /// What the proposer reads.
    fn propose_prompt(&self, task_type: TaskType, given: Given<'_, Self::Payload>) -> Prompt;

    /// Checks a proposal that was made from what was `given`.
    ///
    /// # Errors
    /// `Err` is a broken world; `Ok(Err(_))` is a bad proposal.
    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_, Self::Payload>,
        response: &str,
    ) -> anyhow::Result<Result<Self::Payload, Rejection>>;

    /// Checks a proposal of the seed stage, where an environment may have rules of its own.
    ///
    /// # Errors
    /// As [`Environment::validate`].
    fn validate_seed(
        &self,
        task_type: TaskType,
        given: Given<'_, Self::Payload>,
        response: &str,
    ) -> anyhow::Result<Result<Self::Payload, Rejection>> {
        self.validate(task_type, given, response)
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

    /// What the task is made of, as hashes of its parts in any order: tasks that share most of them are nearly the same.
    /// They are compared within a task type, and with the references a proposal was made from. Empty where the domain
    /// has no such notion.
    fn shingles(&self, _task: &Task<Self::Payload>) -> Vec<u64> {
        Vec::new()
    }

    /// What the task's program shows; `None` in a domain without programs.
    fn measures(&self, _task: &Task<Self::Payload>, _extent: Extent) -> Option<Measures> {
        None
    }

    /// The task's values by type; none in a domain whose values have no types.
    fn values(&self, _task: &Task<Self::Payload>) -> Values {
        Values::default()
    }

    /// From 0 for the same program to 1; `None` in a domain without programs.
    fn distance(
        &self,
        _task: &Task<Self::Payload>,
        _reference: &Task<Self::Payload>,
        _distance: Distance,
        _extent: Extent,
    ) -> Option<f64> {
        None
    }

    /// What a graded response does, as far as this domain can see.
    fn behaviours(
        &self,
        _task: &Task<Self::Payload>,
        _response: &str,
        _grade: &Grade,
    ) -> Vec<(Behaviour, f64)> {
        Vec::new()
    }

    /// `n` fresh tasks of one type that no policy proposed, for a held-out set. Empty where the domain has no
    /// generator of its own.
    ///
    /// # Errors
    /// If making them needs the world and the world is broken.
    fn held_out(&self, _task_type: TaskType, _n: usize, _seed: Seed) -> anyhow::Result<Vec<Self::Payload>> {
        Ok(Vec::new())
    }

    /// How long its checks take, as metrics below `timing/`; nothing where it does not measure.
    fn timing(&self) -> Metrics {
        Metrics::new()
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
    /// See [`Environment::can_help`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn can_help(&self, task_type: TaskType, task: &Task) -> anyhow::Result<bool>;
    /// See [`Environment::propose_prompt`].
    ///
    /// # Errors
    /// If a task that is given is another environment's.
    fn propose_prompt(&self, task_type: TaskType, given: Given<'_>) -> anyhow::Result<Prompt>;
    /// See [`Environment::validate`].
    ///
    /// # Errors
    /// If the world is broken.
    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_>,
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>>;
    /// See [`Environment::validate_seed`].
    ///
    /// # Errors
    /// If the world is broken.
    fn validate_seed(
        &self,
        task_type: TaskType,
        given: Given<'_>,
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
    /// See [`Environment::measures`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn measures(&self, task: &Task, extent: Extent) -> anyhow::Result<Option<Measures>>;
    /// See [`Environment::values`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn values(&self, task: &Task) -> anyhow::Result<Values>;
    /// See [`Environment::distance`].
    ///
    /// # Errors
    /// If a task is another environment's.
    fn distance(
        &self,
        task: &Task,
        reference: &Task,
        distance: Distance,
        extent: Extent,
    ) -> anyhow::Result<Option<f64>>;
    /// See [`Environment::behaviours`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn behaviours(&self, task: &Task, response: &str, grade: &Grade)
    -> anyhow::Result<Vec<(Behaviour, f64)>>;
    /// See [`Environment::shingles`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn shingles(&self, task: &Task) -> anyhow::Result<Vec<u64>>;
    /// See [`Environment::held_out`].
    ///
    /// # Errors
    /// If the world is broken.
    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Task>>;
    /// See [`Environment::timing`].
    fn timing(&self) -> Metrics;
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
    fn can_help(&self, task_type: TaskType, task: &Task) -> anyhow::Result<bool> {
        Ok(Environment::can_help(self, task_type, &task.typed()?))
    }
    fn propose_prompt(&self, task_type: TaskType, given: Given<'_>) -> anyhow::Result<Prompt> {
        let (references, helpers) = (typed(given.references)?, typed(given.helpers)?);
        let given = Given { references: &references, helpers: &helpers };
        Ok(Environment::propose_prompt(self, task_type, given))
    }
    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_>,
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        let (references, helpers) = (typed(given.references)?, typed(given.helpers)?);
        let given = Given { references: &references, helpers: &helpers };
        let outcome = Environment::validate(self, task_type, given, response)?;
        Ok(outcome.map(|payload| erase(task_type, payload)))
    }
    fn validate_seed(
        &self,
        task_type: TaskType,
        given: Given<'_>,
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        let (references, helpers) = (typed(given.references)?, typed(given.helpers)?);
        let given = Given { references: &references, helpers: &helpers };
        let outcome = Environment::validate_seed(self, task_type, given, response)?;
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
    fn shingles(&self, task: &Task) -> anyhow::Result<Vec<u64>> {
        Ok(Environment::shingles(self, &task.typed()?))
    }
    fn measures(&self, task: &Task, extent: Extent) -> anyhow::Result<Option<Measures>> {
        Ok(Environment::measures(self, &task.typed()?, extent))
    }
    fn values(&self, task: &Task) -> anyhow::Result<Values> {
        Ok(Environment::values(self, &task.typed()?))
    }
    fn distance(
        &self,
        task: &Task,
        reference: &Task,
        distance: Distance,
        extent: Extent,
    ) -> anyhow::Result<Option<f64>> {
        Ok(Environment::distance(self, &task.typed()?, &reference.typed()?, distance, extent))
    }
    fn behaviours(
        &self,
        task: &Task,
        response: &str,
        grade: &Grade,
    ) -> anyhow::Result<Vec<(Behaviour, f64)>> {
        Ok(Environment::behaviours(self, &task.typed()?, response, grade))
    }
    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Task>> {
        let payloads = Environment::held_out(self, task_type, n, seed)?;
        Ok(payloads.into_iter().map(|payload| erase(task_type, payload)).collect())
    }
    fn timing(&self) -> Metrics {
        Environment::timing(self)
    }
}

fn typed<P: DeserializeOwned>(tasks: &[Task]) -> anyhow::Result<Vec<Task<P>>> {
    tasks.iter().map(Task::typed).collect()
}

fn erase(task_type: TaskType, payload: impl Serialize) -> Task {
    let payload = serde_json::to_value(payload).expect("payloads are plain data");
    Task { task_type, born: 0, label: None, payload }
}
