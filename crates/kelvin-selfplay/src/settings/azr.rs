//! What the Absolute Zero recipe reads (azr.md sections 2 to 5).

use std::path::PathBuf;

use kelvin_core::task::Step;
use serde::{Deserialize, Serialize};

use super::{CompositeSettings, Misfit, require};

/// The Absolute Zero recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AzrSettings {
    /// Rollouts per role and task type in a step: B (`train_batch_size`).
    pub batch_size: usize,
    /// References shown to a proposer: K (`io_n`).
    pub n_references: usize,
    /// Monte-Carlo solves per proposal behind its learnability (`n_samples`); where `estimate_stop` ends them early, at
    /// most.
    pub n_estimate: usize,
    /// Whether a task's solves end when they have told enough.
    pub estimate_stop: EstimateStop,
    /// Solves between two looks of `estimate_stop`.
    pub estimate_round: usize,
    /// Under `estimate_stop = "interval"`: the width of the interval that is narrow enough, in solve rate.
    pub estimate_width: f64,
    /// Solutions of each problem that is drawn from the buffer. One, as in the original, is compared with all others of
    /// its type; several are compared with one another.
    pub n_solutions: usize,
    /// Seeds per task type are `batch_size` times this: S (`seed_batch_factor`).
    pub seed_factor: usize,
    /// Proposal rounds of the seed stage before it goes on with what there is.
    pub seed_rounds_max: usize,
    /// Files of triplets that seed deduction and abduction, JSON lines in the original's fields (`seed_dataset`). At most
    /// the number of seeds is taken from them; what is missing is proposed.
    pub seed_files: Vec<PathBuf>,
    /// Files of induction tasks, likewise (`code_f_seed_dataset`).
    pub induction_seed_files: Vec<PathBuf>,
    /// Files of error tasks, likewise (`error_seed_dataset`).
    pub error_seed_files: Vec<PathBuf>,
    /// Stop after the seed stage (`generate_seed_dataset_only`); the run's tasks are the result.
    pub seed_only: bool,
    /// How many steps a task waits before it is solved: 1 is the original's code and lets all rollouts of a step
    /// be independent, 0 is the paper's Algorithm 1.
    pub solve_lag: SolveLag,
    /// First steps in which nothing is proposed: the solver trains alone, on what the buffer holds
    /// (`pretrain_pred_steps`, whose -1 is 0 here).
    pub solver_only_steps: Step,
    /// From solve rate to the proposer's reward.
    pub learnability: Learnability,
    /// How many solves a prior weighs that takes half of them to be right: where it is over 0, a learnability over 0 is
    /// not that of the share of right solves but its mean over what the task's solve rate may be, Beta(right + s/2,
    /// wrong + s/2). It takes the edge off one lucky guess in eight, which is worth the most otherwise (azr.md section
    /// 12). A task that is never or always solved is worth what it is without. 0 is off.
    pub prior_strength: f64,
    /// In a domain whose truth is the majority of the tries, a task with a larger share of answers that cannot be read is
    /// none.
    pub unreadable_max: f32,
    /// The reward of a valid proposal whose learnability is 0: -0.5 in the original's code, 0 in AZR Eq. 4 and 6.
    pub zero_learnability_reward: f32,
    /// Which valid proposals enter the buffer (`valid_program_filter`).
    pub admit: Admit,
    /// What becomes of a proposal that the buffer holds already.
    pub duplicates: Duplicates,
    /// What becomes of a proposal that is nearly one of the references it was shown, or nearly a task of its type that
    /// can be drawn; of proposed seeds too, not of those in files.
    pub near_duplicates: NearDuplicates,
    /// From which similarity on that is so: the share of what two tasks are made of that both have (Jaccard), as sketches
    /// estimate it, give or take 0.04. Of pairs at 0.8 the search through the buffer finds 99 in 100, at 0.6 a half.
    pub near_duplicate_similarity: f64,
    /// Tasks per type that can be drawn (`max_programs`). Seeds count: without room beside them nothing new is drawn.
    pub buffer_max: usize,
    /// Which task can no longer be drawn when there are more.
    pub eviction: Eviction,
    /// Where the solver's problems come from (`pred_data_mix_strategy`).
    pub solver_mix: SolverMix,
    /// Where those come from that new tasks leave open.
    pub solver_fill: SolverFill,
    /// How many steps' tasks are new: the newest that can be drawn, and those before (`update_iteration`).
    pub new_window: Step,
    /// Problems whose solve rate lies in `[low, high]` are preferred; `[0, 1]` prefers none. A task's rate is the one it was
    /// estimated at, moved by each later solution of it towards the mean of the last `n_estimate`; one that is unknown
    /// counts as inside. Wherever `solver_mix` draws, a task outside weighs a sixteenth of one inside, and a new task
    /// outside does not come before the old ones. Draws without replacement that find too few inside go on outside.
    pub band: [f64; 2],
    /// Where references come from (`gen_data_probabilities_strategy`).
    pub reference_mix: ReferenceMix,
    /// Whose word is reward.
    pub reward: RewardSource,
    /// Baseline of rollouts that stand alone: proposals, and solutions where a task has one.
    pub advantage: Advantage,
    /// Statistics behind it.
    pub adv_norm: AdvNorm,
    /// Baseline of several solutions of one task, those behind learnability included where they train.
    pub group_advantage: GroupAdvantage,
    /// Train on the solves behind learnability as well, each compared with those of its task. The original throws
    /// them away.
    pub train_estimates: bool,
    /// Train the proposer too (ablation `train_propose`).
    pub train_propose: bool,
    /// Show references (ablation `include_references`).
    pub include_references: bool,
    /// Proposals that have to call earlier programs.
    pub composite: CompositeSettings,
}

