//! Programs per second through `/run_code` over loopback, in turns with the same programs on the executor in this process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, ensure};
use kelvin_core::script::{Script, Scripts};
use kelvin_env::script::PythonScripts;
use kelvin_exec::{ExecutorOptions, PythonExecutor};
use kelvin_selfplay::clock::Stopwatch;
use kelvin_serve::{Access, Served, Settings, bind};
use serde::Serialize;
use serde_json::{Value, json};

use super::{median, quantile};
use crate::{
    command::serve::LimitArgs,
    config::{self, Config, Raw},
    interrupt::Interrupt,
    jsonl::Sink,
    sandbox::{self, SandboxArgs},
    wire,
};

/// What runs: it reads a number and writes the next.
const PROGRAM: &str = "print(int(input()) + 1)";

/// Measure how many programs run per second over HTTP
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections that are kept alive, with one call at a time each; as many threads ask in this process
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrent: u32,
    /// Programs of a round
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    programs: u32,
    /// Rounds of each kind, in turns, after one that is not measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

#[derive(Serialize)]
struct Measurement {
    name: &'static str,
    threads: usize,
    seconds: f64,
    repeats: u32,
    concurrent: u32,
    n_programs: u32,
    jobs_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    in_process_jobs_per_s: f64,
    in_process_p50_ms: f64,
    in_process_p99_ms: f64,
    /// The median of the rounds' own ratios, and all of them.
    fraction: f64,
    fractions: Vec<f64>,
    /// Of the processes of measured programs, those that were set back.
    restored: f64,
    isolation: &'static str,
}

/// Measures and prints one object.
///
/// # Errors
/// If the sandbox or the port fails, or a program writes something else.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    // What is measured is running, not remembering.
    let options = ExecutorOptions { cache_entries: 0, ..args.sandbox.options() };
    let workers = options.workers;
    let executor = Arc::new(sandbox::start(options)?);
    let config = config::resolve(&[&Raw::from_sets(&["environment=math_question".to_owned()])?])?.config;
    let settings = args.limits.settings(0, &config, Access::Loopback, Some(&executor));
    let scripts: Arc<dyn Scripts> = Arc::new(PythonScripts::new(executor.clone()));
    let listening = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let (address, ending) = (listening.address(), Arc::new(AtomicBool::new(false)));
    let (served, heard) = (served(&config, scripts.clone())?, ending.clone());
    let limits = script("", &settings).limits;
    let server =
        thread::spawn(move || listening.serve(served, settings, move || heard.load(Ordering::Relaxed)));
    let over_http = |number: u32, line: &mut Line| line.ask(number, limits.cpu_s);
    let here = |number: u32, _: &mut ()| {
        let script = Script { program: PROGRAM.to_owned(), input: number.to_string(), limits };
        let ran = scripts.run(&script)?;
        ensure!(ran.stdout.trim() == (number + 1).to_string(), "a program did something else: {ran:?}");
        Ok(())
    };
    let (mut http, mut direct) = (Vec::new(), Vec::new());
    let mut before = executor.metrics();
    for round in 0..=args.repeats {
        interrupt.check()?;
        let of_http = args.round(round, || Line::to(address), over_http)?;
        let of_direct = args.round(round, || Ok(()), here)?;
        // The first round warms interpreters and connections up.
        if round == 0 {
            before = executor.metrics();
        } else {
            http.push(of_http);
            direct.push(of_direct);
        }
    }
    ending.store(true, Ordering::Relaxed);
    server.join().expect("a server does not panic")?;
    let mut out = Sink::stdout();
    out.row(&measurement(args, workers, &executor, &before, &http, &direct))?;
    out.flush()
}

fn served(config: &Config, scripts: Arc<dyn Scripts>) -> anyhow::Result<Served> {
    let env = wire::environment(config, || anyhow::bail!("no program runs in this environment"))?;
    Ok(Served {
        name: config.environment.as_str().to_owned(),
        env: Arc::from(env),
        scripts: Some(scripts),
        by_gold: None,
        worth: |grade| grade.score,
        tasks: Vec::new(),
    })
}

