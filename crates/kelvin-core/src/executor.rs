//! The seam to the sandbox. A program that crashes, loops or floods is an [`Outcome`]; `Err` means that the
//! sandbox itself is broken.

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// CPU time of one call, in seconds. This decides a verdict wherever a program computes.
    pub cpu_s: f64,
    /// Wall time of one call, in seconds: a backstop for programs that wait, several times the CPU limit. It decides
    /// only where it is reached twice.
    pub wall_s: f64,
    /// Address space of a job, in bytes, over what the worker itself maps.
    pub memory_bytes: u64,
    /// The longest canonical result, in bytes.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// azr.md section 5.3 (10 s) and section 3 (4,096 bytes).
    fn default() -> Limits {
        Limits { cpu_s: 10.0, wall_s: 40.0, memory_bytes: 512 << 20, output_bytes: 4096 }
    }
}

/// Which warm interpreter runs a job. A proposal runs under both, to see whether it depends on hash order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HashSeed {
    /// `PYTHONHASHSEED=0`.
    A,
    /// `PYTHONHASHSEED=1`.
    B,
}

/// How often `f` is called for each argument list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calls {
    /// Once: enough to grade an answer.
    Once,
    /// Twice in one namespace, as the original does for proposals; unequal results are
    /// [`Outcome::Nondeterministic`].
    Twice,
}

/// What argument lists and programs may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// Nothing but the constructors of literals. Whatever an answer names, it gets no further.
    Literals,
    /// What the program may name and what it defines: the list is part of a proposal, as much as the program is.
    Program,
    /// As `Program`, and the program may import the standard library beside the pure modules: what tests of benchmarks
    /// and solutions to them do. What confines the process holds as ever; no static policy stands before it.
    Library,
}

/// One program and the argument lists its entry function `f` is called with. Each list runs in a fresh
/// namespace. The program has passed the static policy and the lists are canonical literals, or expressions between
/// the parentheses of one call: the host prepares both, and nothing in a job says what the right answer is.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Python source that defines `f`.
    pub program: String,
    /// Argument lists without parentheses, such as `[3, 1], k=2`.
    pub inputs: Vec<String>,
    /// What they may name.
    pub names: Names,
    /// The class of programs whose process it may share: programs of which it is known that they leave nothing behind.
    /// `None` gives every input a process of its own.
    pub company: Option<String>,
    /// Which interpreter.
    pub hash_seed: HashSeed,
    /// Once or twice.
    pub calls: Calls,
    /// What it may use.
    pub limits: Limits,
}

/// What came of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result is made of literals; this is its text, as Python's `repr` writes it.
    Value {
        /// `repr` of the result.
        repr: String,
    },
    /// The result is not made of literals.
    NotLiteral {
        /// The type that is none.
        type_name: String,
    },
    /// The program raised.
    Raised {
        /// Class name of the exception.
        exception: String,
        /// Its message, cut to a line.
        message: String,
    },
    /// The source parses but does not compile.
    CompileError {
        /// CPython's message.
        message: String,
    },
    /// Two calls in one namespace gave different results.
    Nondeterministic,
    /// Over the CPU limit, or over the wall backstop.
    TimedOut,
    /// Over the memory limit.
    OutOfMemory,
    /// The result's text is over the limit.
    TooLarge {
        /// How long it is, or the limit where that is unknown.
        bytes: u64,
    },
    /// The child died without an answer, also when tried alone.
    Crashed {
        /// Exit status or signal.
        detail: String,
    },
}

/// Runs programs.
pub trait Executor: Send + Sync {
    /// One outcome for each input, in their order.
    ///
    /// # Errors
    /// If the sandbox is broken; never because of what the program does.
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>>;

    /// The outcomes of each job, in their order. An executor that runs jobs together does so with these.
    ///
    /// # Errors
    /// Those of [`run`](Executor::run).
    fn run_many(&self, jobs: &[Job]) -> anyhow::Result<Vec<Vec<Outcome>>> {
        jobs.iter().map(|job| self.run(job)).collect()
    }

    /// How many jobs are worth waiting for at once: more than run, where waiting ones can share a process. Callers use as
    /// many threads.
    fn parallelism(&self) -> usize;

    /// How long what it does takes, as metrics below `timing/`; nothing where it does not measure.
    fn timing(&self) -> Metrics {
        Metrics::new()
    }
}
