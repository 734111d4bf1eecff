//! What keeps a valid proposal from being a task of the run: what the buffer holds already, what would train on a
//! held-out program, what no solver prompt has room for, and what an earlier proposal of the same step poses too.

use std::collections::HashMap;

use kelvin_core::{
    environment::DynEnvironment,
    rollout::Prompt,
    task::{Reason, Rejection, Task, TaskType},
};

use super::Scene;
use crate::{buffer::TaskBuffer, settings::Duplicates, state::HeldOut};

/// What proposals are screened against.
#[derive(Clone, Copy)]
pub struct Screen<'step> {
    /// The tasks that there are.
    pub buffer: &'step TaskBuffer,
    /// The tasks that must not be trained on.
    pub held_out: &'step HeldOut,
}

/// What makes two tasks the same problem.
type Identity = (TaskType, String);

/// A valid proposal that nothing outside its step keeps out.
pub(super) struct Posed {
    /// The task.
    pub(super) task: Task,
    /// What its solver reads.
    pub(super) solve_prompt: Prompt,
    /// Under which it is counted once, where copies are rejected.
    identity: Option<Identity>,
}

/// Screens a task, made from `references`, on its own; judge threads do it side by side.
///
/// # Errors
/// If the task does not fit its environment.
pub(super) fn screened(
    scene: Scene,
    task: Task,
    references: &[Task],
    screen: Option<Screen>,
) -> anyhow::Result<Result<Posed, Rejection>> {
    let solve_prompt = scene.env.solve_prompt(&task)?;
    let Some(Screen { buffer, held_out }) = screen else {
        return Ok(Ok(Posed { task, solve_prompt, identity: None }));
    };
    if let Some(rejection) = unfit(scene, &task, &solve_prompt, held_out)? {
        return Ok(Err(rejection));
    }
    let identity = match scene.settings.azr.duplicates {
        Duplicates::Admit => None,
        Duplicates::Reject => Some((task.task_type, scene.env.identity(&task)?)),
    };
    if let Some(identity) = identity.as_ref().filter(|it| buffer.holds(it)) {
        return Ok(Err(match is_among(scene.env, &identity.1, references)? {
            true => Rejection::new(Reason::ReferenceCopy, "it is a reference that it was shown"),
            false => copy(),
        }));
    }
    Ok(Ok(Posed { task, solve_prompt, identity }))
}

/// Whether a task is one of `references`.
///
/// # Errors
/// If one of them is another environment's.
pub(crate) fn is_among(
    env: &dyn DynEnvironment,
    identity: &str,
    references: &[Task],
) -> anyhow::Result<bool> {
    for reference in references {
        if env.identity(reference)? == identity {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why no run may train on a task: it is held out, or its solver prompt is too long.
///
/// # Errors
/// If the task does not fit its environment.
pub(crate) fn unfit(
    scene: Scene,
    task: &Task,
    solve_prompt: &Prompt,
    held_out: &HeldOut,
) -> anyhow::Result<Option<Rejection>> {
    if held_out.families.contains(&scene.env.family(task)?) {
        return Ok(Some(Rejection::new(Reason::HeldOut, "its program is in the held-out set")));
    }
    let n_tokens = scene.player.sampler.prompt_len(solve_prompt)?;
    let n_tokens_max = scene.settings.sampling.solve_prompt_tokens_max;
    Ok((n_tokens_max < n_tokens).then(|| {
        let detail = format!("its solver prompt has {n_tokens} tokens of {n_tokens_max}");
        Rejection::new(Reason::PromptTooLong, detail)
    }))
}

/// The rejection of a task that is there already.
pub(super) fn copy() -> Rejection {
    Rejection::new(Reason::Duplicate, "the buffer holds it already")
}

/// Which proposal of a step owns each task: of several that pose it, the first in the order of requests, whichever
/// finished first.
#[derive(Default)]
pub(super) struct Owners(HashMap<Identity, usize>);

impl Owners {
    /// Takes in a proposal. Whoever owned its task and comes later in the order owns it no more.
    pub(super) fn claim(&mut self, proposal: usize, posed: &Posed) {
        if let Some(identity) = &posed.identity {
            let owner = self.0.entry(identity.clone()).or_insert(proposal);
            *owner = proposal.min(*owner);
        }
    }

    /// Whether a proposal that was taken in owns its task, as far as is known.
    pub(super) fn owns(&self, proposal: usize, posed: &Posed) -> bool {
        posed.identity.as_ref().is_none_or(|it| self.0[it] == proposal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_in_the_order_of_requests_owns_a_task() {
        let posed = |name: &str| Posed {
            task: Task {
                task_type: TaskType::Deduction,
                born: 1,
                label: None,
                payload: serde_json::Value::Null,
            },
            solve_prompt: String::new(),
            identity: Some((TaskType::Deduction, name.to_owned())),
        };
        let mut owners = Owners::default();
        owners.claim(5, &posed("a"));
        owners.claim(2, &posed("b"));
        assert!(owners.owns(5, &posed("a")) && owners.owns(2, &posed("b")));
        owners.claim(3, &posed("a"));
        owners.claim(7, &posed("b"));
        assert!(owners.owns(3, &posed("a")) && !owners.owns(5, &posed("a")));
        assert!(owners.owns(2, &posed("b")) && !owners.owns(7, &posed("b")));
    }
}
