//! Intrinsic rewards: azr.md section 4.3.

use super::named;
use crate::config::alias::{
    ANYWAY, Alias,
    Means::{Only, Real, Same, Word},
    Own,
};

pub(super) const TABLE: &[Alias] = &[
    named(
        &["azr.reward.generation_reward_config.intrinsic_combine_method", "intrinsic_combine_method"],
        Same(&["intrinsic.combine"]),
    ),
    named(
        &["azr.reward.generation_reward_config.use_original_code_as_ref", "use_original_code_as_ref"],
        Same(&["intrinsic.use_original_code_as_ref"]),
    ),
    named(
        &["azr.reward.generation_reward_config.complexity_reward.coef", "complexity_reward.coef"],
        Real(&["intrinsic.complexity.coefficient"]),
    ),
    named(
        &["azr.reward.generation_reward_config.complexity_reward.max", "complexity_reward.max"],
        Same(&["intrinsic.complexity.max"]),
    ),
    named(
        &["azr.reward.generation_reward_config.halstead_reward.coef", "halstead_reward.coef"],
        Real(&["intrinsic.halstead.coefficient"]),
    ),
    named(
        &["azr.reward.generation_reward_config.halstead_reward.max", "halstead_reward.max"],
        Same(&["intrinsic.halstead.max"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.mean_edit_distance_reward.coef",
            "mean_edit_distance_reward.coef",
        ],
        Real(&["intrinsic.mean_edit_distance.coefficient"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.mean_edit_distance_reward.max",
            "mean_edit_distance_reward.max",
        ],
        Same(&["intrinsic.mean_edit_distance.max"]),
    ),
    named(
        &["azr.reward.generation_reward_config.answer_diversity_reward.coef", "answer_diversity_reward.coef"],
        Real(&["intrinsic.answer_diversity.coefficient"]),
    ),
    named(
        &["azr.reward.generation_reward_config.answer_diversity_reward.max", "answer_diversity_reward.max"],
        Same(&["intrinsic.answer_diversity.max"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.f_input_answer_diversity_reward.coef",
            "f_input_answer_diversity_reward.coef",
        ],
        Real(&["intrinsic.input_diversity.coefficient"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.f_input_answer_diversity_reward.max",
            "f_input_answer_diversity_reward.max",
        ],
        Same(&["intrinsic.input_diversity.max"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.f_output_answer_diversity_reward.coef",
            "f_output_answer_diversity_reward.coef",
        ],
        Real(&["intrinsic.output_diversity.coefficient"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.f_output_answer_diversity_reward.max",
            "f_output_answer_diversity_reward.max",
        ],
        Same(&["intrinsic.output_diversity.max"]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.answer_diversity_reward.hierarchical",
            "answer_diversity_reward.hierarchical",
            "azr.reward.generation_reward_config.f_input_answer_diversity_reward.hierarchical",
            "f_input_answer_diversity_reward.hierarchical",
            "azr.reward.generation_reward_config.f_output_answer_diversity_reward.hierarchical",
            "f_output_answer_diversity_reward.hierarchical",
        ],
        Word("intrinsic.diversity", &[("true", "hierarchical"), ("false", "flat")]),
    ),
    named(
        &["azr.reward.generation_reward_config.complexity_reward.enabled", "complexity_reward.enabled"],
        Only(&[("false", &[("intrinsic.complexity.coefficient", Own::Real(0.0))]), ("true", ANYWAY)], SWITCH),
    ),
    named(
        &["azr.reward.generation_reward_config.halstead_reward.enabled", "halstead_reward.enabled"],
        Only(&[("false", &[("intrinsic.halstead.coefficient", Own::Real(0.0))]), ("true", ANYWAY)], SWITCH),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.mean_edit_distance_reward.enabled",
            "mean_edit_distance_reward.enabled",
        ],
        Only(
            &[("false", &[("intrinsic.mean_edit_distance.coefficient", Own::Real(0.0))]), ("true", ANYWAY)],
            SWITCH,
        ),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.answer_diversity_reward.enabled",
            "answer_diversity_reward.enabled",
        ],
        Only(
            &[("false", &[("intrinsic.answer_diversity.coefficient", Own::Real(0.0))]), ("true", ANYWAY)],
            SWITCH,
        ),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.f_input_answer_diversity_reward.enabled",
            "f_input_answer_diversity_reward.enabled",
        ],
        Only(
            &[("false", &[("intrinsic.input_diversity.coefficient", Own::Real(0.0))]), ("true", ANYWAY)],
            SWITCH,
        ),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.f_output_answer_diversity_reward.enabled",
            "f_output_answer_diversity_reward.enabled",
        ],
        Only(
            &[("false", &[("intrinsic.output_diversity.coefficient", Own::Real(0.0))]), ("true", ANYWAY)],
            SWITCH,
        ),
    ),
];

const SWITCH: &str = "a term counts wherever its coefficient is not 0";
