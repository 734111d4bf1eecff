//! Who learns in a phase, and how: what it is compared with, where it is pulled, and how large its steps are.

use kelvin_core::{
    policy::{AdamParams, LossStats, OptimStats},
    rollout::{Role, Sample},
};

use super::{World, phase::Place};
use crate::{
    checkpoint::RunDir,
    reference,
    report::Updated,
    settings::{Reference, RunSettings},
    state::RunState,
};

/// Begins the phase of a learner: what its optimizer remembers is dropped, and where it starts is kept for the KL term,
/// as the settings say. A phase without a learner needs nothing.
///
/// # Errors
/// If the trainer fails.
pub(super) fn begin(state: &mut RunState, place: Place, settings: &RunSettings) -> anyhow::Result<()> {
    let Some(role) = place.phase.learner() else { return Ok(()) };
    let idx = state.policies.idx(role);
    let trainer = &mut state.policies.0[idx].trainer;
    if settings.r_zero.fresh_optimizer {
        trainer.reset_optimizer()?;
    }
    if pulls_to_start(settings) {
        state.reference = Some(trainer.freeze()?);
    }
    Ok(())
}

fn pulls_to_start(settings: &RunSettings) -> bool {
    settings.objective.kl_coefficient != 0.0 && settings.r_zero.reference == Reference::PhaseStart
}

/// Finds again what a run that stopped within a phase kept from that phase's start: its checkpoints at the ends of phases
/// stay.
///
/// # Errors
/// If that checkpoint cannot be read.
pub fn resume(state: &mut RunState, dir: &RunDir, settings: &RunSettings) -> anyhow::Result<()> {
    let place = Place::of(state.step + 1, &settings.r_zero);
    if !pulls_to_start(settings) || place.begins() {
        return Ok(());
    }
    let Some(role) = place.phase.learner() else { return Ok(()) };
    let idx = state.policies.idx(role);
    dir.put_back(state.step + 1 - place.at, state)?;
    state.reference = Some(state.policies.0[idx].trainer.freeze()?);
    dir.put_back(state.step, state)
}

/// Updates who plays `role`, `n_updates` times, each on its part of the batch; none of an empty batch.
///
/// # Errors
/// If the policy or the trainer fails.
pub(super) fn update(
    state: &mut RunState,
    world: World<'_>,
    role: Role,
    batch: &[Sample],
    n_updates: usize,
) -> anyhow::Result<Option<Updated>> {
    let World { settings, place, .. } = world;
    if batch.is_empty() {
        return Ok(None);
    }
    let mut batch = batch.to_vec();
    let temperature = settings.sampling.solve.temperature;
    if let Some(reference) = &state.reference {
        reference::score(&mut batch, &**reference, temperature)?;
    }
    if 1 < n_updates {
        // After the first update the weights are no longer those that drew the batch.
        reference::remember(&mut batch, state.policies.player(role).sampler, temperature)?;
    }
    let objective = settings.objective.objective(temperature);
    let adam = rate(settings, place);
    let mut updates = Vec::with_capacity(n_updates);
    for part in batch.chunks(batch.len().div_ceil(n_updates)) {
        updates.push(state.policies.update(role, part, &objective, &adam)?);
    }
    Ok(mean(&updates).map(|(loss, optim)| Updated { loss, optim, learning_rate: adam.learning_rate }))
}

/// What the updates of a step said on average; none of none.
fn mean(updates: &[(LossStats, OptimStats)]) -> Option<(LossStats, OptimStats)> {
    let n = updates.len() as f64;
    let joined = updates.iter().map(|it| it.0).reduce(LossStats::join)?;
    // Joining sums losses, since parts of one batch are parts of one loss; each of these has its own.
    let loss = LossStats { loss: joined.loss / n, ..joined };
    let grad_norm = updates.iter().map(|it| it.1.grad_norm).sum::<f64>() / n;
    Some((loss, OptimStats { grad_norm }))
}

/// The optimizer of a step. Schedules count the steps of a phase.
fn rate(settings: &RunSettings, place: Place) -> AdamParams {
    let adam = settings.optimizer.at(place.at);
    match settings.r_zero.idle_first_step && place.begins() {
        true => AdamParams { learning_rate: 0.0, ..adam },
        false => adam,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_updates_are_told_as_their_mean() {
        let of = |loss, n_tokens, grad_norm| {
            (LossStats { loss, n_tokens, ..LossStats::default() }, OptimStats { grad_norm })
        };
        let (loss, optim) = mean(&[of(1.0, 10, 2.0), of(-3.0, 30, 4.0)]).unwrap();
        assert_eq!((loss.loss, loss.n_tokens, optim.grad_norm), (-1.0, 40, 3.0));
        assert!(mean(&[]).is_none());
    }
}
