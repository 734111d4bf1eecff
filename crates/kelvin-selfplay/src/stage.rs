//! The verbs of self-play. Each takes values, returns values and changes nothing; completions are judged (run,
//! validated, graded) on other threads while the rest still decode, and come back in the order they were asked.
//! [`play()`] is all of a step's sampling in one call; [`propose`] and [`solve`] are its halves, for those who need one.

mod play;
mod screen;
mod stopping;
mod stream;
mod timeline;

use kelvin_core::{
    environment::{DynEnvironment, Given},
    policy::Player,
    rollout::{Prompt, Rollout, Sampling},
    seed::Seed,
    task::{Grade, Rejection, Step, Task, TaskType},
};

pub use play::{Played, Poses, Solves, play};
pub use screen::Screen;
pub(crate) use screen::{is_among, unfit};
pub(crate) use stopping::round_len;
pub(crate) use stream::{Judge, stream};
pub use timeline::StreamTime;
pub(crate) use timeline::Work;

use crate::{buffer::TaskBuffer, helpers, settings::RunSettings};

/// What a stage plays with: a domain, a frozen policy, and the step it happens in.
#[derive(Clone, Copy)]
pub struct Scene<'run> {
    /// The domain.
    pub env: &'run dyn DynEnvironment,
    /// The policy; it cannot learn while this borrow lives.
    pub player: Player<'run>,
    /// The current step.
    pub step: Step,
    /// The settings of the run.
    pub settings: &'run RunSettings,
}

/// What a proposer is asked: pose a task of this type, given these.
pub struct ProposalAsk {
    /// The type of task.
    pub task_type: TaskType,
    /// What the prompt shows.
    pub references: Vec<Task>,
    /// What the proposed program has to call.
    pub helpers: Vec<Task>,
    /// The prompt.
    pub prompt: Prompt,
}

impl ProposalAsk {
    /// What the proposal is made from.
    pub fn given(&self) -> Given<'_> {
        Given { references: &self.references, helpers: &self.helpers }
    }
}

/// A proposal after validation by execution.
pub struct Proposed {
    /// The proposer's rollout.
    pub rollout: Rollout,
    /// The response has the asked-for form.
    pub formatted: bool,
    /// The task, or why it is none.
    pub outcome: Result<Task, Rejection>,
}

impl From<Estimated> for Proposed {
    fn from(Estimated { rollout, formatted, outcome }: Estimated) -> Proposed {
        Proposed { rollout, formatted, outcome: outcome.map(|(task, _)| task) }
    }
}

/// A proposal with what the solver made of it.
pub struct Estimated {
    /// The proposer's rollout.
    pub rollout: Rollout,
    /// The response has the asked-for form.
    pub formatted: bool,
    /// The task with the grades of its Monte-Carlo solves, or why it is none.
    pub outcome: Result<(Task, Vec<Grade>), Rejection>,
}

/// A solver's rollout with its grade.
pub struct Solved {
    /// The solver's rollout.
    pub rollout: Rollout,
    /// Its grade.
    pub grade: Grade,
    /// The step at which its task entered the buffer.
    pub born: Step,
}

/// Chooses references from the buffer and writes `per_type` prompts for each task type. A prompt over its token
/// limit loses references, then helpers; one that needs its only reference gets another.
///
/// # Errors
/// If no prompt of a type fits its limit, or the buffer holds nothing to refer to.
pub fn proposal_asks(
    scene: Scene,
    buffer: &TaskBuffer,
    task_types: &[TaskType],
    per_type: usize,
    seed: Seed,
) -> anyhow::Result<Vec<ProposalAsk>> {
    let mut asks = Vec::with_capacity(task_types.len() * per_type);
    for &task_type in task_types {
        let seed = seed.fork(task_type.as_str());
        for index in 0..per_type {
            asks.push(proposal_ask(scene, buffer, task_type, seed.nth(index as u64))?);
        }
    }
    Ok(asks)
}

/// Draws before a task type whose one reference never fits is an error.
const REFERENCE_DRAWS_MAX: u64 = 64;

fn proposal_ask(
    scene: Scene,
    buffer: &TaskBuffer,
    task_type: TaskType,
    seed: Seed,
) -> anyhow::Result<ProposalAsk> {
    let azr = &scene.settings.azr;
    let tokens_max = scene.settings.sampling.propose_prompt_tokens_max;
    let shown = if azr.include_references { azr.n_references } else { 0 };
    let needed = scene.env.references_needed(task_type);
    let from = scene.env.reference_types(task_type);
    for draw in 0..REFERENCE_DRAWS_MAX {
        let mut references = buffer.references(&from, needed.unwrap_or(shown), azr, seed.nth(draw));
        anyhow::ensure!(
            needed.is_none_or(|it| references.len() == it),
            "the buffer has nothing to pose a {task_type} task about\nhint: play a type it can refer to as well"
        );
        let mut helpers = helpers::draw(scene, buffer, task_type, seed.nth(draw).fork("helpers"))?;
        loop {
            let given = Given { references: &references, helpers: &helpers };
            let prompt = scene.env.propose_prompt(task_type, given)?;
            if scene.player.sampler.prompt_len(&prompt)? <= tokens_max {
                return Ok(ProposalAsk { task_type, references, helpers, prompt });
            }
            if needed.is_some() || (references.pop().is_none() && helpers.pop().is_none()) {
                break;
            }
        }
    }
    anyhow::bail!(
        "no {task_type} proposal prompt fits {tokens_max} tokens\n\
         hint: raise sampling.propose_prompt_tokens_max"
    )
}

/// One proposal per ask, validated by execution as it finishes, and screened where `screen` says against what. Draws
/// below the seed's child `propose`.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn propose(
    scene: Scene,
    asks: &[ProposalAsk],
    sampling: &Sampling,
    screen: Option<Screen>,
    seed: Seed,
) -> anyhow::Result<Vec<Proposed>> {
    let played = play(scene, Poses { asks, sampling, screen, n_estimate: 0, seed }, Solves::none())?;
    Ok(played.estimated.into_iter().map(Proposed::from).collect())
}

/// Solutions of each task, graded as they finish; those of one task are neighbours.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn solve(scene: Scene, solves: Solves) -> anyhow::Result<Vec<Solved>> {
    Ok(play(scene, Poses::none(), solves)?.solved)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use kelvin_core::rollout::{Completion, Finish, Role};

    use super::*;

    /// A rollout of `n_tokens` tokens of no importance.
    pub(crate) fn rollout(n_tokens: usize) -> Rollout {
        Rollout {
            policy: "policy".into(),
            version: 0,
            step: 1,
            role: Role::Solver,
            task_type: TaskType::Deduction,
            group: 0,
            prompt: String::new(),
            completion: Completion {
                prompt_tokens: Arc::new([1]),
                tokens: vec![2; n_tokens],
                logprobs: vec![-1.0; n_tokens],
                plain_logprobs: vec![-1.0; n_tokens],
                text: String::new(),
                finish: Finish::Stop,
                behind: 0,
            },
        }
    }
}
