//! Presets against the tables of azr.md, and the documents that speak of settings against the settings there are.

use std::{collections::BTreeSet, fs, path::Path};

use kelvin_selfplay::settings::Recipe;
use toml::{Table, Value};

use super::*;

/// A setting, where its values stand, and its value in `kelvin`, `paper` and `code`.
pub(super) type Row = (&'static str, &'static str, [&'static str; 3]);

const fn same(key: &'static str, section: &'static str, value: &'static str) -> Row {
    (key, section, [value, value, value])
}

/// The columns of section 5.3 (scripts for `code`, table 3 for `paper`, REC for `kelvin`), those of 5.2 and the rows of
/// 13. Where the paper says nothing its preset has the value of the code or of kelvin; docs/divergences/azr.md says so.
const ROWS: &[Row] = &[
    same("azr.batch_size", "5.3", "64"),
    same("sampling.solve_prompt_tokens_max", "5.3", "6144"),
    same("sampling.propose_prompt_tokens_max", "5.3", "5600"),
    same("sampling.propose.max_new_tokens", "5.3", "8096"),
    same("sampling.solve.max_new_tokens", "5.3", "8096"),
    same("sampling.estimate.max_new_tokens", "4.2", "8096"),
    same("sampling.seed.max_new_tokens", "5.3", "8096"),
    same("sampling.propose.temperature", "5.3", "1.0"),
    same("sampling.solve.temperature", "5.3", "1.0"),
    same("sampling.estimate.temperature", "4.2", "1.0"),
    same("sampling.seed.temperature", "2.1", "1.0"),
    same("sampling.solve.top_p", "5.3", "1.0"),
    same("sampling.solve.top_k", "5.3", "0"),
    same("optimizer.learning_rate", "5.3", "0.000001"),
    same("optimizer.schedule", "5.3", "\"constant\""),
    same("optimizer.warmup_steps", "5.3", "0"),
    same("optimizer.grad_clip", "5.3", "1.0"),
    same("optimizer.beta1", "5.2", "0.9"),
    same("optimizer.beta2", "5.2", "0.999"),
    same("optimizer.eps", "5.2", "0.00000001"),
    ("optimizer.weight_decay", "5.2", ["0.0", "0.01", "0.01"]),
    same("azr.advantage", "5.3", "\"trr_plus_plus\""),
    ("azr.adv_norm", "13 row 5", ["\"token_weighted\"", "\"sequence\"", "\"token_weighted\""]),
    ("objective.aggregation", "13 row 6", ["\"group_token\"", "\"sequence\"", "\"group_token\""]),
    same("objective.loss", "5.2", "\"ppo_clip\""),
    same("objective.clip_low", "5.2", "0.2"),
    ("objective.clip_high", "13 row 18", ["0.28", "0.2", "0.2"]),
    ("objective.dual_clip", "13 row 18", ["3.0", "1000000000.0", "1000000000.0"]),
    same("objective.entropy_coefficient", "13 row 4", "0.001"),
    same("objective.kl_coefficient", "5.2", "0.0"),
    same("azr.n_references", "5.3", "6"),
    same("azr.n_estimate", "5.3", "8"),
    same("azr.n_solutions", "5.3", "1"),
    same("azr.seed_factor", "13 row 15", "4"),
    same("azr.buffer_max", "13 row 11", "16384"),
    same("python.prompt_set", "5.3", "\"full\""),
    same("python.induction_reward", "5.3", "\"binary\""),
    same("azr.admit", "5.3", "\"all\""),
    ("azr.duplicates", "12 #10", ["\"reject\"", "\"admit\"", "\"admit\""]),
    same("azr.solver_mix", "5.3", "\"max_new\""),
    same("azr.reference_mix", "5.3", "\"uniform\""),
    same("azr.learnability", "4.2", "\"one_minus\""),
    ("azr.zero_learnability_reward", "13 row 1", ["-0.5", "0.0", "-0.5"]),
    ("azr.solve_lag", "13 row 2", ["1", "0", "1"]),
    ("azr.train_estimates", "4.2", ["true", "false", "false"]),
    same("azr.train_propose", "5.3", "true"),
    same("azr.include_references", "2.3", "true"),
    ("azr.composite.n_max", "13 row 13", ["3", "3", "2"]),
    ("azr.composite.scheduler.count_max", "13 row 13", ["3", "3", "2"]),
    ("azr.eviction", "13 row 11", ["\"oldest\"", "\"keep_oldest\"", "\"keep_oldest\""]),
    ("azr.solver_fill", "13 row 17", ["\"distinct\"", "\"distinct\"", "\"repeats\""]),
    same("azr.estimate_stop", "4.2", "\"none\""),
    ("python.proposal_form", "13 row 19", ["\"asked\"", "\"valid\"", "\"asked\""]),
    ("python.induction_pairs", "13 row 10", ["\"hidden\"", "\"all\"", "\"hidden\""]),
    ("python.missing_result", "13 row 10", ["\"wrong\"", "\"wrong\"", "\"skip\""]),
    ("python.lend_imports", "1.5", ["false", "true", "true"]),
    ("python.reject_multiple_functions", "13 row 16", ["false", "false", "true"]),
    ("python.entry", "1.2", ["\"any_last\"", "\"any_last\"", "\"not_first\""]),
    ("python.seeds.remove_comments", "2.1", ["false", "true", "true"]),
    ("python.seeds.remove_after_return", "2.1", ["false", "true", "true"]),
    ("python.seeds.whole_response", "2.1", ["false", "false", "true"]),
    ("python.composite_wrappers_allowed", "10", ["false", "true", "true"]),
    ("python.banned_error_keywords", "10", ["[]", "[]", "[\"raise\"]"]),
    ("intrinsic.distance", "4.3", ["\"tokens\"", "\"compat\"", "\"compat\""]),
    same("python.timeout_s", "5.3", "10.0"),
    same("python.workers", "5.3", "0"),
    ("python.policy", "13 row 8", ["\"kelvin\"", "\"code\"", "\"code\""]),
    ("python.equality", "13 row 9", ["\"strict\"", "\"strict\"", "\"python\""]),
    same("python.output_bytes", "3", "4096"),
    same("python.returns_none_allowed", "3", "true"),
    ("python.leak_programs", "1.6", ["true", "false", "false"]),
    ("python.leak_tokens", "1.6", ["16", "0", "0"]),
    ("python.message_chars_max", "1.6", ["4096", "1000000", "1000000"]),
    ("steps", "13 row 3", ["500", "500", "960"]),
    same("checkpoint.every", "5.3", "10"),
    same("eval.every", "5.3", "10"),
];

pub(super) fn keys_of(table: &Table, above: &str, keys: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let key = format!("{above}{key}");
        match value {
            Value::Table(inner) => keys_of(inner, &format!("{key}."), keys),
            leaf => keys.push((key, leaf.clone())),
        }
    }
}

fn keys(preset: Preset) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    keys_of(&Table::try_from(preset.config(Recipe::Azr)).unwrap(), "", &mut keys);
    keys
}

