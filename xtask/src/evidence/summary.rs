//! What a table of evidence says: every evaluated metric at the start and at the end of every arm, over seeds.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::Context;
use serde::Serialize;

use super::{Table, evaluations};
use kelvin_core::statistics::Estimate;

use crate::series::Row;

#[derive(Serialize)]
struct Summary {
    title: String,
    seeds: Vec<u64>,
    arms: Vec<ArmSummary>,
    /// Gain of the first arm minus gain of another, seed by seed.
    paired: Vec<Paired>,
}

#[derive(Serialize)]
struct ArmSummary {
    name: String,
    /// What its runs were started with, but for folder and seed; or where they were committed.
    origin: String,
    first_step: u64,
    last_step: u64,
    metrics: BTreeMap<String, Change>,
}

#[derive(Serialize)]
struct Change {
    start: Estimate,
    end: Estimate,
    gain: Estimate,
}

#[derive(Serialize)]
struct Paired {
    than: String,
    metrics: BTreeMap<String, Estimate>,
}

/// Writes `summary.json` and `table.md` into the table's folder.
///
/// # Errors
/// If metrics are missing or a file cannot be written.
pub(super) fn write(root: &Path, table: &Table) -> anyhow::Result<()> {
    let summary = summarise(root, table)?;
    let folder = root.join(&table.folder);
    let json = serde_json::to_string_pretty(&summary).expect("a summary is plain data") + "\n";
    std::fs::write(folder.join("summary.json"), json).context("cannot write summary.json")?;
    let text = markdown(&summary);
    std::fs::write(folder.join("table.md"), &text).context("cannot write table.md")?;
    print!("{text}");
    Ok(())
}

fn summarise(root: &Path, table: &Table) -> anyhow::Result<Summary> {
    let mut arms = Vec::new();
    for arm in &table.arms {
        let ends = table
            .trials()
            .filter(|trial| trial.arm.name == arm.name)
            .map(|trial| {
                let mut rows = evaluations(root, table, &trial)?;
                let last = rows.pop().expect("two evaluations at least");
                Ok((rows.swap_remove(0), last))
            })
            .collect::<anyhow::Result<Vec<(Row, Row)>>>()?;
        arms.push(ArmSummary {
            name: arm.name.clone(),
            origin: arm.origin(),
            first_step: ends[0].0.step,
            last_step: ends[0].1.step,
            metrics: changes(&ends),
        });
    }
    let paired = arms[1..].iter().map(|other| compare(&arms[0], other)).collect();
    Ok(Summary { title: table.title.clone(), seeds: table.seeds.clone(), arms, paired })
}

/// The metrics that every seed has at both ends.
fn changes(ends: &[(Row, Row)]) -> BTreeMap<String, Change> {
    let mut changes = BTreeMap::new();
    for name in ends[0].0.values.keys().filter(|name| name.starts_with("eval/")) {
        let pairs: Option<Vec<(f64, f64)>> = ends
            .iter()
            .map(|(first, last)| Some((*first.values.get(name)?, *last.values.get(name)?)))
            .collect();
        if let Some(pairs) = pairs {
            changes.insert(
                name.clone(),
                Change {
                    start: Estimate::new(pairs.iter().map(|it| it.0).collect()),
                    end: Estimate::new(pairs.iter().map(|it| it.1).collect()),
                    gain: Estimate::new(pairs.iter().map(|it| it.1 - it.0).collect()),
                },
            );
        }
    }
    changes
}

fn compare(claim: &ArmSummary, other: &ArmSummary) -> Paired {
    let mut metrics = BTreeMap::new();
    for (name, change) in &claim.metrics {
        if let Some(against) = other.metrics.get(name) {
            let differences = change.gain.by_seed.iter().zip(&against.gain.by_seed).map(|(a, b)| a - b);
            metrics.insert(name.clone(), Estimate::new(differences.collect()));
        }
    }
    Paired { than: other.name.clone(), metrics }
}

/// What a reader asks for first, in this order: sampling, greedy decoding, and whether new tasks come into reach.
const MEASURES: [(&str, &str); 4] = [
    ("accuracy", "solve rate at T=1"),
    ("greedy", "greedy"),
    ("pass_at_8", "pass@8"),
    ("pass_at_64", "pass@64"),
];

