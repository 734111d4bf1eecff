//! What the solver learns from: questions whose answers agree neither too much nor too little, labelled by their majority.

use std::collections::{BTreeMap, HashSet};

use kelvin_core::{environment::DynEnvironment, metrics::Metrics, seed::Seed, task::Task};

use super::{Memory, World, ask};
use crate::{
    novelty::Sketch,
    report::{Seconds, StepReport},
    reward::solve_rate,
    settings::{KnownQuestions, RZeroSettings},
    stage::{Estimated, StreamTime},
    state::RunState,
    vote,
};

/// Poses this step's share of the pool with both policies frozen, labels it, and keeps what fits.
///
/// # Errors
/// If a policy or the sandbox fails.
pub(super) fn gather(state: &mut RunState, world: World<'_>) -> anyhow::Result<StepReport> {
    let (rules, place) = (&world.settings.r_zero, world.place);
    if place.begins() {
        let Memory { curriculum, earlier, .. } = &mut state.r_zero;
        earlier.append(curriculum);
    }
    let n = rules.pool.div_ceil(place.of as usize);
    let due = rules.curriculum_min * place.at as usize / place.of as usize;
    let mut report = StepReport::default();
    let mut time = StreamTime::default();
    let mut fates = Fates::default();
    for round in 0..rules.pool_rounds_max as u64 {
        let asked = ask(state, world, n, rules.label_votes, world.seed.nth(round))?;
        let kept = keep(state, world, &asked.estimated, &mut fates)?;
        state.buffer.append(world.env, kept.clone())?;
        state.r_zero.curriculum.extend(kept);
        time = time.then(asked.time);
        report.estimated.extend(asked.estimated);
        report.attempts.extend(asked.attempts);
        if due <= state.r_zero.curriculum.len() {
            break;
        }
    }
    report.own = vote::metrics(&report.attempts);
    report.own.extend(fates.metrics());
    report.own.extend(audit(world.env, &state.r_zero.curriculum)?);
    report.seconds = Seconds { sampling: time, ..Seconds::default() };
    Ok(report)
}

/// How many questions of a pool came to what.
#[derive(Default)]
struct Fates(BTreeMap<&'static str, usize>);

impl Fates {
    fn count(&mut self, fate: &'static str) {
        *self.0.entry(fate).or_default() += 1;
    }

    fn metrics(&self) -> Metrics {
        let of = |fate: &&str| (format!("curriculum/{fate}"), self.0.get(fate).copied().unwrap_or(0) as f64);
        ["kept", "too_easy", "too_hard", "known", "refused", "no_question"].iter().map(of).collect()
    }
}

/// The questions that the curriculum takes.
fn keep(
    state: &RunState,
    world: World<'_>,
    estimated: &[Estimated],
    fates: &mut Fates,
) -> anyhow::Result<Vec<Task>> {
    let rules = &world.settings.r_zero;
    let known = known(state, world, estimated)?;
    let mut kept = Vec::new();
    let mut here = HashSet::new();
    for (it, known) in estimated.iter().zip(known) {
        let Ok((task, grades)) = &it.outcome else {
            fates.count("no_question");
            continue;
        };
        let (share, identity) = (solve_rate(grades), world.env.identity(task)?);
        let is_known = rules.known_questions != KnownQuestions::Admit && (known || here.contains(&identity));
        match share {
            _ if is_known => fates.count("known"),
            share if share < rules.band_low => fates.count("too_hard"),
            share if rules.band_high < share => fates.count("too_easy"),
            _ if world.env.untaught(task)?.is_some() => fates.count("refused"),
            _ => {
                fates.count("kept");
                here.insert(identity);
                kept.push(task.clone());
            }
        }
    }
    Ok(kept)
}

/// Which of the questions are equal or nearly equal to one of an earlier curriculum or of this one so far.
///
/// # Errors
/// If a task is another environment's.
pub(super) fn known(
    state: &RunState,
    world: World<'_>,
    estimated: &[Estimated],
) -> anyhow::Result<Vec<bool>> {
    let similarity = world.settings.azr.near_duplicate_similarity;
    let is_known = |it: &Estimated| -> anyhow::Result<bool> {
        let Ok((task, _)) = &it.outcome else { return Ok(false) };
        let sketch = Sketch::of(&world.env.shingles(task)?);
        Ok(state.buffer.holds(&(task.task_type, world.env.identity(task)?))
            || sketch.is_some_and(|it| state.buffer.holds_similar(task.task_type, &it, similarity)))
    };
    estimated.iter().map(is_known).collect()
}

/// How many labels are the truth, of those whose truth the environment can tell. It teaches nothing.
fn audit(env: &dyn DynEnvironment, curriculum: &[Task]) -> anyhow::Result<Metrics> {
    let mut metrics = Metrics::from([("curriculum/size".to_owned(), curriculum.len() as f64)]);
    let (mut n_told, mut n_right) = (0.0, 0.0);
    for task in curriculum {
        let (Some(label), Some(truth)) = (&task.label, env.truth(task)?) else { continue };
        n_told += 1.0;
        n_right += f64::from(u8::from(label.answer == truth));
    }
    metrics.insert("curriculum/audited".to_owned(), n_told);
    if 0.0 < n_told {
        metrics.insert("curriculum/label_accuracy".to_owned(), n_right / n_told);
    }
    Ok(metrics)
}

/// The questions of a solver step: passes through the curriculum, each in an order of its own, and some of earlier ones.
pub(super) fn batch(memory: &Memory, world: World<'_>) -> Vec<Task> {
    let rules: &RZeroSettings = &world.settings.r_zero;
    let Memory { curriculum, earlier, .. } = memory;
    let n_replayed = (rules.replay * rules.solver_batch as f32).round() as usize;
    let mut draws = world.seed.fork("replay").draws();
    let replayed = draws.distinct(n_replayed, earlier.len()).into_iter().map(|at| earlier[at].clone());
    let mut batch: Vec<Task> = replayed.collect();
    if curriculum.is_empty() {
        return batch;
    }
    let n_new = rules.solver_batch.saturating_sub(n_replayed);
    let passes = Seed::new(world.settings.seed).fork("curriculum").nth(u64::from(world.place.iteration));
    let first = (world.place.at as usize - 1) * n_new;
    let mut order = (usize::MAX, Vec::new());
    for at in first..first + n_new {
        let pass = at / curriculum.len();
        if order.0 != pass {
            order = (pass, passes.nth(pass as u64).draws().distinct(curriculum.len(), curriculum.len()));
        }
        batch.push(curriculum[order.1[at % curriculum.len()]].clone());
    }
    batch
}
