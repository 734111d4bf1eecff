//! Runs programs that a model wrote, in CPython, in another process. `PythonExecutor` keeps warm interpreters that
//! fork one child per job; a child ends with its job, over its limits, or with the host.
//!
//! What holds today and what does not stands in [`sandbox`].

mod clock;
mod interpreter;
mod metrics;
mod pool;
mod protocol;
mod python;
pub mod sandbox;
mod settle;
mod worker;

pub use interpreter::{Python, StartError, find_python};
pub use metrics::Metrics;
pub use python::{ExecutorOptions, PythonExecutor};
pub use worker::Privileges;
