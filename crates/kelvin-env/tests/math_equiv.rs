//! How often the comparison of mathematical answers agrees with labels that others gave: `KELVIN_DATA` names the folder
//! of public data sets (docs/log.md says which). The numbers asserted are those of docs/grading.md.

use std::{env, fs, path::PathBuf};

use kelvin_env::grading::{
    extract,
    math::{Options, Verdict, equal},
};
use serde_json::Value;

/// The least share of undisputed pairs with the right verdict, and the most wrong acceptances among them.
const AGREEMENT_MIN: f64 = 0.985;
const ACCEPTED_MAX: usize = 1;

/// The folder; none where the long suites are not asked for.
fn folder() -> Option<PathBuf> {
    if env::var_os("KELVIN_SLOW").is_none() && env::var_os("KELVIN_DATA").is_none() {
        eprintln!("skipped: asks for KELVIN_DATA, a folder of public data sets");
        return None;
    }
    Some(PathBuf::from(env::var_os("KELVIN_DATA").expect("the long suites need KELVIN_DATA")))
}

fn rows(path: &str) -> Option<Vec<Value>> {
    let path = folder()?.join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn text<'row>(row: &'row Value, field: &str) -> &'row str {
    row[field].as_str().unwrap_or_else(|| panic!("no {field} in {row}"))
}

/// The pairs with another verdict than their label, as `(wrongly accepted, wrongly refused)`.
fn disagreements<'rows>(
    rows: &[&'rows Value],
    gold: &str,
    answer: &str,
) -> (Vec<&'rows Value>, Vec<&'rows Value>) {
    let is_equal =
        |row: &&Value| equal(text(row, gold), text(row, answer), &Options::default()) == Verdict::Equal;
    let differ = rows.iter().filter(|row| is_equal(row) != row["expected"].as_bool().unwrap());
    differ.copied().partition(|row| !row["expected"].as_bool().unwrap())
}

fn print(what: &str, n: usize, (accepted, refused): &(Vec<&Value>, Vec<&Value>)) {
    let agreement = 1.0 - (accepted.len() + refused.len()) as f64 / n as f64;
    println!(
        "{what}: {n} pairs, agreement {agreement:.4}, {} wrong accepted, {} right refused",
        accepted.len(),
        refused.len()
    );
    for (kind, rows) in [("accepted", accepted), ("refused", refused)] {
        for row in rows {
            println!("  {kind} {}: {} | {}", text(row, "id"), text(row, "gold"), text(row, "answer"));
        }
    }
}

#[test]
fn labelled_pairs_are_judged_as_labelled() {
    let Some(rows) = rows("math_equiv/pairs.jsonl") else { return };
    let is_core = |row: &&Value| row["core"].as_bool().unwrap();
    let (core, disputed): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(is_core);
    assert!(100 < core.len());
    for (gold, answer) in [("gold_expr", "answer_expr"), ("gold", "answer")] {
        let differ = disagreements(&core, gold, answer);
        print(&format!("core, {gold}"), core.len(), &differ);
        let agreement = 1.0 - (differ.0.len() + differ.1.len()) as f64 / core.len() as f64;
        assert!(AGREEMENT_MIN <= agreement && differ.0.len() <= ACCEPTED_MAX);
    }
    // Without a bound: whoever wrote these did not agree with one another.
    print("disputed", disputed.len(), &disagreements(&disputed, "gold_expr", "answer_expr"));
}

#[test]
fn constructed_pairs_are_judged_as_constructed() {
    let Some(rows) = rows("math_equiv/pairs_constructed.jsonl") else { return };
    let all: Vec<&Value> = rows.iter().collect();
    assert!(1000 < all.len());
    let differ = disagreements(&all, "gold", "answer");
    print("constructed", all.len(), &differ);
    assert!(differ.0.is_empty());
    assert!(differ.1.len() <= all.len() / 1000);
}

#[test]
fn every_gold_answer_is_equal_to_itself() {
    let golds = |path: &str, gold: &dyn Fn(&Value) -> Vec<String>| {
        let rows = rows(path)?;
        Some(rows.iter().flat_map(gold).collect::<Vec<String>>())
    };
    for (path, gold) in [
        (
            "math500/test.jsonl",
            (&|row: &Value| vec![text(row, "answer").to_owned()]) as &dyn Fn(&Value) -> Vec<String>,
        ),
        ("olympiadbench/test.jsonl", &|row| {
            row["final_answer"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
        }),
        ("gsm8k/test.jsonl", &|row| vec![extract::after_hashes(text(row, "answer")).unwrap().to_owned()]),
    ] {
        let Some(golds) = golds(path, gold) else { return };
        assert!(400 < golds.len());
        for gold in &golds {
            assert_eq!(equal(gold, gold, &Options::default()), Verdict::Equal, "{path}: {gold}");
            // In another layout the text is not the same, so that it has to be read.
            let spaced = format!(" \\boxed{{ \\displaystyle {gold} }}. ");
            assert_eq!(equal(gold, &spaced, &Options::default()), Verdict::Equal, "{path}: {gold}");
        }
        println!("{path}: {} gold answers are equal to themselves", golds.len());
    }
}
