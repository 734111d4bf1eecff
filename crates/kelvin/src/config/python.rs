//! The settings below `[python]`: one table for the environment and for what runs its programs.

use std::path::PathBuf;

use kelvin_core::{executor::Limits, task::TaskType};
use kelvin_env::python_triplet::{
    AnswerPlace, CodeLocation, InductionPairs, InductionReward, MissingResult, ProgramRules, PromptSet,
    ProposalForm, SeedRules, Settings,
};
use kelvin_exec::{ExecutorOptions, PythonExecutor};
use kelvin_python::{Entry, Equality, ErrorKeyword, Policy, Strip};
use serde::{Deserialize, Serialize};

use super::threads_or_cores;
use crate::sandbox::{self, Least, wall_s};

/// The Python triplet environment and what runs its programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PythonSettings {
    /// The interpreter; empty looks for one.
    pub(crate) path: PathBuf,
    /// Programs running at once; 0 is one per core.
    pub(crate) workers: usize,
    /// Most inputs that run in one process, of programs that leave nothing behind; 1 gives each input its own.
    pub(crate) batch_max: usize,
    /// After so many programs in processes of their own, one process is set back after each instead of forked anew, where
    /// the machine can do that; 4294967295 for never.
    pub(crate) restore_after: u32,
    /// Programs that wait for a worker at most.
    pub(crate) queue_max: usize,
    /// Outcomes kept for programs that come again; 0 for none.
    pub(crate) cache_entries: usize,
    /// The weakest isolation of programs that will do.
    pub(crate) isolation: Least,
    /// Prompts and the form of responses.
    pub(crate) prompt_set: PromptSet,
    /// Where answers stand; of prompt set `full` only (azr.md section 1.1).
    pub(crate) answer: AnswerPlace,
    /// Read the last box, or else the whole response, where `<answer>` is missing.
    pub(crate) boxed_retry: bool,
    /// Take the whole answer to a deduction, an abduction or an error task as it is (`extract_code_block = false`).
    pub(crate) whole_answer: bool,
    /// Whether a response without the asked-for form earns less.
    pub(crate) format_reward: bool,
    /// What form a proposal needs.
    pub(crate) proposal_form: ProposalForm,
    /// Which of several programs in a proposal is meant.
    pub(crate) code_location: CodeLocation,
    /// Which function of a proposed program becomes `f` (azr.md section 1.2).
    pub(crate) entry: Entry,
    /// Reject programs with more than one function.
    pub(crate) reject_multiple_functions: bool,
    /// Reject programs that seem to hold their test input.
    pub(crate) reject_test_input_in_code: bool,
    /// Strip programs of comments and docstrings.
    pub(crate) remove_comments: bool,
    /// Strip programs of all at the top level but imports, functions and classes.
    pub(crate) remove_after_return: bool,
    /// Strip programs of statements that print.
    pub(crate) remove_print: bool,
    /// What differs in the seed stage.
    pub(crate) seeds: SeedRules,
    /// Task types played (`problem_types`).
    pub(crate) task_types: Vec<TaskType>,
    /// CPU time of one call, in seconds (azr.md section 5.3: 10).
    pub(crate) timeout_s: f64,
    /// Memory of a program, in MiB.
    pub(crate) memory_mb: u64,
    /// The longest result, in bytes of canonical text (azr.md section 3: 4,096).
    pub(crate) output_bytes: u64,
    /// What a program may import and call.
    pub(crate) policy: Policy,
    /// When two values are the same (azr.md section 1.5).
    pub(crate) equality: Equality,
    /// How far apart floats of an answer may lie.
    pub(crate) float_tolerance: f64,
    /// Which pairs decide an induction answer (azr.md section 1.4).
    pub(crate) induction_pairs: InductionPairs,
    /// What a pair without a result counts (azr.md section 1.5).
    pub(crate) missing_result: MissingResult,
    /// Whether a program that answers an induction task runs after the imports of the task's own.
    pub(crate) lend_imports: bool,
    /// What a partly right program earns (`code_f_reward_type`).
    pub(crate) induction_reward: InductionReward,
    /// Whether a program may return `None`.
    pub(crate) returns_none_allowed: bool,
    /// The longest message of an induction task, in characters.
    pub(crate) message_chars_max: usize,
    /// Whether a message leaks that defines a function.
    pub(crate) leak_programs: bool,
    /// A message leaks if it shares this many tokens in a row with the program, or a shorter body; 0 turns this off.
    pub(crate) leak_tokens: usize,
    /// Statements that programs of error tasks may not use: raise, assert, try, except
    /// (`banned_keywords_for_errors_and_exceptions`).
    pub(crate) banned_error_keywords: Vec<ErrorKeyword>,
    /// Whether a composite program may do nothing but call one helper.
    pub(crate) composite_wrappers_allowed: bool,
    /// Whether proposers are told to keep the test input out of their program.
    pub(crate) remove_input_from_snippet: bool,
}

