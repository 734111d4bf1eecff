//! The settings of R-Zero: how long its phases are, what its challenger earns, and what its solver learns from.

use kelvin_core::task::Step;
use serde::{Deserialize, Serialize};

use crate::repetition::Direction;

use super::{AzrSettings, Duplicates, EstimateStop, GroupAdvantage, Misfit, require};

/// R-Zero (r-zero.md). Defaults are preset `kelvin`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RZeroSettings {
    /// Whether challenger and solver have weights of their own, or share them (r-zero.md section 11).
    pub two_policies: bool,
    /// Steps that train the challenger, in each iteration; 0 poses with the base model (ablation).
    pub challenger_steps: Step,
    /// Steps over which the solver's curriculum is gathered, each its share of the pool.
    pub curriculum_steps: Step,
    /// Steps that train the solver.
    pub solver_steps: Step,
    /// Questions of a challenger step (512 prompts x 4).
    pub questions: usize,
    /// Questions that are compared with each other; 0 compares all of a step, since all answer one prompt. The original has 4.
    pub challenger_group: usize,
    /// Answers of the solver to each question, of which its uncertainty is taken (m).
    pub votes: usize,
    /// What the solver's uncertainty is worth.
    pub uncertainty: Uncertainty,
    /// The share of equal answers that is worth most (tau).
    pub uncertainty_at: f32,
    /// Times the share of the step's questions that repeat one (lambda); 0 turns the penalty off.
    pub repetition_weight: f32,
    /// Questions nearer than this, as 1 - BLEU-4 averaged over clusters, repeat each other.
    pub repetition_distance: f64,
    /// Which text of a pair is the reference of the other.
    pub repetition_direction: Direction,
    /// Whether responses that pose no question count among those that are compared, each as an empty text.
    pub repetition_of_all: bool,
    /// The least that a question earns, in the paper 0; the released code has no such bound, here -1.
    pub reward_min: f32,
    /// What a response earns that poses no question: the paper says 0, the code -1.
    pub malformed_reward: f32,
    /// What questions earn that earlier iterations know.
    pub known_questions: KnownQuestions,
    /// Questions that are posed for a curriculum (N).
    pub pool: usize,
    /// A curriculum smaller than this poses again, where `pool_rounds_max` allows.
    pub curriculum_min: usize,
    /// How often a pool is posed at most.
    pub pool_rounds_max: usize,
    /// Answers to each question of the pool, whose majority becomes its label.
    pub label_votes: usize,
    /// The least share of equal answers that a curriculum admits.
    pub band_low: f32,
    /// The largest.
    pub band_high: f32,
    /// A question with a larger share of answers that cannot be read is not one.
    pub unreadable_max: f32,
    /// Share of a solver step's questions that come from earlier curricula.
    pub replay: f32,
    /// Questions of a solver step.
    pub solver_batch: usize,
    /// Answers to each (G).
    pub solver_rollouts: usize,
    /// What an answer earns for its form alone, of a whole of 1: the released code has a tenth.
    pub format_weight: f32,
    /// Updates of a challenger step, each on its part of the batch.
    pub challenger_updates: usize,
    /// Updates of a solver step.
    pub solver_updates: usize,
    /// How advantages of a group follow from its rewards.
    pub group_advantage: GroupAdvantage,
    /// What a KL term pulls towards.
    pub reference: Reference,
    /// Whether each phase begins with an optimizer that remembers nothing.
    pub fresh_optimizer: bool,
    /// Whether the first step of each phase moves nothing, as the released schedule had it (r-zero.md section 7).
    pub idle_first_step: bool,
    /// Points of held-out accuracy, in `[0, 1]`, by which an iteration's solver may fall behind the best so far; one that
    /// falls further is put back to the best. 1 never does.
    pub rollback_below: f32,
    /// Iterations without a new best after which the run ends; 0 never ends it early.
    pub patience: u32,
}

/// What the share p of equal answers is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertainty {
    /// 1 - |p - tau| / max(tau, 1 - tau): with tau = 1/2 the paper's 1 - 2 |p - 1/2|.
    Tent,
    /// min(p, 1 - p), as the released code has it: half of the tent.
    HalfTent,
    /// 4 p (1 - p).
    Variance,
}

/// What questions earn that are nearly one of an earlier curriculum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownQuestions {
    /// What others earn, and they enter the next curriculum too, as in the original.
    Admit,
    /// What others earn, but no curriculum takes them.
    Filter,
    /// Nothing, and no curriculum takes them.
    Refuse,
}

/// What a KL term pulls towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The weights at the start of the phase, as in the original.
    PhaseStart,
    /// The model that the run begins with.
    Base,
}

