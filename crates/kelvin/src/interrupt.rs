//! Signals. The first SIGINT or SIGTERM sets a flag that commands and engines poll where stopping is safe; the second ends
//! the process at once. A write over the limit on the size of files is an error instead of a signal.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use kelvin_core::stop::Stop;
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGXFSZ},
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
}

impl Signal {
    /// 128 plus the signal's number.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "Ctrl-C",
            Signal::Terminate => "SIGTERM",
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
    /// Catches both signals from here on.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub(crate) fn install() -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        flag::register(SIGXFSZ, Arc::default())?;
        let seen = Arc::new(AtomicBool::new(false));
        for (signal, kind) in [(SIGINT, Signal::Interrupt), (SIGTERM, Signal::Terminate)] {
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
        [Signal::Interrupt, Signal::Terminate].into_iter().find(|kind| usize::from(kind.exit_code()) == code)
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
