//! The [`Executor`] for Python programs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Limits, Outcome};

use crate::interpreter::{Python, StartError, find_python};
use crate::level::{Isolation, Level};
use crate::metrics::{Counters, Metrics};
use crate::pool::{Lease, Pool};
use crate::probe;
use crate::protocol::Request;
use crate::sandbox::Layer;
use crate::settle::{Attempt, End, Settlement};
use crate::worker::{Privileges, fresh_nonce};

/// A program and its inputs together: far over what a model writes.
const MAX_JOB_BYTES: usize = 16 << 20;

/// How to start a [`PythonExecutor`].
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// The interpreter; `None` lets [`find_python`] look.
    pub python: Option<PathBuf>,
    /// Jobs at once, at least one; each runs one thread of Python.
    pub workers: usize,
    /// The weakest isolation that will do.
    pub least: Level,
    /// Layers that it does without, as on a machine that has none of them.
    pub left_out: Vec<Layer>,
}

impl Default for ExecutorOptions {
    /// As many workers as cores, and nothing under [`Level::Standard`].
    fn default() -> ExecutorOptions {
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        ExecutorOptions { python: None, workers, least: Level::Standard, left_out: Vec::new() }
    }
}

/// Runs programs in children of warm CPython workers. Workers end when it is dropped.
pub struct PythonExecutor {
    pool: Pool,
    n_workers: usize,
    privileges: Privileges,
    isolation: Isolation,
    counters: Counters,
}

impl Executor for PythonExecutor {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        check_limits(&job.limits)?;
        self.counters.n_jobs.add(1);
        self.counters.n_inputs.add(job.inputs.len());
        let n_bytes = job.program.len() + job.inputs.iter().map(String::len).sum::<usize>();
        if n_bytes > MAX_JOB_BYTES {
            let message = format!("program and inputs are over {MAX_JOB_BYTES} bytes");
            return Ok(vec![Outcome::CompileError { message }; job.inputs.len()]);
        }
        let mut lease = self.pool.lease();
        let mut settlement = Settlement::new(job.inputs.len(), &job.limits);
        while let Some(batch) = settlement.next_batch() {
            let inputs = batch.inputs.iter().map(|&input| job.inputs[input].as_str()).collect();
            let request = Request {
                nonce: fresh_nonce(),
                program: &job.program,
                inputs,
                calls: job.calls,
                limits: job.limits,
            };
            let crashed = match lease.attempt(job.hash_seed, &request, &self.counters)? {
                Ok(attempt) => settlement.settle(batch, attempt, &self.counters),
                Err(detail) => settlement.settle_lost(batch, &detail, &self.counters),
            };
            if crashed {
                self.check_health(&mut lease, job.hash_seed)?;
            }
        }
        Ok(settlement.finish())
    }

    fn parallelism(&self) -> usize {
        self.n_workers
    }
}

impl PythonExecutor {
    /// Finds the interpreter, starts the first worker and proves what confines its children; the other workers start
    /// when they are needed.
    ///
    /// # Errors
    /// If there is no usable interpreter, no worker comes up on it, or programs would be confined less than asked.
    pub fn start(options: ExecutorOptions) -> Result<PythonExecutor, StartError> {
        let python = find_python(options.python.as_deref())?;
        let n_workers = options.workers.max(1);
        let (first, layers, isolation) = probe::strongest(&python, &options.left_out)?;
        if isolation.level < options.least {
            return Err(StartError::TooWeak { isolation, least: options.least });
        }
        let counters = Counters::default();
        counters.n_starts.add(1);
        let privileges = first.privileges;
        let pool = Pool::new(python, layers, first, n_workers);
        Ok(PythonExecutor { pool, n_workers, privileges, isolation, counters })
    }

    /// The interpreter that programs run in.
    pub fn python(&self) -> &Python {
        self.pool.python()
    }

    /// Which user programs run as.
    pub fn privileges(&self) -> Privileges {
        self.privileges
    }

    /// What confines programs.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// What has been done so far.
    pub fn metrics(&self) -> Metrics {
        self.counters.snapshot()
    }

    /// Tells a program that dies from a machine on which every program does: the second is no outcome.
    fn check_health(&self, lease: &mut Lease<'_>, hash_seed: HashSeed) -> anyhow::Result<()> {
        let request = Request {
            nonce: fresh_nonce(),
            program: "def f(x):\n    return x + 1",
            inputs: vec!["1"],
            calls: Calls::Once,
            limits: Limits::default(),
        };
        let seen = match lease.attempt(hash_seed, &request, &self.counters)? {
            Ok(Attempt { answers, end: End::Done }) => {
                answers.into_iter().next().map(|answer| answer.outcome)
            }
            Ok(Attempt { end, .. }) => {
                return Err(anyhow::anyhow!("{end:?}")).context(UNHEALTHY);
            }
            Err(detail) => return Err(anyhow::anyhow!(detail)).context(UNHEALTHY),
        };
        ensure!(seen == Some(Outcome::Value { repr: "2".into() }), "{UNHEALTHY} (it gives {seen:?})");
        Ok(())
    }
}

const UNHEALTHY: &str = "the sandbox is broken: a program that adds one to one does not run either\n\
    hint: check the machine's memory and process limits; `kelvin doctor` tells more";

fn check_limits(limits: &Limits) -> anyhow::Result<()> {
    let in_range = |seconds: f64| (1e-3..=1e6).contains(&seconds);
    ensure!(
        in_range(limits.cpu_s) && in_range(limits.wall_s),
        "limits of {} s CPU and {} s wall are out of range\nhint: both lie from 0.001 to 1000000",
        limits.cpu_s,
        limits.wall_s
    );
    ensure!(
        (1..=1 << 40).contains(&limits.memory_bytes) && (1..=1 << 30).contains(&limits.output_bytes),
        "limits of {} bytes memory and {} bytes output are out of range\n\
         hint: from 1 byte to 1 TiB of memory and 1 GiB of output",
        limits.memory_bytes,
        limits.output_bytes
    );
    Ok(())
}
