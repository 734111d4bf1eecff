//! The tasks that were admitted, and what is drawn from them. The log on disk holds every task; memory holds those
//! that can be drawn, at most `buffer_max` of a type, so that neither grows with the steps of a run (azr.md section
//! 2.2). Tasks lie here as JSON text, which takes a third of the room of a JSON tree.

mod draw;
mod pool;

use std::collections::{BTreeMap, HashSet};

use kelvin_core::{
    environment::DynEnvironment,
    seed::Seed,
    task::{Step, Task, TaskType},
};
use sha2::{Digest, Sha256};

use crate::{
    novelty::Sketch,
    reward,
    settings::{AzrSettings, ReferenceMix, RunSettings},
    stage::{Estimated, Solved},
    types::TypeCounters,
};
use pool::{Entry, Limits, Pool};

/// The tasks of a run.
#[derive(Default)]
pub struct TaskBuffer {
    pools: BTreeMap<TaskType, Pool>,
    /// Of every task ever admitted: 16 bytes each.
    identities: HashSet<u128>,
    unlogged: Vec<Task>,
    limits: Option<Limits>,
    /// Of every task ever admitted.
    types: TypeCounters,
}

impl TaskBuffer {
    /// Appends validated tasks.
    ///
    /// # Errors
    /// If a task is another environment's.
    pub fn append(
        &mut self,
        env: &dyn DynEnvironment,
        tasks: impl IntoIterator<Item = Task>,
    ) -> anyhow::Result<()> {
        tasks.into_iter().try_for_each(|task| self.add(env, task, None))
    }

