//! Runs programs that a model wrote, in CPython, in another process. `PythonExecutor` keeps warm interpreters that
//! fork one child per job; a child ends with its job, over its limits, or with the host.
//!
//! What confines a child lies in `sandbox`, one file a layer; what it confines is proven when an executor starts, and
//! named by its [`Level`]. Where the machine can do it, a child that has its process for itself is set back after its job
//! instead of forked anew (`restore`).

// What only children that are set back need.
#![cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]

mod cache;
mod channel;
mod clock;
mod conversation;
mod crew;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod elsewhere;
mod fate;
mod interpreter;
mod level;
mod metrics;
mod preload;
mod probe;
mod protocol;
mod python;
mod queue;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod restore;
mod sandbox;
mod settle;
mod station;
mod worker;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
use elsewhere as restore;

pub use interpreter::{Python, StartError, find_python};
pub use level::{Isolation, Level};
pub use metrics::{Latency, Metrics};
pub use probe::Attempt;
pub use python::{ExecutorOptions, PythonExecutor};
pub use sandbox::Layer;
pub use worker::Privileges;
