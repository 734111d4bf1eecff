//! The append-only log of validated tasks, and the windows over it. Eviction is a window, never a deletion: a
//! full buffer forgets its oldest tasks and keeps its seeds (azr.md section 2.2; the original kept the oldest).

use std::collections::HashSet;

use kelvin_core::{
    environment::DynEnvironment,
    seed::Seed,
    task::{Step, Task, TaskType},
};

use crate::{
    settings::{AzrSettings, ReferenceMix, SolverMix},
    types::TypeCounters,
};

/// All tasks that ever were admitted, in order.
#[derive(Default)]
pub struct TaskBuffer {
    log: Vec<Task>,
    identities: HashSet<(TaskType, String)>,
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
        for task in tasks {
            self.identities.insert((task.task_type, env.identity(&task)?));
            self.types.count(task.task_type, &env.values(&task)?);
            self.log.push(task);
        }
        Ok(())
    }

    /// Every task, oldest first.
    pub fn log(&self) -> &[Task] {
        &self.log
    }

    /// Counts of the values of all tasks.
    pub fn types(&self) -> &TypeCounters {
        &self.types
    }

    /// Whether this task was ever admitted.
    pub fn holds(&self, identity: &(TaskType, String)) -> bool {
        self.identities.contains(identity)
    }

    /// Tasks of a type that can be drawn: the seeds and the newest others, at most `buffer_max` together.
    pub fn pool(&self, task_type: TaskType, buffer_max: usize) -> Vec<&Task> {
        let of_type: Vec<&Task> = self.log.iter().filter(|it| it.task_type == task_type).collect();
        let excess = of_type.len().saturating_sub(buffer_max);
        let mut evicted = 0;
        let keep = |it: &&Task| {
            let evict = it.born != 0 && evicted < excess;
            evicted += usize::from(evict);
            !evict
        };
        of_type.into_iter().filter(keep).collect()
    }

    /// At most `n` distinct references from the pools of `task_types`.
    pub fn references(
        &self,
        task_types: &[TaskType],
        n: usize,
        settings: &AzrSettings,
        seed: Seed,
    ) -> Vec<Task> {
        let pools = task_types.iter().map(|&it| self.pool(it, settings.buffer_max));
        let pool: Vec<&Task> = pools.flatten().collect();
        match settings.reference_mix {
            ReferenceMix::Uniform => {
                seed.draws().distinct(n, pool.len()).into_iter().map(|index| pool[index].clone()).collect()
            }
            ReferenceMix::Step => weighted_distinct(pool, n, seed),
        }
    }

    /// At most `n` distinct problems of a type for the solver at step `now`; fewer if the pool is smaller.
    pub fn problems(
        &self,
        task_type: TaskType,
        n: usize,
        now: Step,
        settings: &AzrSettings,
        seed: Seed,
    ) -> Vec<Task> {
        let pool = self.pool(task_type, settings.buffer_max);
        // With a lag, the step before is new; at step 1 that is the seeds.
        let oldest_new = now - Step::from(u8::from(settings.solve_lag));
        let (new, old): (Vec<&Task>, Vec<&Task>) = pool.iter().partition(|it| oldest_new <= it.born);
        let n_new = match settings.solver_mix {
            SolverMix::MaxNew => n,
            SolverMix::HalfNew => n / 2,
            SolverMix::Uniform => 0,
        };
        let mut drawn: Vec<Task> = Vec::new();
        let mut rest: Vec<&Task> = Vec::new();
        match settings.solver_mix {
            SolverMix::Uniform => rest = pool,
            SolverMix::MaxNew | SolverMix::HalfNew => {
                let order = seed.fork("new").draws().distinct(new.len(), new.len());
                drawn.extend(order.iter().take(n_new).map(|&index| new[index].clone()));
                rest.extend(order.iter().skip(n_new).map(|&index| new[index]));
                rest.extend(old);
            }
        }
        let fill = seed.fork("rest").draws().distinct(n - drawn.len(), rest.len());
        drawn.extend(fill.into_iter().map(|index| rest[index].clone()));
        drawn
    }
}

/// Distinct draws with weight `born + 1`, by the exponential keys of Efraimidis and Spirakis (2006).
fn weighted_distinct(pool: Vec<&Task>, n: usize, seed: Seed) -> Vec<Task> {
    let mut keyed: Vec<(f64, &Task)> = pool
        .into_iter()
        .enumerate()
        .map(|(index, task)| {
            let uniform = 1.0 - seed.nth(index as u64).unit();
            (-uniform.ln() / f64::from(task.born + 1), task)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().take(n).map(|(_, task)| task.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(born: impl IntoIterator<Item = Step>) -> TaskBuffer {
        let log = born.into_iter().enumerate().map(|(index, born)| Task {
            task_type: TaskType::Deduction,
            born,
            label: None,
            payload: serde_json::json!(index),
        });
        TaskBuffer { log: log.collect(), ..TaskBuffer::default() }
    }

    fn indices(tasks: &[Task]) -> Vec<u64> {
        tasks.iter().map(|it| it.payload.as_u64().unwrap()).collect()
    }

    #[test]
    fn a_full_buffer_still_solves_the_newest() {
        let settings = AzrSettings { buffer_max: 10, ..AzrSettings::default() };
        let buffer = buffer([0, 0, 0, 0].into_iter().chain((1..=20).flat_map(|step| [step, step])));
        let pool: Vec<Task> = buffer.pool(TaskType::Deduction, 10).into_iter().cloned().collect();
        assert_eq!(pool.len(), 10);
        assert_eq!(pool.iter().filter(|it| it.born == 0).count(), 4);
        let mut newest =
            indices(&buffer.problems(TaskType::Deduction, 4, 21, &settings, Seed::new(1)))[..2].to_vec();
        newest.sort_unstable();
        assert_eq!(newest, [42, 43], "both tasks of step 20 come first at step 21");
    }

    #[test]
    fn problems_are_distinct_and_filled_from_the_rest() {
        for solver_mix in [SolverMix::MaxNew, SolverMix::HalfNew, SolverMix::Uniform] {
            let settings = AzrSettings { solver_mix, ..AzrSettings::default() };
            let buffer = buffer((0..40).map(|it| it / 10));
            let mut drawn = indices(&buffer.problems(TaskType::Deduction, 16, 4, &settings, Seed::new(9)));
            let n_new = drawn.iter().filter(|&&it| it >= 30).count();
            match solver_mix {
                SolverMix::MaxNew => assert_eq!(n_new, 10),
                SolverMix::HalfNew => assert!(8 <= n_new),
                SolverMix::Uniform => assert!(n_new < 10),
            }
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), 16);
        }
    }

    #[test]
    fn small_pools_give_what_they_have() {
        let buffer = buffer([0, 1]);
        let settings = AzrSettings::default();
        assert_eq!(buffer.problems(TaskType::Deduction, 5, 1, &settings, Seed::new(1)).len(), 2);
        assert_eq!(buffer.references(&[TaskType::Deduction], 6, &settings, Seed::new(1)).len(), 2);
        assert!(buffer.references(&[TaskType::Induction], 6, &settings, Seed::new(1)).is_empty());
    }

    #[test]
    fn step_weights_prefer_the_recent() {
        let settings = AzrSettings { reference_mix: ReferenceMix::Step, ..AzrSettings::default() };
        let buffer = buffer([0, 99]);
        let recent = (0..1000)
            .filter(|&it| {
                indices(&buffer.references(&[TaskType::Deduction], 1, &settings, Seed::new(2).nth(it))) == [1]
            })
            .count();
        assert!(970 <= recent, "99 in 100 expected: {recent}");
    }
}
