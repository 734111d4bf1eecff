//! The task types that a run plays, of those that an environment can pose.

use std::sync::LazyLock;

use anyhow::{Context, ensure};
use kelvin_core::task::TaskType;

/// Every nonempty choice of task types, in order.
static CHOICES: LazyLock<Vec<Vec<TaskType>>> = LazyLock::new(|| {
    let choice = |bits: usize| {
        let chosen = TaskType::ALL.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        chosen.map(|(_, task_type)| *task_type).collect()
    };
    (1..1 << TaskType::ALL.len()).map(choice).collect()
});

/// The types that are asked for, in order and once each. `posed` are those of the environment called `name`.
///
/// # Errors
/// If there is none, or one that this environment does not pose.
pub(crate) fn chosen(
    name: &str,
    posed: &[TaskType],
    asked: &[TaskType],
) -> anyhow::Result<&'static [TaskType]> {
    let names: Vec<&str> = posed.iter().map(|it| it.as_str()).collect();
    let known = format!("expected one or more of {}", names.join(", "));
    for task_type in asked {
        ensure!(posed.contains(task_type), "the {name} environment has no {task_type} tasks\nhint: {known}");
    }
    let chosen: Vec<TaskType> = TaskType::ALL.iter().copied().filter(|it| asked.contains(it)).collect();
    let choice = CHOICES.iter().find(|choice| **choice == chosen);
    choice.map(Vec::as_slice).with_context(|| format!("no task type is chosen\nhint: {known}"))
}
