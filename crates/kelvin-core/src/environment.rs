//! The seam to a domain: what can be proposed, solved and graded.

mod erased;

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

pub use erased::DynEnvironment;

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

/// What answers that look at nothing get right of the evaluation's tasks, in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// Drawing uniformly among the answers that a question leaves open.
    pub uniform: f64,
    /// Always giving the one answer that is right most often.
    pub constant: f64,
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

    /// Why a task that others wrote down is none of this domain's, or none that can be graded; `None` where it is one. What
    /// passes is posed and graded without a panic.
    fn misfit(&self, task: &Task<Self::Payload>) -> Option<String> {
        let types = self.task_types();
        (!types.contains(&task.task_type)).then(|| format!("there are no {} tasks here", task.task_type))
    }

    /// What the solver reads.
    fn solve_prompt(&self, task: &Task<Self::Payload>) -> Prompt;

    /// Grades an answer.
    ///
    /// # Errors
    /// `Err` is a broken world; a bad answer is a [`Grade`].
    fn grade(&self, task: &Task<Self::Payload>, response: &str) -> anyhow::Result<Grade>;

    /// Whether nothing but a vote says what the answer to a task is: such tasks have no label when they are posed, and
    /// nobody grades answers to them before.
    fn truth_by_vote(&self) -> bool {
        false
    }

    /// The answer a response commits to, written so that equal answers are equal texts; what is voted on.
    fn answer(&self, _task: &Task<Self::Payload>, _response: &str) -> Option<String> {
        None
    }

    /// The answer to a task, as [`Environment::answer`] writes it, where this domain can tell it without a vote. It audits
    /// labels and is never a reward.
    fn truth(&self, _task: &Task<Self::Payload>) -> Option<String> {
        None
    }

    /// Why a task stays out of what solvers learn from although it is one, seen with its label; `None` for most.
    fn untaught(&self, _task: &Task<Self::Payload>) -> Option<Rejection> {
        None
    }

    /// The words of a task, without what all tasks of its type share: proposals that repeat one another are found by them.
    fn wording(&self, task: &Task<Self::Payload>) -> String {
        self.solve_prompt(task)
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

    /// Whether a run may train on this task of the evaluation all the same. Where a domain is small enough to be measured
    /// whole, only a part of it is withheld.
    fn may_teach(&self, _task: &Task<Self::Payload>) -> bool {
        false
    }

    /// What guesses get right of all tasks of this type that [`Environment::held_out`] can give; `None` where nobody
    /// can count that.
    fn floors(&self, _task_type: TaskType) -> Option<Floors> {
        None
    }

    /// How long its checks take, as metrics below `timing/`; nothing where it does not measure.
    fn timing(&self) -> Metrics {
        Metrics::new()
    }
}
