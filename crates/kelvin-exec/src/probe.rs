//! Attempts to get out of a child, made at start by the driver's own code in the place of a program.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kelvin_core::executor::HashSeed;

use crate::interpreter::{Python, StartError};
use crate::level::{Isolation, Level};
use crate::preload::Preload;
use crate::sandbox::{Layer, Layers};
use crate::worker::{Lost, Worker, fresh_nonce};

/// What a program must not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Read a file that only the host's user may read.
    ReadSecret,
    /// Make a file beside it.
    WriteFile,
    /// Open a socket and connect it to one of the host's.
    Connect,
    /// Fork.
    StartProcess,
    /// Signal the host.
    SignalHost,
    /// Keep living when the worker dies.
    Disarm,
    /// Take more memory than it has.
    Allocate,
    /// Kill the worker.
    KillWorker,
}

impl Attempt {
    /// All, in the order in which `driver/child.py` makes them.
    pub const ALL: [Attempt; 8] = [
        Attempt::ReadSecret,
        Attempt::WriteFile,
        Attempt::Connect,
        Attempt::StartProcess,
        Attempt::SignalHost,
        Attempt::Disarm,
        Attempt::Allocate,
        Attempt::KillWorker,
    ];

    /// In words, after "can".
    pub fn words(self) -> &'static str {
        match self {
            Attempt::ReadSecret => "read files",
            Attempt::WriteFile => "make files",
            Attempt::Connect => "use the network",
            Attempt::StartProcess => "start processes",
            Attempt::SignalHost => "signal other processes",
            Attempt::Disarm => "outlive their worker",
            Attempt::Allocate => "take any amount of memory",
            Attempt::KillWorker => "kill their worker",
        }
    }
}

/// What came of a probe.
pub(crate) enum Probed {
    /// The attempts that were not stopped.
    Open(Vec<Attempt>),
    /// The kernel would not take the system call filter.
    FilterRefused,
}

/// What a probe is told: where the secret lies and where a listener waits.
pub(crate) struct Bait {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    _listener: Option<TcpListener>,
}

impl Bait {
    fn lay() -> io::Result<Bait> {
        let name = format!("kelvin-probe-{}-{:016x}", std::process::id(), fresh_nonce());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        // Without a loopback interface there is nothing to connect to, and any port is as good.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok();
        let port = listener.as_ref().and_then(|it| it.local_addr().ok()).map_or(1, |it| it.port());
        let bait = Bait { folder, port, _listener: listener };
        let secret = bait.folder.join("secret");
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(secret)?.write_all(b"secret")?;
        Ok(bait)
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        // What a program left there goes with it; a folder that cannot be removed is the system's to clean.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts a worker with the most layers that this machine has but those left out, and proves what they hold.
///
/// # Errors
/// [`StartError`] if no worker starts even without them.
pub(crate) fn strongest(
    python: &Python,
    left_out: &[Layer],
) -> Result<(Worker, Layers, Isolation), StartError> {
    let mut reason = String::new();
    for layers in Layers::candidates(left_out) {
        match Worker::start(python, HashSeed::A, Preload::Lean, &layers, -1) {
            Ok(worker) => return prove(python, worker, layers),
            Err(why) => reason = why,
        }
    }
    Err(broken(&python.path, reason))
}

fn prove(
    python: &Python,
    mut worker: Worker,
    mut layers: Layers,
) -> Result<(Worker, Layers, Isolation), StartError> {
    let bait = Bait::lay().map_err(|error| {
        broken(&python.path, format!("cannot write to {}: {error}", std::env::temp_dir().display()))
    })?;
    let start = |layers: &Layers| {
        Worker::start(python, HashSeed::A, Preload::Lean, layers, -1)
            .map_err(|reason| broken(&python.path, reason))
    };
    let attempt = |worker: &mut Worker, layers: &Layers, filtered: bool| -> Result<Probed, StartError> {
        let probed = worker.probe(&bait, filtered).map_err(|lost| match lost {
            Lost::Worker { detail: reason } | Lost::CannotFork { reason } => broken(&python.path, reason),
        })?;
        if matches!(&probed, Probed::Open(open) if open.contains(&Attempt::KillWorker)) {
            *worker = start(layers)?;
        }
        Ok(probed)
    };
    let mut filtered = attempt(&mut worker, &layers, true)?;
    if matches!(filtered, Probed::FilterRefused) {
        // Children of this worker would load the filter or end.
        layers = layers.unfiltered();
        worker = start(&layers)?;
        filtered = attempt(&mut worker, &layers, false)?;
    }
    let bare = attempt(&mut worker, &layers, false)?;
    let (Probed::Open(filtered), Probed::Open(bare)) = (filtered, bare) else {
        return Err(broken(&python.path, "a child ends before it has done anything".into()));
    };
    let isolation = Isolation {
        level: Level::proven(&filtered, &bare),
        layers: layers.list(),
        filter_alone: bare.into_iter().filter(|it| !filtered.contains(it)).collect(),
        open: filtered,
    };
    Ok((worker, layers, isolation))
}

fn broken(path: &Path, reason: String) -> StartError {
    StartError::Worker { path: path.to_owned(), reason }
}
