//! The [`Executor`] for Python programs.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use anyhow::{anyhow, ensure};
use kelvin_core::executor::{Executor, Job, Limits, Outcome};

use crate::cache::Cache;
use crate::clock::Watch;
use crate::crew::Crew;
use crate::interpreter::{Python, StartError, find_python};
use crate::level::{Isolation, Level};
use crate::metrics::{Counters, Latency, Metrics};
use crate::preload;
use crate::probe;
use crate::queue::{MAX_JOB_BYTES, Queue, Ticket, n_bytes};
use crate::sandbox::Layer;
use crate::station::Station;
use crate::worker::Privileges;

/// How to start a [`PythonExecutor`].
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// The interpreter; `None` lets [`find_python`] look.
    pub python: Option<PathBuf>,
    /// Jobs at once, at least one; each runs one thread of Python.
    pub workers: usize,
    /// Most inputs that run in one child, of programs that may share one; 1 gives each input its own.
    pub batch_max: usize,
    /// After so many inputs of its own child each, a worker keeps one that is set back after each instead, where the
    /// machine can do that; [`u32::MAX`] for never.
    pub restore_after: u32,
    /// Jobs that wait at most; whoever asks for more waits for room.
    pub queue_max: usize,
    /// Outcomes that are kept for programs that are asked for again; 0 for none.
    pub cache_entries: usize,
    /// The weakest isolation that will do.
    pub least: Level,
    /// Layers that it does without, as on a machine that has none of them.
    pub left_out: Vec<Layer>,
}

impl Default for ExecutorOptions {
    /// As many workers as cores, and nothing under [`Level::Standard`].
    fn default() -> ExecutorOptions {
        ExecutorOptions {
            python: None,
            workers: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            batch_max: 256,
            restore_after: 16,
            queue_max: 4096,
            cache_entries: 1 << 16,
            least: Level::Standard,
            left_out: Vec::new(),
        }
    }
}

/// Jobs worth waiting for at once, for each that runs: enough to fill children that are shared.
const JOBS_PER_WORKER: usize = 64;

/// Jobs worth waiting for at once on any machine: a caller has a thread for each.
const JOBS_MAX: usize = 1024;

/// Runs programs in children of warm CPython workers. Workers end when it is dropped.
pub struct PythonExecutor {
    crew: Arc<Crew>,
    threads: Vec<JoinHandle<()>>,
    cache: Cache,
    python: Python,
    privileges: Privileges,
    isolation: Isolation,
}

impl Executor for PythonExecutor {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        Ok(self.run_many(std::slice::from_ref(job))?.pop().expect("one job"))
    }

    fn run_many(&self, jobs: &[Job]) -> anyhow::Result<Vec<Vec<Outcome>>> {
        let known = jobs.iter().map(|job| self.known(job)).collect::<anyhow::Result<Vec<_>>>()?;
        let unknown = jobs.iter().zip(&known).enumerate().filter_map(|(place, (job, known))| {
            let wanted = |(input, it): (&String, &Option<Outcome>)| it.is_none().then(|| input.clone());
            let inputs: Vec<String> = job.inputs.iter().zip(known).filter_map(wanted).collect();
            (!inputs.is_empty()).then(|| (place, Job { inputs, ..job.clone() }))
        });
        let mut found: Vec<_> = jobs.iter().map(|_| Vec::new().into_iter()).collect();
        for (place, outcomes) in self.ask(unknown.collect())? {
            found[place] = outcomes.into_iter();
        }
        let complete = |((job, known), mut found): ((&Job, Vec<Option<Outcome>>), std::vec::IntoIter<_>)| {
            let outcomes = job.inputs.iter().zip(known).map(|(input, known)| {
                known.unwrap_or_else(|| {
                    let outcome = found.next().expect("one outcome for each input that was asked for");
                    self.cache.put(job, input, &outcome);
                    outcome
                })
            });
            outcomes.collect()
        };
        Ok(jobs.iter().zip(known).zip(found).map(complete).collect())
    }

    fn parallelism(&self) -> usize {
        let n_threads = self.crew.n_threads;
        if self.crew.batch_max == 1 {
            n_threads
        } else {
            (JOBS_PER_WORKER * n_threads).min(JOBS_MAX).max(n_threads)
        }
    }

    fn timing(&self) -> kelvin_core::metrics::Metrics {
        let Metrics { queue, child, .. } = self.metrics();
        let of = |name: &str, latency: Latency| {
            [("p50", latency.p50_us), ("p99", latency.p99_us)]
                .map(|(quantile, us)| (format!("timing/executor_{name}_{quantile}_s"), 1e-6 * us as f64))
        };
        of("queue", queue).into_iter().chain(of("child", child)).collect()
    }
}