#[test]
fn presets_are_what_the_tables_say() {
    require_values(&[Preset::Kelvin, Preset::Paper, Preset::Code].map(keys), ROWS);
}

/// # Panics
/// If a preset has another value than its row says.
pub(super) fn require_values(presets: &[Vec<(String, Value)>; 3], rows: &[Row]) {
    for (key, section, values) in rows {
        for (preset, value) in presets.iter().zip(values) {
            let found = &preset.iter().find(|(it, _)| it == key).unwrap_or_else(|| panic!("{key}")).1;
            let wanted: Table = toml::from_str(&format!("value = {value}")).unwrap();
            // Some are f32, which is not the same number in f64.
            let is_same = match (found, &wanted["value"]) {
                (Value::Float(found), Value::Float(wanted)) => *found as f32 == *wanted as f32,
                (found, wanted) => found == wanted,
            };
            assert!(is_same, "{key} is {found}, and section {section} says {value}");
        }
    }
}

/// No preset differs from another in a setting that the table above leaves out.
#[test]
fn presets_differ_only_where_the_tables_do() {
    let listed: BTreeSet<&str> = ROWS.iter().map(|(key, ..)| *key).chain(["preset"]).collect();
    let kelvin = keys(Preset::Kelvin);
    for preset in [Preset::Paper, Preset::Code] {
        for ((key, ours), (_, theirs)) in kelvin.iter().zip(keys(preset)) {
            assert!(*ours == theirs || listed.contains(key.as_str()), "{key} differs in {preset:?}");
        }
    }
}

const DIVERGENCES: &str = include_str!("../../../../docs/divergences/azr.md");

/// Rows of the table below a heading, by cells.
fn table_below(heading: &str) -> Vec<Vec<&'static str>> {
    let section = DIVERGENCES.split("\n## ").find(|it| it.starts_with(heading)).expect("it has that heading");
    let rows = section.lines().filter(|it| it.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_difference_and_every_defect_has_its_row() {
    for (heading, n, n_cells) in [("Paper against code", 20, 7), ("Defects of the code", 24, 4)] {
        let rows = table_below(heading);
        let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(numbers, (1..=n).map(|it| it.to_string()).collect::<Vec<_>>(), "{heading}");
        for row in rows {
            assert_eq!(row.len(), n_cells, "{heading}, row {}", row[0]);
        }
    }
}

/// Names of settings in backquotes are settings: all in the column for them, and whatever begins like one elsewhere,
/// where names of the original that are read may stand too.
#[test]
fn the_divergences_name_settings_that_there_are() {
    let known: BTreeSet<String> = keys(Preset::Kelvin).into_iter().map(|(key, _)| key).collect();
    let sections: BTreeSet<&str> = known.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let quoted = |text: &'static str| text.split('`').skip(1).step_by(2);
    let name = |quoted: &'static str| quoted.split(" = ").next().unwrap_or_default();
    for row in table_below("Paper against code") {
        for setting in quoted(row[5]).map(name) {
            assert!(known.contains(setting), "row {}: there is no setting {setting}", row[0]);
        }
    }
    for setting in quoted(DIVERGENCES).map(name) {
        let is_setting = setting.split_once('.').is_some_and(|(section, _)| sections.contains(section));
        let is_alias = || alias::meaning(setting, &Value::Integer(1)).is_ok_and(|it| it.is_some());
        assert!(!is_setting || known.contains(setting) || is_alias(), "there is no setting {setting}");
    }
}

/// Every file in configs/ that a run takes resolves, and also over a server of the Tinker protocol as it is; those that pretraining
/// takes have their own test.
#[test]
fn the_configurations_shipped_resolve() {
    let over =
        Raw::parse("[policy]\nbackend = \"tinker\"\nremote.url = \"http://127.0.0.1:8000\"", "run.toml")
            .unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut seen = 0;
    for path in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
        let is_of_runs = !path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("pretrain"));
        if is_of_runs && path.extension().is_some_and(|it| it == "toml") {
            let file = Raw::read(&path).unwrap();
            for sources in [&[&file][..], &[&file, &over]] {
                resolve(sources).unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
            }
            seen += 1;
        }
    }
    assert!(9 <= seen, "the quick start and eight for real models, and found {seen}");
}
