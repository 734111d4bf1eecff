//! A run's configuration with every value filled in. It cannot be had from a combination that does not fit, and
//! nothing changes it afterwards.

use std::{
    path::{Path, PathBuf},
    thread,
};

use kelvin_core::{
    executor::Limits,
    seed::Seed,
    task::{Step, TaskType},
};
use kelvin_env::python_triplet::{
    AnswerPlace, CodeLocation, InductionPairs, InductionReward, MissingResult, ProgramRules, PromptSet,
    ProposalForm, SeedRules, Settings,
};
use kelvin_exec::{ExecutorOptions, PythonExecutor};
use kelvin_model::{Dtype, LoraConfig, NativeOptions, Training};
use kelvin_python::{Entry, Equality, ErrorKeyword, Policy, Strip};
use kelvin_selfplay::settings::{
    AzrSettings, CheckpointSettings, DiagnosticsSettings, EvalSettings, IntrinsicSettings, ObjectiveSettings,
    OptimizerSettings, RunSettings, SamplingSettings,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Preset, Raw, check, settings};
use crate::{
    error::{Usage, note},
    model::{EMBEDDED, lasting_name},
    sandbox::{self, Least, wall_s},
};

/// Everything that a run is determined by, beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where values come from that are not written.
    pub(crate) preset: Preset,
    /// Who trains on what, and when.
    pub(crate) recipe: Recipe,
    /// What a task is.
    pub(crate) environment: EnvironmentName,
    /// Root of every random choice.
    pub(crate) seed: u64,
    /// Steps in all (AZR table 3: 500).
    pub(crate) steps: Step,
    /// The model.
    pub(crate) policy: PolicySettings,
    /// The recipe.
    pub(crate) azr: AzrSettings,
    /// Rewards beside learnability.
    pub(crate) intrinsic: IntrinsicSettings,
    /// The objective.
    pub(crate) objective: ObjectiveSettings,
    /// The optimizer.
    pub(crate) optimizer: OptimizerSettings,
    /// The draws.
    pub(crate) sampling: SamplingSettings,
    /// The environment.
    pub(crate) python: PythonSettings,
    /// The held-out evaluation.
    pub(crate) eval: EvalSettings,
    /// The disk.
    pub(crate) checkpoint: CheckpointSettings,
    /// What is measured on top.
    pub(crate) diagnostics: DiagnosticsSettings,
}

impl Default for Config {
    /// Preset `kelvin`.
    fn default() -> Config {
        Config {
            preset: Preset::Kelvin,
            recipe: Recipe::Azr,
            environment: EnvironmentName::PythonTriplet,
            seed: 1,
            steps: 500,
            policy: PolicySettings::default(),
            azr: AzrSettings::default(),
            intrinsic: IntrinsicSettings::default(),
            objective: ObjectiveSettings::default(),
            optimizer: OptimizerSettings::default(),
            sampling: SamplingSettings::default(),
            python: PythonSettings::default(),
            eval: EvalSettings::default(),
            checkpoint: CheckpointSettings::default(),
            diagnostics: DiagnosticsSettings::default(),
        }
    }
}

/// A configuration with the text that `config.toml` of its run holds: every value, in the words it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    /// The values.
    pub(crate) config: Config,
    /// The file.
    pub(crate) text: String,
}

/// Checks that the configuration of the run in folder `run` has every key, as it was written: what is missing would
/// take the value of a default.
///
/// # Errors
/// If a key is missing, or `raw` is no configuration.
pub(crate) fn require_whole(raw: &Raw, run: &Path) -> anyhow::Result<()> {
    let whole = Raw::parse(&resolve(&[raw])?.text, "the resolved configuration")?;
    match whole.key_missing_in(raw) {
        None => Ok(()),
        Some(key) => Err(Usage::error(format!(
            "{}/config.toml has no `{key}`, and the run would go on with a default\nhint: kelvin writes every key; \
             restore the file from a copy, or begin a new run in another folder",
            run.display()
        ))),
    }
}

/// Fills in what `raws` leave open, the later over the earlier, and checks the whole.
///
/// # Errors
/// If a key is unknown, a value does not fit, or values do not fit together.
pub(crate) fn resolve(raws: &[&Raw]) -> anyhow::Result<Resolved> {
    let preset = match raws.iter().rev().find_map(|raw| raw.get("preset")) {
        None => Preset::default(),
        Some(written) => Preset::deserialize(written.clone()).map_err(|_| {
            Usage::error(format!(
                "there is no preset {written}\nhint: presets are \"kelvin\", \"paper\" and \"code\""
            ))
        })?,
    };
    let defaults = preset.config();
    let mut own = Table::try_from(&defaults).expect("settings are plain data");
    let mut translated = Vec::with_capacity(raws.len());
    for raw in raws {
        let (raw, notes) = raw.translated(&mut own)?;
        notes.iter().for_each(|it| note(it));
        translated.push(raw);
    }
    let (config, table): (Config, Table) = settings(&defaults, &translated.iter().collect::<Vec<_>>())?;
    check::check(&config)?;
    let text = toml::to_string(&Value::Table(table)).expect("a table of settings is TOML");
    Ok(Resolved { config, text })
}

