//! Every metric with its unit and one sentence.

/// One row of the glossary. `*` stands for one segment of the name.
pub struct Definition {
    /// The name, with `*` for a task type, a reason or a count, and `{role}` for proposer or solver.
    pub pattern: &'static str,
    /// The unit.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn define(pattern: &'static str, unit: &'static str, meaning: &'static str) -> Definition {
    Definition { pattern, unit, meaning }
}

/// The glossary, from which `docs/metrics.md` is generated.
pub const DEFINITIONS: &[Definition] = &[
    define(
        "{role}/*/reward",
        "reward",
        "mean reward of a role's responses of a task type; the return of every token",
    ),
    define("{role}/*/reward_max", "reward", "the largest of them"),
    define("{role}/*/reward_min", "reward", "the smallest of them"),
    define(
        "{role}/*/advantage_mean",
        "advantage",
        "mean advantage of what the update saw of a role and task type",
    ),
    define("{role}/*/advantage_max", "advantage", "the largest of them"),
    define("{role}/*/advantage_min", "advantage", "the smallest of them"),
    define("{role}/*/response_tokens", "tokens", "mean length of a response"),
    define("{role}/*/response_tokens_max", "tokens", "length of the longest"),
    define("{role}/*/response_tokens_min", "tokens", "length of the shortest"),
    define("{role}/*/truncated", "share", "responses cut by the length limit"),
    define("{role}/*/prompt_tokens", "tokens", "mean length of a prompt"),
    define("{role}/*/prompt_tokens_max", "tokens", "length of the longest"),
    define(
        "{role}/*/reflection",
        "share",
        "responses with a word of checking, doubt or another way; many of them are common, so only changes say something",
    ),
    define("{role}/*/corrections", "cues", "words that take something back, per response"),
    define(
        "{role}/*/language_mix",
        "share",
        "responses with letters of another script than Latin, formulas' Greek left out",
    ),
    define("proposer/*/formatted", "share", "proposals with the asked-for form"),
    define("proposer/*/valid", "share", "proposals that became a task"),
    define(
        "proposer/*/learnability",
        "reward",
        "mean learnability of the valid proposals, before the -0.5 rule",
    ),
    define("proposer/*/distinct", "share", "different texts among the step's proposals"),
    define(
        "proposer/*/duplicate",
        "share",
        "tasks among the proposals that the buffer or the step had already",
    ),
    define(
        "proposer/*/reference_copy",
        "share",
        "tasks among the proposals that are one of the references shown",
    ),
    define(
        "proposer/*/near_reference",
        "share",
        "valid proposals that are nearly a reference they were shown",
    ),
    define(
        "proposer/*/near_buffer",
        "share",
        "valid proposals that are nearly a task that can be drawn, or one before them in the step",
    ),
    define("proposer/*/program_lines", "lines", "mean lines of code of the valid proposals"),
    define("proposer/*/comment_density", "lines", "mean lines with a comment for each line of code"),
    define("proposer/*/complexity", "score", "mean cognitive complexity over 15 of the valid proposals"),
    define("proposer/*/halstead", "score", "mean score of Halstead's measures, from 0 to 1"),
    define(
        "proposer/*/mean_edit_distance",
        "distance",
        "mean distance of the valid proposals from the references shown, in steps in which it is measured",
    ),
    define("proposer/*/answer_diversity", "rarity", "mean rarity of the answers among all of the buffer's"),
    define("proposer/*/input_diversity", "rarity", "mean rarity of an induction task's inputs"),
    define("proposer/*/output_diversity", "rarity", "mean rarity of an induction task's outputs"),
    define("reject/*/*", "proposals", "proposals rejected for a reason"),
    define("estimate/*/solve_rate", "share", "mean Monte-Carlo solve rate of the valid proposals"),
    define(
        "estimate/*/solved_*",
        "tasks",
        "valid proposals whose solve rate, times `azr.n_estimate`, rounds to this many, whatever was drawn",
    ),
    define("estimate/*/draws", "solves", "mean Monte-Carlo solves behind a valid proposal"),
    define("solver/*/formatted", "share", "solutions with the asked-for form"),
    define("solver/*/accuracy", "share", "right solutions"),
    define("solver/*/fresh", "share", "problems proposed in this step or the one before"),
    define("solver/*/response_tokens_right", "tokens", "mean length of right solutions"),
    define("solver/*/response_tokens_wrong", "tokens", "mean length of the others"),
    define("solver/*/reflection_right", "share", "right solutions with a cue of reflection"),
    define(
        "solver/*/learnability_correlation",
        "correlation",
        "Pearson's, over problems: learnability when posed (in this step or the one before) with mean reward when solved",
    ),
    define(
        "solver/*/comment_density",
        "lines",
        "mean lines with a comment for each line of code of answered programs",
    ),
    define("solver/*/step_comments", "share", "answered programs with comments that number their steps"),
    define("solver/*/trials", "inputs", "different inputs that a thought of abduction tries"),
    define("solver/*/state_lines", "lines", "lines of a thought of deduction that note a variable's value"),
    define(
        "solver/*/working_lines",
        "lines",
        "comment lines before an answer to a deduction or an abduction, prompt set `compact`",
    ),
    define("solver/*/pairs_tried", "pairs", "given pairs that a thought of induction goes through again"),
    define(
        "solver/*/complexity_gap",
        "points",
        "mean cognitive complexity of the task's program less that of a right answer",
    ),
    define("miss/*/*", "solutions", "solutions that are not right for a reason"),
    define(
        "types/*/distinct_types",
        "types",
        "types among the values of one side (input, output, error) of all tasks",
    ),
    define("types/*/unique_values", "values", "different values among them"),
    define("types/*/instances", "values", "values in all"),
    define("types/*/*/unique_values", "values", "different values of one type"),
    define("types/*/*/instances", "values", "values of one type in all"),
    define(
        "alarms/responses",
        "responses",
        "responses of the step with a phrase that should alarm; see alarms.jsonl",
    ),
    define("alarms/*", "responses", "those of one category: adversarial, models, deception, escape"),
    define("buffer/*/size", "tasks", "tasks of a type ever admitted"),
    define("update/loss", "loss", "the objective before the update"),
    define("update/entropy", "nats", "mean entropy of the trained tokens' distributions"),
    define("update/grad_norm", "norm", "global gradient norm before clipping"),
    define("update/learning_rate", "rate", "step size of the update"),
    define("update/tokens", "tokens", "response tokens in the update"),
    define("update/clipped_share", "share", "tokens whose gradient the clip stopped"),
    define(
        "update/kl_reference",
        "nats",
        "mean estimate of the divergence from the reference, where there is one",
    ),
    define(
        "update/importance_mean",
        "ratio",
        "mean weight that mends the sampler's mismatch, where it is on",
    ),
    define("update/importance_max", "ratio", "the largest such weight, at most the cap"),
    define("seed/proposals", "proposals", "proposals of the seed stage"),
    define(
        "eval/*/accuracy",
        "share",
        "held-out solve rate at the sampling temperature; `mean` is over task types",
    ),
    define("eval/*/accuracy_ci95", "share", "half of its 95 % interval over tasks"),
    define("eval/*/greedy", "share", "held-out tasks solved greedily"),
    define("eval/*/greedy_ci95", "share", "half of its 95 % interval over tasks"),
    define(
        "eval/*/pass_at_*",
        "share",
        "held-out tasks solved by any of so many samples, estimated from all that were drawn (with `_ci95`: half its interval)",
    ),
    define("timing/propose_s", "seconds", "decoding, by the proposals' share of its tokens"),
    define("timing/validate_s", "seconds", "validating while no row was decoded"),
    define("timing/estimate_s", "seconds", "decoding, by the Monte-Carlo solutions' share of its tokens"),
    define(
        "timing/solve_s",
        "seconds",
        "decoding, by the share of the solutions of drawn problems in its tokens",
    ),
    define("timing/grade_s", "seconds", "grading while no row was decoded"),
    define(
        "timing/measure_s",
        "seconds",
        "looking at proposals and solutions for rewards and for these records, beside evaluation",
    ),
    define("timing/update_s", "seconds", "rewards, advantages, the update"),
    define("timing/other_s", "seconds", "the rest of the step: prompts, the buffer, transcripts"),
    define("timing/step_s", "seconds", "the whole step with its records, the sum of the eight above"),
    define("timing/sampler_idle", "share", "time of the step's sampling calls in which no row was decoded"),
    define(
        "timing/validation_*_s",
        "seconds",
        "p50 and p99 of a validation, the wait for an executor included",
    ),
    define("timing/grading_*_s", "seconds", "p50 and p99 of a grading, the wait for an executor included"),
    define(
        "timing/executor_*_s",
        "seconds",
        "p50 and p99, since kelvin was started, of a program's wait for a worker (`queue`) and of its child (`child`)",
    ),
    define("timing/eval_s", "seconds", "the held-out evaluation"),
    define("timing/seed_s", "seconds", "the seed stage"),
    define(
        "system/prefill_saved",
        "share",
        "prompt tokens of the step that were not computed, as another prompt begins alike",
    ),
    define("system/rows_per_pass", "rows", "mean rows in a pass through the model while sampling"),
    define(
        "system/estimates_dropped",
        "solves",
        "Monte-Carlo solves drawn for a proposal before an earlier one turned out to pose the same task",
    ),
    define("system/preemptions", "rows", "rows that lost their memory to older ones and were computed again"),
];