fn markdown(summary: &Summary) -> String {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let mut text = format!(
        "# {}\n\nMean over seeds {} with its 95 % interval (Student's t over seeds), in percent; gains in points.\n",
        summary.title,
        seeds.join(", "),
    );
    for arm in &summary.arms {
        let _ = write!(
            text,
            "\n## {}: step {} to step {}\n\n`{}`\n\n| measure | tasks | start | end | gain |\n|---|---|---|---|---|\n",
            arm.name, arm.first_step, arm.last_step, arm.origin
        );
        for (measure, title) in MEASURES {
            for (name, change) in of_measure(&arm.metrics, measure) {
                let cells = [&change.start, &change.end, &change.gain].map(percent);
                let _ = writeln!(text, "| {title} | {name} | {} |", cells.join(" | "));
            }
        }
    }
    for paired in &summary.paired {
        let _ = write!(
            text,
            "\n## Gain of {} minus gain of {}, paired by seed\n\n| measure | tasks | difference |\n|---|---|---|\n",
            summary.arms[0].name, paired.than
        );
        for (measure, title) in MEASURES {
            for (name, estimate) in of_measure(&paired.metrics, measure) {
                let _ = writeln!(text, "| {title} | {name} | {} |", percent(estimate));
            }
        }
    }
    text
}

/// `eval/<tasks>/<measure>` entries of one measure with the name of their tasks; the mean comes last.
fn of_measure<'metrics, T>(
    metrics: &'metrics BTreeMap<String, T>,
    measure: &str,
) -> Vec<(&'metrics str, &'metrics T)> {
    let mut found: Vec<(&str, &T)> = metrics
        .iter()
        .filter_map(|(name, value)| {
            let tasks = name.strip_prefix("eval/")?.strip_suffix(measure)?.strip_suffix('/')?;
            (!tasks.contains('/')).then_some((tasks, value))
        })
        .collect();
    found.sort_by_key(|(tasks, _)| *tasks == "mean");
    found
}

fn percent(estimate: &Estimate) -> String {
    let mean = 100.0 * estimate.mean;
    match estimate.half_width {
        Some(half_width) => format!("{mean:.1} ± {:.1}", 100.0 * half_width),
        None => format!("{mean:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, accuracy: f64) -> Row {
        let values = [("eval/deduction/accuracy", accuracy), ("eval/mean/accuracy", accuracy / 2.0)];
        Row { step, values: values.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    fn arm(name: &str, ends: &[(f64, f64)]) -> ArmSummary {
        let ends: Vec<(Row, Row)> = ends.iter().map(|it| (row(0, it.0), row(9, it.1))).collect();
        let origin = "kelvin train".to_owned();
        ArmSummary { name: name.to_owned(), origin, first_step: 0, last_step: 9, metrics: changes(&ends) }
    }

    #[test]
    fn gains_are_paired_by_seed_before_they_are_averaged() {
        let claim = arm("learn", &[(0.2, 0.4), (0.4, 0.6)]);
        let other = arm("control", &[(0.2, 0.3), (0.4, 0.5)]);
        let paired = compare(&claim, &other);
        let difference = &paired.metrics["eval/deduction/accuracy"];
        assert!((difference.mean - 0.1).abs() < 1e-12);
        assert!(difference.half_width.unwrap() < 1e-9, "both seeds differ by the same");
    }

    #[test]
    fn the_table_shows_the_mean_last() {
        let arms = vec![arm("learn", &[(0.2, 0.4), (0.4, 0.6)])];
        let text = markdown(&Summary { title: "t".to_owned(), seeds: vec![1, 2], arms, paired: Vec::new() });
        let deduction =
            text.find("| solve rate at T=1 | deduction | 30.0 ± 127.1 | 50.0 ± 127.1 | 20.0 ± 0.0 |");
        let mean = text.find("| solve rate at T=1 | mean | 15.0");
        assert!(deduction.unwrap() < mean.unwrap(), "{text}");
    }
}
