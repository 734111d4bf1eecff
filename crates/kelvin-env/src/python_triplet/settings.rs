//! The named settings of the environment, with the values of the preset `kelvin`.

use std::sync::LazyLock;

use anyhow::{Context, ensure};
use kelvin_core::{executor::Limits, task::TaskType};
use kelvin_python::{
    program::{ErrorKeyword, Policy},
    value::Equality,
};
use serde::{Deserialize, Serialize};

use super::{InductionReward, PromptSet};

/// The paper's three; the error task is not in its final recipe.
const THREE: &[TaskType] = &[TaskType::Deduction, TaskType::Abduction, TaskType::Induction];

const ALL: &[TaskType] = &[TaskType::Deduction, TaskType::Abduction, TaskType::Induction, TaskType::Error];

/// Every nonempty choice of task types, in order.
static CHOICES: LazyLock<Vec<Vec<TaskType>>> = LazyLock::new(|| {
    let choice = |bits: usize| {
        let chosen = ALL.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        chosen.map(|(_, task_type)| *task_type).collect()
    };
    (1..1 << ALL.len()).map(choice).collect()
});

/// What can be chosen about the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which prompts, and with them which parser, format rule and number of induction inputs. Default `full`.
    pub prompt_set: PromptSet,
    /// The task types in play. Default deduction, abduction and induction; `error` is the fourth. Their order does not
    /// matter.
    pub task_types: Vec<TaskType>,
    /// What a program may use. Default: 10 s of CPU, results of 4,096 bytes (azr.md sections 3 and 5.3).
    pub limits: Limits,
    /// What a program may import and call. Default: the allow-list of pure modules.
    pub policy: Policy,
    /// When two values count as equal. Default: strict types (azr.md section 1.5).
    pub equality: Equality,
    /// How hidden pairs make an induction score. Default `binary`, the original's.
    pub induction_reward: InductionReward,
    /// Whether a program may return `None`. Default true, as in the original.
    pub returns_none_allowed: bool,
    /// The longest message of an induction task, in characters. Default 4,096, about 1,024 tokens.
    pub message_chars_max: usize,
    /// A message leaks if it shares this many consecutive tokens with the program; 0 turns this off, and only a
    /// definition of a function leaks. Default 16: longer than a phrase of code that a description would quote.
    pub leak_tokens: usize,
    /// Statements that programs of error tasks may not use (`banned_keywords_for_errors_and_exceptions`). Default none:
    /// exceptions of a program's own are part of the task (azr.md section 1.6).
    pub banned_error_keywords: Vec<ErrorKeyword>,
    /// Whether a composite program may do nothing but return what one helper makes of its arguments, to which the
    /// original's proposers degenerate (azr.md section 10). Default false.
    pub composite_wrappers_allowed: bool,
    /// Whether proposers are told to keep the test input out of their program. Default false, as in the original.
    pub remove_input_from_snippet: bool,
    /// Whether only imports, functions and classes of a proposed program are kept; proposers are told so. Default false, as
    /// in the original's self-play.
    pub remove_after_return: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prompt_set: PromptSet::default(),
            task_types: THREE.to_vec(),
            limits: Limits::default(),
            policy: Policy::Kelvin,
            equality: Equality::Strict,
            induction_reward: InductionReward::default(),
            returns_none_allowed: true,
            message_chars_max: 4096,
            leak_tokens: 16,
            banned_error_keywords: Vec::new(),
            composite_wrappers_allowed: false,
            remove_input_from_snippet: false,
            remove_after_return: false,
        }
    }
}

impl Settings {
    /// The chosen task types, in order and once each.
    ///
    /// # Errors
    /// If there is none, or one that this environment does not pose.
    pub fn check(&self) -> anyhow::Result<&'static [TaskType]> {
        let known = "expected one or more of deduction, abduction, induction, error";
        for task_type in &self.task_types {
            ensure!(
                ALL.contains(task_type),
                "the python environment has no {task_type} tasks\nhint: {known}"
            );
        }
        let chosen: Vec<TaskType> = ALL.iter().copied().filter(|it| self.task_types.contains(it)).collect();
        let choice = CHOICES.iter().find(|choice| **choice == chosen);
        choice.map(Vec::as_slice).with_context(|| format!("no task type is chosen\nhint: {known}"))
    }
}
