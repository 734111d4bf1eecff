//! The presets of R-Zero against the tables of r-zero.md, and the page that speaks of its settings.

use std::collections::BTreeSet;

use kelvin_selfplay::settings::Recipe;
use toml::{Table, Value};

use super::{
    preset_tests::{Row, keys_of, require_values},
    *,
};

const ROWS: &[Row] = &[
    ("steps", "1.2", ["84", "84", "140"]),
    ("r_zero.challenger_steps", "1.2", ["5", "5", "5"]),
    ("r_zero.solver_steps", "1.2", ["15", "15", "15"]),
    ("r_zero.questions", "7.1", ["2048", "2048", "2048"]),
    ("r_zero.challenger_group", "7.1", ["0", "4", "4"]),
    ("r_zero.challenger_updates", "7.1", ["32", "4", "32"]),
    ("r_zero.votes", "3", ["10", "10", "10"]),
    ("r_zero.label_votes", "3", ["10", "10", "9"]),
    ("r_zero.uncertainty", "4", ["\"tent\"", "\"tent\"", "\"half_tent\""]),
    ("r_zero.uncertainty_at", "4", ["0.5", "0.5", "0.5"]),
    ("r_zero.repetition_weight", "4", ["1.0", "1.0", "1.0"]),
    ("r_zero.repetition_distance", "4.1", ["0.5", "0.5", "0.5"]),
    ("r_zero.repetition_direction", "4.1", ["\"both\"", "\"both\"", "\"earlier\""]),
    ("r_zero.repetition_of_all", "4", ["false", "false", "true"]),
    ("r_zero.reward_min", "4", ["0.0", "0.0", "-10.0"]),
    ("r_zero.malformed_reward", "4", ["-1.0", "0.0", "-1.0"]),
    ("r_zero.known_questions", "4.1", ["\"filter\"", "\"admit\"", "\"admit\""]),
    ("r_zero.pool", "5", ["8000", "8000", "8000"]),
    ("r_zero.curriculum_min", "5", ["512", "0", "0"]),
    ("r_zero.pool_rounds_max", "5", ["3", "1", "1"]),
    ("r_zero.band_low", "5", ["0.3", "0.25", "0.3"]),
    ("r_zero.band_high", "5", ["0.7", "0.75", "0.8"]),
    ("r_zero.unreadable_max", "3", ["0.2", "1.0", "1.0"]),
    ("r_zero.solver_batch", "7.1", ["512", "512", "512"]),
    ("r_zero.solver_rollouts", "7.1", ["5", "5", "5"]),
    ("r_zero.solver_updates", "7.1", ["4", "4", "4"]),
    ("r_zero.format_weight", "6", ["0.0", "0.0", "0.1"]),
    ("r_zero.idle_first_step", "7", ["false", "false", "true"]),
    ("r_zero.fresh_optimizer", "1.2", ["true", "true", "true"]),
    ("r_zero.reference", "7", ["\"phase_start\"", "\"phase_start\"", "\"phase_start\""]),
    ("environment", "2", ["\"math_question\"", "\"math_question\"", "\"math_question\""]),
    ("question.validity", "2", ["\"both_parts\"", "\"both_parts\"", "\"original\""]),
    ("question.proofs", "5", ["false", "false", "true"]),
    ("question.pool_filters", "5", ["\"none\"", "\"none\"", "\"original\""]),
    ("objective.clip_low", "7", ["0.2", "0.2", "0.2"]),
    ("objective.clip_high", "7", ["0.3", "0.3", "0.3"]),
    ("objective.dual_clip", "7", ["3.0", "3.0", "3.0"]),
    ("objective.kl_coefficient", "7", ["0.01", "0.01", "0.01"]),
    ("objective.kl_estimator", "7", ["\"k3\"", "\"k3\"", "\"k3\""]),
    ("objective.aggregation", "7", ["\"sequence\"", "\"sequence\"", "\"sequence\""]),
    ("objective.entropy_coefficient", "7", ["0.0", "0.0", "0.0"]),
    ("optimizer.learning_rate", "7", ["1e-6", "1e-6", "1e-6"]),
    ("optimizer.warmup_steps", "7", ["0", "0", "0"]),
    ("optimizer.weight_decay", "7", ["0.01", "0.01", "0.01"]),
    ("optimizer.grad_clip", "7", ["1.0", "1.0", "1.0"]),
    ("sampling.propose.top_p", "7.1", ["1.0", "1.0", "0.99"]),
    ("sampling.solve.top_p", "7.1", ["1.0", "1.0", "0.99"]),
    ("sampling.estimate.top_k", "3", ["0", "0", "40"]),
    ("sampling.solve.max_new_tokens", "7.1", ["4096", "4096", "4096"]),
    ("sampling.solve_prompt_tokens_max", "7.1", ["2048", "2048", "2048"]),
];

fn keys(preset: Preset) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    keys_of(&Table::try_from(preset.config(Recipe::RZero)).unwrap(), "", &mut keys);
    keys
}

#[test]
fn presets_are_what_the_tables_say_and_differ_nowhere_else() {
    let presets = [Preset::Kelvin, Preset::Paper, Preset::Code].map(keys);
    require_values(&presets, ROWS);
    let listed: BTreeSet<&str> = ROWS.iter().map(|(key, ..)| *key).chain(["preset"]).collect();
    let [kelvin, others @ ..] = presets;
    for other in others {
        for ((key, ours), (_, theirs)) in kelvin.iter().zip(other) {
            assert!(*ours == theirs || listed.contains(key.as_str()), "{key} differs");
        }
    }
}

const DIVERGENCES: &str = include_str!("../../../../docs/divergences/r-zero.md");

#[test]
fn the_divergences_name_settings_that_there_are() {
    let known: BTreeSet<String> = keys(Preset::Kelvin).into_iter().map(|(key, _)| key).collect();
    let quoted = DIVERGENCES.split('`').skip(1).step_by(2).map(|it| it.split(" = ").next().unwrap());
    let mut n_named = 0;
    for setting in
        quoted.filter(|it| ["r_zero.", "sampling.", "objective."].iter().any(|of| it.starts_with(of)))
    {
        assert!(known.contains(setting), "there is no setting {setting}");
        n_named += 1;
    }
    assert!(25 <= n_named, "{n_named}");
}
