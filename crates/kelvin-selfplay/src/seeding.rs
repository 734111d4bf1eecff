//! The seed stage (AZR Algorithm 1, line 1): what the first step finds in the buffers.

use kelvin_core::{
    environment::DynEnvironment,
    seed::Seed,
    task::{Task, TaskType},
};

use crate::{
    settings::RunSettings,
    stage::{self, Scene},
    state::{HeldOut, RunState},
};

/// From the zero triplet, proposals without updates until each buffer holds B times S different tasks. Types that are
/// posed about others' tasks (induction) wait for those, or their first batch would all be about the zero triplet.
/// Gives the proposals that were made.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn seed(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<usize> {
    let zero = env.seed_tasks().into_iter().filter(|it| settings.task_types.contains(&it.task_type));
    state.buffer.append(env, zero)?;
    let seed = Seed::new(settings.seed).fork("seed");
    let (first, then): (Vec<TaskType>, Vec<TaskType>) =
        settings.task_types.iter().partition(|it| env.references_needed(**it).is_none());
    let mut n_proposed = 0;
    for (at, types) in [first, then].iter().enumerate() {
        for round in 0..settings.azr.seed_rounds_max {
            let short = short_of_seeds(state, settings, types);
            if short.is_empty() {
                break;
            }
            let seed = seed.nth(at as u64).nth(round as u64);
            n_proposed += seed_round(state, env, held_out, settings, &short, seed)?;
        }
    }
    state.seeded = true;
    Ok(n_proposed)
}

fn short_of_seeds(state: &RunState, settings: &RunSettings, types: &[TaskType]) -> Vec<TaskType> {
    let target = settings.azr.batch_size * settings.azr.seed_factor;
    types.iter().copied().filter(|it| state.buffer.pool(*it, usize::MAX).len() < target).collect()
}

fn seed_round(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    types: &[TaskType],
    seed: Seed,
) -> anyhow::Result<usize> {
    let scene = Scene { env, player: state.policies.player(), step: 0, settings };
    let n = settings.azr.batch_size;
    let asks = stage::proposal_asks(scene, &state.buffer, types, n, seed.fork("references"))?;
    let proposed = stage::propose(scene, &asks, &settings.sampling.seed, seed.fork("propose"))?;
    let screened = stage::screen(scene, proposed, &state.buffer, held_out)?;
    let n_proposed = screened.len();
    for task in screened.into_iter().filter_map(|it| it.outcome.ok()) {
        for task_type in env.seed_types(task.task_type) {
            let twin = Task { task_type, ..task.clone() };
            let is_wanted = !short_of_seeds(state, settings, &[task_type]).is_empty();
            if settings.task_types.contains(&task_type)
                && is_wanted
                && !state.buffer.holds(&(task_type, env.identity(&twin)?))
            {
                state.buffer.append(env, [twin])?;
            }
        }
    }
    Ok(n_proposed)
}
