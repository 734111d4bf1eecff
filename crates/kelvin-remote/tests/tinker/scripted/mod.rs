//! A server of the Tinker protocol for tests: it speaks both dialects, learns for real, keeps the rules of a real server, and
//! misbehaves when told to. Every rule is from what was observed on SkyRL 0.4.0 (docs/engines/tinker.md).

#![allow(dead_code, reason = "each test that includes it uses a part")]

mod presence;
pub mod protobuf;
pub mod table;
pub mod world;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use kelvin_core::seed::Seed;
use presence::{listen, wake};
use world::World;

/// How often each thing goes wrong, for each request; and what no server does by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Nothing is done and status 500 said; the connection closes, as that of a real server does.
    pub refused: f64,
    /// Nothing is done and nothing is said.
    pub unheard: f64,
    /// It is done and nothing is said.
    pub unsaid: f64,
    /// It is done and half of it is said.
    pub cut: f64,
    /// It is done and said twice.
    pub doubled: f64,
    /// Nothing is done, and nothing is said until the client has gone.
    pub late: f64,
    /// A future is lost.
    pub dropped: f64,
    /// A future that is there is said not to be.
    pub not_yet: f64,
    /// An answer that is no answer.
    pub garbled: f64,
}

impl Rates {
    /// Each of them.
    pub fn all(rate: f64) -> Rates {
        Rates {
            refused: rate,
            unheard: rate,
            unsaid: rate,
            cut: rate,
            doubled: rate,
            late: rate,
            dropped: rate,
            not_yet: rate,
            garbled: rate,
        }
    }
}

/// How it misbehaves.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Decides which request is struck.
    pub seed: Seed,
    /// How often.
    pub rates: Rates,
}

/// A request as it came.
#[derive(Debug)]
pub struct Request {
    /// Without its slash.
    pub path: String,
    pub content_type: String,
    pub is_packed: bool,
    pub key: Option<String>,
    pub body: Vec<u8>,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// What a server knows, as requests see it.
pub trait Answers: Send + 'static {
    fn answer(&mut self, request: &Request) -> Said;

    /// Only what was saved is there afterwards.
    fn restart(&mut self);

    /// Whether the client reads what comes back such that nonsense is asked for again.
    fn is_read_again(&self, request: &Request) -> bool;

    /// Forgets the future that is asked for, where there are any.
    fn drop_future(&mut self, request: &Request);

    /// Whether answers say which request they are to. One that comes twice on a connection that is kept can be told from the
    /// next answer by that alone; where it is missing, what is said twice stands in the place of the next answer there.
    fn names_requests(&self) -> bool {
        false
    }
}

/// What is shared by connections.
pub struct Shared<W = World> {
    pub world: W,
    pub faults: Option<Faults>,
    /// Requests so far.
    pub n_requests: u64,
    /// From these requests on each strikes the first that it may, whatever the rates are.
    pub due: Vec<(u64, Fault)>,
    /// Requests that were struck, by what struck them.
    pub struck: BTreeMap<Fault, u64>,
    /// At these requests it is started again, the last first.
    pub restarts: Vec<u64>,
    /// While it is true, connections are closed at once.
    pub is_down: bool,
    /// At these requests it goes away, the last first.
    pub leaves: Vec<u64>,
    /// It goes away before it answers what is asked for here, once.
    pub leaves_before: Option<&'static str>,
    /// While it is true, nobody listens: connections are refused.
    pub is_away: bool,
    /// How often it went away. Connections end with the process that took them: what was sent to one that is gone is not heard
    /// by the next.
    pub n_lives: u64,
}

impl<W> Shared<W> {
    /// Requests that were struck.
    pub fn n_struck(&self) -> u64 {
        self.struck.values().sum()
    }

    fn leave(&mut self) {
        self.is_away = true;
        self.n_lives += 1;
    }
}

impl<W: Answers> Shared<W> {
    /// Counts a request on a connection that was taken in `life`, and gives what strikes it. None where nobody hears it.
    fn hear(&mut self, request: &Request, life: u64) -> Option<Option<Fault>> {
        if self.n_lives != life || self.is_down {
            return None;
        }
        self.n_requests += 1;
        let n = self.n_requests;
        let is_place = |it: &mut &str| *it == request.path;
        if self.leaves.pop_if(|it| *it <= n).is_some() || self.leaves_before.take_if(is_place).is_some() {
            self.leave();
            return None;
        }
        if self.restarts.pop_if(|it| *it <= n).is_some() {
            self.world.restart();
        }
        let fault = fault(self, request);
        if let Some(fault) = fault {
            *self.struck.entry(fault).or_default() += 1;
        }
        Some(fault)
    }
}

/// A server that listens until the test's process ends.
pub struct Server<W = World> {
    pub address: SocketAddr,
    pub shared: Arc<Mutex<Shared<W>>>,
}

