//! What the client costs: microseconds a completion at 64 concurrent against a server that answers at once, and memory over
//! many. The server is this program once more, beside it on the same machine, so that what is counted is the client's alone.
//! `cargo bench -p kelvin-remote --bench overhead -- 1000000 tinker` draws so many over one of `tinker`, `vllm`,
//! `vllm_grpc` and `sglang`.

mod bytes;
#[macro_use]
#[path = "../../tests/rollouts/control.rs"]
mod control;
mod grpc;
mod server;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc::channel},
    thread,
    time::Instant,
};

use anyhow::Context;
use kelvin_core::{
    fake::FakePolicy,
    policy::{Sampler, completions},
    rollout::{SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_remote::{
    rollouts::{Engine as Draws, RolloutSettings, Rollouts},
    tinker::{Adapters, Dialect, Engine, TinkerPolicy, TinkerSettings},
};
use mimalloc::MiMalloc;

use crate::bytes::Bytes;

/// Completions asked for at once.
const CONCURRENT: usize = 64;
/// Tokens of each prompt and completion.
const PROMPT: usize = 64;
const NEW: usize = 32;
/// The argument that makes a server of this program.
const AS_SERVER: &str = "as-server";

/// The binary's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let n: usize = arguments.iter().find_map(|it| it.parse().ok()).unwrap_or(100_000);
    let named = |name: &&str| arguments.iter().any(|it| it == name);
    let engine = ["tinker", "vllm", "vllm_grpc", "sglang"].into_iter().find(named).unwrap_or("tinker");
    if named(&AS_SERVER) {
        return if engine == "vllm_grpc" { grpc::run() } else { server::run() };
    }
    let (_server, url) = start(engine)?;
    let folder = tempfile::tempdir()?;
    let rollouts = |engine: Draws| -> anyhow::Result<Box<dyn Sampler>> {
        let settings = RolloutSettings {
            engine,
            servers: vec![url.clone()],
            folder: folder.path().to_owned(),
            concurrent_max: CONCURRENT,
            ..RolloutSettings::default()
        };
        let learner = FakePolicy::new(|_, _| String::new());
        Ok(Box::new(Rollouts::new(learner, "p", Arc::new(Bytes), settings, None)?))
    };
    let sampler = match engine {
        "vllm" => rollouts(Draws::Vllm)?,
        "vllm_grpc" => rollouts(Draws::VllmGrpc)?,
        "sglang" => rollouts(Draws::Sglang)?,
        _ => tinker(url.clone())?,
    };
    measure(engine, n, &*sampler)
}

/// A server of its own process, which ends with this one, and its address.
fn start(engine: &str) -> anyhow::Result<(Child, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server in the same process would be measured with the client"
    )]
    let mut command = Command::new(std::env::current_exe()?);
    let mut server =
        command.args([AS_SERVER, engine]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut url = String::new();
    BufReader::new(server.stdout.take().context("it was piped")?).read_line(&mut url)?;
    Ok((server, url.trim().to_owned()))
}

fn tinker(url: String) -> anyhow::Result<Box<dyn Sampler>> {
    let settings = TinkerSettings {
        url,
        dialect: Dialect::Protobuf,
        concurrent_max: CONCURRENT,
        ..TinkerSettings::default()
    };
    let adapters = Adapters { base_model: "none".into(), rank: 1, seed: Seed::new(1) };
    Ok(Box::new(TinkerPolicy::new(Engine::new(settings, None)?, Arc::new(Bytes), adapters)))
}

/// Draws so many in ten parts, and prints what they took and the memory after each.
fn measure(engine: &str, n: usize, sampler: &dyn Sampler) -> anyhow::Result<()> {
    draw(sampler, 1000)?;
    let (mut rss, mut seconds) = (vec![rss_bytes()], 0.0);
    for _ in 0..10 {
        #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
        let start = Instant::now();
        draw(sampler, n / 10)?;
        seconds += start.elapsed().as_secs_f64();
        rss.push(rss_bytes());
    }
    let per = 1e6 * seconds / (n / 10 * 10) as f64;
    println!(
        "{{\"name\": \"{engine} overhead\", \"completions\": {n}, \"concurrent\": {CONCURRENT}, \"prompt\": {PROMPT}, \
         \"new\": {NEW}, \"seconds\": {seconds:.3}, \"us_per_completion\": {per:.1}, \"rss_bytes\": {rss:?}}}"
    );
    Ok(())
}

/// Draws so many, and forgets them as they come.
fn draw(sampler: &dyn Sampler, n: usize) -> anyhow::Result<()> {
    let (to_sampler, requests) = channel();
    let (to_us, drawn) = completions();
    let sampling = Arc::new(Sampling::plain(NEW));
    let prompt = "p".repeat(PROMPT);
    thread::scope(|scope| {
        let served = scope.spawn(move || sampler.serve(requests, to_us));
        let request = |row: usize| {
            let seed = Seed::new(row as u64);
            let request = SampleRequest { prompt: prompt.clone(), seed, sampling: Arc::clone(&sampling) };
            to_sampler.send((row, request)).expect("the sampler listens");
        };
        // A few more than are asked for at once: what is measured is not a queue of prompts.
        (0..n.min(2 * CONCURRENT)).for_each(request);
        let (mut n_asked, mut n_drawn) = (n.min(2 * CONCURRENT), 0);
        while n_drawn < n {
            let (_, completion) = drawn.recv()?;
            anyhow::ensure!(completion.tokens.len() == NEW, "a completion is not whole");
            n_drawn += 1;
            if n_asked < n {
                request(n_asked);
                n_asked += 1;
            }
        }
        drop(to_sampler);
        served.join().expect("nothing in it panics")
    })
}

/// Bytes of this process in memory.
fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    pages * 4096
}
