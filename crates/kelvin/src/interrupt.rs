//! Signals. The first SIGINT, SIGTERM or SIGHUP sets a flag that commands and engines poll where stopping is safe; the second ends
//! the process at once. A write over the limit on the size of files is an error instead of a signal.

use std::{
    fmt, fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use kelvin_core::stop::{self, Stop};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ},
    flag,
};

use crate::error::Stopped;

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP, which a terminal sends that is closed.
    HangUp,
}

impl Signal {
    const ALL: [Signal; 3] = [Signal::Interrupt, Signal::Terminate, Signal::HangUp];

    fn number(self) -> i32 {
        match self {
            Signal::Interrupt => SIGINT,
            Signal::Terminate => SIGTERM,
            Signal::HangUp => SIGHUP,
        }
    }

    /// 128 plus the signal's number.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
            Signal::HangUp => 129,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "Ctrl-C",
            Signal::Terminate => "SIGTERM",
            Signal::HangUp => "SIGHUP",
        })
    }
}

/// The flag; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    code: Arc<AtomicUsize>,
    stop: Stop,
}

impl Interrupt {
    /// Catches these signals from here on, but for a SIGHUP that is ignored already, as `nohup` has it.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub(crate) fn install() -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        flag::register(SIGXFSZ, Arc::default())?;
        let seen = Arc::new(AtomicBool::new(false));
        let caught = Signal::ALL.into_iter().filter(|it| *it != Signal::HangUp || !ignores_hang_up());
        for (signal, kind) in caught.map(|it| (it.number(), it)) {
            // Order matters: the shutdown looks at `seen` before this signal sets it.
            flag::register_conditional_shutdown(signal, i32::from(kind.exit_code()), Arc::clone(&seen))?;
            flag::register(signal, Arc::clone(&seen))?;
            flag::register_usize(signal, Arc::clone(&interrupt.code), usize::from(kind.exit_code()))?;
            flag::register(signal, interrupt.stop.flag())?;
        }
        Ok(interrupt)
    }

    /// One that was raised by Ctrl-C.
    #[cfg(test)]
    pub(crate) fn raised() -> Interrupt {
        let code = AtomicUsize::new(usize::from(Signal::Interrupt.exit_code()));
        Interrupt { code: Arc::new(code), stop: Stop::default() }
    }

    /// What engines listen to.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The signal that came, if any.
    pub(crate) fn requested(&self) -> Option<Signal> {
        let code = self.code.load(Ordering::Relaxed);
        Signal::ALL.into_iter().find(|kind| usize::from(kind.exit_code()) == code)
    }

    /// An error of work that may have heard of a signal: then it is one with its exit code.
    pub(crate) fn told(&self, error: anyhow::Error) -> anyhow::Error {
        match self.requested() {
            Some(signal) if error.is::<stop::Stopped>() => Stopped(signal).into(),
            Some(_) | None => error,
        }
    }

    /// For work that has nothing to save: a signal is an error with its exit code.
    ///
    /// # Errors
    /// If a signal came.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match self.requested() {
            Some(signal) => Err(Stopped(signal).into()),
            None => Ok(()),
        }
    }
}

/// Whether SIGHUP was ignored when this process began. Only Linux says so without unsafe code; elsewhere it is taken to be,
/// and a closed terminal is heard of by nobody.
fn ignores_hang_up() -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_none_or(|it| it & (1 << (SIGHUP - 1)) != 0)
}
