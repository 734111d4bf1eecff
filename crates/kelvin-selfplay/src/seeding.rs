//! The seed stage (AZR Algorithm 1, line 1): what the first step finds in the buffers. First come seed files, where
//! there are any; what is missing then is proposed.

pub mod files;

use kelvin_core::{
    environment::DynEnvironment,
    rollout::Role,
    seed::Seed,
    task::{SEED_STAGE, Task, TaskType},
};

pub use files::{Loaded, load};

use crate::{
    buffer::TaskBuffer,
    novelty,
    settings::RunSettings,
    stage::{self, Poses, Proposed, Scene, Screen, Solves},
    state::{HeldOut, RunState},
    vote,
};

/// From the zero triplet, or from what files gave in its place, proposals without updates until each buffer holds B
/// times S different tasks. Types that are posed about others' tasks (induction) wait for those, or their first batch
/// would all be about the zero triplet. Gives the proposals that were made.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn seed(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<usize> {
    let is_unseeded = |it: &Task| state.buffer.n_admitted(it.task_type) == 0;
    let is_played = |it: &Task| settings.task_types.contains(&it.task_type);
    let zero: Vec<Task> =
        env.seed_tasks().into_iter().filter(|it| is_played(it) && is_unseeded(it)).collect();
    state.buffer.append(env, zero)?;
    let seed = Seed::new(settings.seed).fork("seed");
    let (first, then): (Vec<TaskType>, Vec<TaskType>) =
        settings.task_types.iter().partition(|it| env.references_needed(**it).is_none());
    let mut n_proposed = 0;
    for (at, types) in [first, then].iter().enumerate() {
        for round in 0..settings.azr.seed_rounds_max {
            let short: Vec<TaskType> =
                types.iter().copied().filter(|it| is_short(&state.buffer, settings, *it)).collect();
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

/// Whether a buffer still wants seeds.
fn is_short(buffer: &TaskBuffer, settings: &RunSettings, task_type: TaskType) -> bool {
    buffer.n_admitted(task_type) < settings.azr.batch_size * settings.azr.seed_factor
}

/// Takes in a seed that its buffer does not hold yet.
fn admit(state: &mut RunState, env: &dyn DynEnvironment, seed: Task) -> anyhow::Result<()> {
    match state.buffer.holds(&(seed.task_type, env.identity(&seed)?)) {
        true => Ok(()),
        false => state.buffer.append(env, [seed]),
    }
}

fn seed_round(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    types: &[TaskType],
    seed: Seed,
) -> anyhow::Result<usize> {
    let scene = Scene { env, player: state.policies.player(Role::Proposer), step: SEED_STAGE, settings };
    let n = settings.azr.batch_size;
    let asks = stage::proposal_asks(scene, &state.buffer, types, n, seed.fork("references"))?;
    let screen = Some(Screen { buffer: &state.buffer, held_out });
    // Where truth is a vote, seeds are voted on as any other task: without a label nobody could be graded on one.
    let n_estimate = if env.truth_by_vote() { settings.azr.n_estimate } else { 0 };
    let poses = Poses { asks: &asks, sampling: &settings.sampling.seed, screen, n_estimate, seed };
    let played = vote::settled(env, stage::play(scene, poses, Solves::none())?, settings.azr.unreadable_max)?;
    let proposed: Vec<Proposed> = played.estimated.into_iter().map(Proposed::from).collect();
    let proposed = novelty::screen_proposals(scene, &asks, proposed, &state.buffer)?;
    let n_proposed = proposed.len();
    for task in proposed.into_iter().filter_map(|it| it.outcome.ok()) {
        for task_type in env.seed_types(task.task_type) {
            if settings.task_types.contains(&task_type) && is_short(&state.buffer, settings, task_type) {
                admit(state, env, Task { task_type, ..task.clone() })?;
            }
        }
    }
    Ok(n_proposed)
}
