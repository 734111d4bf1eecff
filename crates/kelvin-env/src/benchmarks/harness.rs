//! Programs of benchmarks in the sandbox: `harness.py` runs them there, this side says with what and reads what came of
//! it. Nothing that runs knows what the right answer is, but for [`Harness::asserts`], where the benchmark's own tests
//! hold it.

use std::{ops::Range, sync::Arc};

use anyhow::{Context, ensure};
use kelvin_core::{
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    task::Miss,
};
use kelvin_python::value::Value;
use serde::de::DeserializeOwned;

use crate::quoting::{quoted as text, unquoted};

/// The program that every job runs.
const PROGRAM: &str = include_str!("harness.py");

/// Address space of a program, in bytes: EvalPlus' limit.
const MEMORY_BYTES: u64 = 4 << 30;

/// The longest text of all results of a call, in bytes.
const OUTPUT_BYTES: u64 = 64 << 20;

/// Wall time over CPU time, and the least, in seconds: a program that waits ends there. A busy machine takes long, too.
const WALL_PER_CPU: f64 = 4.0;
const WALL_S: f64 = 60.0;

/// Runs programs of benchmarks.
#[derive(Clone)]
pub(crate) struct Harness {
    executor: Arc<dyn Executor>,
}

/// Calls of an entry function with some of a task's tests.
#[derive(Clone, Debug)]
pub(crate) struct TestCalls<'it> {
    /// Source that defines the function.
    pub(crate) program: &'it str,
    /// Its name.
    pub(crate) entry: &'it str,
    /// Argument lists as JSON, as the publisher wrote them.
    pub(crate) tests: &'it str,
    /// What they are made into: a name of `SHAPES` in `harness.py`.
    pub(crate) shape: &'it str,
    /// Which of them.
    pub(crate) range: Range<usize>,
    /// CPU time of all of them, in seconds.
    pub(crate) cpu_s: f64,
}

/// What one call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// The text of the result, or nothing where it raised.
    pub(crate) written: Option<String>,
    /// CPU time in microseconds.
    pub(crate) cpu_us: u64,
    /// That, and what writing the result took.
    pub(crate) whole_us: u64,
}

impl Harness {
    pub(crate) fn new(executor: Arc<dyn Executor>) -> Harness {
        Harness { executor }
    }

    /// The results of calls, in their order up to the first that raises; or why there are none.
    ///
    /// # Errors
    /// If the sandbox is broken.
    pub(crate) fn calls(&self, calls: &TestCalls) -> anyhow::Result<Result<Vec<Called>, Miss>> {
        let TestCalls { program, entry, tests, shape, range, cpu_s } = calls;
        let given = [text("calls"), text(program), text(entry), text(tests)];
        let places = [range.start, range.end].map(|it| it.to_string());
        let given: Vec<String> = given.into_iter().chain(places).chain([text(shape)]).collect();
        let results: Result<Vec<(String, String, u64, u64)>, Miss> = self.run(&given, *cpu_s)?;
        Ok(results.and_then(|it| it.into_iter().map(called).collect()))
    }

    /// Runs a program and tests that assert. They hold what is right, and they run beside a program that could look for
    /// it.
    ///
    /// # Errors
    /// If the sandbox is broken.
    pub(crate) fn asserts(&self, program: &str, tests: &str, cpu_s: f64) -> anyhow::Result<Option<Miss>> {
        Ok(match self.run(&[text("asserts"), text(program), text(tests)], cpu_s)? {
            Ok(said) if said == "passed" => None,
            Ok::<String, _>(_) => Some(Miss::Crash),
            Err(miss) => Some(miss),
        })
    }

    /// The text of an expression's value after a program has run.
    ///
    /// # Errors
    /// If the sandbox is broken.
    pub(crate) fn expression(
        &self,
        program: &str,
        expression: &str,
        cpu_s: f64,
    ) -> anyhow::Result<Result<String, Miss>> {
        self.run(&[text("expression"), text(program), text(expression)], cpu_s)
    }

    /// The text of what a function, or a method of `Solution`, makes of arguments in JSON.
    ///
    /// # Errors
    /// If the sandbox is broken.
    pub(crate) fn functional(
        &self,
        program: &str,
        entry: &str,
        lines: &[&str],
        cpu_s: f64,
    ) -> anyhow::Result<Result<String, Miss>> {
        let lines = Value::List(lines.iter().map(|&it| Value::Str(it.to_owned())).collect()).canonical();
        let given = [text("functional"), text(program), text(entry), lines];
        self.run(&given, cpu_s)
    }

    /// What a program of a benchmark may use.
    pub(crate) fn limits(cpu_s: f64) -> Limits {
        Limits {
            cpu_s,
            wall_s: WALL_S + WALL_PER_CPU * cpu_s,
            memory_bytes: MEMORY_BYTES,
            output_bytes: OUTPUT_BYTES,
        }
    }

    /// What comes back is as hostile as the program: what is not of the form that was asked for is a crash of it.
    fn run<T: DeserializeOwned>(&self, given: &[String], cpu_s: f64) -> anyhow::Result<Result<T, Miss>> {
        ensure!(0.0 < cpu_s, "a limit of {cpu_s} s\nhint: it lies above 0");
        let job = Job {
            program: PROGRAM.to_owned(),
            inputs: vec![given.join(", ")],
            names: Names::Library,
            company: None,
            hash_seed: HashSeed::A,
            calls: Calls::Once,
            limits: Harness::limits(cpu_s),
        };
        let outcome =
            self.executor.run(&job)?.pop().context("an executor gives one outcome for each input")?;
        Ok(match outcome {
            Outcome::Value { repr } => {
                unquoted(&repr).and_then(|it| serde_json::from_str(&it).ok()).ok_or(Miss::Crash)
            }
            Outcome::Raised { exception, .. } => Err(missed(&exception)),
            Outcome::NotLiteral { .. } => Err(Miss::NotLiteral),
            Outcome::CompileError { .. } => Err(Miss::Unparsable),
            Outcome::TooLarge { .. } | Outcome::Nondeterministic => Err(Miss::Wrong),
            Outcome::TimedOut => Err(Miss::Timeout),
            Outcome::OutOfMemory => Err(Miss::Memory),
            Outcome::Crashed { .. } => Err(Miss::Crash),
        })
    }
}

/// What an exception out of a program says of it.
pub(super) fn missed(exception: &str) -> Miss {
    match exception {
        "AssertionError" => Miss::Wrong,
        "SyntaxError" | "IndentationError" | "TabError" => Miss::Unparsable,
        _ => Miss::RuntimeError,
    }
}

fn called((kind, said, cpu_us, whole_us): (String, String, u64, u64)) -> Result<Called, Miss> {
    match kind.as_str() {
        "value" => Ok(Called { written: Some(said), cpu_us, whole_us }),
        "raised" => Ok(Called { written: None, cpu_us, whole_us }),
        _ => Err(Miss::Crash),
    }
}