/// The band that prefers none.
const EVERY_RATE: [f64; 2] = [0.0, 1.0];

/// The most solves behind a learnability that a prior goes with: the mean of [`Learnability::Tent`] is computed with
/// powers of two down to minus their number, which doubles hold to 1,000.
const PRIOR_SOLVES_MAX: usize = 500;

impl AzrSettings {
    /// The first step whose tasks are new at step `now`.
    pub fn first_new_step(&self, now: Step) -> Step {
        let lag = match self.solve_lag {
            SolveLag::Zero => 0,
            SolveLag::One => 1,
        };
        (now + 1).saturating_sub(lag + self.new_window)
    }

    /// Whether some solve rates are preferred to others.
    pub fn has_band(&self) -> bool {
        self.band != EVERY_RATE
    }

    /// Proposals of each task type at a step.
    pub fn proposals_at(&self, step: Step) -> usize {
        if step <= self.solver_only_steps { 0 } else { self.batch_size }
    }

    /// Checks values that have a range.
    ///
    /// # Errors
    /// The first that is out of it.
    pub fn check(&self) -> Result<(), Misfit> {
        let zero = self.zero_learnability_reward;
        require(zero.is_finite(), "zero_learnability_reward", zero, "a number")?;
        let strength = self.prior_strength;
        require(
            (0.0..=100.0).contains(&strength),
            "prior_strength",
            strength,
            "from 0, which is off, to 100",
        )?;
        let has_room = strength == 0.0 || self.n_estimate <= PRIOR_SOLVES_MAX;
        require(has_room, "n_estimate", self.n_estimate, "at most 500 where prior_strength is over 0")?;
        let similarity = self.near_duplicate_similarity;
        require((0.5..=1.0).contains(&similarity), "near_duplicate_similarity", similarity, "from 0.5 to 1")?;
        let unreadable = self.unreadable_max;
        require((0.0..=1.0).contains(&unreadable), "unreadable_max", unreadable, "from 0 to 1")?;
        require(1 <= self.new_window, "new_window", self.new_window, "at least 1")?;
        let [low, high] = self.band;
        require(
            0.0 <= low && low < high && high <= 1.0,
            "band",
            format_args!("[{low}, {high}]"),
            "two numbers from 0 to 1, the lower first; [0, 1] is off",
        )
    }
}

