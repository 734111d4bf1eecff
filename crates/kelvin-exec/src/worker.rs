//! One warm worker: start, handshake, one job at a time, deadline, end. The worker is a process; losing it is not
//! an error here, since a program may have killed it.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use kelvin_core::executor::HashSeed;

use crate::channel::{Channel, Heard};
use crate::clock::Deadline;
use crate::conversation::Conversation;
use crate::interpreter::Python;
use crate::preload::Preload;
use crate::probe::{Attempt as Probe, Bait, Probed};
use crate::protocol::{self, Request, WorkerFrame};
use crate::sandbox::Layers;
use crate::settle::Attempt;

const DRIVER: &str = concat!(
    include_str!("driver/zygote.py"),
    include_str!("driver/child.py"),
    include_str!("driver/answer.py")
);

/// Reads the driver from the socket, so that it does not fill the list of processes; a length of four bytes comes first.
const BOOT: &str = "import posix
size, text = int.from_bytes(posix.read(0, 4), 'little'), b''
while part := posix.read(0, size - len(text)):
    text += part
exec(compile(text, '<driver>', 'exec'))";

/// No `-I`: it ignores PYTHONHASHSEED. `-s -P` and the empty environment do the rest of its work. `-S` and `-B`:
/// no site packages, no bytecode written.
const ARGUMENTS: [&str; 7] = ["-s", "-P", "-S", "-B", "-W", "ignore", "-c"];

/// How long a worker may take to start on a machine under load.
pub(crate) const START_WAIT: Duration = Duration::from_secs(30);

/// How long a worker may take to obey: it then only waits for a child that is being killed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Status of a child that had no memory left to say so, and of one that the kernel refused its filter;
/// `driver/child.py` has the same numbers.
pub(crate) const EXIT_OUT_OF_MEMORY: i32 = 77;
const EXIT_UNCONFINED: i32 = 99;

/// Memory of a probe, in bytes.
const PROBE_MEMORY: u64 = 64 << 20;

/// Which user programs run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    /// The host's, which is not root.
    Ordinary,
    /// Nobody's: the host is root, children leave it.
    Dropped,
    /// Root's: the host is root and no other user is mapped here.
    Root,
}

pub(crate) struct Worker {
    process: Child,
    pub(crate) channel: Channel,
    pub(crate) privileges: Privileges,
    /// Children load the system call filter.
    filtered: bool,
    /// Children run.
    pub(crate) n_children: u64,
    /// The most memory that the worker itself had had when its first child and its last one ended, in KiB.
    kib: (u64, u64),
}

/// Why a worker gave no attempt.
pub(crate) enum Lost {
    /// It is gone or does not obey; the next one may do.
    Worker { detail: String },
    /// The machine gives it no process; the program has no part in that.
    CannotFork { reason: String },
}

impl Lost {
    /// It does not obey.
    pub(crate) fn silent() -> Lost {
        Lost::Worker { detail: "the worker does not answer".into() }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Lost {
        Lost::Worker { detail: format!("the worker is lost: {error}") }
    }
}

impl Worker {
    /// Starts a worker and waits until it is warm. `jobs` is the descriptor of a pipe that it inherits, -1 for none.
    pub(crate) fn start(
        python: &Python,
        hash_seed: HashSeed,
        preload: Preload,
        layers: &Layers,
        jobs: RawFd,
    ) -> Result<Worker, String> {
        #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
        let mut command = Command::new(&python.path);
        command
            .args(ARGUMENTS)
            .arg(BOOT)
            .arg(preload.name())
            .arg(if layers.own_processes() { "1" } else { "0" })
            .arg(layers.ruleset().to_string())
            .arg(jobs.to_string())
            .stderr(Stdio::piped());
        let channel = Channel::open(&mut command, GRACE).map_err(|error| error.to_string())?;
        layers.apply(&mut command, hash_seed, jobs);
        let process = command.spawn().map_err(|error| error.to_string())?;
        // The command holds the worker's ends of the channel: open here, a worker's death would go unseen.
        drop(command);
        let mut worker = Worker {
            process,
            channel,
            privileges: Privileges::Ordinary,
            filtered: !layers.filter().is_empty(),
            n_children: 0,
            kib: (0, 0),
        };
        let driver = [&(DRIVER.len() as u32).to_le_bytes(), DRIVER.as_bytes()].concat();
        worker.channel.send(&driver).map_err(|error| worker.last_words(error.into()))?;
        worker.shake_hands(layers.filter()).map_err(|lost| worker.last_words(lost))?;
        worker.process.stderr = None;
        Ok(worker)
    }

