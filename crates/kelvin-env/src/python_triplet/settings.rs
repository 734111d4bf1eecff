//! The named settings of the environment, with the values of the preset `kelvin`.

use anyhow::ensure;
use kelvin_core::{executor::Limits, task::TaskType};
use kelvin_python::{
    program::{ErrorKeyword, Policy},
    value::Equality,
};
use serde::{Deserialize, Serialize};

use super::{
    AnswerPlace, CodeLocation, Form, InductionPairs, InductionReward, MissingResult, ProgramRules, PromptSet,
    ProposalForm, SeedRules, Wording,
    check::{Comparison, InductionScore},
};
use crate::task_types::chosen;

/// The paper's three; the error task is not in its final recipe.
const THREE: &[TaskType] = &[TaskType::Deduction, TaskType::Abduction, TaskType::Induction];

const ALL: &[TaskType] = &[TaskType::Deduction, TaskType::Abduction, TaskType::Induction, TaskType::Error];

/// What can be chosen about the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which prompts, and with them which parser, format rule and number of induction inputs. Default `full`.
    pub prompt_set: PromptSet,
    /// Where answers stand. Default `tags`; of prompt set `full` only.
    pub answer: AnswerPlace,
    /// Read the last box, or else the whole response, where `<answer>` is missing. Default false.
    pub boxed_retry: bool,
    /// Take the whole answer to a deduction, an abduction or an error task, instead of looking in it for what is fenced,
    /// marked or tagged (`extract_code_block = false`). Default false; of prompt set `full` only.
    pub whole_answer: bool,
    /// Which of several programs in a proposal is meant. Default `first`.
    pub code_location: CodeLocation,
    /// Whether a response without the asked-for form earns less (`format_reward`). Default true.
    pub format_reward: bool,
    /// What form a proposal needs. Default `asked`, as in the original's code.
    pub proposal_form: ProposalForm,
    /// What is done to a proposed program before it is validated. Default nothing but the entry's name.
    pub program: ProgramRules,
    /// What differs in the seed stage. Default nothing.
    pub seeds: SeedRules,
    /// The task types in play. Default deduction, abduction and induction; `error` is the fourth. Their order does not
    /// matter.
    pub task_types: Vec<TaskType>,
    /// What a program may use. Default: 10 s of CPU, results of 4,096 bytes (azr.md sections 3 and 5.3).
    pub limits: Limits,
    /// What a program may import and call. Default: the allow-list of pure modules.
    pub policy: Policy,
    /// When two values count as equal. Default: strict types (azr.md section 1.5).
    pub equality: Equality,
    /// How far apart floats of an answer may lie. Default 0 (azr.md section 1.5).
    pub float_tolerance: f64,
    /// Which pairs decide an induction answer. Default `hidden`.
    pub induction_pairs: InductionPairs,
    /// What a pair without a result counts. Default `wrong`.
    pub missing_result: MissingResult,
    /// Whether a program that answers an induction task runs after the imports of the task's own, as in the original.
    /// Default false: an answer is a whole program.
    pub lend_imports: bool,
    /// How those pairs make an induction score. Default `binary`, the original's.
    pub induction_reward: InductionReward,
    /// Whether a program may return `None`. Default true, as in the original.
    pub returns_none_allowed: bool,
    /// The longest message of an induction task, in characters. Default 4,096, about 1,024 tokens.
    pub message_chars_max: usize,
    /// Whether a message leaks that defines a function. Default true; the original looks at no message.
    pub leak_programs: bool,
    /// A message leaks if it shares this many consecutive tokens with the program, or holds the whole body of one with
    /// fewer, from six on; 0 turns this off. Default 16: longer than a phrase of code that a description would quote.
    pub leak_tokens: usize,
    /// Statements that programs of error tasks may not use (`banned_keywords_for_errors_and_exceptions`). Default none:
    /// exceptions of a program's own are part of the task (azr.md section 1.6).
    pub banned_error_keywords: Vec<ErrorKeyword>,
    /// Whether a composite program may do nothing but return what one helper makes of its arguments, to which the
    /// original's proposers degenerate (azr.md section 10). Default false.
    pub composite_wrappers_allowed: bool,
    /// Whether proposers are told to keep the test input out of their program. Default false, as in the original.
    pub remove_input_from_snippet: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prompt_set: PromptSet::default(),
            answer: AnswerPlace::default(),
            boxed_retry: false,
            whole_answer: false,
            code_location: CodeLocation::default(),
            format_reward: true,
            proposal_form: ProposalForm::default(),
            program: ProgramRules::default(),
            seeds: SeedRules::default(),
            task_types: THREE.to_vec(),
            limits: Limits::default(),
            policy: Policy::Kelvin,
            equality: Equality::Strict,
            float_tolerance: 0.0,
            induction_pairs: InductionPairs::default(),
            missing_result: MissingResult::default(),
            lend_imports: false,
            induction_reward: InductionReward::default(),
            returns_none_allowed: true,
            message_chars_max: 4096,
            leak_programs: true,
            leak_tokens: 16,
            banned_error_keywords: Vec::new(),
            composite_wrappers_allowed: false,
            remove_input_from_snippet: false,
        }
    }
}

impl Settings {
    /// How responses are read.
    pub fn form(&self) -> Form {
        let Settings { answer, boxed_retry, whole_answer, code_location, .. } = *self;
        Form { answer, boxed_retry, whole_answer, code_location }
    }

    /// What prompts say of answers and programs.
    pub fn wording(&self) -> Wording {
        Wording { answer: self.answer, policy: self.policy, cpu_s: self.limits.cpu_s }
    }

    /// How proposals of the seed stage are read.
    pub fn seed_form(&self) -> Form {
        let answer = if self.seeds.whole_response { AnswerPlace::Plain } else { self.answer };
        Form { answer, ..self.form() }
    }

    /// What is done to the program of a proposal of the seed stage.
    pub fn seed_program(&self) -> ProgramRules {
        ProgramRules { strip: self.seeds.strip, ..self.program }
    }

    /// When an answer is right.
    pub fn comparison(&self) -> Comparison {
        Comparison { equality: self.equality, float_tolerance: self.float_tolerance }
    }

    /// What an induction answer earns.
    pub fn induction_score(&self) -> InductionScore {
        InductionScore { reward: self.induction_reward, missing: self.missing_result }
    }

    /// Whether the prompt set can ask for answers of this form.
    ///
    /// # Errors
    /// If answers of the compact set are to stand in a place, or the place leaves nothing to try again.
    pub fn check_form(&self) -> anyhow::Result<()> {
        ensure!(
            self.prompt_set == PromptSet::Full
                || (self.answer == AnswerPlace::Tags && !self.boxed_retry && !self.whole_answer),
            "answer, boxed_retry and whole_answer are settings of the prompt set \"full\": a response to \"compact\" is its answer\n\
             hint: leave them out, or set prompt_set = \"full\""
        );
        ensure!(
            self.answer == AnswerPlace::Tags || !self.boxed_retry,
            "boxed_retry is for answers whose tags are missing, and answer asks for none\nhint: leave it out, or set \
             answer = \"tags\""
        );
        Ok(())
    }

    /// The chosen task types, in order and once each.
    ///
    /// # Errors
    /// If there is none, or one that this environment does not pose.
    pub fn check(&self) -> anyhow::Result<&'static [TaskType]> {
        chosen("python", ALL, &self.task_types)
    }
}
