//! Environments: what a task is, how it is posed and how an answer is checked. Programs run through
//! [`kelvin_core::executor::Executor`]; nothing here starts a process.

pub mod benchmarks;
pub mod corpus;
pub mod grading;
pub mod math_question;
pub mod prime_inversion;
pub mod python_triplet;
mod quoting;
pub mod script;
mod task_types;
mod templates;
