//! The real loop without a model and without an interpreter: a pretend domain, and a policy and an executor that answer at
//! once. Tests of whole runs are played on the domain with faults of their own; plans are played on what the loop asked of
//! the three, which is a [`Workload`].

mod domain;
mod recording;
mod tape;
mod workload;

pub use domain::{Programs, Sums, add};
pub use recording::{Habits, Span, record, record_iteration};
pub use workload::{Ask, Purpose, Row, Workload};
