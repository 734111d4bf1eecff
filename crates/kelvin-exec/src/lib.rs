//! Runs programs that a model wrote, in CPython, in another process. `PythonExecutor` keeps warm interpreters that
//! fork one child per job; a child ends with its job, over its limits, or with the host.
//!
//! What confines a child lies in `sandbox`, one file a layer; what it confines is proven when an executor starts, and
//! named by its [`Level`].

mod cache;
mod channel;
mod clock;
mod crew;
mod interpreter;
mod level;
mod metrics;
mod preload;
mod probe;
mod protocol;
mod python;
mod queue;
mod sandbox;
mod settle;
mod station;
mod worker;

pub use interpreter::{Python, StartError, find_python};
pub use level::{Isolation, Level};
pub use metrics::{Latency, Metrics};
pub use probe::Attempt;
pub use python::{ExecutorOptions, PythonExecutor};
pub use sandbox::Layer;
pub use worker::Privileges;
