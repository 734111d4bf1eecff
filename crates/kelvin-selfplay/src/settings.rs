//! The settings of a run, resolved: no options left, and every limit has a name. Defaults are preset `kelvin`
//! (azr.md section 5.3, column REC), which are meant for real models; the quick start has its own file.

mod azr;
mod benchmarks;
mod composite;
mod diagnostics;
mod intrinsic;
mod objective;
mod optimizer;
mod r_zero;

use kelvin_core::{
    rollout::Sampling,
    task::{Step, TaskType},
};
use serde::{Deserialize, Serialize};

pub use azr::{
    Admit, AdvNorm, Advantage, AzrSettings, Duplicates, EstimateStop, Eviction, GroupAdvantage, Learnability,
    NearDuplicates, ReferenceMix, RewardSource, SolveLag, SolverFill, SolverMix,
};
pub use benchmarks::BenchmarkSettings;
pub use composite::{CompositeScheduler, CompositeSettings};
pub use diagnostics::DiagnosticsSettings;
pub use intrinsic::{Combine, Diversity, IntrinsicSettings, Term};
pub use objective::{Loss, ObjectiveSettings};
pub use optimizer::{OptimizerSettings, Schedule};
pub use r_zero::{KnownQuestions, RZeroSettings, Reference, Uncertainty};

/// How each kind of completion is drawn. They are separate because the original's shared one made its estimates
/// greedy (azr.md section 4.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingSettings {
    /// Proposals.
    pub propose: Sampling,
    /// Solutions that are trained on.
    pub solve: Sampling,
    /// Monte-Carlo solutions behind learnability.
    pub estimate: Sampling,
    /// Proposals of the seed stage.
    pub seed: Sampling,
    /// Held-out solutions; greedy ones share its length.
    pub eval: Sampling,
    /// A proposer prompt longer than this, in tokens, loses references until it fits (`content_max_length`).
    pub propose_prompt_tokens_max: usize,
    /// A task whose solver prompt is longer than this, in tokens, is rejected (`max_prompt_length`).
    pub solve_prompt_tokens_max: usize,
}

impl Default for SamplingSettings {
    fn default() -> SamplingSettings {
        let plain = Sampling::plain(8096);
        SamplingSettings {
            propose: plain.clone(),
            solve: plain.clone(),
            estimate: plain.clone(),
            seed: plain.clone(),
            eval: plain,
            propose_prompt_tokens_max: 5600,
            solve_prompt_tokens_max: 6144,
        }
    }
}

/// Who trains on what, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// Absolute Zero: one policy proposes and solves.
    Azr,
    /// R-Zero: a challenger and a solver take turns.
    RZero,
}

/// The held-out evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalSettings {
    /// Steps between evaluations; 0 turns them off.
    pub every: Step,
    /// The types of the held-out tasks; those that are played where none is named. Runs that play fewer are measured on
    /// all by it.
    pub task_types: Vec<TaskType>,
    /// Held-out tasks of each type.
    pub n_tasks: usize,
    /// Samples per task: the mean is accuracy; pass@k is estimated for powers of two up to it.
    pub n_samples: usize,
    /// Seed of the held-out set. It is not the run's: runs are compared on the same set.
    pub seed: u64,
}

impl EvalSettings {
    /// The types of the held-out tasks of a run that plays `played`.
    pub fn types<'types>(&'types self, played: &'types [TaskType]) -> &'types [TaskType] {
        if self.task_types.is_empty() { played } else { &self.task_types }
    }
}

impl Default for EvalSettings {
    fn default() -> EvalSettings {
        EvalSettings { every: 10, task_types: Vec::new(), n_tasks: 100, n_samples: 8, seed: 1 }
    }
}

/// What is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Steps between checkpoints.
    pub every: Step,
    /// Newest checkpoints kept.
    pub keep: usize,
    /// Checkpoints kept beside them: those with the highest `eval/mean/accuracy`, of the steps that were evaluated.
    pub keep_best: usize,
    /// Steps between transcripts; 0 turns them off.
    pub transcripts_every: Step,
}

impl Default for CheckpointSettings {
    fn default() -> CheckpointSettings {
        CheckpointSettings { every: 10, keep: 2, keep_best: 0, transcripts_every: 1 }
    }
}

/// Everything a recipe reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Root of every random choice.
    pub seed: u64,
    /// Steps in all.
    pub steps: Step,
    /// Task types played, of those the environment has (`problem_types`).
    pub task_types: Vec<TaskType>,
    /// Threads that validate and grade.
    pub n_judges: usize,
    /// Who trains on what, and when.
    pub recipe: Recipe,
    /// Absolute Zero; of R-Zero, what the stages read that both play on.
    pub azr: AzrSettings,
    /// R-Zero; unread by Absolute Zero.
    pub r_zero: RZeroSettings,
    /// Rewards beside learnability.
    pub intrinsic: IntrinsicSettings,
    /// The objective.
    pub objective: ObjectiveSettings,
    /// The optimizer.
    pub optimizer: OptimizerSettings,
    /// The draws.
    pub sampling: SamplingSettings,
    /// The held-out evaluation.
    pub eval: EvalSettings,
    /// The disk.
    pub checkpoint: CheckpointSettings,
    /// What is measured on top.
    pub diagnostics: DiagnosticsSettings,
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The field.
    pub key: &'static str,
    /// What it is.
    pub value: String,
    /// What it could be.
    pub range: &'static str,
}

fn require(fits: bool, key: &'static str, value: impl ToString, range: &'static str) -> Result<(), Misfit> {
    if fits { Ok(()) } else { Err(Misfit { key, value: value.to_string(), range }) }
}
