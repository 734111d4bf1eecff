//! Programs that people and models wrote, from public files: `KELVIN_DATA` names the folder that holds
//! `cruxeval/cruxeval.jsonl` (facebookresearch/cruxeval, data/) and `azr_seeds/*_seed_io.jsonl`
//! (LeapLabTHU/Absolute-Zero-Reasoner, data/).

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use kelvin_python::value::parse_literal;
use serde_json::{Value, json};

use crate::{command, feed};

/// Where published files are; says so where nobody said.
pub fn data_folder() -> Option<PathBuf> {
    let folder = env::var_os("KELVIN_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: asks for KELVIN_DATA, the folder with cruxeval and azr_seeds");
    }
    folder
}

/// The objects of a file of JSON lines.
pub fn rows(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `exec validate` says of each row.
pub fn validated(rows: &[Value], policy: &str) -> Vec<Value> {
    let input: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let ran = feed(command(&["exec", "validate", "--policy", policy]), &input);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let verdicts: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), rows.len());
    verdicts
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// Whether two texts read as one value; a text that is no literal equals nothing.
fn is_same(a: &str, b: &str) -> bool {
    matches!((parse_literal(a), parse_literal(b)), (Ok(a), Ok(b)) if a.canonical() == b.canonical())
}

#[test]
fn every_output_of_cruxeval_is_reproduced() {
    let Some(folder) = data_folder() else { return };
    let items = rows(&folder.join("cruxeval/cruxeval.jsonl"));
    let asked: Vec<Value> = items
        .iter()
        .map(|item| json!({"id": item["id"], "program": item["code"], "input": item["input"]}))
        .collect();
    let verdicts = validated(&asked, "code");
    let missed: Vec<String> = verdicts
        .iter()
        .zip(&items)
        .filter(|(verdict, item)| {
            verdict["status"] != "valid" || !is_same(text(verdict, "output"), text(item, "output"))
        })
        .map(|(verdict, _)| verdict.to_string())
        .collect();
    assert_eq!((items.len(), missed), (800, Vec::new()));
}

/// Of each file: how many records come to what. `equal` is valid with the stored outputs; `corrected` is valid where a
/// stored output was cut short; the rest are reasons to reject.
const SEEDS: [(&str, &[(&str, usize)]); 6] = [
    (
        "14b_code_f_seed_io",
        &[
            ("banned_import", 2),
            ("equal", 243),
            ("hash_order_dependent", 1),
            ("input_not_literal", 5),
            ("non_literal_output", 3),
            ("output_too_large", 2),
        ],
    ),
    (
        "14b_seed_io",
        &[
            ("banned_import", 4),
            ("corrected", 1),
            ("equal", 246),
            ("hash_order_dependent", 3),
            ("input_not_literal", 1),
            ("non_literal_output", 1),
        ],
    ),
    (
        "7b_code_f_seed_io",
        &[
            ("banned_import", 1),
            ("corrected", 1),
            ("equal", 243),
            ("input_not_literal", 8),
            ("non_literal_output", 2),
            ("output_too_large", 1),
        ],
    ),
    (
        "7b_coder_code_f_seed_io",
        &[
            ("banned_import", 3),
            ("corrected", 9),
            ("equal", 231),
            ("hash_order_dependent", 1),
            ("input_not_literal", 8),
            ("non_literal_output", 3),
            ("output_too_large", 1),
        ],
    ),
    (
        "7b_coder_seed_io",
        &[
            ("banned_import", 2),
            ("corrected", 7),
            ("equal", 239),
            ("hash_order_dependent", 3),
            ("input_not_literal", 2),
            ("non_literal_output", 3),
        ],
    ),
    (
        "7b_seed_io",
        &[
            ("banned_call", 1),
            ("banned_import", 6),
            ("corrected", 1),
            ("equal", 239),
            ("input_not_literal", 4),
            ("non_literal_output", 3),
            ("output_too_large", 1),
            ("runtime_error", 1),
        ],
    ),
];

#[test]
fn published_seeds_validate_to_their_true_values() {
    let Some(folder) = data_folder() else { return };
    for (name, expected) in SEEDS {
        let records = rows(&folder.join(format!("azr_seeds/{name}.jsonl")));
        let asked: Vec<Value> = records.iter().enumerate().map(|(at, record)| as_row(at, record)).collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (verdict, record) in validated(&asked, "kelvin").iter().zip(&records) {
            *counts.entry(came_to(verdict, record)).or_default() += 1;
        }
        let counts: Vec<(&str, usize)> = counts.iter().map(|(what, &count)| (what.as_str(), count)).collect();
        assert_eq!(counts, expected, "{name}");
    }
}

fn as_row(id: usize, record: &Value) -> Value {
    let key = if record["inputs"].is_array() { "inputs" } else { "input" };
    json!({"id": id, "program": record["snippet"], key: record[key]})
}

fn came_to(verdict: &Value, record: &Value) -> String {
    if verdict["status"] == "rejected" {
        return text(verdict, "reason").to_owned();
    }
    let texts = |row: &Value| -> Vec<String> {
        match row["outputs"].as_array() {
            Some(outputs) => outputs.iter().map(|it| it.as_str().unwrap().to_owned()).collect(),
            None => vec![text(row, "output").to_owned()],
        }
    };
    let (seen, stored) = (texts(verdict), texts(record));
    assert_eq!(seen.len(), stored.len());
    let differ = |(seen, stored): (&String, &String)| (!is_same(seen, stored)).then(|| stored.clone());
    let differing: Vec<String> = seen.iter().zip(&stored).filter_map(differ).collect();
    // The original keeps the first and the last 200 characters of a longer text.
    let is_cut = |stored: &String| stored.chars().count() == 403 && stored.contains("...");
    match differing.as_slice() {
        [] => "equal".to_owned(),
        differing if differing.iter().all(is_cut) => "corrected".to_owned(),
        differing => format!("differs: {differing:?}, not {seen:?}"),
    }
}