impl Config {
    /// What the recipes read. `n_judges` threads validate and grade.
    pub(crate) fn run_settings(&self, n_judges: usize) -> RunSettings {
        // Each once and in one order, whatever the file says.
        let task_types = self.python.environment_settings().check().expect("resolving checked it");
        RunSettings {
            seed: self.seed,
            steps: self.steps,
            task_types: task_types.to_vec(),
            n_judges,
            azr: self.azr.clone(),
            intrinsic: self.intrinsic,
            objective: self.objective,
            optimizer: self.optimizer,
            sampling: self.sampling.clone(),
            eval: self.eval,
            checkpoint: self.checkpoint,
            diagnostics: self.diagnostics,
        }
    }
}

/// `n`, or one for each core where it is 0.
pub(crate) fn threads_or_cores(n: usize) -> usize {
    match n {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// Who trains on what, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recipe {
    /// Absolute Zero: one policy proposes and solves.
    Azr,
}

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnvironmentName {
    /// A Python program, an input and an output.
    PythonTriplet,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// The engine of the project, on the CPU.
    Native,
}

/// The model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PolicySettings {
    /// What computes.
    pub(crate) backend: Backend,
    /// `embedded`, or a model or run folder, or a hub name that is in the cache.
    pub(crate) model: String,
    /// Type of the weights that are computed with, drawn from and saved; f32 ones behind those in bf16 learn.
    pub(crate) dtype: Dtype,
    /// Adapters that learn instead of the weights; none with rank 0.
    pub(crate) lora: LoraConfig,
    /// Ids of added tokens that are tokenized as ordinary text (azr.md section 1.1: 151667 and 151668 for Qwen3's
    /// base models).
    pub(crate) demote_tokens: Vec<u32>,
    /// What bounds the engine's time and memory and changes no result.
    #[serde(flatten)]
    pub(crate) options: NativeOptions,
}

impl Default for PolicySettings {
    fn default() -> PolicySettings {
        PolicySettings {
            backend: Backend::Native,
            model: EMBEDDED.to_owned(),
            dtype: Dtype::F32,
            lora: LoraConfig::default(),
            demote_tokens: Vec::new(),
            options: NativeOptions::default(),
        }
    }
}

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
    /// What a partly right program earns (`code_f_reward_type`).
    pub(crate) induction_reward: InductionReward,
    /// Whether a program may return `None`.
    pub(crate) returns_none_allowed: bool,
    /// The longest message of an induction task, in characters.
    pub(crate) message_chars_max: usize,
    /// A message leaks if it shares this many tokens in a row with the program; 0 turns this off.
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
        let Settings {
            prompt_set,
            answer,
            boxed_retry,
            code_location,
            format_reward,
            proposal_form,
            program,
            seeds,
            task_types,
            limits,
            policy,
            equality,
            float_tolerance,
            induction_pairs,
            missing_result,
            induction_reward,
            returns_none_allowed,
            message_chars_max,
            leak_tokens,
            banned_error_keywords,
            composite_wrappers_allowed,
            remove_input_from_snippet,
        } = Settings::default();
        let ProgramRules { entry, reject_multiple_functions, reject_test_input_in_code, strip } = program;
        let Strip { remove_comments, remove_after_return, remove_print } = strip;
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
            prompt_set,
            answer,
            boxed_retry,
            format_reward,
            proposal_form,
            code_location,
            entry,
            reject_multiple_functions,
            reject_test_input_in_code,
            remove_comments,
            remove_after_return,
            remove_print,
            seeds,
            task_types,
            timeout_s: limits.cpu_s,
            memory_mb: limits.memory_bytes >> 20,
            output_bytes: limits.output_bytes,
            policy,
            equality,
            float_tolerance,
            induction_pairs,
            missing_result,
            induction_reward,
            returns_none_allowed,
            message_chars_max,
            leak_tokens,
            banned_error_keywords,
            composite_wrappers_allowed,
            remove_input_from_snippet,
        }
    }
}

impl PolicySettings {
    /// What the engine reads.
    pub(crate) fn native_options(&self) -> NativeOptions {
        self.options.clone()
    }

    /// What learns, in a run of this seed.
    ///
    /// # Errors
    /// If there are adapters and their model is not here, or is a run.
    pub(crate) fn training(&self, seed: u64) -> anyhow::Result<Training> {
        let has_adapters = 0 < self.lora.rank;
        Ok(Training {
            dtype: self.dtype,
            lora: self.lora.clone(),
            base: if has_adapters { lasting_name(&self.model)? } else { String::new() },
            seed: Seed::new(seed).fork("lora"),
        })
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
            induction_reward: self.induction_reward,
            returns_none_allowed: self.returns_none_allowed,
            message_chars_max: self.message_chars_max,
            leak_tokens: self.leak_tokens,
            banned_error_keywords: self.banned_error_keywords.clone(),
            composite_wrappers_allowed: self.composite_wrappers_allowed,
            remove_input_from_snippet: self.remove_input_from_snippet,
        }
    }
}
