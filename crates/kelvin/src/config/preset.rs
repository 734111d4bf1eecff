//! Sets of values with a name: `kelvin` (defects repaired, the default), `paper` (what the paper states) and
//! `code` (what produced the published numbers). They differ in settings only; azr.md sections 5 and 13 say why. Those of
//! R-Zero are beside them.

use clap::ValueEnum;
use kelvin_core::{measures::Distance, objective::Aggregation};
use kelvin_env::python_triplet::{InductionPairs, MissingResult, ProposalForm, SeedRules};
use kelvin_python::{Entry, Equality, ErrorKeyword, Policy, Strip};
use kelvin_selfplay::settings::{
    AdvNorm, AzrSettings, CompositeScheduler, CompositeSettings, Duplicates, EstimateStop, Eviction,
    IntrinsicSettings, ObjectiveSettings, OptimizerSettings, Recipe, SolveLag, SolverFill,
};
use serde::{Deserialize, Serialize};

use super::{Config, PythonSettings, preset_r_zero::r_zero};

/// A set of values with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preset {
    /// Defects repaired (azr.md section 5.3, column REC).
    #[default]
    Kelvin,
    /// What the paper states (docs/divergences/azr.md, column `paper`).
    Paper,
    /// What produced the published numbers (the scripts and the `paper` branch).
    Code,
}

/// Section 3.3.1 of the paper and the original's seeding scripts: neither comments nor globals in seeds.
const BARE_SEEDS: Strip = Strip { remove_comments: true, remove_after_return: true, remove_print: false };

/// More characters than a response has.
const NO_LIMIT: usize = 1_000_000;

impl Preset {
    /// Every setting of a run of `recipe` under this preset.
    pub(crate) fn config(self, recipe: Recipe) -> Config {
        match (recipe, self) {
            (Recipe::Azr, Preset::Kelvin) => Config::default(),
            (Recipe::Azr, Preset::Paper) => paper(),
            (Recipe::Azr, Preset::Code) => code(),
            (Recipe::RZero, preset) => r_zero(preset),
        }
    }
}

fn paper() -> Config {
    let kelvin = Config::default();
    Config {
        preset: Preset::Paper,
        azr: AzrSettings {
            // Algorithm 1 solves the tasks that the same step proposed.
            solve_lag: SolveLag::Zero,
            // Equations 4 and 6.
            zero_learnability_reward: 0.0,
            // Equation 8.
            adv_norm: AdvNorm::Sequence,
            // Nothing is said of copies, nor of a full buffer: as the code.
            duplicates: Duplicates::Admit,
            eviction: Eviction::KeepOldest,
            // Section 3.1: n solves for each proposal, for its reward alone.
            estimate_stop: EstimateStop::None,
            train_estimates: false,
            ..kelvin.azr
        },
        // Appendix D.4 measures syntax trees.
        intrinsic: IntrinsicSettings { distance: Distance::Compat, ..kelvin.intrinsic },
        objective: ObjectiveSettings {
            clip_high: 0.2,
            // A loss never reaches 1e9 times an advantage: no dual clip.
            dual_clip: 1e9,
            // Equation 9.
            aggregation: Aggregation::Sequence,
            ..kelvin.objective
        },
        optimizer: OptimizerSettings { weight_decay: 0.01, ..kelvin.optimizer },
        python: PythonSettings {
            policy: Policy::Code,
            proposal_form: ProposalForm::Valid,
            seeds: SeedRules { strip: BARE_SEEDS, ..kelvin.python.seeds },
            induction_pairs: InductionPairs::All,
            lend_imports: true,
            leak_programs: false,
            leak_tokens: 0,
            message_chars_max: NO_LIMIT,
            composite_wrappers_allowed: true,
            ..kelvin.python.clone()
        },
        ..kelvin
    }
}

fn code() -> Config {
    let kelvin = Config::default();
    Config {
        preset: Preset::Code,
        steps: 960,
        azr: AzrSettings {
            duplicates: Duplicates::Admit,
            estimate_stop: EstimateStop::None,
            train_estimates: false,
            // Both bounds are exclusive in the code.
            composite: CompositeSettings {
                n_max: 2,
                scheduler: CompositeScheduler { count_max: 2, ..kelvin.azr.composite.scheduler },
                ..kelvin.azr.composite
            },
            // Rows 11 and 17 in docs/divergences/azr.md: a full buffer drops the new, and batches repeat.
            eviction: Eviction::KeepOldest,
            solver_fill: SolverFill::Repeats,
            ..kelvin.azr
        },
        intrinsic: IntrinsicSettings { distance: Distance::Compat, ..kelvin.intrinsic },
        objective: ObjectiveSettings { clip_high: 0.2, dual_clip: 1e9, ..kelvin.objective },
        optimizer: OptimizerSettings { weight_decay: 0.01, ..kelvin.optimizer },
        python: PythonSettings {
            policy: Policy::Code,
            equality: Equality::Python,
            entry: Entry::NotFirst,
            reject_multiple_functions: true,
            seeds: SeedRules { whole_response: true, strip: BARE_SEEDS },
            missing_result: MissingResult::Skip,
            lend_imports: true,
            leak_programs: false,
            leak_tokens: 0,
            message_chars_max: NO_LIMIT,
            // The scripts' list; error tasks are off in them, as in every preset.
            banned_error_keywords: vec![ErrorKeyword::Raise],
            composite_wrappers_allowed: true,
            ..kelvin.python.clone()
        },
        ..kelvin
    }
}