impl Default for RZeroSettings {
    fn default() -> RZeroSettings {
        RZeroSettings {
            two_policies: true,
            challenger_steps: 5,
            curriculum_steps: 8,
            solver_steps: 15,
            questions: 2048,
            challenger_group: 0,
            votes: 10,
            uncertainty: Uncertainty::Tent,
            uncertainty_at: 0.5,
            repetition_weight: 1.0,
            repetition_distance: 0.5,
            repetition_direction: Direction::Both,
            repetition_of_all: false,
            reward_min: 0.0,
            malformed_reward: -1.0,
            known_questions: KnownQuestions::Filter,
            pool: 8000,
            curriculum_min: 512,
            pool_rounds_max: 3,
            label_votes: 10,
            band_low: 0.3,
            band_high: 0.7,
            unreadable_max: 0.2,
            replay: 0.0,
            solver_batch: 512,
            solver_rollouts: 5,
            format_weight: 0.0,
            challenger_updates: 32,
            solver_updates: 4,
            group_advantage: GroupAdvantage::Grpo,
            reference: Reference::PhaseStart,
            fresh_optimizer: true,
            idle_first_step: false,
            rollback_below: 1.0,
            patience: 0,
        }
    }
}

impl RZeroSettings {
    /// Steps of an iteration.
    pub fn iteration_steps(&self) -> Step {
        self.challenger_steps + self.curriculum_steps + self.solver_steps
    }

    /// What the stages that Absolute Zero shares read of its settings: no references where a type needs none, no seeds
    /// but the environment's own, as many tries as votes, and no look at copies but its own (`known_questions`).
    pub fn shared(&self, azr: AzrSettings) -> AzrSettings {
        AzrSettings {
            batch_size: self.questions,
            seed_factor: 0,
            include_references: false,
            n_estimate: self.votes,
            n_solutions: self.solver_rollouts,
            estimate_stop: EstimateStop::None,
            duplicates: Duplicates::Admit,
            group_advantage: self.group_advantage,
            ..azr
        }
    }

    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Misfit> {
        let share = |key, value: f32| require((0.0..=1.0).contains(&value), key, value, "from 0 to 1");
        let some =
            |key, value: usize| require((1..=1 << 20).contains(&value), key, value, "from 1 to 1048576");
        for (key, steps) in [("curriculum_steps", self.curriculum_steps), ("solver_steps", self.solver_steps)]
        {
            require((1..=100_000).contains(&steps), key, steps, "from 1 to 100000")?;
        }
        require(
            self.challenger_steps <= 100_000,
            "challenger_steps",
            self.challenger_steps,
            "from 0, which poses with the base model, to 100000",
        )?;
        some("questions", self.questions)?;
        require(
            self.challenger_group == 0 || (2..=self.questions).contains(&self.challenger_group),
            "challenger_group",
            self.challenger_group,
            "0, which compares all questions of a step, or from 2 to `questions`",
        )?;
        for (key, votes) in [("votes", self.votes), ("label_votes", self.label_votes)] {
            require((2..=4096).contains(&votes), key, votes, "from 2 to 4096: one answer is no majority")?;
        }
        share("uncertainty_at", self.uncertainty_at)?;
        require(
            (0.0..=1e3).contains(&self.repetition_weight),
            "repetition_weight",
            self.repetition_weight,
            "from 0, which turns the penalty off, to 1000",
        )?;
        require(
            (0.0..=1.0).contains(&self.repetition_distance),
            "repetition_distance",
            self.repetition_distance,
            "from 0 to 1",
        )?;
        for (key, value) in [("reward_min", self.reward_min), ("malformed_reward", self.malformed_reward)] {
            require((-10.0..=0.0).contains(&value), key, value, "from -10 to 0")?;
        }
        for (key, value) in [
            ("pool", self.pool),
            ("pool_rounds_max", self.pool_rounds_max),
            ("solver_batch", self.solver_batch),
            ("challenger_updates", self.challenger_updates),
            ("solver_updates", self.solver_updates),
        ] {
            some(key, value)?;
        }
        require(
            (2..=4096).contains(&self.solver_rollouts),
            "solver_rollouts",
            self.solver_rollouts,
            "from 2 to 4096: answers are compared with others to the same question",
        )?;
        for (key, value) in [
            ("band_low", self.band_low),
            ("band_high", self.band_high),
            ("unreadable_max", self.unreadable_max),
            ("replay", self.replay),
            ("format_weight", self.format_weight),
            ("rollback_below", self.rollback_below),
        ] {
            share(key, value)?;
        }
        require(self.band_low <= self.band_high, "band_low", self.band_low, "at most band_high")
    }
}
