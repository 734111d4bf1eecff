//! The environment: azr.md sections 1 and 3.

use super::named;
use crate::config::alias::{
    ANYWAY, Alias,
    Means::{Nothing, Only, Prefix, Same, Unread, Word, Words},
    Own,
};

pub(super) const TABLE: &[Alias] = &[
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
    // What follows has no effect in the original's reward.
    named(
        &["reward_fn.extraction_type", "extraction_type"],
        Prefix("python.answer", &[("answer", "tags"), ("boxed", "boxed"), ("none", "plain")]),
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
    named(
        &["azr.data_selection_strategy.num_inputs", "num_inputs"],
        Nothing(
            "the prompt set says how many inputs an induction proposal has; python.prompt_set = \"full\" is 10",
        ),
    ),
    named(
        &["azr.reward.extract_code_block", "extract_code_block"],
        Only(
            &[
                ("true", &[("python.whole_answer", Own::Flag(false))]),
                ("false", &[("python.whole_answer", Own::Flag(true))]),
            ],
            "an answer is looked for in its fence and the places that the original goes on with, or taken whole",
        ),
    ),
    named(
        &["azr.ast_check", "ast_check"],
        Only(&[("true", ANYWAY)], "a program that does not parse is always rejected"),
    ),
    named(
        &["azr.executor", "executor"],
        Only(
            &[("qwq", ANYWAY)],
            "programs run on this machine, in kelvin's own sandbox, see python.isolation",
        ),
    ),
    named(
        &["azr.executor_cleanup_frequency", "executor_cleanup_frequency"],
        Unread("no program leaves anything behind, so that nothing is cleaned up every so often"),
    ),
    named(
        &["azr.data_selection_strategy.batched_estimate", "batched_estimate"],
        Unread("answers that wait share processes anyway, see python.batch_max"),
    ),
    named(
        &["reward_model.sandbox_fusion"],
        Nothing("programs run in kelvin's own sandbox, see python.isolation"),
    ),
];

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
