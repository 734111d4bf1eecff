//! AZR's domain: a program, an input and an output, any one of which can be blanked out.

mod behaviour;
pub mod check;
mod composite;
pub mod error;
mod fence;
mod form;
mod leak;
mod measures;
mod parse;
mod problem;
mod prompt;
mod rules;
mod seed_file;
mod settings;
mod validate;

use std::sync::Arc;

use kelvin_core::{
    environment::{Environment, Given, SeedRecord},
    executor::Executor,
    measures::{Behaviour, Distance, Extent, Measures, Values},
    metrics::Metrics,
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Rejection, Task, TaskType},
};
use kelvin_python::{
    parse_arguments,
    program::{Helper, prepare},
    value::parse_literal,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::grading::grade_error;
use composite::{can_help, helpers};
use error::NO_ERROR;
use rules::refused;

pub use check::{InductionPairs, InductionReward, MissingResult};
pub use form::{AnswerPlace, CodeLocation, Form, ProposalForm};
pub use parse::Proposal;
pub use problem::{Composition, Problem};
pub use prompt::{PromptSet, ProposalRules, Wording};
pub use rules::{ProgramRules, SeedRules};
pub use settings::Settings;

/// The environment of the Absolute Zero Reasoner, over any executor of Python.
pub struct PythonTriplet {
    executor: Arc<dyn Executor>,
    settings: Settings,
    task_types: &'static [TaskType],
}

impl PythonTriplet {
    /// The environment under `settings`.
    ///
    /// # Errors
    /// If the settings contradict themselves; see [`Settings::check`] and [`Settings::check_form`].
    pub fn new(executor: Arc<dyn Executor>, settings: Settings) -> anyhow::Result<PythonTriplet> {
        let task_types = settings.check()?;
        settings.check_form()?;
        Ok(PythonTriplet { executor, settings, task_types })
    }
}

impl Environment for PythonTriplet {
    type Payload = Problem;

    fn task_types(&self) -> &'static [TaskType] {
        self.task_types
    }

    /// The zero triplet and its induction task (azr.md section 2.1), of all types, so that any of them has
    /// something to start from.
    fn seed_tasks(&self) -> Vec<(TaskType, Problem)> {
        let program = "def f(a):\n    return a".to_owned();
        let greeting = "'Hello world'".to_owned();
        let zero = |output: &str| Problem::triplet(program.clone(), greeting.clone(), output.to_owned());
        let values = [
            "'Hello world'",
            "1",
            "{'a': 1, 'b': 2}",
            "(1.1, 1.2, 1.3)",
            "'[[1, 0], [0, 1]]'",
            "1001101100010001",
        ];
        let induction = Problem::Induction {
            program: program.clone(),
            inputs: values.map(str::to_owned).into(),
            outputs: values.map(str::to_owned).into(),
            message: "return the input".to_owned(),
        };
        vec![
            (TaskType::Deduction, zero(&greeting)),
            (TaskType::Abduction, zero(&greeting)),
            (TaskType::Induction, induction),
            (TaskType::Error, zero(NO_ERROR)),
        ]
    }

    fn seed_types(&self, task_type: TaskType) -> Vec<TaskType> {
        match task_type {
            TaskType::Deduction | TaskType::Abduction => vec![TaskType::Deduction, TaskType::Abduction],
            TaskType::Induction | TaskType::Error | TaskType::Question => vec![task_type],
        }
    }

    fn reference_types(&self, task_type: TaskType) -> Vec<TaskType> {
        match task_type {
            TaskType::Induction => vec![TaskType::Deduction, TaskType::Abduction],
            TaskType::Deduction | TaskType::Abduction | TaskType::Error | TaskType::Question => {
                vec![task_type]
            }
        }
    }

    fn references_needed(&self, task_type: TaskType) -> Option<usize> {
        (task_type == TaskType::Induction).then_some(1)
    }

    /// Deduction, abduction and error tasks can be composites; an induction proposal has no program of its own.
    fn can_help(&self, task_type: TaskType, task: &Task<Problem>) -> bool {
        match task_type {
            TaskType::Deduction | TaskType::Abduction | TaskType::Error => can_help(&task.payload),
            TaskType::Induction | TaskType::Question => false,
        }
    }

    fn propose_prompt(&self, task_type: TaskType, given: Given<'_, Problem>) -> Prompt {
        let references: Vec<&Problem> = given.references.iter().map(|task| &task.payload).collect();
        let rules = ProposalRules {
            helpers: helpers(given.helpers).iter().map(Helper::source).collect(),
            input_stays_out: self.settings.remove_input_from_snippet,
            globals_removed: self.settings.program.strip.remove_after_return,
            banned_error_keywords: self.settings.banned_error_keywords.clone(),
        };
        self.settings.prompt_set.propose_prompt(self.settings.wording(), task_type, &references, &rules)
    }

    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_, Problem>,
        response: &str,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        let Settings { program, .. } = &self.settings;
        self.validate_response(self.settings.form(), program, task_type, given, response)
    }

    fn validate_seed(
        &self,
        task_type: TaskType,
        given: Given<'_, Problem>,
        response: &str,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        let (form, program) = (self.settings.seed_form(), self.settings.seed_program());
        self.validate_response(form, &program, task_type, given, response)
    }

    fn read_seed(&self, task_type: TaskType, record: &Value) -> anyhow::Result<SeedRecord<Problem>> {
        seed_file::read(self, task_type, record)
    }

    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool {
        let Settings { prompt_set, format_reward, proposal_form, .. } = self.settings;
        !format_reward
            || proposal_form == ProposalForm::Valid
            || prompt_set.proposal_is_formatted(self.settings.form(), task_type, response)
    }

    /// Also a program that the policy refuses: no answer to it could be graded.
    fn misfit(&self, task: &Task<Problem>) -> Option<String> {
        if !self.task_types.contains(&task.task_type) {
            return Some(format!("there are no {} tasks here", task.task_type));
        }
        let fits = match (&task.payload, task.task_type) {
            (Problem::Triplet { .. }, TaskType::Deduction | TaskType::Abduction | TaskType::Error) => true,
            (Problem::Induction { inputs, outputs, .. }, TaskType::Induction) => {
                inputs.len() == outputs.len() && 2 <= inputs.len()
            }
            (Problem::Triplet { .. } | Problem::Induction { .. }, _) => false,
        };
        if !fits {
            return Some(format!("the problem is not one of {}", task.task_type));
        }
        let pairs = task.payload.pairs();
        let unread = |output: &str| task.task_type != TaskType::Error && parse_literal(output).is_err();
        if let Some((_, output)) = pairs.iter().find(|(_, output)| unread(output)) {
            return Some(format!("its output {output:?} is not a literal"));
        }
        if let Some((input, _)) = pairs.iter().find(|(input, _)| parse_arguments(input).is_err()) {
            return Some(format!("its input {input:?} is not an argument list of literals"));
        }
        let refused = refused(prepare(task.payload.program(), &self.settings.policy).err()?);
        Some(format!("its program is refused: {}: {}", refused.reason, refused.detail))
    }

    fn solve_prompt(&self, task: &Task<Problem>) -> Prompt {
        self.settings.prompt_set.solve_prompt(self.settings.wording(), task.task_type, &task.payload)
    }

    /// An answer can be right in a response without the asked-for form; the recipe decides what that is worth.
    fn grade(&self, task: &Task<Problem>, response: &str) -> anyhow::Result<Grade> {
        let Settings { prompt_set, limits, policy, format_reward, induction_pairs, .. } = &self.settings;
        let (executor, form, comparison) =
            (&*self.executor, self.settings.form(), self.settings.comparison());
        let formatted = !format_reward || prompt_set.solution_is_formatted(form, task.task_type, response);
        let Some(answer) = prompt_set.parse_solution(form, task.task_type, response) else {
            return Ok(Grade { formatted, ..Grade::malformed() });
        };
        let grade = match (&task.payload, task.task_type) {
            (Problem::Triplet { output, .. }, TaskType::Deduction) => {
                check::grade_deduction(output, &answer, comparison)
            }
            (Problem::Triplet { output, .. }, TaskType::Error) => grade_error(output, &answer),
            (Problem::Triplet { program, output, .. }, TaskType::Abduction) => {
                check::grade_abduction(executor, limits, policy, comparison, program, output, &answer)?
            }
            (problem @ Problem::Induction { .. }, TaskType::Induction) => {
                let pairs = match induction_pairs {
                    InductionPairs::Hidden => problem.hidden_pairs(),
                    InductionPairs::All => problem.pairs(),
                };
                let score = self.settings.induction_score();
                let answer = if self.settings.lend_imports {
                    let lent = prepare(problem.program(), policy).map(|it| it.imports).unwrap_or_default();
                    [lent.as_slice(), &[answer]].concat().join("\n")
                } else {
                    answer
                };
                check::grade_induction(executor, limits, policy, comparison, score, &pairs, &answer)?
            }
            (Problem::Triplet { .. } | Problem::Induction { .. }, _) => {
                anyhow::bail!(
                    "a problem is filed under {}, which it does not fit\nhint: the task file was edited or mixed up",
                    task.task_type
                )
            }
        };
        Ok(Grade { formatted, ..grade })
    }

    fn answer(&self, task: &Task<Problem>, response: &str) -> Option<String> {
        self.settings.prompt_set.parse_solution(self.settings.form(), task.task_type, response)
    }

    fn wording(&self, task: &Task<Problem>) -> String {
        format!("{}\n{}", task.payload.program(), task.payload.pairs()[0].0)
    }

    /// The program with its input, or with its inputs in any order. Deduction and abduction on one triplet have
    /// one identity: they are compared within a task type.
    fn identity(&self, task: &Task<Problem>) -> String {
        let mut inputs: Vec<&str> = task.payload.pairs().iter().map(|&(input, _)| input).collect();
        inputs.sort_unstable();
        digest(normalised(task.payload.program()), &inputs)
    }

    fn family(&self, task: &Task<Problem>) -> String {
        digest(normalised(task.payload.program()), &[])
    }

    fn measures(&self, task: &Task<Problem>, extent: Extent) -> Option<Measures> {
        measures::measures(&task.payload, extent)
    }

    fn values(&self, task: &Task<Problem>) -> Values {
        measures::values(&task.payload)
    }

    fn distance(
        &self,
        task: &Task<Problem>,
        reference: &Task<Problem>,
        distance: Distance,
        extent: Extent,
    ) -> Option<f64> {
        Some(measures::between(&task.payload, &reference.payload, distance, extent))
    }

    fn behaviours(&self, task: &Task<Problem>, response: &str, grade: &Grade) -> Vec<(Behaviour, f64)> {
        behaviour::behaviours(&self.settings, task, response, grade)
    }

    /// Of a triplet the runs of its program, whatever its input. An induction task is about a program that others wrote: its
    /// own are its inputs and the message, and only tasks about one program can share them.
    fn shingles(&self, task: &Task<Problem>) -> Vec<u64> {
        match &task.payload {
            Problem::Triplet { program, .. } => kelvin_python::shingles(program),
            Problem::Induction { program, inputs, message, .. } => {
                let family = Sha256::new().chain_update(normalised(program)).finalize();
                let part = |text: &str| {
                    let hash = Sha256::new().chain_update(family).chain_update(text).finalize();
                    u64::from_le_bytes(std::array::from_fn(|at| hash[at]))
                };
                inputs.iter().map(String::as_str).chain(message.split_whitespace()).map(part).collect()
            }
        }
    }

    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Problem>> {
        crate::corpus::fresh_problems(task_type, n, seed, &*self.executor, &self.settings)
    }

    fn timing(&self) -> Metrics {
        self.executor.timing()
    }
}

/// SHA-256 over the parts, each closed by a byte that no UTF-8 text holds, in hexadecimal.
fn digest(program: String, inputs: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in std::iter::once(program.as_str()).chain(inputs.iter().copied()) {
        hasher.update(part.as_bytes());
        hasher.update([0xff]);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The program without blank lines and trailing blanks.
fn normalised(program: &str) -> String {
    program.lines().map(str::trim_end).filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}
