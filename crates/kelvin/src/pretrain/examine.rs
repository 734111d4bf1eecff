//! What a base model can do before self-play: how many of its proposals are tasks, and how many held-out tasks it
//! solves.

use kelvin_core::{environment::DynEnvironment, metrics::Metrics, rollout::Role, seed::Seed};
use kelvin_selfplay::{
    eval,
    settings::RunSettings,
    stage::{self, Scene},
    state::{HeldOut, RunState},
};

/// Proposals drawn for each task type.
const N_PROPOSALS: usize = 200;

/// `valid/<type>` and `distinct/<type>` of proposals made from the zero triplet, and the `eval/` metrics of the
/// held-out set.
///
/// # Errors
/// If the policy or the sandbox fails.
pub(crate) fn examine(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<Metrics> {
    state.buffer.append(env, env.seed_tasks())?;
    let seed = Seed::new(settings.seed).fork("examine");
    let scene = Scene { env, player: state.policies.player(Role::Solver), step: 0, settings };
    let asks = stage::proposal_asks(
        scene,
        &state.buffer,
        &settings.task_types,
        N_PROPOSALS,
        seed.fork("references"),
    )?;
    let proposed = stage::propose(scene, &asks, &settings.sampling.propose, None, seed)?;
    let mut metrics =
        eval::metrics(&eval::evaluate(scene, held_out, seed.fork("eval"))?, settings.eval.n_samples);
    for &task_type in &settings.task_types {
        let own = proposed.iter().filter(|it| it.rollout.task_type == task_type);
        let valid = own.clone().filter(|it| it.outcome.is_ok()).count();
        let texts: std::collections::HashSet<&str> =
            own.map(|it| it.rollout.completion.text.as_str()).collect();
        metrics.insert(format!("valid/{task_type}"), valid as f64 / N_PROPOSALS as f64);
        metrics.insert(format!("distinct/{task_type}"), texts.len() as f64 / N_PROPOSALS as f64);
    }
    Ok(metrics)
}