impl<W: Answers> Server<W> {
    /// Starts it on a free port.
    pub fn start(world: W) -> Server<W> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            world,
            faults: None,
            n_requests: 0,
            due: Vec::new(),
            struck: BTreeMap::new(),
            restarts: Vec::new(),
            is_down: false,
            leaves: Vec::new(),
            leaves_before: None,
            is_away: false,
            n_lives: 0,
        };
        let shared = Arc::new(Mutex::new(shared));
        let for_connections = Arc::clone(&shared);
        thread::spawn(move || listen(listener, &for_connections));
        Server { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at what it knows, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Shared<W>) -> T) -> T {
        look(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It is started again: only what was saved is there afterwards.
    pub fn restart(&self) {
        self.with(|it| it.world.restart());
    }

    /// From now on nobody listens.
    pub fn leave(&self) {
        self.with(Shared::leave);
        wake(self.address);
    }

    /// After it went away it is there again, started anew.
    pub fn come_back(&self) {
        self.with(|it| {
            it.world.restart();
            it.is_away = false;
        });
    }
}

/// Serves a connection that was taken in `life`.
fn connection(stream: TcpStream, shared: &Mutex<Shared<impl Answers>>, life: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut again = None;
    while let Some(request) = read(&mut input)? {
        // What comes twice comes in the place of the next answer.
        if let Some(said) = again.take() {
            write(&mut out, &said, usize::MAX)?;
        }
        if !answer(&request, (shared, life), &mut out, &mut again)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers; gives whether the connection goes on, and puts down what is to be said there once more.
fn answer(
    request: &Request,
    (shared, life): (&Mutex<Shared<impl Answers>>, u64),
    out: &mut TcpStream,
    again: &mut Option<Said>,
) -> std::io::Result<bool> {
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let heard = lock().hear(request, life);
    let Some(fault) = heard else {
        if lock().is_away {
            wake(out.local_addr()?);
        }
        return Ok(false);
    };
    match fault {
        Some(Fault::Refused) => {
            let said =
                Said { status: 500, content_type: "text/plain", body: b"Internal Server Error".into() };
            write(out, &said, usize::MAX)?;
            return Ok(false);
        }
        Some(Fault::Unheard) => return Ok(false),
        Some(Fault::Late) => {
            // It says no more on this connection: its end is what is left to be read.
            let _ = out.read(&mut [0])?;
            return Ok(false);
        }
        Some(Fault::Dropped) => lock().world.drop_future(request),
        Some(Fault::Unsaid | Fault::Cut | Fault::Doubled | Fault::NotYet | Fault::Garbled) | None => {}
    }
    // A future that is not there is waited for; here all are there.
    let said = {
        let mut shared = lock();
        if shared.n_lives != life {
            return Ok(false);
        }
        shared.world.answer(request)
    };
    match fault {
        Some(Fault::Unsaid) => return Ok(false),
        Some(Fault::Cut) => {
            write(out, &said, said.body.len() / 2)?;
            return Ok(false);
        }
        Some(Fault::Doubled) => {
            write(out, &said, usize::MAX)?;
            match lock().world.names_requests() {
                true => write(out, &said, usize::MAX)?,
                false => *again = Some(said),
            }
        }
        Some(Fault::NotYet) => {
            let body = br#"{"type": "try_again", "queue_state": "active"}"#.to_vec();
            write(out, &Said { status: 200, content_type: "application/json", body }, usize::MAX)?;
        }
        Some(Fault::Garbled) => {
            write(out, &Said { body: said.body.iter().map(|it| it ^ 0x55).collect(), ..said }, usize::MAX)?;
        }
        Some(Fault::Refused | Fault::Unheard | Fault::Late | Fault::Dropped) | None => {
            write(out, &said, usize::MAX)?;
        }
    }
    Ok(true)
}

/// What strikes a request. [`Rates`] says what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Refused,
    Unheard,
    Unsaid,
    Cut,
    Doubled,
    Late,
    Dropped,
    NotYet,
    Garbled,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Fault; 9] = [
        Fault::Refused,
        Fault::Unheard,
        Fault::Unsaid,
        Fault::Cut,
        Fault::Doubled,
        Fault::Late,
        Fault::Dropped,
        Fault::NotYet,
        Fault::Garbled,
    ];

    fn rate(self, rates: &Rates) -> f64 {
        match self {
            Fault::Refused => rates.refused,
            Fault::Unheard => rates.unheard,
            Fault::Unsaid => rates.unsaid,
            Fault::Cut => rates.cut,
            Fault::Doubled => rates.doubled,
            Fault::Late => rates.late,
            Fault::Dropped => rates.dropped,
            Fault::NotYet => rates.not_yet,
            Fault::Garbled => rates.garbled,
        }
    }

    fn may_strike(self, world: &impl Answers, request: &Request) -> bool {
        match self {
            Fault::Dropped | Fault::NotYet => request.path == "api/v1/retrieve_future",
            Fault::Garbled => world.is_read_again(request),
            Fault::Refused | Fault::Unheard | Fault::Unsaid | Fault::Cut | Fault::Doubled | Fault::Late => {
                true
            }
        }
    }
}

fn fault(shared: &mut Shared<impl Answers>, request: &Request) -> Option<Fault> {
    let Shared { world, faults, n_requests, due, .. } = shared;
    let is_due = |(from, fault): &(u64, Fault)| from <= n_requests && fault.may_strike(world, request);
    if let Some(at) = due.iter().position(is_due) {
        return Some(due.remove(at).1);
    }
    let Faults { seed, rates } = (*faults)?;
    let mut draws = seed.nth(*n_requests).draws();
    Fault::ALL.into_iter().find(|it| draws.chance(it.rate(&rates)) && it.may_strike(world, request))
}

fn read(input: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let (mut length, mut content_type, mut is_packed, mut key) = (0, String::new(), false, None);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "content-type" => content_type = value.to_owned(),
            "content-encoding" => is_packed = value == "zstd",
            "x-api-key" => key = Some(value.to_owned()),
            "authorization" => key = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(Some(Request { path, content_type, is_packed, key, body }))
}

fn write(out: &mut TcpStream, said: &Said, n_bytes: usize) -> std::io::Result<()> {
    let Said { status, content_type, body } = said;
    // What lies elsewhere says where, and nothing else.
    let place = if *status == 302 {
        format!("location: {}\r\n", String::from_utf8_lossy(body))
    } else {
        String::new()
    };
    let mut text = format!(
        "HTTP/1.1 {status} -\r\n{place}content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    text.extend(&body[..body.len().min(n_bytes)]);
    out.write_all(&text)
}
