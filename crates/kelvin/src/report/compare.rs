//! Where runs began and where they ended: of one run with the intervals over tasks that it recorded, of several seeds
//! with intervals over seeds.

use std::collections::BTreeSet;

use kelvin_core::{
    metrics::Metrics,
    statistics::Estimate,
    task::{Step, TaskType},
};
use serde_json::{Value, json};
use toml::Table;

use super::{configuration::flat, read::Run, series::rounded};
use crate::progress::{self, Held};

/// Runs that differ in nothing but their seed.
pub(super) struct Group {
    /// What their names have in common, or the only one's name.
    pub(super) name: String,
    /// Their places among all runs.
    pub(super) runs: Vec<usize>,
}

/// The groups of `runs`, in the order of their first members.
pub(super) fn groups(runs: &[Run]) -> Vec<Group> {
    let mut groups = Vec::<(Table, Group)>::new();
    for (place, run) in runs.iter().enumerate() {
        let mut config = run.config.clone();
        config.remove("seed");
        match groups.iter_mut().find(|(it, _)| *it == config) {
            Some((_, group)) => group.runs.push(place),
            None => groups.push((config, Group { name: run.name.clone(), runs: vec![place] })),
        }
    }
    let named = |mut group: Group| {
        if 1 < group.runs.len() {
            let names: Vec<&str> = group.runs.iter().map(|it| runs[*it].name.as_str()).collect();
            group.name = in_common(&names);
        }
        group
    };
    groups.into_iter().map(|(_, group)| named(group)).collect()
}

/// What names begin with, without a number's beginning; the first where that is nothing.
fn in_common(names: &[&str]) -> String {
    let (first, others) = names.split_first().expect("a group has a run");
    let agree = |end: &usize| others.iter().all(|it| it.starts_with(&first[..*end]));
    let ends = first.char_indices().map(|(at, it)| at + it.len_utf8());
    let common = &first[..ends.take_while(agree).last().unwrap_or(0)];
    match common.trim_end_matches(|it: char| it.is_ascii_digit() || "-_ ./".contains(it)) {
        "" => (*first).to_owned(),
        name => name.to_owned(),
    }
}

/// The most samples behind any run's pass@k.
pub(super) fn n_samples(runs: &[Run]) -> usize {
    let count = |name: &String| name.strip_prefix("eval/mean/pass_at_")?.parse().ok();
    runs.iter().flat_map(|it| &it.rows).flat_map(|it| it.keys()).filter_map(count).max().unwrap_or(1)
}

/// For each group, row (a task type or the mean) and kind of solve rate: the first and the last evaluation and the gain.
pub(super) fn ends(runs: &[Run], groups: &[Group]) -> Vec<Value> {
    let n_samples = n_samples(runs);
    let keys =
        ["accuracy".to_owned(), "greedy".to_owned(), format!("pass_at_{n_samples}"), "withheld".to_owned()];
    let rows: Vec<&str> = TaskType::ALL.iter().map(|it| it.as_str()).chain(["mean"]).collect();
    let mut ends = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        let members: Vec<&Run> = group.runs.iter().map(|it| &runs[*it]).collect();
        let held = evaluations(&members);
        for row in &rows {
            for key in &keys {
                ends.extend(end(&held, row, key).map(|mut it| {
                    it["group"] = place.into();
                    it
                }));
            }
        }
    }
    ends
}

/// The first and the last evaluation of each run: those of the same two steps, where some of the runs have gone further
/// than others. A run that was evaluated but once counts only where all were.
fn evaluations(runs: &[&Run]) -> Vec<(Held, Held)> {
    let steps = |run: &Run| -> BTreeSet<Step> {
        let evaluated = run.rows.iter().filter(|it| progress::is_evaluated(it));
        evaluated.map(|it| it["step"] as Step).collect()
    };
    let all: Vec<(&Run, BTreeSet<Step>)> = runs.iter().map(|it| (*it, steps(it))).collect();
    let most = all.iter().map(|(_, steps)| steps.len()).max().unwrap_or(0);
    let counting = || all.iter().filter(|(_, steps)| most.min(2) <= steps.len());
    let shared = counting().map(|(_, steps)| steps.clone()).reduce(|a, b| &a & &b).unwrap_or_default();
    let together = |row: &&Metrics| shared.len() < most.min(2) || shared.contains(&(row["step"] as Step));
    counting()
        .filter_map(|(run, _)| {
            let rows = run.rows.iter().filter(|it| progress::is_evaluated(it)).filter(together);
            progress::evaluations(rows)
        })
        .collect()
}

