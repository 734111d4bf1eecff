//! Programs that do harm, programs that do not, and many of both at once, against real workers.

mod attacks;
#[cfg(target_os = "linux")]
mod mixed;
mod outcomes;
mod pool;
#[cfg(target_os = "linux")]
mod restored;
#[cfg(target_os = "linux")]
mod soak;

use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome};
use kelvin_exec::{ExecutorOptions, Level, PythonExecutor};

/// A wall backstop that no innocent program here comes near, on a machine under any load.
const LIMITS: Limits = Limits { cpu_s: 0.5, wall_s: 60.0, memory_bytes: 64 << 20, output_bytes: 4096 };

fn executor(workers: usize) -> PythonExecutor {
    PythonExecutor::start(options(workers)).expect("Python is installed")
}

/// Without a cache: that a program runs again is what most of these are about. Children are set back from the first
/// job on.
fn options(workers: usize) -> ExecutorOptions {
    let (least, cache_entries, restore_after) = (Level::None, 0, 0);
    ExecutorOptions { workers, least, cache_entries, restore_after, ..ExecutorOptions::default() }
}

/// Where every job has a child that is forked for it, so that they can be counted.
fn forking(workers: usize) -> PythonExecutor {
    let options = ExecutorOptions { restore_after: u32::MAX, ..options(workers) };
    PythonExecutor::start(options).expect("Python is installed")
}

/// A job that shares no child.
fn job(program: &str, inputs: &[&str]) -> Job {
    Job {
        program: program.into(),
        inputs: inputs.iter().map(|input| input.to_string()).collect(),
        names: Names::Literals,
        company: None,
        hash_seed: HashSeed::A,
        calls: Calls::Once,
        limits: LIMITS,
    }
}

/// One input, one outcome, in a few words.
fn run(executor: &PythonExecutor, job: &Job) -> Vec<String> {
    executor.run(job).expect("the sandbox holds").iter().map(words).collect()
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value { repr } => repr.clone(),
        Outcome::NotLiteral { type_name } => format!("not literal: {type_name}"),
        Outcome::Raised { exception, message } => format!("{exception}: {message}"),
        Outcome::CompileError { message } => format!("compile error: {message}"),
        Outcome::Nondeterministic => "nondeterministic".into(),
        Outcome::TimedOut => "timed out".into(),
        Outcome::OutOfMemory => "out of memory".into(),
        Outcome::TooLarge { bytes } => format!("too large: {bytes}"),
        Outcome::Crashed { detail } => format!("crashed: {detail}"),
    }
}
