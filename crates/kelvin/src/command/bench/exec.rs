//! Programs per second. A job is one program whose `f` is called twice, in a child of a warm interpreter.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use clap::ValueEnum;
use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Names};
use kelvin_exec::ExecutorOptions;
use kelvin_python::{Policy, arguments::parse_arguments, prepare};
use kelvin_selfplay::clock::Stopwatch;
use serde::{Deserialize, Serialize};

use super::quantile;
use crate::{
    interrupt::Interrupt,
    jsonl::{Rows, Sink},
    sandbox::{self, SandboxArgs},
};

const EXAMPLE: &str = r#"{"program": "def f(x):\n    return x + 1", "input": "2"}"#;

/// Measure how many programs run per second
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rows of `exec validate`, as JSON lines; rows that the policy refuses are left out
    #[arg(long, value_name = "F")]
    data: PathBuf,
    /// What shares a process: nothing, or whatever leaves nothing behind
    #[arg(long, value_enum, default_value = "isolated")]
    mode: Mode,
    /// Times over all rows
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Programs that leave nothing behind
    Batched,
    /// Nothing
    Isolated,
}

#[derive(Deserialize)]
struct Row {
    program: String,
    input: Option<String>,
    #[serde(default)]
    inputs: Vec<String>,
}

#[derive(Serialize)]
struct Measurement {
    name: &'static str,
    threads: usize,
    seconds: f64,
    repeats: u32,
    n_jobs: usize,
    jobs_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// On average, in the measured passes.
    jobs_per_child: f64,
    /// Of the children, those that were set back for their next job.
    restored: f64,
    /// Stages of all passes, the first one too.
    queue_p50_ms: f64,
    child_p50_ms: f64,
    child_cpu_p50_ms: f64,
    isolation: &'static str,
}

/// Measures and prints one object.
///
/// # Errors
/// If a row is bad or the sandbox is broken.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let jobs = jobs(args)?;
    // What is measured is running, not remembering.
    let mut options = ExecutorOptions { cache_entries: 0, ..args.sandbox.options() };
    if args.mode == Mode::Isolated {
        options.batch_max = 1;
    }
    let (workers, together) = (options.workers, options.batch_max);
    let executor = sandbox::start(options)?;
    // More asked for than can run, so that no worker waits for this program or has few to choose from.
    let asking = Asking { together, threads: if together == 1 { workers } else { 4 * workers } };
    // Warm interpreters, of every kind that these jobs need, are the state that is measured.
    asking.stream(&executor, &jobs, 1, interrupt)?;
    let before = executor.metrics();
    let Stream { seconds, latencies } = asking.stream(&executor, &jobs, args.repeats, interrupt)?;
    let latency = |q: f64| 1e3 * quantile(latencies.iter().copied(), q);
    let n_run = jobs.len() * args.repeats as usize;
    let mut out = Sink::stdout();
    let metrics = executor.metrics();
    let n_children = (metrics.n_children - before.n_children) as f64;
    let in_ms = |us: u64| us as f64 / 1e3;
    out.row(&Measurement {
        name: match args.mode {
            Mode::Batched => "exec/batched",
            Mode::Isolated => "exec/isolated",
        },
        threads: workers,
        seconds,
        repeats: args.repeats,
        n_jobs: jobs.len(),
        jobs_per_s: n_run as f64 / seconds,
        p50_ms: latency(0.5),
        p99_ms: latency(0.99),
        jobs_per_child: n_run as f64 / n_children,
        restored: (metrics.n_restored - before.n_restored) as f64 / n_children,
        queue_p50_ms: in_ms(metrics.queue.p50_us),
        child_p50_ms: in_ms(metrics.child.p50_us),
        child_cpu_p50_ms: in_ms(metrics.child_cpu.p50_us),
        isolation: executor.isolation().level.name(),
    })?;
    out.flush()
}

fn jobs(args: &Args) -> anyhow::Result<Vec<Job>> {
    let limits = args.sandbox.limits();
    let mut jobs = Vec::new();
    for row in Rows::<Row>::open(&args.data, EXAMPLE)? {
        let row = row?;
        let Ok(program) = prepare(&row.program, &Policy::Kelvin) else { continue };
        let inputs: Vec<String> = row
            .input
            .iter()
            .chain(&row.inputs)
            .filter_map(|input| Some(parse_arguments(input).ok()?.canonical()))
            .collect();
        let job = |inputs: Vec<String>| Job {
            program: program.source.clone(),
            inputs,
            names: Names::Literals,
            company: program.company.clone(),
            hash_seed: HashSeed::A,
            calls: Calls::Twice,
            limits,
        };
        jobs.extend(inputs.into_iter().map(|input| job(vec![input])));
    }
    if jobs.is_empty() {
        anyhow::bail!("{} holds no program that may run\nhint: a row is {EXAMPLE}", args.data.display());
    }
    Ok(jobs)
}

struct Stream {
    seconds: f64,
    /// Of each job, in seconds.
    latencies: Vec<f64>,
}

/// How jobs are asked for.
#[derive(Clone, Copy)]
struct Asking {
    together: usize,
    threads: usize,
}

impl Asking {
    /// Runs every job `repeats` times without a pause between, each thread taking the next ones.
    fn stream(
        self,
        executor: &dyn Executor,
        jobs: &[Job],
        repeats: u32,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Stream> {
        let chunks: Vec<&[Job]> = jobs.chunks(self.together).collect();
        let n_chunks = chunks.len() * repeats as usize;
        let next = AtomicUsize::new(0);
        let watch = Stopwatch::start();
        let latencies = thread::scope(|scope| {
            let work = || -> anyhow::Result<Vec<f64>> {
                let mut latencies = Vec::new();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if n_chunks <= turn {
                        return Ok(latencies);
                    }
                    interrupt.check()?;
                    let (chunk, watch) = (chunks[turn % chunks.len()], Stopwatch::start());
                    executor.run_many(chunk)?;
                    latencies.extend(vec![watch.seconds(); chunk.len()]);
                }
            };
            let workers: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|it| it.join().expect("an executor does not panic"));
            joined.collect::<anyhow::Result<Vec<Vec<f64>>>>()
        })?;
        Ok(Stream { seconds: watch.seconds(), latencies: latencies.into_iter().flatten().collect() })
    }
}