fn end(held: &[(Held, Held)], row: &str, key: &str) -> Option<Value> {
    let name = format!("eval/{row}/{key}");
    let of = |it: &Held| it.metrics.get(&name).copied();
    let pairs: Vec<(f64, f64)> =
        held.iter().filter_map(|(first, last)| Some((of(first)?, of(last)?))).collect();
    let estimate = |values: Vec<f64>| {
        let it = Estimate::new(values);
        json!({ "mean": rounded(it.mean), "half": it.half_width.map(rounded) })
    };
    let (mut first, mut last) = match &pairs[..] {
        [] => return None,
        pairs => {
            (estimate(pairs.iter().map(|it| it.0).collect()), estimate(pairs.iter().map(|it| it.1).collect()))
        }
    };
    let gain = estimate(pairs.iter().map(|it| it.1 - it.0).collect());
    if let [(before, after)] = held {
        let half = |it: &Held| it.metrics.get(&format!("{name}_ci95")).copied().map(rounded);
        (first["half"], last["half"]) = (half(before).into(), half(after).into());
    }
    let steps = held.first().map(|(first, last)| [first.step, last.step]);
    Some(
        json!({ "row": row, "key": key, "n": pairs.len(), "steps": steps, "first": first, "last": last, "gain": gain }),
    )
}

/// A table of the ends at the sampling temperature in %, over runs that are one group.
pub(super) fn over_seeds(runs: &[Run]) -> String {
    let group = Group { name: String::new(), runs: (0..runs.len()).collect() };
    let cell = |it: &Value| {
        let percent = |it: &Value| it.as_f64().map(|it| format!("{:.1}", 100.0 * it));
        let half = percent(&it["half"]).map_or(String::new(), |it| format!(" ±{it}"));
        format!("{}{half}", percent(&it["mean"]).unwrap_or_default())
    };
    let over = match runs.len() {
        1 => "95 % intervals over tasks".to_owned(),
        n => format!("means and 95 % intervals over {n} seeds"),
    };
    let ends = ends(runs, &[group]);
    let at = match ends.first().map(|it| &it["steps"]) {
        Some(steps) => format!(", steps {} to {}", steps[0], steps[1]),
        None => String::new(),
    };
    let mut text =
        format!("solve rate in %, {over}{at}\n\n{:<11}{:^17}{:^17}{:^17}\n", "", "first", "last", "gain");
    for it in ends.iter().filter(|it| it["key"] == "accuracy") {
        let row = it["row"].as_str().unwrap_or_default();
        text.push_str(&format!(
            "{row:<11}{:^17}{:^17}{:^17}\n",
            cell(&it["first"]),
            cell(&it["last"]),
            cell(&it["gain"])
        ));
    }
    text.lines().map(|it| format!("{}\n", it.trim_end())).collect()
}

/// What guesses would get, where that was counted.
pub(super) fn floors(run: &Run) -> Value {
    let of = |row: &str, key: &str| {
        let name = format!("eval/{row}/{key}");
        let value = run.rows.iter().find_map(|it| it.get(&name))?;
        Some(json!({ "row": row, "key": key, "mean": rounded(*value) }))
    };
    let rows = TaskType::ALL.iter().map(|it| it.as_str()).chain(["mean"]);
    rows.flat_map(|row| ["floor_uniform", "floor_constant"].map(|key| of(row, key))).flatten().collect()
}