fn script(input: &str, settings: &Settings) -> Script {
    let limits = &settings.scripts;
    Script {
        program: PROGRAM.to_owned(),
        input: input.to_owned(),
        limits: kelvin_core::executor::Limits {
            cpu_s: limits.timeout_s,
            wall_s: (limits.wall_s)(limits.timeout_s),
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
        },
    }
}

fn measurement(
    args: &Args,
    workers: usize,
    executor: &PythonExecutor,
    before: &kelvin_exec::Metrics,
    http: &[Round],
    direct: &[Round],
) -> Measurement {
    let rate = |rounds: &[Round]| median(rounds.iter().map(|it| f64::from(args.programs) / it.seconds));
    let latency =
        |rounds: &[Round], q: f64| 1e3 * quantile(rounds.iter().flat_map(|it| it.latencies.clone()), q);
    let fractions: Vec<f64> =
        http.iter().zip(direct).map(|(http, direct)| direct.seconds / http.seconds).collect();
    let after = executor.metrics();
    let n_children = (after.n_children - before.n_children) as f64;
    Measurement {
        name: "serve/run_code",
        threads: workers,
        seconds: median(http.iter().map(|it| it.seconds)),
        repeats: args.repeats,
        concurrent: args.concurrent,
        n_programs: args.programs,
        jobs_per_s: rate(http),
        p50_ms: latency(http, 0.5),
        p99_ms: latency(http, 0.99),
        in_process_jobs_per_s: rate(direct),
        in_process_p50_ms: latency(direct, 0.5),
        in_process_p99_ms: latency(direct, 0.99),
        fraction: median(fractions.iter().copied()),
        fractions,
        restored: (after.n_restored - before.n_restored) as f64 / n_children,
        isolation: executor.isolation().level.name(),
    }
}

struct Round {
    seconds: f64,
    /// Of each program, in seconds.
    latencies: Vec<f64>,
}

impl Args {
    /// Runs the programs of a round, each thread taking the next one with what it has made for itself.
    fn round<L>(
        &self,
        round: u32,
        make: impl Fn() -> anyhow::Result<L> + Sync,
        ask: impl Fn(u32, &mut L) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<Round> {
        let next = AtomicUsize::new(0);
        let work = || -> anyhow::Result<Vec<f64>> {
            let mut line = make()?;
            let mut latencies = Vec::new();
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if self.programs as usize <= turn {
                    return Ok(latencies);
                }
                let watch = Stopwatch::start();
                ask(round * self.programs + turn as u32, &mut line)?;
                latencies.push(watch.seconds());
            }
        };
        let watch = Stopwatch::start();
        let latencies = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.concurrent).map(|_| scope.spawn(work)).collect();
            let joined = threads.into_iter().map(|it| it.join().expect("who asks does not panic"));
            joined.collect::<anyhow::Result<Vec<Vec<f64>>>>()
        })?;
        Ok(Round { seconds: watch.seconds(), latencies: latencies.into_iter().flatten().collect() })
    }
}

/// A connection that is kept alive.
struct Line {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Line {
    fn to(address: SocketAddr) -> anyhow::Result<Line> {
        let stream = TcpStream::connect(address).context("the server of this process does not answer")?;
        stream.set_nodelay(true)?;
        Ok(Line { stream: BufReader::new(stream), address })
    }

    /// As verl asks.
    fn ask(&mut self, number: u32, timeout_s: f64) -> anyhow::Result<()> {
        let body = json!({
            "compile_timeout": timeout_s, "run_timeout": timeout_s, "code": PROGRAM, "stdin": number.to_string(),
            "memory_limit_MB": -1, "language": "python", "files": {}, "fetch_files": [],
        });
        let body = body.to_string();
        let head = format!(
            "POST /run_code HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all((head + &body).as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200"), "the server answers {line:?}");
        let mut n_bytes = 0;
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line)?;
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                n_bytes = value.trim().parse().context("an answer has a length")?;
            }
        }
        let mut body = vec![0; n_bytes];
        self.stream.read_exact(&mut body)?;
        let answer: Value = serde_json::from_slice(&body)?;
        let stdout = answer["run_result"]["stdout"].as_str().unwrap_or_default();
        ensure!(stdout.trim() == (number + 1).to_string(), "a program did something else: {answer}");
        Ok(())
    }
}
