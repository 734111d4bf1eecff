//! AZR's domain: a program, an input and an output, any one of which can be blanked out.

mod behaviour;
pub mod check;
mod fence;
mod leak;
mod measures;
mod parse;
mod problem;
mod prompt;
mod settings;

use std::sync::Arc;

use kelvin_core::{
    environment::Environment,
    executor::{Executor, Names},
    measures::{Behaviour, Distance, Extent, Measures, Values},
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Reason, Rejection, Task, TaskType},
};
use kelvin_python::program::contains_program;
use sha2::{Digest, Sha256};

pub use check::InductionReward;
pub use parse::Proposal;
pub use problem::Problem;
pub use prompt::PromptSet;
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
    /// If the settings contradict themselves; see [`Settings::check`].
    pub fn new(executor: Arc<dyn Executor>, settings: Settings) -> anyhow::Result<PythonTriplet> {
        let task_types = settings.check()?;
        Ok(PythonTriplet { executor, settings, task_types })
    }

    fn validate_triplet(&self, program: &str, input: String) -> anyhow::Result<Result<Problem, Rejection>> {
        let valid = match self.validate_program(program, &[input])? {
            Ok(valid) => valid,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let check::Valid { program, inputs, outputs } = valid;
        let [input, output] = [inputs, outputs].map(|mut texts| texts.pop().expect("one input, one output"));
        Ok(Ok(Problem::Triplet { program, input, output }))
    }

    fn validate_induction(
        &self,
        program: &str,
        inputs: &[String],
        message: String,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        let n_chars = message.chars().count();
        if self.settings.message_chars_max < n_chars {
            let detail = format!(
                "a message of {n_chars} characters, the limit is {}",
                self.settings.message_chars_max
            );
            return Ok(Err(Rejection::new(Reason::PromptTooLong, detail)));
        }
        if contains_program(&message) || leak::shares_tokens(&message, program, self.settings.leak_tokens) {
            return Ok(Err(Rejection::new(Reason::Leak, message)));
        }
        Ok(self.validate_program(program, inputs)?.map(|valid| {
            let check::Valid { program, inputs, outputs } = valid;
            Problem::Induction { program, inputs, outputs, message }
        }))
    }

    fn validate_program(
        &self,
        program: &str,
        inputs: &[String],
    ) -> anyhow::Result<Result<check::Valid, Rejection>> {
        let Settings { limits, policy, returns_none_allowed, .. } = &self.settings;
        let checked =
            check::validate_program(&*self.executor, limits, policy, program, inputs, Names::Literals)?;
        Ok(checked.and_then(|valid| {
            if !returns_none_allowed && valid.outputs.iter().any(|output| output == "None") {
                return Err(Rejection::new(Reason::ReturnsNone, "the program returns None"));
            }
            Ok(valid)
        }))
    }
}

impl Environment for PythonTriplet {
    type Payload = Problem;

    fn task_types(&self) -> &'static [TaskType] {
        self.task_types
    }

    /// The zero triplet and its induction task (azr.md section 2.1), of all three types, so that any of them
    /// has something to start from.
    fn seed_tasks(&self) -> Vec<(TaskType, Problem)> {
        let program = "def f(a):\n    return a".to_owned();
        let greeting = "'Hello world'".to_owned();
        let zero = Problem::Triplet { program: program.clone(), input: greeting.clone(), output: greeting };
        let values = [
            "'Hello world'",
            "1",
            "{'a': 1, 'b': 2}",
            "(1.1, 1.2, 1.3)",
            "'[[1, 0], [0, 1]]'",
            "1001101100010001",
        ];
        let induction = Problem::Induction {
            program,
            inputs: values.map(str::to_owned).into(),
            outputs: values.map(str::to_owned).into(),
            message: "return the input".to_owned(),
        };
        vec![
            (TaskType::Deduction, zero.clone()),
            (TaskType::Abduction, zero),
            (TaskType::Induction, induction),
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

    fn propose_prompt(&self, task_type: TaskType, references: &[Task<Problem>]) -> Prompt {
        let references: Vec<&Problem> = references.iter().map(|task| &task.payload).collect();
        self.settings.prompt_set.propose_prompt(task_type, &references)
    }

    fn validate(
        &self,
        task_type: TaskType,
        references: &[Task<Problem>],
        response: &str,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        match self.settings.prompt_set.parse_proposal(task_type, response) {
            Err(rejection) => Ok(Err(rejection)),
            Ok(Proposal::Triplet { program, input }) => self.validate_triplet(&program, input),
            Ok(Proposal::Induction { inputs, message }) => {
                let [reference] = references else { panic!("an induction proposal is about one program") };
                self.validate_induction(reference.payload.program(), &inputs, message)
            }
        }
    }

    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool {
        self.settings.prompt_set.proposal_is_formatted(task_type, response)
    }

    fn solve_prompt(&self, task: &Task<Problem>) -> Prompt {
        self.settings.prompt_set.solve_prompt(task.task_type, &task.payload)
    }

    /// An answer can be right in a response without the asked-for form; the recipe decides what that is worth.
    fn grade(&self, task: &Task<Problem>, response: &str) -> anyhow::Result<Grade> {
        let Settings { prompt_set, limits, policy, equality, induction_reward, .. } = &self.settings;
        let executor = &*self.executor;
        let formatted = prompt_set.solution_is_formatted(task.task_type, response);
        let Some(answer) = prompt_set.parse_solution(task.task_type, response) else {
            return Ok(Grade { formatted, ..Grade::malformed() });
        };
        let grade = match (&task.payload, task.task_type) {
            (Problem::Triplet { output, .. }, TaskType::Deduction) => {
                check::grade_deduction(output, &answer, *equality)
            }
            (Problem::Triplet { program, output, .. }, TaskType::Abduction) => {
                check::grade_abduction(executor, limits, policy, *equality, program, output, &answer)?
            }
            (problem @ Problem::Induction { .. }, TaskType::Induction) => {
                let pairs = problem.hidden_pairs();
                check::grade_induction(
                    executor,
                    limits,
                    policy,
                    *equality,
                    *induction_reward,
                    &pairs,
                    &answer,
                )?
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
        self.settings.prompt_set.parse_solution(task.task_type, response)
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
        behaviour::behaviours(self.settings.prompt_set, task, response, grade)
    }

    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Problem>> {
        crate::corpus::fresh_problems(task_type, n, seed, &*self.executor, &self.settings)
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
