//! Benchmarks, read from their publishers' own files, which a user brings. A file here is one benchmark, or several of one
//! shape: where it is to be had, what it asks, how it reads an answer and when that is right. `docs/evaluation.md` says
//! what each does; `docs/divergences/evaluation.md` where that is not what a paper did.

mod big_bench;
mod choices;
mod cruxeval;
mod eval_plus;
mod file;
mod foretold;
mod harness;
mod human_eval;
mod live_code;
mod live_execution;
mod maths;
mod mbpp;
mod oracle;
mod packed;
mod paper;
mod plus;
mod program;
mod raw;
mod table;

use std::sync::Arc;

use anyhow::bail;
use kelvin_core::{
    benchmark::{Benchmark, Card, Profile, PromptMode},
    executor::Executor,
};

pub use file::{DataFolder, Found};

/// A benchmark that can be asked for by name.
pub struct Entry {
    /// What is known of it without its files.
    pub card: Card,
    open: Open,
}

/// How a benchmark is made from its files.
#[derive(Clone, Copy)]
enum Open {
    /// Answers are read.
    Reads(fn(&DataFolder, Profile) -> Opened),
    /// Answers are run.
    Runs(fn(&DataFolder, Profile, Arc<dyn Executor>) -> Opened),
}

type Opened = anyhow::Result<Box<dyn Benchmark>>;

/// All benchmarks, in the order of `kelvin eval --list`.
pub const BENCHMARKS: &[Entry] = &[
    human_eval::HUMAN_EVAL,
    human_eval::HUMAN_EVAL_PLUS,
    mbpp::MBPP,
    mbpp::MBPP_PLUS,
    cruxeval::CRUXEVAL_I,
    cruxeval::CRUXEVAL_O,
    live_code::LIVE_CODE,
    live_execution::LIVE_EXECUTION,
    maths::GSM8K,
    maths::MATH500,
    maths::AIME24,
    maths::AIME25,
    maths::AMC23,
    maths::MINERVA,
    maths::OLYMPIAD,
    choices::MMLU_PRO,
    choices::SUPER_GPQA,
    big_bench::BBEH,
    big_bench::BBEH_MINI,
    big_bench::BBH,
    maths::MATH500_R_ZERO,
    maths::AIME24_R_ZERO,
    maths::AIME25_R_ZERO,
    maths::AMC23_R_ZERO,
    maths::MINERVA_R_ZERO,
    maths::OLYMPIAD_R_ZERO,
];

/// The benchmark of a name.
pub fn named(name: &str) -> Option<&'static Entry> {
    BENCHMARKS.iter().find(|it| it.card.name == name)
}

impl Entry {
    /// Whether grading runs programs.
    pub fn runs_programs(&self) -> bool {
        matches!(self.open, Open::Runs(_))
    }

    /// Reads the benchmark's files. `start` gives the executor where programs run.
    ///
    /// # Errors
    /// If a file is missing or not what it should be, or there is no executor.
    pub fn open(
        &self,
        data: &DataFolder,
        profile: Profile,
        start: impl FnOnce() -> anyhow::Result<Arc<dyn Executor>>,
    ) -> anyhow::Result<Box<dyn Benchmark>> {
        match self.open {
            Open::Reads(open) => open(data, profile),
            Open::Runs(open) => open(data, profile, start()?),
        }
    }
}

/// There is no prompt of this mode.
fn no_prompt<T>(card: &Card, mode: PromptMode) -> anyhow::Result<T> {
    bail!(
        "{} has no prompts of mode {mode}\nhint: use another prompt mode; compact ones are for CRUXEval",
        card.title
    )
}
