//! Everything that influences the future of a run and cannot be derived from its settings.

use std::collections::{BTreeMap, HashSet};

use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    notices::Notices,
    objective::Objective,
    policy::{AdamParams, LossStats, OptimStats, Player, Policy, Sampler},
    rollout::{Role, Sample},
    seed::Seed,
    stop::Stop,
    task::{Step, Task, TaskType},
};

use crate::{buffer::TaskBuffer, posed::Posed, r_zero::Memory, settings::EvalSettings};

/// The state between two steps. Recipes add what they need here: phase cursors, probe history, memories.
pub struct RunState {
    /// The last step that is complete; 0 after the seed stage.
    pub step: Step,
    /// Whether the seed stage is complete.
    pub seeded: bool,
    /// The policies.
    pub policies: Policies,
    /// What a KL term pulls towards: frozen weights that no checkpoint holds, since the settings name them.
    pub reference: Option<Box<dyn Sampler>>,
    /// The tasks.
    pub buffer: TaskBuffer,
    /// What the last step's proposals promised.
    pub posed: Posed,
    /// What R-Zero remembers; nothing in a run of Absolute Zero.
    pub r_zero: Memory,
    /// The row of metrics of the last step (or of the seed stage), until it is recorded: its evaluation may be due.
    pub pending: Option<Metrics>,
}

/// What a step changes before a policy learns, beside the tasks that the log on disk has.
pub(crate) struct Before {
    pub(crate) step: Step,
    pub(crate) versions: Vec<u64>,
    pub(crate) r_zero: Memory,
    pub(crate) solve_rates: BTreeMap<TaskType, Vec<(u32, f32)>>,
}

impl RunState {
    /// A run that has not begun, without a reference.
    pub fn new(policies: Vec<Policy>) -> RunState {
        assert!(!policies.is_empty(), "a run has at least one policy");
        RunState {
            step: 0,
            seeded: false,
            policies: Policies(policies),
            reference: None,
            buffer: TaskBuffer::default(),
            posed: Posed::default(),
            r_zero: Memory::default(),
            pending: None,
        }
    }

    /// Where each policy says what whoever watches should know.
    pub fn notices(&self) -> Vec<Notices> {
        self.policies.0.iter().map(|it| it.trainer.notices()).collect()
    }

    /// Has policies and reference end long work soon after `stop` is asked.
    pub fn listen(&mut self, stop: &Stop) {
        self.policies.0.iter_mut().for_each(|it| it.trainer.listen(stop.clone()));
        if let Some(reference) = &mut self.reference {
            reference.listen(stop.clone());
        }
    }

    /// What [`RunDir::take_back`](crate::checkpoint::RunDir) needs.
    pub(crate) fn before_step(&self) -> Before {
        Before {
            step: self.step,
            versions: self.policies.versions(),
            r_zero: self.r_zero.clone(),
            solve_rates: self.buffer.solve_rates(),
        }
    }
}

/// The policies of a run: one that plays both roles, or the proposer's and then the solver's.
pub struct Policies(pub Vec<Policy>);

impl Policies {
    /// Who plays a role.
    pub fn player(&self, role: Role) -> Player<'_> {
        self.0[self.idx(role)].player()
    }

    /// The updates behind each.
    pub(crate) fn versions(&self) -> Vec<u64> {
        self.0.iter().map(|it| it.version).collect()
    }

    /// One update of who plays a role.
    ///
    /// # Errors
    /// If the trainer fails.
    pub fn update(
        &mut self,
        role: Role,
        batch: &[Sample],
        objective: &Objective,
        adam: &AdamParams,
    ) -> anyhow::Result<(LossStats, OptimStats)> {
        let idx = self.idx(role);
        self.0[idx].update(batch, objective, adam)
    }

    /// Where who plays a role stands among the policies.
    pub fn idx(&self, role: Role) -> usize {
        match role {
            Role::Proposer => 0,
            Role::Solver => self.0.len() - 1,
        }
    }
}

/// Tasks that measure. They never teach, but for those of which the environment says that they may. They follow from the
/// settings, so they are made anew at every start.
pub struct HeldOut {
    /// The tasks, by type.
    pub tasks: Vec<Task>,
    /// The families of the withheld ones, which no admitted task may share.
    pub families: HashSet<String>,
}

impl HeldOut {
    /// The held-out set of an environment, for a run that plays `played`.
    ///
    /// # Errors
    /// If the environment cannot make it.
    pub fn new(
        env: &dyn DynEnvironment,
        played: &[TaskType],
        settings: &EvalSettings,
    ) -> anyhow::Result<HeldOut> {
        let seed = Seed::new(settings.seed).fork("held-out");
        let mut tasks = Vec::new();
        if settings.every != 0 {
            for &task_type in settings.types(played) {
                tasks.extend(env.held_out(task_type, settings.n_tasks, seed.fork(task_type.as_str()))?);
            }
        }
        let mut families = HashSet::new();
        for task in &tasks {
            if !env.may_teach(task)? {
                families.insert(env.family(task)?);
            }
        }
        Ok(HeldOut { tasks, families })
    }
}