impl Drop for PythonExecutor {
    fn drop(&mut self) {
        self.crew.queue.close();
        for thread in self.threads.drain(..) {
            // A panic there was seen by whoever waited for an answer.
            let _ = thread.join();
        }
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
        let n_threads = options.workers.max(1);
        let (first, layers, isolation) = probe::strongest(&python, &options.left_out)?;
        if isolation.level < options.least {
            return Err(StartError::TooWeak { isolation, least: options.least });
        }
        let privileges = first.privileges;
        let crew = Arc::new(Crew {
            queue: Queue::new(options.queue_max.max(1)),
            counters: Counters::default(),
            batch_max: options.batch_max.max(1),
            n_threads,
            apart: Mutex::default(),
            broken: Mutex::default(),
        });
        crew.counters.n_starts.add(1);
        let mut first = Some(first);
        let threads = (0..n_threads).map(|_| {
            let crew = crew.clone();
            let station = Station::new(python.clone(), layers.clone(), first.take(), options.restore_after);
            std::thread::spawn(move || crew.serve(station))
        });
        let threads = threads.collect();
        let cache = Cache::new(options.cache_entries);
        Ok(PythonExecutor { crew, threads, cache, python, privileges, isolation })
    }

    /// What can be said of each input of a job without running it.
    fn known(&self, job: &Job) -> anyhow::Result<Vec<Option<Outcome>>> {
        check_limits(&job.limits)?;
        let counters = &self.crew.counters;
        counters.n_jobs.add(1);
        counters.n_inputs.add(job.inputs.len());
        if n_bytes(job) > MAX_JOB_BYTES {
            let message = format!("program and inputs are over {MAX_JOB_BYTES} bytes");
            return Ok(vec![Some(Outcome::CompileError { message }); job.inputs.len()]);
        }
        let known: Vec<Option<Outcome>> = job.inputs.iter().map(|it| self.cache.get(job, it)).collect();
        counters.n_cache_hits.add(known.iter().flatten().count());
        Ok(known)
    }

    /// Queues jobs and waits for all of them. Gives outcomes by the place that came with each job.
    fn ask(&self, jobs: Vec<(usize, Job)>) -> anyhow::Result<Vec<(usize, Vec<Outcome>)>> {
        if let Some(why) = self.crew.broken() {
            return Err(anyhow!(why));
        }
        let (reply, answers) = mpsc::channel();
        let n_jobs = jobs.len();
        self.crew.queue.push(jobs.into_iter().map(|(place, job)| {
            let preload = preload::needed(&job);
            Ticket { job, preload, since: Watch::start(), place, reply: reply.clone() }
        }));
        drop(reply);
        let take = |_| {
            let (place, answer) = answers.recv().expect("a thread answers or panics, and a panic is ours");
            Ok((place, answer.map_err(|why: String| anyhow!(why))?))
        };
        (0..n_jobs).map(take).collect()
    }

    /// The interpreter that programs run in.
    pub fn python(&self) -> &Python {
        &self.python
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
        self.crew.counters.snapshot()
    }
}

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
