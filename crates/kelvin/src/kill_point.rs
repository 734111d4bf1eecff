//! For tests of what is left when the process ends within a write. `KELVIN_KILL_AT=N:BYTES` kills this process in its
//! N-th operation on the run folder, after so many of the operation's bytes, modulo how many it has; with N = 0 it
//! only counts them, and says at the end how many there were. Without the variable the disk is a plain one.

use std::{
    env, io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use kelvin_selfplay::disk::{Disk, Faults, Operation};
use signal_hook::{consts::SIGKILL, low_level::raise};

use crate::{error::Usage, terminal::say};

const VARIABLE: &str = "KELVIN_KILL_AT";

struct KillPoint {
    at: usize,
    bytes: usize,
    n_done: AtomicUsize,
}

/// The disk of a run.
///
/// # Errors
/// If the variable does not name a point.
pub(crate) fn disk() -> anyhow::Result<Disk> {
    let Some(text) = env::var_os(VARIABLE) else { return Ok(Disk::default()) };
    let text = text.to_string_lossy();
    let point = text.split_once(':').and_then(|(at, bytes)| Some((at.parse().ok()?, bytes.parse().ok()?)));
    let Some((at, bytes)) = point else {
        return Err(Usage::error(format!("{VARIABLE} is {text}\nhint: it is for tests, unset it")));
    };
    Ok(Disk::with(Box::new(KillPoint { at, bytes, n_done: AtomicUsize::new(0) })))
}

impl Faults for KillPoint {
    fn cut(&self, operation: Operation<'_>, _path: &Path) -> Option<usize> {
        let n = 1 + self.n_done.fetch_add(1, Ordering::Relaxed);
        let kept = match operation {
            Operation::Write(whole) | Operation::Append(whole) => self.bytes % (whole + 1),
            Operation::Make
            | Operation::Fill
            | Operation::Sync
            | Operation::Rename(_)
            | Operation::Truncate(_)
            | Operation::Remove => self.bytes,
        };
        (n == self.at).then_some(kept)
    }

    fn error(&self) -> io::Error {
        match raise(SIGKILL) {
            Ok(()) => unreachable!("nothing survives SIGKILL"),
            Err(error) => error,
        }
    }
}

impl Drop for KillPoint {
    fn drop(&mut self) {
        say(&format!("{VARIABLE}: {} operations", self.n_done.load(Ordering::Relaxed)));
    }
}