impl Default for AzrSettings {
    fn default() -> AzrSettings {
        AzrSettings {
            batch_size: 64,
            n_references: 6,
            n_estimate: 8,
            estimate_stop: EstimateStop::None,
            estimate_round: 4,
            estimate_width: 0.5,
            n_solutions: 1,
            seed_factor: 4,
            seed_rounds_max: 32,
            seed_files: Vec::new(),
            induction_seed_files: Vec::new(),
            error_seed_files: Vec::new(),
            seed_only: false,
            solve_lag: SolveLag::One,
            solver_only_steps: 0,
            learnability: Learnability::OneMinus,
            prior_strength: 0.0,
            zero_learnability_reward: -0.5,
            admit: Admit::All,
            duplicates: Duplicates::Reject,
            near_duplicates: NearDuplicates::Admit,
            unreadable_max: 0.2,
            near_duplicate_similarity: 0.8,
            buffer_max: 16_384,
            eviction: Eviction::Oldest,
            solver_mix: SolverMix::MaxNew,
            solver_fill: SolverFill::Distinct,
            new_window: 1,
            band: EVERY_RATE,
            reference_mix: ReferenceMix::Uniform,
            reward: RewardSource::Verifier,
            advantage: Advantage::TrrPlusPlus,
            adv_norm: AdvNorm::TokenWeighted,
            group_advantage: GroupAdvantage::RelativeToTask,
            train_estimates: true,
            train_propose: true,
            include_references: true,
            composite: CompositeSettings::default(),
        }
    }
}

/// When the Monte-Carlo solves of a task end before there are `n_estimate` of them. A rate that was stopped early leans
/// to the end that it was stopped at. Errors below are root mean squares over tasks whose solve rates are uniform, where
/// eight solves without stopping have one of 0.144.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EstimateStop {
    /// Never.
    None,
    /// When all so far are right, or all wrong. With `n_estimate = 8` and rounds of 4 the error is under 0.19 and the
    /// bias of any task under 0.05, at fewer than 6.6 solves on average.
    Unanimous,
    /// When four standard deviations of the solve rate's posterior under a uniform prior, an interval of about 95 %, are
    /// narrower than `estimate_width`. With `n_estimate = 16`, rounds of 4 and a width of 0.5 the error is under 0.135 and
    /// the bias of any task under 0.04, at fewer than 11.4 solves on average.
    Interval,
}

/// See [`AzrSettings::solve_lag`]. In files: 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum SolveLag {
    /// Tasks are solved in the step that proposes them.
    Zero,
    /// Tasks are solved one step later.
    One,
}

impl TryFrom<u8> for SolveLag {
    type Error = String;
    fn try_from(lag: u8) -> Result<SolveLag, String> {
        match lag {
            0 => Ok(SolveLag::Zero),
            1 => Ok(SolveLag::One),
            other => Err(format!("solve_lag is 0 or 1, not {other}")),
        }
    }
}

impl From<SolveLag> for u8 {
    fn from(lag: SolveLag) -> u8 {
        match lag {
            SolveLag::Zero => 0,
            SolveLag::One => 1,
        }
    }
}

/// From solve rate `a` to learnability (`generation_accuracy_convertion`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learnability {
    /// AZR Eq. 4: `1 - a`, but 0 where `a` is 0.
    OneMinus,
    /// `1 - a` throughout.
    Inverse,
    /// `4 a (1 - a)`, the variance of a solve on a scale of 1: the learnability of Rutherford et al. 2024 (*No Regrets*,
    /// arXiv 2408.15099), times four.
    Symmetric,
    /// `1 - |2 a - 1|`: the uncertainty reward of R-Zero (Huang et al. 2025, arXiv 2508.05004).
    Tent,
    /// 1, but 0 where `a` is 0 or 1: what dynamic sampling keeps (DAPO, Yu et al. 2025, arXiv 2503.14476, section 3.2).
    Gate,
}

