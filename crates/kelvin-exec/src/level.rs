//! How strictly programs are confined: what attempts to get out have shown, never what a machine claims to have.

use std::fmt;

use crate::probe::Attempt;
use crate::sandbox::Layer;

/// Elsewhere the kernel knows no limit on address space that it keeps.
const LIMITS_MEMORY: bool = cfg!(target_os = "linux");

/// Isolation, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// L0: not even the limit on memory holds.
    None,
    /// L1: a process of its own with limits on memory, CPU time and output.
    Weak,
    /// L2: no attempt gets out; without the system call filter, files would still be out of reach.
    Standard,
    /// L3: no attempt gets out; without the system call filter, files, the network and other processes would still be
    /// out of reach.
    Strict,
}

impl Level {
    /// L0 to L3.
    pub fn code(self) -> &'static str {
        match self {
            Level::None => "L0",
            Level::Weak => "L1",
            Level::Standard => "L2",
            Level::Strict => "L3",
        }
    }

    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Weak => "weak",
            Level::Standard => "standard",
            Level::Strict => "strict",
        }
    }

    /// The level that the attempts which were not stopped leave, with the system call filter and without it.
    pub(crate) fn proven(filtered: &[Attempt], bare: &[Attempt]) -> Level {
        use Attempt::{Allocate, Connect, KillWorker, ReadSecret, SignalHost, WriteFile};
        let outer = [ReadSecret, WriteFile, Connect, SignalHost, Allocate, KillWorker];
        if filtered.is_empty() && !outer.iter().any(|it| bare.contains(it)) {
            Level::Strict
        } else if filtered.is_empty() && !bare.contains(&ReadSecret) {
            Level::Standard
        } else if !filtered.contains(&Allocate) || !LIMITS_MEMORY {
            Level::Weak
        } else {
            Level::None
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

/// What confines the programs of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// What is proven.
    pub level: Level,
    /// The layers that not every machine has and this one does.
    pub layers: Vec<Layer>,
    /// Attempts that were not stopped with all layers in place; none at [`Level::Standard`] and over.
    pub open: Vec<Attempt>,
    /// Attempts that the system call filter alone stops.
    pub filter_alone: Vec<Attempt>,
}

impl Isolation {
    /// A clause on what programs can do that they should not, or on what only the system call filter stops; empty if
    /// there is neither.
    pub fn reach(&self) -> String {
        let words =
            |attempts: &[Attempt]| attempts.iter().map(|it| it.words()).collect::<Vec<_>>().join(", ");
        match (self.open.as_slice(), self.filter_alone.as_slice()) {
            ([], []) => String::new(),
            ([], alone) => format!("; only the system call filter keeps them from these: {}", words(alone)),
            (open, _) => format!("; they could {}", words(open)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_what_the_attempts_leave() {
        use Attempt::{Allocate, Connect, Disarm, KillWorker, ReadSecret, StartProcess};
        for (filtered, bare, level) in [
            (&[][..], &[Disarm, StartProcess][..], Level::Strict),
            (&[], &[Disarm, Connect], Level::Standard),
            (&[], &[KillWorker], Level::Standard),
            (&[], &[ReadSecret], Level::Weak),
            (&[Disarm], &[Disarm], Level::Weak),
            (&[Allocate, ReadSecret], &[Allocate, ReadSecret], Level::None),
        ] {
            assert_eq!(Level::proven(filtered, bare), level, "{filtered:?} {bare:?}");
        }
        assert!(Level::Weak < Level::Standard && Level::Standard < Level::Strict);
    }
}
