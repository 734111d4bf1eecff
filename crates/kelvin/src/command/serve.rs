//! `kelvin serve`: environments and executor over HTTP for other people's trainers.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use clap::ValueEnum;
use kelvin_core::{
    environment::DynEnvironment,
    executor::Executor,
    script::Scripts,
    seed::Seed,
    task::{Grade, Task},
};
use kelvin_env::{math_question::grade_by_gold, script::PythonScripts};
use kelvin_exec::PythonExecutor;
use kelvin_selfplay::reward;
use kelvin_serve::{Access, ScriptLimits, Served, Settings, bind};

use super::{from_one_to, up_to};
use crate::{
    config::{self, Config, EnvironmentName, Raw, threads_or_cores},
    error::{Usage, note},
    interrupt::Interrupt,
    jsonl::{Rows, Sink},
    sandbox::{IsolationArgs, wall_s, warn_of_mismatches},
    wire,
};

/// Where the key is looked for.
const KEY: &str = "KELVIN_API_KEY";

const TASK_EXAMPLE: &str = r#"{"task_type":"deduction","born":0,"payload":{"snippet":"def f(a):\n    return a","input":"1","output":"1"}}"#;

const HELP: &str = "\
Routes: POST /run_code (SandboxFusion), POST /reward (slime), POST /get_reward
(OpenRLHF), OpenEnv's and NeMo Gym's, GET /health and /metrics. docs/serve.md has
all of them, and how each trainer is told of them.
The key that callers have to send is read from KELVIN_API_KEY.";

/// Offer environments and executor over HTTP, for other trainers
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one. Beyond loopback it needs a key
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// python_triplet, prime_inversion or math_question; without it, what the configuration says
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// A configuration of a run, whose environment is served as it is there
    #[arg(long, value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Override a setting, such as `--set python.prompt_set=compact`
    #[arg(long = "set", value_name = "key=value")]
    sets: Vec<String>,
    /// Tasks to pose, as `kelvin tasks` writes them; without it, fresh ones of the environment's own generator
    #[arg(long, value_name = "F")]
    tasks: Option<PathBuf>,
    /// Fresh tasks of each type to pose
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    fresh: u32,
    /// Of fresh tasks and of draws that a caller gives no seed for
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// What an answer is worth: `score` 0 to 1, or `azr` -1 without the asked-for form, -0.5 if wrong, else its score
    #[arg(long, value_enum, default_value = "score")]
    reward: Worth,
    /// Run no code for callers, and none at all in an environment without programs
    #[arg(long)]
    without_code: bool,
    /// Listen beyond loopback without a key: whoever reaches the port may run code here
    #[arg(long)]
    without_key: bool,
    #[command(flatten)]
    isolation: IsolationArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Worth {
    Score,
    Azr,
}

/// How much is taken.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Calls that work at once; 0 is as many as the executor likes to choose from
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = up_to::<65_536>)]
    running_max: usize,
    /// Calls that wait for their turn; more get 503
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = up_to::<1_048_576>)]
    waiting_max: usize,
    /// Seconds from a call's head to its answer; later it is 504
    #[arg(long, value_name = "S", default_value_t = 120.0, value_parser = seconds)]
    deadline: f64,
    /// MiB of a body or message
    #[arg(long, value_name = "MB", default_value_t = 16, value_parser = from_one_to::<1024>)]
    body_max: usize,
    /// MiB of all bodies that are read or worked on; more wait
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = from_one_to::<1_048_576>)]
    bodies_max: usize,
    /// Answers graded, or tasks given, in one call
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = from_one_to::<65_536>)]
    batch_max: usize,
    /// Connections; more wait
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = from_one_to::<65_536>)]
    connections_max: usize,
    /// Episodes open at once, each socket being one
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = from_one_to::<65_536>)]
    sessions_max: usize,
    /// Seconds after which an episode without a message ends
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = seconds)]
    session_idle: f64,
    /// Seconds that calls may still work after Ctrl-C or SIGTERM
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = seconds)]
    grace: f64,
    /// CPU seconds that a program of /run_code may ask for; it has 10 where it does not say
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = seconds)]
    run_timeout_max: f64,
    /// MiB that a program of /run_code may ask for; it has python.memory_mb where it does not say
    #[arg(long, value_name = "MB", default_value_t = 4096, value_parser = up_to::<1_048_576>)]
    memory_max: usize,
    /// MiB that a program of /run_code may write
    #[arg(long, value_name = "MB", default_value_t = 8, value_parser = from_one_to::<1024>)]
    output_max: usize,
    /// Threads that read and write calls; programs have their own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = from_one_to::<256>)]
    io_threads: usize,
}

/// SandboxFusion's default, in seconds.
const RUN_TIMEOUT_S: f64 = 10.0;

/// Serves until a signal.
///
/// # Errors
/// If the configuration does not resolve, no Python comes up, or the port is taken.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let access = access(args)?;
    let config = configuration(args)?;
    let listening = bind(args.bind)?;
    let world = World::start(&config, args)?;
    let settings = args.limits.settings(args.seed, &config, access, world.executor.as_deref());
    let (address, executor) = (listening.address(), world.executor.clone());
    interrupt.check()?;
    let mut out = Sink::stdout();
    out.text(&format!("listening on http://{address}\n"))?;
    out.flush()?;
    let signals = interrupt.clone();
    listening.serve(world.served, settings, move || signals.requested().is_some())?;
    if let Some(executor) = &executor {
        warn_of_mismatches(executor);
    }
    interrupt.check()
}

