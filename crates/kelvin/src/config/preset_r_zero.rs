//! The presets of R-Zero (r-zero.md sections 1.2, 4 to 7): docs/divergences/r-zero.md has a row for each difference.

use kelvin_core::{objective::Aggregation, rollout::Sampling};
use kelvin_env::math_question;
use kelvin_selfplay::{
    repetition::Direction,
    settings::{
        EvalSettings, KnownQuestions, ObjectiveSettings, OptimizerSettings, RZeroSettings, Recipe,
        SamplingSettings, Uncertainty,
    },
};

use super::{Config, EnvironmentName, Preset};

/// Longest prompt and longest response (section 7.1).
const LENGTHS: (usize, usize) = (2048, 4096);

pub(super) fn r_zero(preset: Preset) -> Config {
    let rules = match preset {
        Preset::Kelvin => RZeroSettings::default(),
        Preset::Paper => paper(),
        Preset::Code => code(),
    };
    let iterations = if preset == Preset::Code { 5 } else { 3 };
    Config {
        preset,
        recipe: Recipe::RZero,
        environment: EnvironmentName::MathQuestion,
        question: match preset {
            Preset::Kelvin | Preset::Paper => math_question::Settings::default(),
            Preset::Code => math_question::Settings::original(),
        },
        steps: iterations * rules.iteration_steps(),
        r_zero: rules,
        objective: ObjectiveSettings {
            clip_high: 0.3,
            // Micro-batches of one: the mean over each response, then over responses.
            aggregation: Aggregation::Sequence,
            kl_coefficient: 0.01,
            entropy_coefficient: 0.0,
            ..ObjectiveSettings::default()
        },
        optimizer: OptimizerSettings { weight_decay: 0.01, ..OptimizerSettings::default() },
        sampling: sampling(preset),
        eval: EvalSettings { every: 0, ..EvalSettings::default() },
        ..Config::default()
    }
}

fn sampling(preset: Preset) -> SamplingSettings {
    let plain = Sampling::plain(LENGTHS.1);
    // The original samples what it trains on within top-p, and takes log-probabilities of the whole distribution.
    let (trained, voted) = match preset {
        Preset::Code => (Sampling { top_p: 0.99, ..plain.clone() }, Sampling { top_k: 40, ..plain.clone() }),
        Preset::Kelvin | Preset::Paper => (plain.clone(), plain.clone()),
    };
    SamplingSettings {
        propose: trained.clone(),
        solve: trained,
        estimate: voted,
        seed: plain.clone(),
        eval: plain,
        propose_prompt_tokens_max: LENGTHS.0,
        solve_prompt_tokens_max: LENGTHS.0,
    }
}

fn paper() -> RZeroSettings {
    RZeroSettings {
        challenger_group: 4,
        // A paper's batch is 128 prompts of 512.
        challenger_updates: 4,
        // Both a response without a question and one that teaches nothing earn 0.
        malformed_reward: 0.0,
        known_questions: KnownQuestions::Admit,
        band_low: 0.25,
        band_high: 0.75,
        curriculum_min: 0,
        pool_rounds_max: 1,
        unreadable_max: 1.0,
        ..RZeroSettings::default()
    }
}

fn code() -> RZeroSettings {
    RZeroSettings {
        challenger_updates: 32,
        uncertainty: Uncertainty::HalfTent,
        repetition_direction: Direction::Earlier,
        repetition_of_all: true,
        // No bound below.
        reward_min: -10.0,
        malformed_reward: -1.0,
        label_votes: 9,
        band_low: 0.3,
        band_high: 0.8,
        format_weight: 0.1,
        idle_first_step: true,
        ..paper()
    }
}
