//! What a step shows beside rewards: what proposals are like, what solvers do, and what their problems promised.

use kelvin_core::{environment::DynEnvironment, measures::Behaviour, task::Task};

use crate::{
    intrinsic::Seen,
    novelty::Near,
    posed::{self, Posed},
    stage::Solved,
};

/// See the module.
#[derive(Default)]
pub struct Records {
    /// Of each proposal that is a task, in their order.
    pub seen: Vec<Option<Seen>>,
    /// Which of the valid proposals are near-duplicates, those included that are rejected for it.
    pub near: Vec<Near>,
    /// Of each solution, in their order.
    pub behaviours: Vec<Vec<(Behaviour, f64)>>,
    /// Of each problem that was drawn: its learnability, where it was posed in this step or the one before.
    pub learnability: Vec<Option<f32>>,
}

impl Records {
    /// What proposals showed, and what the solutions of `problems` do; `posed` may know what those promised.
    ///
    /// # Errors
    /// If a problem is another environment's.
    pub fn of(
        env: &dyn DynEnvironment,
        (seen, near): (Vec<Option<Seen>>, Vec<Option<Near>>),
        problems: &[Task],
        solved: &[Solved],
        posed: [&Posed; 2],
    ) -> anyhow::Result<Records> {
        let learnability = posed::of_problems(env, problems, posed)?;
        let near = near.into_iter().flatten().collect();
        Ok(Records { seen, near, learnability, ..Records::of_solutions(env, problems, solved)? })
    }

    /// What the solutions of `problems` do, which nobody was promised anything for.
    ///
    /// # Errors
    /// If a problem is another environment's.
    pub fn of_solutions(
        env: &dyn DynEnvironment,
        problems: &[Task],
        solved: &[Solved],
    ) -> anyhow::Result<Records> {
        let of =
            |it: &Solved| env.behaviours(&problems[it.rollout.group], &it.rollout.completion.text, &it.grade);
        let behaviours = solved.iter().map(of).collect::<anyhow::Result<_>>()?;
        Ok(Records { behaviours, learnability: vec![None; problems.len()], ..Records::default() })
    }
}