    /// Appends the proposals that `azr.admit` lets in. With a band their estimates are remembered.
    ///
    /// # Errors
    /// If a task is another environment's.
    pub fn admit(
        &mut self,
        env: &dyn DynEnvironment,
        estimated: &[Estimated],
        azr: &AzrSettings,
    ) -> anyhow::Result<()> {
        for (task, grades) in estimated.iter().filter_map(|it| it.outcome.as_ref().ok()) {
            let solve_rate = reward::solve_rate(grades);
            if azr.admit.admits(solve_rate) {
                self.add(env, task.clone(), azr.has_band().then_some(solve_rate))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, env: &dyn DynEnvironment, task: Task, solve_rate: Option<f32>) -> anyhow::Result<()> {
        let identity = digest(task.task_type, &env.identity(&task)?);
        let sketch = Sketch::of(&env.shingles(&task)?);
        let text = serde_json::to_string(&task).expect("tasks are plain data").into_boxed_str();
        self.identities.insert(identity);
        self.types.count(task.task_type, &env.values(&task)?);
        let pool = self.pools.entry(task.task_type).or_default();
        let entry = Entry { number: pool.n_admitted(), born: task.born, identity, solve_rate, text };
        pool.admit(entry, sketch, self.limits.as_ref());
        self.unlogged.push(task);
        Ok(())
    }

    /// Forgets every task, but not its limits.
    pub(crate) fn clear(&mut self) {
        *self = TaskBuffer { limits: self.limits.take(), ..TaskBuffer::default() };
    }

    /// Evicts from now on as `settings` say, and does so for what was appended before, task by task: whether a run
    /// appended its tasks or read them back from its log, and whether it knew its limits then, the same ones stay. Each step
    /// calls it.
    pub fn limit(&mut self, settings: &RunSettings) {
        let limits = Limits::of(settings);
        if self.limits.as_ref() != Some(&limits) {
            self.pools.values_mut().for_each(|pool| pool.settle(&limits));
            self.limits = Some(limits);
        }
    }

    /// The tasks that were appended since this was last asked, oldest first: what a log on disk lacks.
    pub fn take_unlogged(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.unlogged)
    }

    /// Counts of the values of all tasks ever admitted.
    pub fn types(&self) -> &TypeCounters {
        &self.types
    }

    /// Whether this task was ever admitted.
    pub fn holds(&self, identity: &(TaskType, String)) -> bool {
        self.identities.contains(&digest(identity.0, &identity.1))
    }

    /// Whether a task of this type that can be drawn is as similar as `similarity`, or more.
    pub fn holds_similar(&self, task_type: TaskType, sketch: &Sketch, similarity: f64) -> bool {
        self.pools.get(&task_type).is_some_and(|pool| pool.sketches.holds_similar(sketch, similarity))
    }

    /// Tasks of a type ever admitted.
    pub fn n_admitted(&self, task_type: TaskType) -> usize {
        self.pools.get(&task_type).map_or(0, |pool| pool.n_admitted() as usize)
    }

    /// The tasks of a type that can be drawn: seeds first, then from the oldest to the newest.
    pub fn tasks(&self, task_type: TaskType) -> impl Iterator<Item = Task> {
        self.pools.get(&task_type).into_iter().flat_map(Pool::entries).map(Entry::task)
    }

    /// At most `n` distinct references from the pools of `task_types`.
    pub fn references(
        &self,
        task_types: &[TaskType],
        n: usize,
        settings: &AzrSettings,
        seed: Seed,
    ) -> Vec<Task> {
        let pools = Pools::of(self, task_types);
        let drawn = match settings.reference_mix {
            ReferenceMix::Uniform => seed.draws().distinct(n, pools.len()),
            ReferenceMix::Step => {
                draw::weighted_distinct(n, pools.len(), |index| f64::from(pools.entry(index).born + 1), seed)
            }
        };
        drawn.into_iter().map(|index| pools.entry(index).task()).collect()
    }

    /// Every task of these types that can be drawn, in a random order.
    pub fn shuffled(&self, task_types: &[TaskType], seed: Seed) -> impl Iterator<Item = Task> {
        let pools = Pools::of(self, task_types);
        let order = seed.draws().distinct(pools.len(), pools.len());
        order.into_iter().map(move |index| pools.entry(index).task())
    }

    /// At most `n` problems of a type for the solver at step `now`, drawn as `solver_mix` says.
    pub fn problems(
        &self,
        task_type: TaskType,
        n: usize,
        now: Step,
        settings: &AzrSettings,
        seed: Seed,
    ) -> Vec<Task> {
        let Some(pool) = self.pools.get(&task_type) else { return Vec::new() };
        let drawn = draw::problems(pool, n, now, settings, seed);
        drawn.into_iter().map(|index| pool.entry(index).task()).collect()
    }

    /// With a band, remembers how the solver did on `problems`, each of which has `n_solutions` neighbours in `solved`.
    ///
    /// # Errors
    /// If a task is another environment's.
    pub fn observe(
        &mut self,
        env: &dyn DynEnvironment,
        problems: &[Task],
        solved: &[Solved],
        azr: &AzrSettings,
    ) -> anyhow::Result<()> {
        assert_eq!(problems.len() * azr.n_solutions, solved.len(), "each problem has its solutions");
        if !azr.has_band() {
            return Ok(());
        }
        for (task, solutions) in problems.iter().zip(solved.chunks(azr.n_solutions)) {
            let identity = digest(task.task_type, &env.identity(task)?);
            let solve_rate = solutions.iter().map(|it| it.grade.score).sum::<f32>() / solutions.len() as f32;
            if let Some(pool) = self.pools.get_mut(&task.task_type) {
                pool.observe(identity, solve_rate, azr);
            }
        }
        Ok(())
    }

    /// The solve rates that are known, by the number of their task among those of its type: what the log lacks.
    pub fn solve_rates(&self) -> BTreeMap<TaskType, Vec<(u32, f32)>> {
        let known = |pool: &Pool| -> Vec<(u32, f32)> {
            pool.entries().filter_map(|it| Some((it.number, it.solve_rate?))).collect()
        };
        let all = self.pools.iter().map(|(&task_type, pool)| (task_type, known(pool)));
        all.filter(|(_, known)| !known.is_empty()).collect()
    }

    /// Takes over what [`TaskBuffer::solve_rates`] gave of the same tasks.
    ///
    /// # Panics
    /// If a number is no task's here.
    pub fn set_solve_rates(&mut self, known: &BTreeMap<TaskType, Vec<(u32, f32)>>) {
        for (task_type, known) in known {
            self.pools.entry(*task_type).or_default().set_solve_rates(known);
        }
    }
}

/// The first half of a SHA-256: tasks are told apart by it, however many there are.
fn digest(task_type: TaskType, identity: &str) -> u128 {
    let hash =
        Sha256::new().chain_update(task_type.as_str()).chain_update([0]).chain_update(identity).finalize();
    u128::from_le_bytes(std::array::from_fn(|at| hash[at]))
}

/// Several pools, counted through.
struct Pools<'a>(Vec<&'a Pool>);

impl<'a> Pools<'a> {
    fn of(buffer: &'a TaskBuffer, task_types: &[TaskType]) -> Pools<'a> {
        Pools(task_types.iter().filter_map(|it| buffer.pools.get(it)).collect())
    }

    fn len(&self) -> usize {
        self.0.iter().map(|it| it.len()).sum()
    }

    fn entry(&self, mut index: usize) -> &'a Entry {
        for pool in &self.0 {
            if index < pool.len() {
                return pool.entry(index);
            }
            index -= pool.len();
        }
        panic!("the index is not below the sum of lengths")
    }
}

#[cfg(test)]
mod tests;