impl Default for PythonSettings {
    fn default() -> PythonSettings {
        let settings = Settings::default();
        let Settings { program, limits, .. } = settings;
        let ExecutorOptions { batch_max, restore_after, queue_max, cache_entries, .. } =
            ExecutorOptions::default();
        PythonSettings {
            path: PathBuf::new(),
            workers: 0,
            batch_max,
            restore_after,
            queue_max,
            cache_entries,
            isolation: Least::default(),
            prompt_set: settings.prompt_set,
            answer: settings.answer,
            boxed_retry: settings.boxed_retry,
            whole_answer: settings.whole_answer,
            format_reward: settings.format_reward,
            proposal_form: settings.proposal_form,
            code_location: settings.code_location,
            entry: program.entry,
            reject_multiple_functions: program.reject_multiple_functions,
            reject_test_input_in_code: program.reject_test_input_in_code,
            remove_comments: program.strip.remove_comments,
            remove_after_return: program.strip.remove_after_return,
            remove_print: program.strip.remove_print,
            seeds: settings.seeds,
            task_types: settings.task_types,
            timeout_s: limits.cpu_s,
            memory_mb: limits.memory_bytes >> 20,
            output_bytes: limits.output_bytes,
            policy: settings.policy,
            equality: settings.equality,
            float_tolerance: settings.float_tolerance,
            induction_pairs: settings.induction_pairs,
            missing_result: settings.missing_result,
            lend_imports: settings.lend_imports,
            induction_reward: settings.induction_reward,
            returns_none_allowed: settings.returns_none_allowed,
            message_chars_max: settings.message_chars_max,
            leak_programs: settings.leak_programs,
            leak_tokens: settings.leak_tokens,
            banned_error_keywords: settings.banned_error_keywords,
            composite_wrappers_allowed: settings.composite_wrappers_allowed,
            remove_input_from_snippet: settings.remove_input_from_snippet,
        }
    }
}

impl PythonSettings {
    /// Starts what runs programs.
    ///
    /// # Errors
    /// If no Python comes up, or programs would be confined less than these settings want.
    pub(crate) fn start_executor(&self) -> anyhow::Result<PythonExecutor> {
        sandbox::start(ExecutorOptions {
            python: Some(self.path.clone()).filter(|path| !path.as_os_str().is_empty()),
            workers: threads_or_cores(self.workers),
            batch_max: self.batch_max,
            restore_after: self.restore_after,
            queue_max: self.queue_max,
            cache_entries: self.cache_entries,
            least: self.isolation.level(),
            ..ExecutorOptions::default()
        })
    }

    /// What the environment reads.
    pub(crate) fn environment_settings(&self) -> Settings {
        Settings {
            prompt_set: self.prompt_set,
            answer: self.answer,
            boxed_retry: self.boxed_retry,
            whole_answer: self.whole_answer,
            code_location: self.code_location,
            format_reward: self.format_reward,
            proposal_form: self.proposal_form,
            program: ProgramRules {
                entry: self.entry,
                reject_multiple_functions: self.reject_multiple_functions,
                reject_test_input_in_code: self.reject_test_input_in_code,
                strip: Strip {
                    remove_comments: self.remove_comments,
                    remove_after_return: self.remove_after_return,
                    remove_print: self.remove_print,
                },
            },
            seeds: self.seeds,
            task_types: self.task_types.clone(),
            limits: Limits {
                cpu_s: self.timeout_s,
                wall_s: wall_s(self.timeout_s),
                memory_bytes: self.memory_mb << 20,
                output_bytes: self.output_bytes,
            },
            policy: self.policy,
            equality: self.equality,
            float_tolerance: self.float_tolerance,
            induction_pairs: self.induction_pairs,
            missing_result: self.missing_result,
            lend_imports: self.lend_imports,
            induction_reward: self.induction_reward,
            returns_none_allowed: self.returns_none_allowed,
            message_chars_max: self.message_chars_max,
            leak_programs: self.leak_programs,
            leak_tokens: self.leak_tokens,
            banned_error_keywords: self.banned_error_keywords.clone(),
            composite_wrappers_allowed: self.composite_wrappers_allowed,
            remove_input_from_snippet: self.remove_input_from_snippet,
        }
    }
}
