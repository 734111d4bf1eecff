//! Where the time of a training step goes.

use std::path::PathBuf;

use kelvin_core::{metrics::Metrics, stop::Stop};
use kelvin_selfplay::{clock::Stopwatch, memory::peak_bytes, metrics, run, seeding, state::HeldOut};
use serde::Serialize;

use super::median;
use crate::{
    config::{self, Raw, threads_or_cores},
    interrupt::Interrupt,
    jsonl::Sink,
    wire,
};

const AFTER_HELP: &str = "\
Phases do not overlap, and in each step they sum to its seconds. propose,
estimate and solve are the time in which rows are decoded, by the tokens drawn
for each. validate and grade are the time in which nothing is decoded and
programs are waited for; servers is waiting for servers that draw. measure is
looking at proposals and solutions, update is rewards, advantages and the
update; other is the rest.";

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
    servers: f64,
    measure: f64,
    update: f64,
    other: f64,
    sampler_idle: f64,
    rss_bytes: Option<u64>,
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
    let world = wire::world(&config, Stop::default())?;
    let env = &*world.env;
    let settings = config.run_settings(world.n_judges());
    let held_out = HeldOut::new(env, &settings.task_types, &settings.eval)?;
    let mut state = wire::state(&config, None, &Stop::default())?;
    seeding::load(&mut state, env, &held_out, &settings)?;
    seeding::seed(&mut state, env, &held_out, &settings)?;
    let mut steps: Vec<Metrics> = Vec::new();
    for repeat in 0..=args.repeats {
        interrupt.check()?;
        let watch = Stopwatch::start();
        let report = run::recipe_step(&mut state, env, &held_out, &settings)?;
        // The first step warms up.
        if 0 < repeat {
            steps.push(metrics::of_time(&report.seconds, watch.seconds()));
        }
    }
    let of = |name: &str| median(steps.iter().map(|it| it[&format!("timing/{name}")]));
    let mut out = Sink::stdout();
    out.row(&Measurement {
        name: "step",
        threads: threads_or_cores(config.policy.options.threads),
        seconds: of("step_s"),
        repeats: args.repeats,
        propose: of("propose_s"),
        validate: of("validate_s"),
        estimate: of("estimate_s"),
        solve: of("solve_s"),
        grade: of("grade_s"),
        servers: of("servers_s"),
        measure: of("measure_s"),
        update: of("update_s"),
        other: of("other_s"),
        sampler_idle: of("sampler_idle"),
        rss_bytes: peak_bytes(),
    })?;
    out.flush()
}
