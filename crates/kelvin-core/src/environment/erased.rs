//! [`Environment`] as an object: what the recipes hold.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Environment, Floors, Given, SeedRecord};
use crate::{
    measures::{Behaviour, Distance, Extent, Measures, Values},
    metrics::Metrics,
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Label, Rejection, Task, TaskType},
};

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
    /// See [`Environment::misfit`]; another environment's task is one. So is one that has no label where it needs one.
    fn misfit(&self, task: &Task) -> Option<String>;
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
    /// See [`Environment::truth_by_vote`].
    fn truth_by_vote(&self) -> bool;
    /// See [`Environment::truth`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn truth(&self, task: &Task) -> anyhow::Result<Option<String>>;
    /// See [`Environment::untaught`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn untaught(&self, task: &Task) -> anyhow::Result<Option<Rejection>>;
    /// See [`Environment::wording`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn wording(&self, task: &Task) -> anyhow::Result<String>;
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
    /// See [`Environment::may_teach`].
    ///
    /// # Errors
    /// If the task is another environment's.
    fn may_teach(&self, task: &Task) -> anyhow::Result<bool>;
    /// See [`Environment::floors`].
    fn floors(&self, task_type: TaskType) -> Option<Floors>;
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
            .map(|(task_type, payload)| labelled(self, task_type, payload))
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
        Ok(Environment::propose_prompt(self, task_type, Typed::read(given)?.given()))
    }
    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_>,
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        let outcome = Environment::validate(self, task_type, Typed::read(given)?.given(), response)?;
        Ok(outcome.map(|payload| erase(task_type, payload)))
    }
    fn validate_seed(
        &self,
        task_type: TaskType,
        given: Given<'_>,
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        let outcome = Environment::validate_seed(self, task_type, Typed::read(given)?.given(), response)?;
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
    fn misfit(&self, task: &Task) -> Option<String> {
        match task.typed() {
            Ok(_) if Environment::truth_by_vote(self) && task.label.is_none() => {
                Some("the task has no label".to_owned())
            }
            Ok(typed) => Environment::misfit(self, &typed),
            Err(error) => Some(format!("{error:#}")),
        }
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
    fn truth_by_vote(&self) -> bool {
        Environment::truth_by_vote(self)
    }
    fn truth(&self, task: &Task) -> anyhow::Result<Option<String>> {
        Ok(Environment::truth(self, &task.typed()?))
    }
    fn untaught(&self, task: &Task) -> anyhow::Result<Option<Rejection>> {
        Ok(Environment::untaught(self, &task.typed()?))
    }
    fn wording(&self, task: &Task) -> anyhow::Result<String> {
        Ok(Environment::wording(self, &task.typed()?))
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
        Ok(payloads.into_iter().map(|payload| labelled(self, task_type, payload)).collect())
    }
    fn may_teach(&self, task: &Task) -> anyhow::Result<bool> {
        Ok(Environment::may_teach(self, &task.typed()?))
    }
    fn floors(&self, task_type: TaskType) -> Option<Floors> {
        Environment::floors(self, task_type)
    }
    fn timing(&self) -> Metrics {
        Environment::timing(self)
    }
}

/// What a proposal is made from, with the payloads of one domain.
struct Typed<P> {
    references: Vec<Task<P>>,
    helpers: Vec<Task<P>>,
}

impl<P: DeserializeOwned> Typed<P> {
    fn read(given: Given<'_>) -> anyhow::Result<Typed<P>> {
        let typed = |tasks: &[Task]| tasks.iter().map(Task::typed).collect::<anyhow::Result<_>>();
        Ok(Typed { references: typed(given.references)?, helpers: typed(given.helpers)? })
    }

    fn given(&self) -> Given<'_, P> {
        Given { references: &self.references, helpers: &self.helpers }
    }
}

/// A task that no policy proposed, with its truth where votes are the rule and it is known.
fn labelled<E: Environment>(env: &E, task_type: TaskType, payload: E::Payload) -> Task {
    let task = Task { task_type, born: 0, label: None, payload };
    let truth = env.truth(&task).filter(|_| env.truth_by_vote());
    let label = truth.map(|answer| Label { answer, share: 1.0 });
    Task { label, ..erase(task_type, task.payload) }
}

fn erase(task_type: TaskType, payload: impl Serialize) -> Task {
    let payload = serde_json::to_value(payload).expect("payloads are plain data");
    Task { task_type, born: 0, label: None, payload }
}
