//! What comes of a child that may be set back, whether this machine has any or not.

use std::time::Duration;

use crate::settle::Attempt;

/// There is no such child: this machine cannot do it, or the worker was lost.
pub(crate) struct Refused;

/// What came of a job, and what of its child.
pub(crate) struct Ran {
    pub(crate) attempt: Attempt,
    pub(crate) cpu: Duration,
    pub(crate) fate: Fate,
    /// Whether a forked child would have had to come to the same. Not so where time or memory ran out: a call that the
    /// host is told of takes more time, and a child that has run before has less address space left.
    pub(crate) is_final: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is as it was before.
    Restored,
    /// It has answered but cannot be set back: it is ended, and its worker may fork another.
    Spent,
    /// It is dead.
    Gone,
    /// It was set back and is not as it was before: nothing counts.
    Unsound,
}