fn access(args: &Args) -> anyhow::Result<Access> {
    let key = match std::env::var(KEY) {
        Ok(key) if key.trim().is_empty() => None,
        Ok(key) => Some(key.trim().to_owned()),
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => {
            return Err(Usage::error(format!("{KEY} is not text\nhint: use printable signs")));
        }
    };
    match key {
        Some(_) if args.without_key => Err(Usage::error(format!(
            "--without-key and {KEY} contradict each other\nhint: leave out one of them"
        ))),
        Some(key) => Ok(Access::Key(key)),
        None if args.without_key => {
            note("whoever reaches the port may run code here");
            Ok(Access::Anybody)
        }
        None if args.bind.ip().is_loopback() => Ok(Access::Loopback),
        None => Err(Usage::error(format!(
            "{} is not loopback, and there is no key\nhint: set {KEY}, or say --without-key where nobody else reaches the \
             port",
            args.bind
        ))),
    }
}

fn configuration(args: &Args) -> anyhow::Result<Config> {
    let written = match &args.config {
        Some(path) => Raw::read(path)?,
        None => Raw::default(),
    };
    let mut sets = args.sets.clone();
    sets.extend(args.env.as_ref().map(|name| format!("environment={name}")));
    // Nothing is evaluated here, so that settings of evaluations need not fit.
    let unevaluated = Raw::from_sets(&["eval.every=0".to_owned()])?;
    let mut config = config::resolve(&[&unevaluated, &written, &Raw::from_sets(&sets)?])?.config;
    if let Some(least) = args.isolation.isolation {
        config.python.isolation = least;
    }
    Ok(config)
}

/// What is served and what runs its programs.
struct World {
    executor: Option<Arc<PythonExecutor>>,
    served: Served,
}

impl World {
    fn start(config: &Config, args: &Args) -> anyhow::Result<World> {
        let needs_programs = config.environment == EnvironmentName::PythonTriplet;
        let executor = match needs_programs || !args.without_code {
            true => Some(Arc::new(config.python.start_executor()?)),
            false => None,
        };
        let env: Arc<dyn DynEnvironment> = Arc::from(wire::environment(config, || {
            Ok(executor.clone().context("an environment with programs has an executor")?)
        })?);
        let tasks = tasks(&*env, args)?;
        let scripts = executor.clone().filter(|_| !args.without_code);
        let scripts = scripts.map(|it| Arc::new(PythonScripts::new(it)) as Arc<dyn Scripts>);
        let by_gold: Option<fn(&str, &str) -> Grade> = match config.environment {
            EnvironmentName::MathQuestion => Some(grade_by_gold),
            EnvironmentName::PythonTriplet | EnvironmentName::PrimeInversion => None,
        };
        let worth: fn(&Grade) -> f32 = match args.reward {
            Worth::Score => |it| it.score,
            Worth::Azr => reward::solver,
        };
        let name = config.environment.as_str().to_owned();
        Ok(World { executor, served: Served { name, env, scripts, by_gold, worth, tasks } })
    }
}

/// What is posed: the tasks of a file, or fresh ones.
fn tasks(env: &dyn DynEnvironment, args: &Args) -> anyhow::Result<Vec<Task>> {
    let Some(path) = &args.tasks else {
        let seed = Seed::new(args.seed).fork("serve");
        let of = |&task_type| env.held_out(task_type, args.fresh as usize, seed);
        let fresh = env.task_types().iter().map(of).collect::<anyhow::Result<Vec<_>>>()?;
        return Ok(fresh.into_iter().flatten().collect());
    };
    let mut tasks = Vec::new();
    for row in Rows::<Task>::open(path, TASK_EXAMPLE)? {
        let task = row?;
        if let Some(why) = env.misfit(&task) {
            return Err(Usage::error(format!(
                "{}, task {}: {why}\nhint: serve the environment that it is from with --env",
                path.display(),
                tasks.len()
            )));
        }
        tasks.push(task);
    }
    Ok(tasks)
}

impl LimitArgs {
    /// With limits for scripts that fit `config`, and as many calls at once as the executor likes to choose from.
    pub(super) fn settings(
        &self,
        seed: u64,
        config: &Config,
        access: Access,
        executor: Option<&PythonExecutor>,
    ) -> Settings {
        let liked = executor.map_or_else(|| threads_or_cores(0), Executor::parallelism);
        let memory_bytes = config.python.memory_mb << 20;
        Settings {
            access,
            running_max: if self.running_max == 0 { liked } else { self.running_max },
            waiting_max: self.waiting_max,
            deadline: Duration::from_secs_f64(self.deadline),
            body_bytes_max: self.body_max << 20,
            bodies_bytes_max: self.bodies_max << 20,
            batch_max: self.batch_max,
            connections_max: self.connections_max,
            sessions_max: self.sessions_max,
            session_idle: Duration::from_secs_f64(self.session_idle),
            grace: Duration::from_secs_f64(self.grace),
            threads: self.io_threads,
            seed,
            scripts: ScriptLimits {
                timeout_s: RUN_TIMEOUT_S.min(self.run_timeout_max),
                timeout_s_max: self.run_timeout_max,
                memory_bytes,
                memory_bytes_max: memory_bytes.max((self.memory_max as u64) << 20),
                output_bytes: (self.output_max as u64) << 20,
                wall_s,
            },
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("it is from 0.01 to 86400".to_owned())
    }
}
