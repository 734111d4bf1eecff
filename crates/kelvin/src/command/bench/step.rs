//! Where the time of a training step goes.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use kelvin_core::{
    environment::DynEnvironment,
    executor::Executor,
    measures::{Behaviour, Distance, Extent, Measures, Values},
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Rejection, Task, TaskType},
};
use kelvin_selfplay::{azr, clock::Stopwatch, state::HeldOut};
use serde::Serialize;

use super::median;
use crate::{
    config::{self, Raw, threads_or_cores},
    interrupt::Interrupt,
    jsonl::Sink,
    machine::peak_memory,
    wire,
};

const AFTER_HELP: &str = "\
propose, estimate, solve and update are wall time, and other is what remains of
it. Validating and grading overlap the drawing that they follow: validate and
grade are the time their threads took, divided by the threads.";

/// Measure the phases of a training step
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The configuration of a run; without it, the quick start
    #[arg(value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Override a setting, such as `--set azr.batch_size=8`
    #[arg(long = "set", value_name = "key=value")]
    sets: Vec<String>,
    /// Threads of the engine; 0 is one for each core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Steps that are measured, after one that is not
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
}

#[derive(Serialize)]
struct Measurement {
    name: &'static str,
    threads: usize,
    seconds: f64,
    repeats: u32,
    propose: f64,
    validate: f64,
    estimate: f64,
    solve: f64,
    grade: f64,
    update: f64,
    other: f64,
    rss_bytes: Option<u64>,
}

/// The phases of one step, in seconds.
struct Phases {
    whole: f64,
    validate: f64,
    grade: f64,
    drawn: azr::Seconds,
}

/// Fills the buffer, then measures steps.
///
/// # Errors
/// If the configuration does not resolve, or the model or the sandbox fails.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let raw = match &args.config {
        Some(path) => Raw::read(path)?,
        None => Raw::parse(crate::command::train::QUICKSTART, "the embedded quick start")?,
    };
    let mut sets = args.sets.clone();
    sets.push("eval.every=0".to_owned());
    sets.extend(args.threads.map(|threads| format!("policy.threads={threads}")));
    let config = config::resolve(&[&raw, &Raw::from_sets(&sets)?])?.config;
    let world = wire::world(&config)?;
    let env = Timed { env: &*world.env, validate_ns: AtomicU64::new(0), grade_ns: AtomicU64::new(0) };
    let n_judges = world.executor.parallelism();
    let settings = config.run_settings(n_judges);
    let held_out = HeldOut::new(&env, &settings.task_types, &settings.eval)?;
    let mut state = wire::state(&config)?;
    azr::seed(&mut state, &env, &held_out, &settings)?;
    let mut phases = Vec::new();
    for repeat in 0..=args.repeats {
        interrupt.check()?;
        env.reset();
        let watch = Stopwatch::start();
        let report = azr::step(&mut state, &env, &held_out, &settings)?;
        let of_judges = |ns: &AtomicU64| 1e-9 * ns.load(Ordering::Relaxed) as f64 / n_judges as f64;
        // The first step warms up.
        if 0 < repeat {
            phases.push(Phases {
                whole: watch.seconds(),
                validate: of_judges(&env.validate_ns),
                grade: of_judges(&env.grade_ns),
                drawn: report.seconds,
            });
        }
    }
    let of = |phase: fn(&Phases) -> f64| median(phases.iter().map(phase));
    let mut out = Sink::stdout();
    out.row(&Measurement {
        name: "step",
        threads: threads_or_cores(config.policy.options.threads),
        seconds: of(|it| it.whole),
        repeats: args.repeats,
        propose: of(|it| it.drawn.propose),
        validate: of(|it| it.validate),
        estimate: of(|it| it.drawn.estimate),
        solve: of(|it| it.drawn.solve),
        grade: of(|it| it.grade),
        update: of(|it| it.drawn.update),
        other: of(|it| it.whole - it.drawn.propose - it.drawn.estimate - it.drawn.solve - it.drawn.update),
        rss_bytes: peak_memory(),
    })?;
    out.flush()
}

/// An environment that adds up how long it validates and grades.
struct Timed<'env> {
    env: &'env dyn DynEnvironment,
    validate_ns: AtomicU64,
    grade_ns: AtomicU64,
}

impl Timed<'_> {
    fn reset(&self) {
        self.validate_ns.store(0, Ordering::Relaxed);
        self.grade_ns.store(0, Ordering::Relaxed);
    }
}

fn timed<T>(total_ns: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let watch = Stopwatch::start();
    let result = work();
    total_ns.fetch_add((1e9 * watch.seconds()) as u64, Ordering::Relaxed);
    result
}

impl DynEnvironment for Timed<'_> {
    fn validate(
        &self,
        task_type: TaskType,
        references: &[Task],
        response: &str,
    ) -> anyhow::Result<Result<Task, Rejection>> {
        timed(&self.validate_ns, || self.env.validate(task_type, references, response))
    }
    fn grade(&self, task: &Task, response: &str) -> anyhow::Result<Grade> {
        timed(&self.grade_ns, || self.env.grade(task, response))
    }
    fn task_types(&self) -> &'static [TaskType] {
        self.env.task_types()
    }
    fn seed_tasks(&self) -> Vec<Task> {
        self.env.seed_tasks()
    }
    fn reference_types(&self, task_type: TaskType) -> Vec<TaskType> {
        self.env.reference_types(task_type)
    }
    fn references_needed(&self, task_type: TaskType) -> Option<usize> {
        self.env.references_needed(task_type)
    }
    fn seed_types(&self, task_type: TaskType) -> Vec<TaskType> {
        self.env.seed_types(task_type)
    }
    fn propose_prompt(&self, task_type: TaskType, references: &[Task]) -> anyhow::Result<Prompt> {
        self.env.propose_prompt(task_type, references)
    }
    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool {
        self.env.proposal_is_formatted(task_type, response)
    }
    fn solve_prompt(&self, task: &Task) -> anyhow::Result<Prompt> {
        self.env.solve_prompt(task)
    }
    fn answer(&self, task: &Task, response: &str) -> anyhow::Result<Option<String>> {
        self.env.answer(task, response)
    }
    fn identity(&self, task: &Task) -> anyhow::Result<String> {
        self.env.identity(task)
    }
    fn family(&self, task: &Task) -> anyhow::Result<String> {
        self.env.family(task)
    }
    fn measures(&self, task: &Task, extent: Extent) -> anyhow::Result<Option<Measures>> {
        self.env.measures(task, extent)
    }
    fn values(&self, task: &Task) -> anyhow::Result<Values> {
        self.env.values(task)
    }
    fn distance(
        &self,
        task: &Task,
        reference: &Task,
        distance: Distance,
        extent: Extent,
    ) -> anyhow::Result<Option<f64>> {
        self.env.distance(task, reference, distance, extent)
    }
    fn behaviours(
        &self,
        task: &Task,
        response: &str,
        grade: &Grade,
    ) -> anyhow::Result<Vec<(Behaviour, f64)>> {
        self.env.behaviours(task, response, grade)
    }
    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Task>> {
        self.env.held_out(task_type, n, seed)
    }
}