/// The settings in which the groups differ, with each group's value.
pub(super) fn differences(runs: &[Run], groups: &[Group]) -> Value {
    let settings: Vec<Vec<(String, String)>> =
        groups.iter().map(|it| flat(&runs[it.runs[0]].config)).collect();
    let value = |of: &[(String, String)], key: &str| {
        of.iter().find(|it| it.0 == key).map_or("not there", |it| it.1.as_str()).to_owned()
    };
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in settings.iter().flatten().filter(|it| it.0 != "seed") {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let row = |key: &str| {
        let values: Vec<String> = settings.iter().map(|it| value(it, key)).collect();
        values.iter().any(|it| *it != values[0]).then(|| json!({ "key": key, "values": values }))
    };
    keys.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, config: &str, solved: &[f64]) -> Run {
        let row = |(step, solved): (usize, &f64)| {
            [("step", step as f64), ("eval/mean/accuracy", *solved), ("eval/mean/accuracy_ci95", 0.125)]
                .map(|(name, it)| (name.to_owned(), it))
                .into()
        };
        let rows = solved.iter().enumerate().map(row).collect();
        Run {
            name: name.to_owned(),
            config: toml::from_str(config).unwrap(),
            manifest: serde_json::Map::new(),
            rows,
        }
    }

    #[test]
    fn runs_that_differ_in_their_seed_alone_have_an_interval_over_seeds() {
        let runs = [
            run("try-1", "seed = 1\nsteps = 2", &[0.25, 0.5]),
            run("other", "seed = 1\nsteps = 3", &[0.5, 0.25]),
            run("try-10", "seed = 2\nsteps = 2", &[0.25, 1.0]),
        ];
        let groups = groups(&runs);
        let members: Vec<(&str, &[usize])> =
            groups.iter().map(|it| (it.name.as_str(), &it.runs[..])).collect();
        assert_eq!(members, [("try", &[0, 2][..]), ("other", &[1])]);
        let ends = ends(&runs, &groups);
        assert_eq!(ends.len(), 2, "one row and one kind each");
        // The gains are 0.25 and 0.75: their standard error is 0.25, the quantile of one degree of freedom 12.706.
        assert_eq!(ends[0]["gain"], json!({ "mean": 0.5, "half": 3.1765 }));
        assert_eq!(ends[0]["first"], json!({ "mean": 0.25, "half": 0 }));
        assert_eq!(ends[1]["last"], json!({ "mean": 0.25, "half": 0.125 }), "one seed: over tasks");
        assert_eq!(ends[1]["gain"]["half"], Value::Null);
        assert_eq!(differences(&runs, &groups), json!([{ "key": "steps", "values": ["2", "3"] }]));
    }

    /// One was cut off before the last evaluation, another has only begun.
    #[test]
    fn seeds_are_compared_at_the_same_step() {
        let config = |seed: u32| format!("seed = {seed}");
        let runs = [
            run("a-1", &config(1), &[0.25, 0.5, 1.0]),
            run("a-2", &config(2), &[0.25, 0.25]),
            run("a-3", &config(3), &[0.25]),
        ];
        let told = |runs: &[Run]| {
            let ends = ends(runs, &groups(runs));
            (ends[0]["n"].clone(), ends[0]["steps"].clone(), ends[0]["last"]["mean"].clone())
        };
        assert_eq!(told(&runs), (2.into(), json!([0, 1]), 0.375.into()));
        assert_eq!(told(&runs[2..]), (1.into(), json!([0, 0]), 0.25.into()));
        assert_eq!(told(&runs[..1]), (1.into(), json!([0, 2]), 1.into()));
    }

    #[test]
    fn a_group_is_called_what_its_names_begin_with() {
        assert_eq!(in_common(&["verifier-1", "verifier-2"]), "verifier");
        assert_eq!(in_common(&["1", "2"]), "1");
        assert_eq!(in_common(&["ä-1", "ö-1"]), "ä-1");
        assert_eq!(in_common(&["a/seed-1", "a/seed-2"]), "a/seed");
    }
}