/// Which valid proposals enter the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admit {
    /// All.
    All,
    /// Those not always solved (`non_one`).
    NonOne,
    /// Those sometimes solved (`non_extremes`).
    Learnable,
}

impl Admit {
    /// Whether a valid proposal with this solve rate enters.
    pub(crate) fn admits(self, solve_rate: f32) -> bool {
        match self {
            Admit::All => true,
            Admit::NonOne => solve_rate < 1.0,
            Admit::Learnable => 0.0 < solve_rate && solve_rate < 1.0,
        }
    }
}

/// What becomes of a proposal that the buffer holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// It is a task like any other, as in the original.
    Admit,
    /// It is rejected as `duplicate`.
    Reject,
}

/// What becomes of a proposal that is nearly another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NearDuplicates {
    /// It is a task like any other, as in the original.
    Admit,
    /// It is rejected as `similar`.
    Reject,
}

/// Which task can no longer be drawn when there are more than `buffer_max`. The log keeps all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eviction {
    /// The oldest that is no seed.
    Oldest,
    /// The newest, as in the original's code: once the buffer is full, nothing new is ever solved, and what counts as new
    /// is the end of what stayed.
    KeepOldest,
    /// One of those that are neither seeds nor new, such that the others are a uniform sample of all such tasks of the run.
    Reservoir,
}

/// Where the solver's problems come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverMix {
    /// The newest tasks first, the rest uniformly from the others.
    MaxNew,
    /// Half of them new where there are as many, the rest uniformly from all others.
    HalfNew,
    /// Uniformly from all (`uniform_total`).
    Uniform,
    /// From all with replacement, weighted by the step of admission; equally while there are only seeds, where the
    /// original stops with an error.
    Step,
}

/// Where problems come from that new tasks leave open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverFill {
    /// From all that are not drawn yet.
    Distinct,
    /// From all, those that are drawn already included, as in the original's code.
    Repeats,
}

/// Where a proposer's references come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceMix {
    /// Equal weights.
    Uniform,
    /// Weight: step of insertion + 1.
    Step,
}

/// Whose word is reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardSource {
    /// The verifier's.
    Verifier,
    /// A coin's: 1 or -0.5 whatever the response. The control that must not learn.
    Random,
}

/// What a rollout that stands alone is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advantage {
    /// Those of its role and task type (AZR Eq. 8).
    TrrPlusPlus,
    /// All that stand alone (AZR Eq. 10; REINFORCE++, Hu 2025).
    ReinforcePlusPlus,
}

/// How several solutions of one task are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAdvantage {
    /// With the task's mean, in units of the spread within the tasks of a type; tasks without spread are left out.
    RelativeToTask,
    /// With the group's mean, in units of its spread (Shao et al. 2024, section 4.1.2).
    Grpo,
    /// With the group's mean (Dr. GRPO, Liu et al. 2025).
    DrGrpo,
    /// With the mean of the others (RLOO, Ahmadian et al. 2024).
    Rloo,
}

/// Statistics behind an advantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvNorm {
    /// Over response tokens, as the original's code (azr.md section 5.1).
    TokenWeighted,
    /// Over sequences, as AZR Eq. 8.
    Sequence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let azr = AzrSettings::default;
        assert_eq!(azr().check(), Ok(()));
        let misfits = [
            AzrSettings { zero_learnability_reward: f32::NAN, ..azr() },
            AzrSettings { prior_strength: -1.0, ..azr() },
            AzrSettings { prior_strength: 1.0, n_estimate: 501, ..azr() },
            AzrSettings { near_duplicate_similarity: 0.4, ..azr() },
            AzrSettings { new_window: 0, ..azr() },
            AzrSettings { band: [0.6, 0.4], ..azr() },
            AzrSettings { band: [f64::NAN, 0.4], ..azr() },
        ];
        let keys = misfits.map(|it| it.check().unwrap_err().key);
        assert_eq!(
            keys,
            [
                "zero_learnability_reward",
                "prior_strength",
                "n_estimate",
                "near_duplicate_similarity",
                "new_window",
                "band",
                "band",
            ]
        );
    }
}
