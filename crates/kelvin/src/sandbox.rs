//! The options of commands that run programs, and the executor that they ask for.

use std::path::PathBuf;

use clap::{
    ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use kelvin_core::executor::Limits;
use kelvin_exec::{ExecutorOptions, Level, Metrics, Privileges, PythonExecutor};
use kelvin_python::{Equality, Policy};
use serde::{Deserialize, Serialize};

use crate::{config::threads_or_cores, error::note};

/// Most programs at once that are worth a process each.
pub(crate) const WORKERS_MAX: usize = 4096;
/// The wall clock is a backstop for programs that wait, at this many times the CPU limit,
const WALL_PER_CPU: f64 = 4.0;
/// and never so short, in seconds, that a machine that stands still for a moment reaches it.
const WALL_MIN_S: f64 = 5.0;

/// The wall limit of a call, in seconds, from its CPU limit.
pub(crate) fn wall_s(cpu_s: f64) -> f64 {
    (WALL_PER_CPU * cpu_s).max(WALL_MIN_S)
}

/// Which programs may run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RulesArgs {
    /// What a program may import and call: pure modules only, or the original's list of banned words
    #[arg(long, default_value = "kelvin", value_parser = policy_parser())]
    pub(crate) policy: Policy,
}

/// When two values are the same.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct EqualityArgs {
    /// When two values are the same: by type and value, or by Python's ==
    #[arg(long, default_value = "strict", value_parser = equality_parser())]
    pub(crate) equality: Equality,
}

fn equality_parser() -> impl TypedValueParser<Value = Equality> {
    PossibleValuesParser::new(["strict", "python"])
        .map(|name| name.parse().expect("the possible values are the names of equalities"))
}

fn policy_parser() -> impl TypedValueParser<Value = Policy> {
    PossibleValuesParser::new(["kelvin", "code"])
        .map(|name| name.parse().expect("the possible values are the names of policies"))
}

/// How programs are run.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sandbox")]
pub(crate) struct SandboxArgs {
    /// CPU seconds of one call; waiting counts after four times as long, at least 5 s
    #[arg(long, value_name = "S", default_value_t = Limits::default().cpu_s, value_parser = seconds)]
    timeout: f64,
    /// Memory of one program in MiB
    #[arg(long, value_name = "MB", default_value_t = Limits::default().memory_bytes >> 20,
          value_parser = clap::value_parser!(u64).range(16..=1 << 20))]
    memory: u64,
    /// The Python interpreter; without it, the first usable one is searched for
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    #[command(flatten)]
    isolation: IsolationArgs,
    /// Programs running at once; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = workers)]
    workers: usize,
    /// Each input in a process that no other has been in or that is set back; without it, programs that leave nothing
    /// behind share one
    #[arg(long)]
    isolated: bool,
}

/// The weakest isolation that will do.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct IsolationArgs {
    /// The weakest isolation that will do: no file, network or process in reach (strict), that held in part by the
    /// system call filter alone (standard), limits alone (weak), nothing (none); `kelvin doctor` shows what there is
    #[arg(long, value_enum, value_name = "strict|standard|weak|none", hide_possible_values = true)]
    pub(crate) isolation: Option<Least>,
}

/// The weakest isolation that will do, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Least {
    /// L3.
    Strict,
    /// L2.
    #[default]
    Standard,
    /// L1.
    Weak,
    /// L0.
    None,
}

impl Least {
    /// As the executor names it.
    pub(crate) fn level(self) -> Level {
        match self {
            Least::Strict => Level::Strict,
            Least::Standard => Level::Standard,
            Least::Weak => Level::Weak,
            Least::None => Level::None,
        }
    }
}

impl SandboxArgs {
    /// Starts an executor.
    ///
    /// # Errors
    /// If programs would be confined less than asked, or no Python comes up.
    pub(crate) fn executor(&self) -> anyhow::Result<PythonExecutor> {
        start(self.options())
    }

    /// What an executor is started with.
    pub(crate) fn options(&self) -> ExecutorOptions {
        let defaults = ExecutorOptions::default();
        ExecutorOptions {
            python: self.python.clone(),
            workers: threads_or_cores(self.workers),
            batch_max: if self.isolated { 1 } else { defaults.batch_max },
            least: self.isolation.isolation.unwrap_or_default().level(),
            ..defaults
        }
    }

    /// What a program may use.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            cpu_s: self.timeout,
            wall_s: wall_s(self.timeout),
            memory_bytes: self.memory << 20,
            ..Limits::default()
        }
    }
}

/// Starts an executor. Says on standard error what programs could do where that is more than the default allows.
///
/// # Errors
/// If programs would be confined less than asked, or no Python comes up.
pub(crate) fn start(options: ExecutorOptions) -> anyhow::Result<PythonExecutor> {
    let executor = PythonExecutor::start(options)?;
    let isolation = executor.isolation();
    if isolation.level < Level::Standard {
        note(&format!(
            "programs run with {} isolation{}{}",
            isolation.level,
            as_user(executor.privileges()),
            isolation.reach()
        ));
    }
    Ok(executor)
}

/// Which user programs run as, where that is not the one who asks.
pub(crate) fn as_user(privileges: Privileges) -> &'static str {
    match privileges {
        Privileges::Ordinary => "",
        Privileges::Dropped => ", as the user nobody",
        Privileges::Root => ", as root",
    }
}

/// Says where a program changed what another one saw, which the static check should have made impossible, or was not
/// undone.
pub(crate) fn warn_of_mismatches(executor: &PythonExecutor) {
    let Metrics { n_mismatches: n, n_unsound, .. } = executor.metrics();
    if 0 < n_unsound {
        note(&format!(
            "{n_unsound} processes were not as before when they were set back after a program; its result did not count, \
             and processes were forked for every program that runs alone. Please report it; python.restore_after = \
             {} does so from the start",
            u32::MAX
        ));
    }
    if 0 < n {
        note(&format!(
            "{n} results came out otherwise alone than in a shared process; the ones alone counted, and such programs \
             no longer shared one. Please report it; --isolated and python.batch_max = 1 run every program alone"
        ));
    }
}

fn workers(text: &str) -> Result<usize, String> {
    let workers: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if workers <= WORKERS_MAX { Ok(workers) } else { Err(format!("it is at most {WORKERS_MAX}")) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("it is from 0.001 to 3600".to_owned()) }
}
