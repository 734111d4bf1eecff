//! The outer loop: seed, then step, record, evaluate, checkpoint. What a run shows to people goes through
//! [`Event`]s; what it keeps goes into its folder.

use std::path::PathBuf;

use kelvin_core::{
    environment::DynEnvironment, metrics::Metrics, rollout::Role, seed::Seed, stop::Stopped, task::Step,
};

use crate::{
    azr, behaviour,
    benchmark::Exam,
    checkpoint::{Retention, RunDir},
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
    settings::{CheckpointSettings, Recipe, RunSettings},
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
        /// What the step did; absent at step 0, and where a run went on with the evaluation of a step.
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
    /// Early, because it was asked to; the checkpoint of the last complete step is written.
    Interrupted,
    /// Early, because it was asked to, within the seed stage or after the first of a step's updates: what was done since
    /// the last checkpoint is lost.
    CutOff,
}

/// What a run plays in and is measured by.
#[derive(Clone, Copy)]
pub struct Grounds<'run> {
    /// The domain.
    pub env: &'run dyn DynEnvironment,
    /// Benchmarks that are put to the solver as it learns.
    pub exam: Option<&'run Exam<'run>>,
}

impl<'run> Grounds<'run> {
    /// Measured by held-out tasks of the domain alone.
    pub fn of(env: &'run dyn DynEnvironment) -> Grounds<'run> {
        Grounds { env, exam: None }
    }
}

/// Runs from `state` to the last step (or the end of the seed stage, if that is all that is asked for), or until
/// `interrupted` says so between two steps, or until the policy or the executor ends within a step because it was asked
/// to ([`Stopped`]). It ends with a checkpoint, but where it is cut off.
///
/// # Errors
/// If the policy, the sandbox, the trainer or the disk fails; the last checkpoint stands.
pub fn run(
    state: &mut RunState,
    grounds: Grounds<'_>,
    settings: &RunSettings,
    dir: &RunDir,
    interrupted: &dyn Fn() -> bool,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<End> {
    match go(state, grounds, settings, dir, interrupted, watcher) {
        Err(error) if error.is::<Stopped>() => Ok(End::CutOff),
        ended => ended,
    }
}

fn go(
    state: &mut RunState,
    Grounds { env, exam }: Grounds<'_>,
    settings: &RunSettings,
    dir: &RunDir,
    interrupted: &dyn Fn() -> bool,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<End> {
    let held_out = HeldOut::new(env, &settings.task_types, &settings.eval)?;
    let world = World { env, exam, held_out: &held_out, settings, dir };
    // The step of the last checkpoint.
    let mut saved = state.seeded.then_some(state.step);
    if !state.seeded {
        begin(state, world, watcher)?;
    } else if settings.recipe == Recipe::RZero && !settings.azr.seed_only {
        r_zero::resume(state, dir, settings)?;
    }
    let mut accuracy = None;
    let is_over = |state: &RunState| {
        state.pending.is_none()
            && (settings.azr.seed_only || settings.steps <= state.step || state.r_zero.ended)
    };
    while !is_over(state) && !interrupted() {
        let before = state.before_step();
        // Its checkpoint was written without its evaluation.
        let was_pending = state.pending.is_some();
        let gone = match state.pending {
            Some(_) => Ok(None),
            None => step(state, world).map(Some),
        };
        accuracy = match gone.and_then(|report| settle(state, world, report.as_ref(), watcher)) {
            Ok(accuracy) => accuracy,
            Err(error) if error.is::<Stopped>() => {
                // A step that is complete but for its evaluation is a step.
                let stands = state.pending.is_some() || saved == Some(before.step);
                accuracy = None;
                match stands || dir.take_back(state, env, before)? {
                    true => break,
                    false => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        let mut is_wanted = false;
        watcher(Event::Between { save: &mut is_wanted });
        let is_due = was_pending || state.step == 0 || is_due(state.step, settings.checkpoint.every);
        saved = None;
        if is_wanted || is_due || is_over(state) || stays(state.step, settings) {
            save(state, accuracy, world, watcher)?;
            saved = Some(state.step);
        }
    }
    if saved != Some(state.step) {
        save(state, accuracy, world, watcher)?;
    }
    Ok(if is_over(state) { End::Finished } else { End::Interrupted })
}

/// What a run happens in.
#[derive(Clone, Copy)]
struct World<'run> {
    env: &'run dyn DynEnvironment,
    exam: Option<&'run Exam<'run>>,
    held_out: &'run HeldOut,
    settings: &'run RunSettings,
    dir: &'run RunDir,
}

fn save(
    state: &RunState,
    accuracy: Option<f64>,
    world: World<'_>,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<()> {
    let World { settings, dir, .. } = world;
    let CheckpointSettings { keep, keep_best, .. } = settings.checkpoint;
    let stays = |step| stays(step, settings);
    let path = dir.save(state, accuracy, Retention { newest: keep, best: keep_best, stays: &stays })?;
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

/// The seed stage, but for its evaluation.
fn begin(state: &mut RunState, world: World<'_>, watcher: &mut dyn FnMut(Event<'_>)) -> anyhow::Result<()> {
    let World { env, held_out, settings, dir, .. } = world;
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
    if !settings.azr.seed_only && !held_out.tasks.is_empty() {
        metrics.extend(eval::floors(env, settings.eval.types(&settings.task_types)));
    }
    state.pending = Some(metrics.into_metrics());
    Ok(())
}

/// A step, but for its evaluation.
fn step(state: &mut RunState, world: World<'_>) -> anyhow::Result<StepReport> {
    let World { env, held_out, settings, dir, .. } = world;
    let watch = Stopwatch::start();
    let sampled = state.policies.player(Role::Solver).sampler.stats();
    let mut report = recipe_step(state, env, held_out, settings)?;
    dir.append_tasks(&state.buffer.take_unlogged())?;
    if is_due(state.step, settings.checkpoint.transcripts_every) {
        dir.write_transcript(state.step, &transcript::text(&report))?;
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
    state.pending = Some(metrics.into_metrics());
    Ok(report)
}

/// Evaluates what stands, where that is due, and records its row. Gives the held-out accuracy of what stands then.
fn settle(
    state: &mut RunState,
    world: World<'_>,
    report: Option<&StepReport>,
    watcher: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<Option<f64>> {
    let World { settings, dir, .. } = world;
    let (now, every) = (state.step, settings.eval.every);
    let ends_iteration =
        now != 0 && settings.recipe == Recipe::RZero && Place::of(now, &settings.r_zero).ends_iteration();
    let mut metrics = Recorder::default();
    metrics.extend(state.pending.clone().expect("a step was gone"));
    let is_due = match now {
        0 => !settings.azr.seed_only,
        _ => is_due(now, every) || (every != 0 && (now == settings.steps || ends_iteration)),
    };
    if is_due {
        evaluate(&mut metrics, state, world)?;
    }
    if let Some(exam) = world.exam.filter(|it| !settings.azr.seed_only && it.is_due(now, settings.steps)) {
        examine(exam, &mut metrics, state, dir)?;
    }
    let mut accuracy = metrics.get("eval/mean/accuracy");
    if (now == 0 || ends_iteration)
        && let Verdict::PutBack(best) = probe(accuracy, state, settings)
    {
        dir.put_back(best, state)?;
        accuracy = None;
    }
    let metrics = metrics.into_metrics();
    dir.append_metrics(now, &metrics)?;
    state.pending = None;
    watcher(Event::Recorded { step: now, metrics: &metrics, report });
    Ok(accuracy)
}

fn evaluate(metrics: &mut Recorder, state: &RunState, world: World<'_>) -> anyhow::Result<()> {
    let World { env, held_out, settings, .. } = world;
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

fn examine(exam: &Exam, metrics: &mut Recorder, state: &RunState, dir: &RunDir) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let (samples, scores) = exam.hold(state.policies.player(Role::Solver).sampler)?;
    let mut text = Vec::new();
    for sample in &samples {
        serde_json::to_writer(&mut text, sample)?;
        text.push(b'\n');
    }
    dir.write_benchmarks(state.step, &text)?;
    metrics.extend(scores);
    metrics.set("timing/benchmark_s".into(), watch.seconds());
    Ok(())
}

/// Looks at what an iteration of R-Zero came to.
fn probe(accuracy: Option<f64>, state: &mut RunState, settings: &RunSettings) -> Verdict {
    match accuracy.filter(|_| settings.recipe == Recipe::RZero) {
        Some(accuracy) => probe::judge(&mut state.r_zero, accuracy as f32, &settings.r_zero),
        None => Verdict::GoOn,
    }
}

fn is_due(step: Step, every: Step) -> bool {
    every != 0 && step.is_multiple_of(every)
}
