//! Every setting of the original that a user may bring along, and what it is here.

use kelvin_core::task::Step;

use super::{
    Alias,
    Means::{self, Listed, Nothing, Number, Same, Word, Words},
};

/// See the module. The first that fits counts, so that whole sections come last.
pub(in crate::config) const TABLE: &[Alias] = &[
    // The recipe: azr.md sections 1, 2 and 4.
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
    named(&["azr.data_selection_strategy.update_iteration", "update_iteration"], Same(&["azr.new_window"])),
    named(&["azr.seed_dataset", "seed_dataset"], Listed("azr.seed_files")),
    named(&["azr.code_f_seed_dataset", "code_f_seed_dataset"], Listed("azr.induction_seed_files")),
    named(&["azr.error_seed_dataset", "error_seed_dataset"], Listed("azr.error_seed_files")),
    named(
        &["azr.data_selection_strategy.generate_seed_dataset_only", "generate_seed_dataset_only"],
        Same(&["azr.seed_only"]),
    ),
    // Composite programs: section 10. Its upper bound is exclusive there and inclusive here.
    named(
        &["azr.data_selection_strategy.composite_start_step", "composite_start_step"],
        Number(&["azr.composite.start_step"], never_unless_positive),
    ),
    named(
        &["azr.data_selection_strategy.composite_chance", "composite_chance"],
        Same(&["azr.composite.chance"]),
    ),
    named(
        &["azr.data_selection_strategy.composite_function_n_min", "composite_function_n_min"],
        Same(&["azr.composite.n_min"]),
    ),
    named(
        &["azr.data_selection_strategy.composite_function_n_max", "composite_function_n_max"],
        Number(&["azr.composite.n_max"], without_the_bound),
    ),
    named(
        &["azr.data_selection_strategy.composite_scheduler", "composite_scheduler"],
        Nothing("azr.composite.scheduler has a key for each of its numbers"),
    ),
    // Intrinsic rewards: section 4.3.
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
        Same(&["intrinsic.complexity.coefficient"]),
    ),
    named(
        &["azr.reward.generation_reward_config.complexity_reward.max", "complexity_reward.max"],
        Same(&["intrinsic.complexity.max"]),
    ),
    named(
        &["azr.reward.generation_reward_config.halstead_reward.coef", "halstead_reward.coef"],
        Same(&["intrinsic.halstead.coefficient"]),
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
        Same(&["intrinsic.mean_edit_distance.coefficient"]),
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
        Same(&["intrinsic.answer_diversity.coefficient"]),
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
        Same(&["intrinsic.input_diversity.coefficient"]),
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
        Same(&["intrinsic.output_diversity.coefficient"]),
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
        &[
            "azr.reward.generation_reward_config.complexity_reward.enabled",
            "complexity_reward.enabled",
            "azr.reward.generation_reward_config.halstead_reward.enabled",
            "halstead_reward.enabled",
            "azr.reward.generation_reward_config.mean_edit_distance_reward.enabled",
            "mean_edit_distance_reward.enabled",
            "azr.reward.generation_reward_config.answer_diversity_reward.enabled",
            "answer_diversity_reward.enabled",
            "azr.reward.generation_reward_config.f_input_answer_diversity_reward.enabled",
            "f_input_answer_diversity_reward.enabled",
            "azr.reward.generation_reward_config.f_output_answer_diversity_reward.enabled",
            "f_output_answer_diversity_reward.enabled",
        ],
        Nothing("a coefficient over 0 turns a term on, and 0 turns it off"),
    ),
    // The environment: sections 1 and 3.
    named(
        &["azr.reward.generation_reward_config.reject_multiple_functions", "reject_multiple_functions"],
        Same(&["python.reject_multiple_functions"]),
    ),
    named(
        &["azr.reward.generation_reward_config.reject_test_input_in_code", "reject_test_input_in_code"],
        Same(&["python.reject_test_input_in_code"]),
    ),
    named(
        &["azr.reward.generation_reward_config.f_replace_location", "f_replace_location"],
        Same(&["python.entry"]),
    ),
    named(
        &["azr.reward.generation_reward_config.code_location", "code_location"],
        Same(&["python.code_location"]),
    ),
    named(
        &["azr.reward.generation_reward_config.remove_comments", "remove_comments"],
        Same(&["python.remove_comments"]),
    ),
    named(
        &["azr.reward.generation_reward_config.remove_after_return", "remove_after_return"],
        Same(&["python.remove_after_return"]),
    ),
    named(
        &["azr.reward.generation_reward_config.remove_print", "remove_print"],
        Same(&["python.remove_print"]),
    ),
    named(
        &["azr.reward.generation_reward_config.remove_input_from_snippet", "remove_input_from_snippet"],
        Same(&["python.remove_input_from_snippet"]),
    ),
    named(
        &["azr.reward.generation_reward_config.format_reward", "format_reward"],
        Same(&["python.format_reward"]),
    ),
    named(
        &[
            "azr.data_selection_strategy.banned_keywords_for_errors_and_exceptions",
            "banned_keywords_for_errors_and_exceptions",
        ],
        Same(&["python.banned_error_keywords"]),
    ),
    // What follows the first word of it has no effect in the original's reward.
    named(
        &["reward_fn.extraction_type", "extraction_type"],
        Word(
            "python.answer",
            &[
                ("answer_conditional", "tags"),
                ("answer_addition", "tags"),
                ("answer", "tags"),
                ("boxed", "boxed"),
                ("none", "plain"),
            ],
        ),
    ),
    named(&["reward_fn.boxed_retry", "boxed_retry"], Same(&["python.boxed_retry"])),
    named(&["azr.problem_types", "problem_types"], Words("python.task_types", TASK_TYPES)),
    named(
        &["azr.reward.code_f_reward_type", "code_f_reward_type"],
        Word(
            "python.induction_reward",
            &[("binary", "binary"), ("accuracy", "accuracy"), ("if_one_correct", "any_correct")],
        ),
    ),
    named(
        &["azr.execute_max_timeout", "execute_max_timeout", "executor_max_timeout"],
        Same(&["python.timeout_s"]),
    ),
    named(&["azr.executor_max_workers", "executor_max_workers"], Same(&["python.workers"])),
    named(
        &["azr.data_selection_strategy.content_max_length", "content_max_length"],
        Same(&["sampling.propose_prompt_tokens_max"]),
    ),
    named(&["data.max_prompt_length", "max_prompt_length"], Same(&["sampling.solve_prompt_tokens_max"])),
    named(&["data.max_response_length", "max_response_length"], Same(LENGTHS)),
    // The update: section 5.
    named(&["actor_rollout_ref.model.path"], Same(&["policy.model"])),
    named(&["actor_rollout_ref.actor.optim.lr"], Same(&["optimizer.learning_rate"])),
    named(&["actor_rollout_ref.actor.optim.weight_decay"], Same(&["optimizer.weight_decay"])),
    named(
        &["actor_rollout_ref.actor.optim.lr_warmup_steps"],
        Number(&["optimizer.warmup_steps"], minus_one_is_zero),
    ),
    named(&["actor_rollout_ref.actor.grad_clip"], Same(&["optimizer.grad_clip"])),
    named(
        &["actor_rollout_ref.actor.clip_ratio", "clip_ratio"],
        Same(&["objective.clip_low", "objective.clip_high"]),
    ),
    named(&["actor_rollout_ref.actor.clip_ratio_low", "clip_ratio_low"], Same(&["objective.clip_low"])),
    named(&["actor_rollout_ref.actor.clip_ratio_high", "clip_ratio_high"], Same(&["objective.clip_high"])),
    named(&["actor_rollout_ref.actor.clip_ratio_c", "clip_ratio_c"], Same(&["objective.dual_clip"])),
    named(
        &["actor_rollout_ref.actor.entropy_coeff", "entropy_coeff"],
        Same(&["objective.entropy_coefficient"]),
    ),
    named(
        &["actor_rollout_ref.rollout.temperature"],
        Same(&[
            "sampling.propose.temperature",
            "sampling.solve.temperature",
            "sampling.estimate.temperature",
            "sampling.seed.temperature",
        ]),
    ),
    named(
        &["actor_rollout_ref.rollout.top_p"],
        Same(&[
            "sampling.propose.top_p",
            "sampling.solve.top_p",
            "sampling.estimate.top_p",
            "sampling.seed.top_p",
        ]),
    ),
    named(
        &["actor_rollout_ref.rollout.top_k"],
        Number(
            &[
                "sampling.propose.top_k",
                "sampling.solve.top_k",
                "sampling.estimate.top_k",
                "sampling.seed.top_k",
            ],
            minus_one_is_zero,
        ),
    ),
    // The run: sections 6 and 7.
    named(&["trainer.total_training_steps"], Same(&["steps"])),
    named(&["trainer.test_freq", "test_freq"], Same(&["eval.every"])),
    named(&["trainer.save_freq", "save_freq"], Same(&["checkpoint.every"])),
    // What is always so, or is said in another way.
    named(
        &["azr.data_selection_strategy.num_inputs", "num_inputs"],
        Nothing(
            "the prompt set says how many inputs an induction proposal has; python.prompt_set = \"full\" is 10",
        ),
    ),
    named(
        &["azr.reward.extract_code_block", "extract_code_block"],
        Nothing("an answer is looked for as in the original where that is true, which its scripts all have"),
    ),
    named(&["azr.ast_check", "ast_check"], Nothing("a program that does not parse is always rejected")),
    named(
        &["azr.executor", "executor"],
        Nothing("programs run in kelvin's own sandbox, see python.isolation"),
    ),
    named(
        &["azr.executor_cleanup_frequency", "executor_cleanup_frequency"],
        Nothing("no program leaves anything behind, so that nothing is cleaned up every so often"),
    ),
    named(
        &["azr.data_selection_strategy.batched_estimate", "batched_estimate"],
        Nothing("answers that wait share processes anyway, see python.batch_max"),
    ),
    named(&["reward_model.sandbox_fusion"], Nothing("programs run in kelvin's own sandbox")),
    named(
        &["actor_rollout_ref.rollout.n"],
        Nothing("it has to be 1 there; azr.n_solutions draws several solutions of a problem"),
    ),
    named(
        &["actor_rollout_ref.actor.ppo_mini_batch_size", "actor_rollout_ref.actor.ppo_epochs"],
        Nothing("a step is one update on the whole batch, as it is there whatever is written"),
    ),
    named(
        &[
            "actor_rollout_ref.actor.use_kl_loss",
            "actor_rollout_ref.actor.kl_loss_coef",
            "actor_rollout_ref.actor.kl_loss_type",
        ],
        Nothing("objective.kl_coefficient turns the term on and off, objective.kl_estimator chooses it"),
    ),
    named(
        &["algorithm.kl_ctrl", "algorithm.use_kl_in_reward"],
        Nothing("no divergence is taken off rewards; objective.kl_coefficient adds one to the loss"),
    ),
    named(
        &["algorithm.gamma", "algorithm.lam"],
        Nothing("a response has one reward, at its end, undiscounted"),
    ),
    named(
        &["trainer.total_epochs"],
        Nothing(
            "an epoch there is a pass over a file that nothing is learnt from; set steps, 960 for its 30 epochs",
        ),
    ),
    named(
        &["trainer.remove_previous_ckpt_in_save", "remove_previous_ckpt_in_save"],
        Nothing("checkpoint.keep says how many stay"),
    ),
    named(
        &["trainer.del_local_ckpt_after_load", "del_local_ckpt_after_load"],
        Nothing("reading a checkpoint never removes it"),
    ),
    named(&["trainer.resume_mode", "resume_mode"], Nothing("`kelvin resume RUN_DIR` goes on with a run")),
    named(
        &["trainer.wandb_run_id", "wandb_run_id", "trainer.logger"],
        Nothing("a run writes its own folder"),
    ),
    named(
        &["trainer.project_name", "trainer.experiment_name", "trainer.default_local_dir"],
        Nothing("`--run-dir` names the folder of a run"),
    ),
    named(
        &["data.train_files", "data.val_files"],
        Nothing("tasks are made in the run, those held out included"),
    ),
    named(&["trainer.n_gpus_per_node", "trainer.nnodes"], Nothing(GPU_ENGINE)),
    named(&["actor_rollout_ref", "critic", "ray_init"], Nothing(GPU_ENGINE)),
];

const GPU_ENGINE: &str =
    "it is about the original's engine on GPUs, and this one computes on the CPU, see [policy]";

/// azr.md section 1; the last is the error task.
const TASK_TYPES: &[(&str, &str)] =
    &[("code_i", "abduction"), ("code_o", "deduction"), ("code_f", "induction"), ("code_e", "error")];

const LENGTHS: &[&str] = &[
    "sampling.propose.max_new_tokens",
    "sampling.solve.max_new_tokens",
    "sampling.estimate.max_new_tokens",
    "sampling.seed.max_new_tokens",
    "sampling.eval.max_new_tokens",
];

fn minus_one_is_zero(theirs: i64) -> i64 {
    if theirs == -1 { 0 } else { theirs }
}

/// Where the original needs a step over 0 for a thing to begin, and any other turns it off.
fn never_unless_positive(theirs: i64) -> i64 {
    if theirs < 1 { i64::from(Step::MAX) } else { theirs }
}

/// A bound that is not among the values, to the last one that is.
fn without_the_bound(theirs: i64) -> i64 {
    (theirs - 1).max(0)
}

const fn named(names: &'static [&'static str], means: Means) -> Alias {
    Alias { names, means }
}