    fn shake_hands(&mut self, filter: &[u8]) -> Result<(), Lost> {
        let ours = fresh_nonce();
        self.channel.send(&protocol::encode_hello(ours, filter))?;
        self.privileges = match self.channel.next(Deadline::after(START_WAIT), &mut Vec::new())? {
            Heard::Frame(WorkerFrame::Hello { version, nonce, privileges })
                if version == protocol::VERSION && nonce == ours =>
            {
                match privileges {
                    0 => Privileges::Ordinary,
                    1 => Privileges::Dropped,
                    2 => Privileges::Root,
                    other => return Err(out_of_turn(&format!("privileges {other}"))),
                }
            }
            Heard::Frame(other) => return Err(out_of_turn(&format!("{other:?}"))),
            Heard::Child => return Err(out_of_turn("an answer")),
            Heard::Silence => return Err(Lost::silent()),
        };
        Ok(())
    }

    /// Why it did not start: its last line on standard error, where it has one.
    fn last_words(&mut self, lost: Lost) -> String {
        self.end();
        let mut said = String::new();
        if let Some(stderr) = self.process.stderr.take() {
            // Ended, so this ends too; what is no text is no explanation.
            let _ = stderr.take(1 << 16).read_to_string(&mut said);
        }
        match (said.trim_end().lines().last(), lost) {
            (Some(line), _) => line.to_owned(),
            (None, Lost::Worker { detail: reason } | Lost::CannotFork { reason }) => reason,
        }
    }

    /// How much more memory than after its first child the worker itself has had since, in KiB.
    pub(crate) fn grown_kib(&self) -> u64 {
        self.kib.1.saturating_sub(self.kib.0)
    }

    /// Runs one child and says what CPU time it took. After [`Lost::Worker`] this worker is of no further use.
    pub(crate) fn run(&mut self, request: &Request<'_>) -> Result<(Attempt, Duration), Lost> {
        self.channel.send(&request.encode(self.filtered))?;
        let mut talk = Conversation::new(request);
        loop {
            if let Some(exit) = talk.hear(&mut self.channel, Duration::MAX)? {
                self.n_children += 1;
                self.kib = (if self.n_children == 1 { exit.worker_kib } else { self.kib.0 }, exit.worker_kib);
                let cpu = Duration::from_micros(exit.cpu_us);
                return Ok((talk.end(&exit, cpu), cpu));
            }
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Has a child try to get out, with the system call filter or without it. After [`Probe::KillWorker`] this worker
    /// is of no further use.
    pub(crate) fn probe(&mut self, bait: &Bait, filtered: bool) -> Result<Probed, Lost> {
        let filtered = filtered && self.filtered;
        let Some(said) = self.probe_once(bait, filtered, false)? else { return Ok(Probed::FilterRefused) };
        // What is not said to be held is not.
        let said_open = Probe::ALL
            .iter()
            .enumerate()
            .filter(|&(at, it)| *it != Probe::KillWorker && said.get(at) != Some(&b'h'));
        let mut open: Vec<Probe> = said_open.map(|(_, it)| *it).collect();
        match self.probe_once(bait, filtered, true) {
            Ok(_) => {}
            Err(Lost::Worker { .. }) => open.push(Probe::KillWorker),
            Err(lost @ Lost::CannotFork { .. }) => return Err(lost),
        }
        Ok(Probed::Open(open))
    }

    /// What one child says of its attempts; `None` if the kernel refuses the filter.
    fn probe_once(&mut self, bait: &Bait, filtered: bool, kills: bool) -> Result<Option<Vec<u8>>, Lost> {
        let nonce = fresh_nonce();
        self.channel.send(&protocol::encode_probe(nonce, PROBE_MEMORY, filtered, kills, bait))?;
        let deadline = Deadline::after(START_WAIT);
        let mut said = Vec::new();
        loop {
            match self.channel.next(deadline, &mut said)? {
                Heard::Child => {}
                Heard::Silence => return Err(Lost::silent()),
                Heard::Frame(WorkerFrame::Exit { wait_status, .. }) => {
                    let confined = ExitStatus::from_raw(wait_status).code() != Some(EXIT_UNCONFINED);
                    let verdicts = said.strip_prefix(&nonce.to_le_bytes()).unwrap_or_default();
                    return Ok(confined.then(|| verdicts.to_vec()));
                }
                Heard::Frame(WorkerFrame::CannotFork(reason)) => return Err(Lost::CannotFork { reason }),
                Heard::Frame(WorkerFrame::Hello { .. }) => return Err(out_of_turn("a greeting")),
            }
        }
    }

    fn end(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Worker {
    /// Its child, if there is one, asked the kernel to go with it.
    fn drop(&mut self) {
        self.end();
    }
}

/// A nonce only tells messages apart, so it needs no seed of the run.
pub(crate) fn fresh_nonce() -> u64 {
    RandomState::new().hash_one(0u8)
}

pub(crate) fn out_of_turn(what: &str) -> Lost {
    Lost::Worker { detail: format!("the worker sent {what} out of turn") }
}
