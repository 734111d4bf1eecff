//! What the client costs: microseconds a completion at 64 concurrent against a server on this machine that answers at once,
//! the server's own work included, and memory over many. `cargo bench -p kelvin-remote --bench overhead -- 1000000` draws so many.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, mpsc::channel},
    thread,
    time::Instant,
};

use kelvin_core::{
    policy::{Sampler, completions},
    rollout::{SampleRequest, Sampling},
    seed::Seed,
    vocabulary::{Cut, Vocabulary},
};
use kelvin_remote::tinker::{Adapters, Dialect, Engine, TinkerPolicy, TinkerSettings};

/// Completions asked for at once.
const CONCURRENT: usize = 64;
/// Tokens of each prompt and completion.
const PROMPT: usize = 64;
const NEW: usize = 32;

struct Bytes;

impl Vocabulary for Bytes {
    fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        Ok(text.bytes().map(u32::from).collect())
    }
    fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
        Ok(ids.iter().map(|&it| char::from(it as u8)).collect())
    }
    fn cut(&self, _: &[u32], _: &[String]) -> anyhow::Result<Option<Cut>> {
        Ok(None)
    }
    fn end_tokens(&self) -> &[u32] {
        &[]
    }
    fn size(&self) -> usize {
        256
    }
    fn positions(&self) -> usize {
        4096
    }
    fn save(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let mut counts = std::env::args().filter_map(|it| it.parse().ok());
    let n: usize = counts.next_back().unwrap_or(100_000);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    // That a client goes away is no concern of the server's.
    let connection = |it: std::io::Result<TcpStream>| drop(thread::spawn(move || drop(it.and_then(serve))));
    thread::spawn(move || listener.incoming().for_each(connection));
    let settings = TinkerSettings {
        url,
        dialect: Dialect::Protobuf,
        concurrent_max: CONCURRENT,
        ..TinkerSettings::default()
    };
    let adapters = Adapters { base_model: "none".into(), rank: 1, seed: Seed::new(1) };
    let policy = TinkerPolicy::new(Engine::new(settings, None)?, Arc::new(Bytes), adapters);
    draw(&policy, 1000)?;
    let (mut rss, mut seconds) = (vec![rss_bytes()], 0.0);
    for _ in 0..10 {
        #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
        let start = Instant::now();
        draw(&policy, n / 10)?;
        seconds += start.elapsed().as_secs_f64();
        rss.push(rss_bytes());
    }
    let per = 1e6 * seconds / (n / 10 * 10) as f64;
    println!(
        "{{\"name\": \"tinker overhead\", \"completions\": {n}, \"concurrent\": {CONCURRENT}, \"prompt\": {PROMPT}, \"new\": {NEW}, \
         \"seconds\": {seconds:.3}, \"us_per_completion\": {per:.1}, \"rss_bytes\": {rss:?}}}"
    );
    Ok(())
}

/// Draws so many, and forgets them as they come.
fn draw(policy: &TinkerPolicy, n: usize) -> anyhow::Result<()> {
    let (to_sampler, requests) = channel();
    let (to_us, drawn) = completions();
    let sampling = Arc::new(Sampling::plain(NEW));
    let prompt = "p".repeat(PROMPT);
    thread::scope(|scope| {
        let served = scope.spawn(move || policy.serve(requests, to_us));
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

/// Answers every request on a connection with what its path asks for.
fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let drawn = drawn();
    let (mut line, mut body, mut answer) = (String::new(), Vec::new(), Vec::new());
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let is_retrieved = line.contains("retrieve_future");
        let is_drawn = line.contains("asample");
        let mut length = 0;
        loop {
            line.clear();
            input.read_line(&mut line)?;
            if line.len() <= 2 {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        input.read_exact(&mut body)?;
        let is_row = body.windows(5).any(|it| it == b"\"row\"");
        let id = if is_drawn { "row" } else { "1" };
        // Whatever is asked for has one of these names.
        let json = format!(
            "{{\"request_id\": \"{id}\", \"session_id\": \"x\", \"model_id\": \"x\", \"sampling_session_id\": \"x\"}}"
        );
        let (content_type, content): (_, &[u8]) = match is_retrieved && is_row {
            true => ("application/x-protobuf", &drawn),
            false => ("application/json", json.as_bytes()),
        };
        answer.clear();
        write!(
            answer,
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            content.len()
        )?;
        answer.extend(content);
        out.write_all(&answer)?;
    }
}

/// A `SampleResponse` by hand: one sequence of length, its tokens and log-probabilities.
fn drawn() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        assert!(bytes.len() < 1 << 14, "two bytes of length");
        [&[number << 3 | 2, bytes.len() as u8 | 128, (bytes.len() >> 7) as u8], bytes].concat()
    };
    let tokens: Vec<u8> = (0..NEW as u32).flat_map(|it| (97 + it % 26).to_le_bytes()).collect();
    let logprobs: Vec<u8> = (0..NEW).flat_map(|_| (-0.5f32).to_le_bytes()).collect();
    field(1, &[vec![8, 1], field(2, &tokens), field(3, &logprobs)].concat())
}
