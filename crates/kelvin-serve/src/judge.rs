//! From a label to what an answer is worth. A label is a task as `kelvin tasks` writes it, as JSON or as its text, or the gold
//! answer to a question where the domain can grade by one.

use std::sync::Arc;

use kelvin_core::task::{Grade, Task};
use serde_json::Value;

use crate::{Served, refusal::Refusal};

/// What an answer is held against.
#[derive(Clone, Debug)]
pub(crate) enum Truth {
    /// A task of the environment that is served.
    Task(Arc<Task>),
    /// A gold answer.
    Gold(String),
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) grade: Grade,
    pub(crate) reward: f32,
}

/// Reads a label.
///
/// # Errors
/// If it is no task of the served environment and no gold answer either.
pub(crate) fn truth(served: &Served, label: &Value) -> Result<Truth, Refusal> {
    match label {
        Value::Object(_) => task(served, label.clone()),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) if inner.get("task_type").is_some() => task(served, inner),
            Ok(_) | Err(_) => gold(served, text.clone()),
        },
        Value::Number(number) => gold(served, number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) => Err(Refusal::malformed(
            "the label is neither a task nor an answer\nhint: a label is a line of `kelvin tasks`",
        )),
    }
}

fn task(served: &Served, label: Value) -> Result<Truth, Refusal> {
    let task: Task = serde_json::from_value(label).map_err(|error| {
        Refusal::malformed(format!(
            "the label is no task: {error}\nhint: a label is a line of `kelvin tasks`"
        ))
    })?;
    match served.env.misfit(&task) {
        None => Ok(Truth::Task(Arc::new(task))),
        Some(why) => Err(Refusal::malformed(format!(
            "the label is no task of {}: {why}\nhint: serve the environment it is from with --env",
            served.name
        ))),
    }
}

fn gold(served: &Served, gold: String) -> Result<Truth, Refusal> {
    match served.by_gold {
        Some(_) => Ok(Truth::Gold(gold)),
        None => Err(Refusal::malformed(format!(
            "the label is a text, and {} grades by tasks\nhint: give a line of `kelvin tasks`, or serve --env math_question",
            served.name
        ))),
    }
}

impl Truth {
    /// Grades a response. It may run programs, and takes as long as they do.
    ///
    /// # Errors
    /// If the world is broken.
    pub(crate) fn judge(&self, served: &Served, response: &str) -> anyhow::Result<Judged> {
        let grade = match self {
            Truth::Task(task) => served.env.grade(task, response)?,
            Truth::Gold(gold) => {
                let by_gold = served.by_gold.expect("a gold answer is only read where one can be graded by");
                by_gold(gold, response)
            }
        };
        Ok(Judged { grade, reward: (served.worth)(&grade) })
    }
}
