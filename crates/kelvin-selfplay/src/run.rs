//! The outer loop: seed, then step, record, evaluate, checkpoint. What a run shows to people goes through
//! [`Event`]s; what it keeps goes into its folder.

use std::path::PathBuf;

use kelvin_core::{environment::DynEnvironment, metrics::Metrics, seed::Seed, task::Step};

use crate::{
    azr, behaviour,
    checkpoint::RunDir,
    clock::Stopwatch,
    eval,
    metrics::{self, Recorder},
    seeding::{self, Loaded},
    settings::RunSettings,
    stage::Scene,
    state::{HeldOut, RunState},
    transcript,
};

/// What happens in a run, for those who watch.
pub enum Event<'run> {
    /// The seed stage begins.
    Seeding,
    /// A seed file was read.
    Loaded(&'run Loaded),
    /// A row of metrics was recorded; step 0 is the start.
    Recorded {
        /// The step.
        step: Step,
        /// Its metrics.
        metrics: &'run Metrics,
        /// What the step did; absent at step 0.
        report: Option<&'run azr::StepReport>,
    },
    /// A checkpoint is complete.
    Saved {
        /// Where it is.
        path: PathBuf,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At its last step.
    Finished,
    /// Early, because it was asked to; a checkpoint is written.
    Interrupted,
}

/// Runs from `state` to the last step (or the end of the seed stage, if that is all that is asked for), or until `interrupted` says so between two steps. Either way it ends with
/// a checkpoint.
///
/// # Errors
/// If the policy, the sandbox, the trainer or the disk fails; the last checkpoint stands.
pub fn run(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    settings: &RunSettings,
    dir: &RunDir,
    interrupted: &dyn Fn() -> bool,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<End> {
    let held_out = HeldOut::new(env, &settings.task_types, &settings.eval)?;
    if !state.seeded {
        begin(state, env, &held_out, settings, dir, watcher)?;
    }
    if settings.azr.seed_only {
        return Ok(End::Finished);
    }
    let mut saved = state.step;
    while state.step < settings.steps && !interrupted() {
        step(state, env, &held_out, settings, dir, watcher)?;
        if is_due(state.step, settings.checkpoint.every) {
            watcher(Event::Saved { path: dir.save(state, settings.checkpoint.keep)? });
            saved = state.step;
        }
    }
    if saved != state.step {
        watcher(Event::Saved { path: dir.save(state, settings.checkpoint.keep)? });
    }
    Ok(if state.step < settings.steps { End::Interrupted } else { End::Finished })
}

fn begin(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    dir: &RunDir,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<()> {
    watcher(Event::Seeding);
    let watch = Stopwatch::start();
    dir.clear_logs()?;
    let files = seeding::load(state, env, held_out, settings)?;
    files.iter().for_each(|file| watcher(Event::Loaded(file)));
    let n_proposed = seeding::seed(state, env, held_out, settings)?;
    dir.append_tasks(&state.buffer.take_unlogged())?;
    let mut metrics = Recorder::default();
    metrics.set("seed/proposals".into(), n_proposed as f64);
    metrics.set("timing/seed_s".into(), watch.seconds());
    for &task_type in &settings.task_types {
        let size = state.buffer.n_admitted(task_type);
        metrics.set(format!("buffer/{task_type}/size"), size as f64);
    }
    if !settings.azr.seed_only {
        if !held_out.tasks.is_empty() {
            metrics.extend(eval::floors(env, settings.eval.types(&settings.task_types)));
        }
        evaluate(&mut metrics, state, env, held_out, settings)?;
    }
    record(0, metrics, None, dir, watcher)?;
    watcher(Event::Saved { path: dir.save(state, settings.checkpoint.keep)? });
    Ok(())
}

fn step(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    dir: &RunDir,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let sampled = state.policies.player().sampler.stats();
    let mut report = azr::step(state, env, held_out, settings)?;
    dir.append_tasks(&state.buffer.take_unlogged())?;
    if is_due(state.step, settings.checkpoint.transcripts_every) {
        transcript::write(&dir.transcript(state.step), &report)?;
    }
    let measuring = Stopwatch::start();
    let mut metrics = Recorder::default();
    metrics.extend(metrics::of_step(&report, state, settings));
    let alarms = behaviour::alarms(&report, &settings.diagnostics);
    metrics.extend(metrics::of_alarms(&alarms));
    dir.append_alarms(&alarms[..alarms.len().min(settings.diagnostics.alarms_max)])?;
    report.seconds.measure_s += measuring.seconds();
    metrics.extend(metrics::of_sampler(state.policies.player().sampler.stats().since(sampled)));
    metrics.extend(env.timing());
    metrics.extend(metrics::of_time(&report.seconds, watch.seconds()));
    if is_due(state.step, settings.eval.every) || (state.step == settings.steps && settings.eval.every != 0) {
        evaluate(&mut metrics, state, env, held_out, settings)?;
    }
    record(state.step, metrics, Some(&report), dir, watcher)
}

fn evaluate(
    metrics: &mut Recorder,
    state: &RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<()> {
    if held_out.tasks.is_empty() {
        return Ok(());
    }
    let watch = Stopwatch::start();
    let scene = Scene { env, player: state.policies.player(), step: state.step, settings };
    let seed = Seed::new(settings.seed).fork("eval").nth(u64::from(state.step));
    let accuracies = eval::evaluate(scene, held_out, seed)?;
    metrics.extend(eval::metrics(&accuracies, settings.eval.n_samples));
    metrics.set("timing/eval_s".into(), watch.seconds());
    Ok(())
}

fn record(
    step: Step,
    metrics: Recorder,
    report: Option<&azr::StepReport>,
    dir: &RunDir,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<()> {
    let metrics = metrics.into_metrics();
    dir.append_metrics(step, &metrics)?;
    watcher(Event::Recorded { step, metrics: &metrics, report });
    Ok(())
}

fn is_due(step: Step, every: Step) -> bool {
    every != 0 && step.is_multiple_of(every)
}
