//! The outer loop: seed, then step, record, evaluate, checkpoint. What a run shows to people goes through
//! [`Event`]s; what it keeps goes into its folder.

use std::path::PathBuf;

use kelvin_core::{environment::DynEnvironment, metrics::Metrics, rollout::Role, seed::Seed, task::Step};

use crate::{
    azr, behaviour,
    checkpoint::RunDir,
    clock::Stopwatch,
    eval, memory,
    metrics::{self, Recorder},
    r_zero::{
        self,
        phase::Place,
        probe::{self, Verdict},
    },
    report::StepReport,
    seeding::{self, Loaded},
    settings::{Recipe, RunSettings},
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
        report: Option<&'run StepReport>,
    },
    /// A step is over; the next one begins when this was looked at.
    Between {
        /// Whether a checkpoint is wanted that the settings do not ask for.
        save: &'run mut bool,
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
    if settings.recipe == Recipe::RZero {
        r_zero::resume(state, dir, settings)?;
    }
    let mut saved = state.step;
    let is_over = |state: &RunState| settings.steps <= state.step || state.r_zero.ended;
    while !is_over(state) && !interrupted() {
        step(state, env, &held_out, settings, dir, watcher)?;
        let mut is_wanted = false;
        watcher(Event::Between { save: &mut is_wanted });
        if is_wanted || is_due(state.step, settings.checkpoint.every) || stays(state.step, settings) {
            save(state, settings, dir, watcher)?;
            saved = state.step;
        }
    }
    if saved != state.step {
        save(state, settings, dir, watcher)?;
    }
    Ok(if is_over(state) { End::Finished } else { End::Interrupted })
}

fn save(
    state: &RunState,
    settings: &RunSettings,
    dir: &RunDir,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<()> {
    let path = dir.save(state, settings.checkpoint.keep, |step| stays(step, settings))?;
    watcher(Event::Saved { path });
    Ok(())
}

/// Whether the checkpoint of a step is never removed: R-Zero goes back to the ends of its phases.
fn stays(step: Step, settings: &RunSettings) -> bool {
    settings.recipe == Recipe::RZero && (step == 0 || Place::of(step, &settings.r_zero).ends())
}

/// One step of the run's recipe, which records nothing.
///
/// # Errors
/// If the policy, the sandbox or the trainer fails.
pub fn recipe_step(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<StepReport> {
    match settings.recipe {
        Recipe::Azr => azr::step(state, env, held_out, settings),
        Recipe::RZero => r_zero::step(state, env, held_out, settings),
    }
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
        probe(&metrics, state, settings, dir)?;
    }
    record(0, metrics, None, dir, watcher)?;
    save(state, settings, dir, watcher)
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
    let sampled = state.policies.player(Role::Solver).sampler.stats();
    let mut report = recipe_step(state, env, held_out, settings)?;
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
    metrics.extend(metrics::of_sampler(state.policies.player(Role::Solver).sampler.stats().since(sampled)));
    metrics.extend(env.timing());
    metrics.extend(memory::metrics());
    metrics.extend(metrics::of_time(&report.seconds, watch.seconds()));
    let ends_iteration =
        settings.recipe == Recipe::RZero && Place::of(state.step, &settings.r_zero).ends_iteration();
    let is_last = state.step == settings.steps || ends_iteration;
    if is_due(state.step, settings.eval.every) || (is_last && settings.eval.every != 0) {
        evaluate(&mut metrics, state, env, held_out, settings)?;
    }
    if ends_iteration {
        probe(&metrics, state, settings, dir)?;
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
    let scene = Scene { env, player: state.policies.player(Role::Solver), step: state.step, settings };
    let seed = Seed::new(settings.seed).fork("eval").nth(u64::from(state.step));
    let accuracies = eval::evaluate(scene, held_out, seed)?;
    metrics.extend(eval::metrics(&accuracies, settings.eval.n_samples));
    metrics.set("timing/eval_s".into(), watch.seconds());
    Ok(())
}

/// Looks at what an iteration of R-Zero came to, and puts its policies back where it fell too far.
fn probe(
    metrics: &Recorder,
    state: &mut RunState,
    settings: &RunSettings,
    dir: &RunDir,
) -> anyhow::Result<()> {
    let accuracy = metrics.get("eval/mean/accuracy").filter(|_| settings.recipe == Recipe::RZero);
    let Some(accuracy) = accuracy else { return Ok(()) };
    match probe::judge(&mut state.r_zero, accuracy as f32, &settings.r_zero) {
        Verdict::GoOn => Ok(()),
        Verdict::PutBack(step) => dir.put_back(step, state),
    }
}

fn record(
    step: Step,
    metrics: Recorder,
    report: Option<&StepReport>,
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
