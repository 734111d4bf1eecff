//! A run's configuration with every value filled in. It cannot be had from a combination that does not fit, and
//! nothing changes it afterwards.

use std::{path::Path, thread};

use anyhow::ensure;
use kelvin_core::{
    seed::Seed,
    task::{Step, TaskType},
};
use kelvin_model::{Dtype, NativeOptions, Training};
use kelvin_remote::{rollouts::RolloutSettings, tinker::TinkerSettings, trackers::TrackingSettings};
use kelvin_selfplay::settings::{
    AzrSettings, BenchmarkSettings, CheckpointSettings, DiagnosticsSettings, EvalSettings, IntrinsicSettings,
    ObjectiveSettings, OptimizerSettings, RZeroSettings, Recipe, RunSettings, SamplingSettings,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{LoraSettings, Preset, PythonSettings, Raw, check, settings_with_lora};
use crate::{
    error::{Usage, note},
    model::{EMBEDDED, lasting_name},
};
use kelvin_env::{math_question, prime_inversion, python_triplet};

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
    /// Absolute Zero; R-Zero reads what the stages of both do, such as `reward`.
    pub(crate) azr: AzrSettings,
    /// R-Zero; unread by Absolute Zero.
    pub(crate) r_zero: RZeroSettings,
    /// Rewards beside learnability.
    pub(crate) intrinsic: IntrinsicSettings,
    /// The objective.
    pub(crate) objective: ObjectiveSettings,
    /// The optimizer.
    pub(crate) optimizer: OptimizerSettings,
    /// The draws.
    pub(crate) sampling: SamplingSettings,
    /// The environment of Python triplets.
    pub(crate) python: PythonSettings,
    /// The environment of prime inversion.
    pub(crate) inversion: prime_inversion::Settings,
    /// The environment of questions in words.
    pub(crate) question: math_question::Settings,
    /// The held-out evaluation.
    pub(crate) eval: EvalSettings,
    /// Benchmarks that are asked as the run learns.
    pub(crate) benchmarks: BenchmarkSettings,
    /// The disk.
    pub(crate) checkpoint: CheckpointSettings,
    /// What is measured on top.
    pub(crate) diagnostics: DiagnosticsSettings,
    /// What is written for other programs.
    pub(crate) tracking: TrackingSettings,
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
            r_zero: RZeroSettings::default(),
            intrinsic: IntrinsicSettings::default(),
            objective: ObjectiveSettings::default(),
            optimizer: OptimizerSettings::default(),
            sampling: SamplingSettings::default(),
            python: PythonSettings::default(),
            inversion: prime_inversion::Settings::default(),
            question: math_question::Settings::default(),
            eval: EvalSettings::default(),
            benchmarks: BenchmarkSettings::default(),
            checkpoint: CheckpointSettings::default(),
            diagnostics: DiagnosticsSettings::default(),
            tracking: TrackingSettings::default(),
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
    let whole = Raw::parse(&resolve_run(&[raw])?.text, "the resolved configuration")?;
    // Where a run is shown may have been added since it began.
    match whole.keys_missing_in(raw).find(|it| !it.starts_with("tracking.")) {
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
/// If a key is unknown, a value does not fit, values do not fit together, or nothing reads some that were given.
pub(crate) fn resolve(raws: &[&Raw]) -> anyhow::Result<Resolved> {
    let resolved = resolve_run(raws)?;
    check::unread(&resolved.config)?;
    Ok(resolved)
}

/// [`resolve`] for what a run's folder has, where kelvin wrote every key, also those that nothing reads.
///
/// # Errors
/// If a key is unknown, a value does not fit, or values do not fit together.
pub(crate) fn resolve_run(raws: &[&Raw]) -> anyhow::Result<Resolved> {
    let preset = match raws.iter().rev().find_map(|raw| raw.get("preset")) {
        None => Preset::default(),
        Some(written) => Preset::deserialize(written.clone()).map_err(|_| {
            Usage::error(format!(
                "there is no preset {written}\nhint: presets are \"kelvin\", \"paper\" and \"code\""
            ))
        })?,
    };
    let recipe = match raws.iter().rev().find_map(|raw| raw.get("recipe")) {
        None => Recipe::Azr,
        Some(written) => Recipe::deserialize(written.clone()).map_err(|_| {
            Usage::error(format!("there is no recipe {written}\nhint: recipes are \"azr\" and \"r_zero\""))
        })?,
    };
    let defaults = preset.config(recipe);
    let mut own = Table::try_from(&defaults).expect("settings are plain data");
    let mut translated = Vec::with_capacity(raws.len());
    for raw in raws {
        let (raw, notes) = raw.translated(&mut own)?;
        notes.iter().for_each(|it| note(it));
        translated.push(raw);
    }
    let translated: Vec<&Raw> = translated.iter().collect();
    let (config, table) = settings_with_lora(&defaults, &translated, "policy.lora", native_lora)?;
    check::check(&config)?;
    let text = toml::to_string(&Value::Table(table)).expect("a table of settings is TOML");
    Ok(Resolved { config, text })
}

/// The adapters that this machine makes.
fn native_lora(config: &Config) -> Option<&LoraSettings> {
    match config.policy.backend {
        Backend::Native => Some(&config.policy.lora),
        Backend::Tinker => None,
    }
}

/// What the environment of questions poses.
const QUESTIONS: &[TaskType] = &[TaskType::Question];

impl Config {
    /// The task types played, each once and in one order, whatever the file says.
    pub(crate) fn task_types(&self) -> &'static [TaskType] {
        let asked = match self.environment {
            EnvironmentName::PythonTriplet => &self.python.task_types,
            EnvironmentName::PrimeInversion => &self.inversion.task_types,
            EnvironmentName::MathQuestion => QUESTIONS,
        };
        self.chosen(asked).expect("resolving checked it")
    }

    /// Task types of the environment, each once and in one order.
    ///
    /// # Errors
    /// If it has not got one of them.
    pub(super) fn chosen(&self, asked: &[TaskType]) -> anyhow::Result<&'static [TaskType]> {
        let task_types = asked.to_vec();
        match self.environment {
            EnvironmentName::PythonTriplet => {
                python_triplet::Settings { task_types, ..self.python.environment_settings() }.check()
            }
            EnvironmentName::PrimeInversion => {
                prime_inversion::Settings { task_types, ..self.inversion.clone() }.check()
            }
            EnvironmentName::MathQuestion => {
                ensure!(
                    task_types.iter().all(|it| QUESTIONS.contains(it)),
                    "the environment of questions has no others\nhint: choose question"
                );
                Ok(QUESTIONS)
            }
        }
    }

    /// What the recipes read. `n_judges` threads validate and grade.
    pub(crate) fn run_settings(&self, n_judges: usize) -> RunSettings {
        RunSettings {
            seed: self.seed,
            steps: self.steps,
            task_types: self.task_types().to_vec(),
            n_judges,
            recipe: self.recipe,
            azr: match self.recipe {
                Recipe::Azr => self.azr.clone(),
                Recipe::RZero => self.r_zero.shared(self.azr.clone()),
            },
            r_zero: self.r_zero.clone(),
            intrinsic: self.intrinsic,
            objective: self.objective,
            optimizer: self.optimizer,
            sampling: self.sampling.clone(),
            eval: self.eval.clone(),
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

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnvironmentName {
    /// A Python program, an input and an output.
    PythonTriplet,
    /// An inverse modulo a prime; no program runs.
    PrimeInversion,
    /// A question in words, whose truth is a vote; no program runs.
    MathQuestion,
}

impl EnvironmentName {
    /// As configurations have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EnvironmentName::PythonTriplet => "python_triplet",
            EnvironmentName::PrimeInversion => "prime_inversion",
            EnvironmentName::MathQuestion => "math_question",
        }
    }
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// The engine of the project, on the CPU.
    Native,
    /// A server of the Tinker protocol: adapters learn there.
    Tinker,
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
    pub(crate) lora: LoraSettings,
    /// Ids of added tokens that are tokenized as ordinary text (azr.md section 1.1: 151667 and 151668 for Qwen3's
    /// base models).
    pub(crate) demote_tokens: Vec<u32>,
    /// The server, where something else computes.
    pub(crate) remote: TinkerSettings,
    /// Servers that draw, while the backend learns.
    pub(crate) rollouts: RolloutSettings,
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
            lora: LoraSettings::default(),
            demote_tokens: Vec::new(),
            remote: TinkerSettings::default(),
            rollouts: RolloutSettings::default(),
            options: NativeOptions::default(),
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
            lora: self.lora.config(),
            from: self.lora.from().map(Path::to_owned),
            base: if has_adapters { lasting_name(&self.model)? } else { String::new() },
            seed: Seed::new(seed).fork("lora"),
        })
    }
}
