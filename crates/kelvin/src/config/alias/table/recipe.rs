//! The recipe: azr.md sections 1, 2, 4 and 10.

use kelvin_core::task::Step;

use super::{minus_one_is_zero, named};
use crate::config::alias::{
    Alias,
    Means::{Listed, Nothing, Number, Same, Word},
};

pub(super) const TABLE: &[Alias] = &[
    named(&["data.train_batch_size", "train_batch_size"], Same(&["azr.batch_size"])),
    named(&["azr.data_selection_strategy.io_n", "io_n"], Same(&["azr.n_references"])),
    named(&["azr.reward.n_samples", "n_samples"], Same(&["azr.n_estimate"])),
    named(
        &["azr.data_selection_strategy.seed_batch_factor", "seed_batch_factor"],
        Same(&["azr.seed_factor"]),
    ),
    named(&["azr.data_selection_strategy.max_programs", "max_programs"], Same(&["azr.buffer_max"])),
    named(
        &["azr.data_selection_strategy.valid_program_filter", "valid_program_filter"],
        Word("azr.admit", &[("all", "all"), ("non_one", "non_one"), ("non_extremes", "learnable")]),
    ),
    named(
        &["azr.pred_data_mix_strategy", "pred_data_mix_strategy"],
        Word(
            "azr.solver_mix",
            &[
                ("max_new", "max_new"),
                ("half_new", "half_new"),
                ("uniform_total", "uniform"),
                ("step", "step"),
            ],
        ),
    ),
    named(
        &["azr.gen_data_probabilities_strategy", "gen_data_probabilities_strategy"],
        Word("azr.reference_mix", &[("uniform", "uniform"), ("step", "step")]),
    ),
    named(
        &[
            "azr.reward.generation_reward_config.generation_accuracy_convertion",
            "generation_accuracy_convertion",
        ],
        Word("azr.learnability", &[("one_minus", "one_minus"), ("inverse", "inverse")]),
    ),
    named(
        &["azr.reward.generation_reward_config.include_references", "include_references"],
        Same(&["azr.include_references"]),
    ),
    named(&["train_propose"], Same(&["azr.train_propose"])),
    // The original's estimator of that name sees one role and task type at a time (azr.md section 5.1).
    named(
        &["algorithm.adv_estimator", "adv_estimator"],
        Word("azr.advantage", &[("reinforce_plus_plus", "trr_plus_plus")]),
    ),
    named(&["azr.seed"], Same(&["seed"])),
    named(
        &["pretrain_pred_steps", "azr.pretrain_pred_steps"],
        Number(&["azr.solver_only_steps"], minus_one_is_zero),
    ),
    // The step before counts for 1 in both: the original counts its own step too, which has no tasks yet.
    named(
        &[
            "azr.data_selection_strategy.update_iteration",
            "update_iteration",
            "azr.past_epoch_window",
            "past_epoch_window",
        ],
        Same(&["azr.new_window"]),
    ),
    named(&["azr.seed_dataset", "seed_dataset"], Listed("azr.seed_files")),
    named(&["azr.code_f_seed_dataset", "code_f_seed_dataset"], Listed("azr.induction_seed_files")),
    named(&["azr.error_seed_dataset", "error_seed_dataset"], Listed("azr.error_seed_files")),
    named(
        &["azr.data_selection_strategy.generate_seed_dataset_only", "generate_seed_dataset_only"],
        Same(&["azr.seed_only"]),
    ),
    // Composite programs: section 10. Upper bounds are exclusive there and inclusive here.
    named(
        &["azr.data_selection_strategy.composite_start_step", "composite_start_step"],
        Number(&["azr.composite.start_step"], never_unless_positive),
    ),
    // Where the scheduler begins has a name of its own there, which points to the other.
    named(
        &[
            "azr.data_selection_strategy.composite_chance",
            "composite_chance",
            "azr.data_selection_strategy.composite_chance_initial",
            "composite_chance_initial",
        ],
        Same(&["azr.composite.chance"]),
    ),
    named(
        &["azr.data_selection_strategy.composite_function_n_min", "composite_function_n_min"],
        Same(&["azr.composite.n_min"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_function_n_max",
            "composite_function_n_max",
            "azr.data_selection_strategy.max_programs_initial",
            "max_programs_initial",
        ],
        Number(&["azr.composite.n_max"], without_the_bound),
    ),
    named(
        &["azr.data_selection_strategy.composite_scheduler.enabled", "composite_scheduler.enabled"],
        Same(&["azr.composite.scheduler.enabled"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.update_num_programs_start",
            "composite_scheduler.update_num_programs_start",
        ],
        Same(&["azr.composite.scheduler.count_start"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.update_num_programs_interval",
            "composite_scheduler.update_num_programs_interval",
        ],
        Same(&["azr.composite.scheduler.count_interval"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.num_programs_max",
            "composite_scheduler.num_programs_max",
        ],
        Number(&["azr.composite.scheduler.count_max"], without_the_bound),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.update_probability_start",
            "composite_scheduler.update_probability_start",
        ],
        Same(&["azr.composite.scheduler.chance_start"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.update_probability_interval",
            "composite_scheduler.update_probability_interval",
        ],
        Same(&["azr.composite.scheduler.chance_interval"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.update_probability_max",
            "composite_scheduler.update_probability_max",
        ],
        Same(&["azr.composite.scheduler.chance_max"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.composite_scheduler.update_probability_increment",
            "composite_scheduler.update_probability_increment",
        ],
        Same(&["azr.composite.scheduler.chance_increment"]),
    ),
    named(
        &["azr.data_selection_strategy.composite_scheduler", "composite_scheduler"],
        Nothing("azr.composite.scheduler has a key for each of its numbers"),
    ),
];

/// Where the original needs a step over 0 for a thing to begin, and any other turns it off.
fn never_unless_positive(theirs: i64) -> i64 {
    if theirs < 1 { i64::from(Step::MAX) } else { theirs }
}

/// A bound that is not among the values, to the last one that is.
fn without_the_bound(theirs: i64) -> i64 {
    (theirs - 1).max(0)
}
