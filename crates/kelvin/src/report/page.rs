//! The pages: one run, or several side by side.

use std::{collections::BTreeMap, fmt::Write};

use kelvin_core::task::TaskType;
use serde_json::Value;

use super::{
    Run,
    chart::{Line, chart, escape},
};
use crate::progress;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
svg{width:100%;font:11px system-ui,sans-serif}figure{margin:1.5rem 0}figcaption{font-weight:600}\
pre{background:#f6f6f4;padding:.8rem;overflow-x:auto;font-size:13px}details{margin:1rem 0}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}table{border-collapse:collapse}td,th{padding:.2rem .8rem;\
border-bottom:1px solid #ddd;text-align:left}";

/// Charts of a run: title, and the metrics it draws with their legends. `K` is how many samples a task got.
const CHARTS: &[(&str, &str)] = &[
    ("Evaluation: solve rate at the sampling temperature", "eval/*/accuracy"),
    ("Evaluation: solve rate of withheld tasks alone", "eval/*/withheld"),
    ("Evaluation: solve rate, greedy", "eval/*/greedy"),
    ("Evaluation: tasks solved by any of the samples", "eval/*/pass_at_K"),
    ("Solver accuracy on its training batch", "solver/*/accuracy"),
    ("Proposals that became tasks", "proposer/*/valid"),
    ("Learnability of valid proposals", "proposer/*/learnability"),
    ("Different texts among proposals", "proposer/*/distinct"),
    ("Entropy of the trained tokens, in nats", "update/entropy"),
    ("Seconds per step", "timing/step_s"),
];

/// The report of one run.
pub(crate) fn single(run: &Run) -> String {
    let mut page = head(&format!("kelvin: {}", run.name));
    if let Some((first, last)) = progress::evaluations(&run.rows) {
        let n_samples = n_samples(&first.metrics);
        let table = progress::before_and_after(&first, &last, n_samples);
        let _ = writeln!(page, "<pre>{}</pre>", escape(&table));
    }
    for (title, pattern) in CHARTS {
        page.push_str(&chart(title, &lines(&run.rows, &with_samples(pattern, &run.rows))));
    }
    page.push_str("<h2>Rejected proposals, whole run</h2>\n");
    page.push_str(&rejections(&run.rows));
    page.push_str("<h2>Newest accepted tasks</h2>\n");
    for task in &run.newest_tasks {
        let pretty =
            serde_json::to_string_pretty(task).expect("it was parsed from JSON").replace("\\n", "\n");
        let _ = writeln!(page, "<pre>{}</pre>", escape(&pretty));
    }
    page.push_str("<h2>From the newest transcript</h2>\n");
    page.push_str(&transcript(&run.transcript));
    page.push_str("<details><summary>Configuration and manifest</summary>\n");
    let manifest = serde_json::to_string_pretty(&run.manifest).expect("it was parsed from JSON");
    let _ = writeln!(page, "<pre>{}</pre><pre>{}</pre></details>", escape(&run.config), escape(&manifest));
    page + "</body></html>\n"
}

/// The report of several runs: the same charts with one line per run, means over task types.
pub(crate) fn comparison(runs: &[Run]) -> String {
    let names: Vec<&str> = runs.iter().map(|it| it.name.as_str()).collect();
    let mut page = head(&format!("kelvin: {}", names.join(", ")));
    for (title, pattern) in CHARTS {
        let averaged = pattern.replace("eval/*", "eval/mean");
        let of = |run: &Run| mean_line(run, &with_samples(&averaged, &run.rows));
        let drawn: Vec<Line> = runs.iter().flat_map(of).collect();
        page.push_str(&chart(title, &drawn));
    }
    page + "</body></html>\n"
}

fn with_samples(pattern: &str, rows: &[BTreeMap<String, f64>]) -> String {
    let n = rows.iter().map(n_samples).max().unwrap_or(1);
    pattern.replace("pass_at_K", &format!("pass_at_{n}"))
}

/// The beginning of a page, up to its title.
pub(crate) fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    )
}

fn lines(rows: &[BTreeMap<String, f64>], pattern: &str) -> Vec<Line> {
    let names: Vec<(String, String)> = match pattern.split_once('*') {
        None => vec![(pattern.to_owned(), pattern.rsplit('/').next().unwrap_or(pattern).to_owned())],
        Some((before, after)) => {
            let of = |it: &TaskType| (format!("{before}{it}{after}"), it.to_string());
            let is_recorded = |(metric, _): &(String, String)| rows.iter().any(|it| it.contains_key(metric));
            TaskType::ALL.iter().map(of).filter(is_recorded).collect()
        }
    };
    let line = |(metric, name): (String, String)| Line {
        name,
        points: rows.iter().filter_map(|row| Some((*row.get("step")?, *row.get(&metric)?))).collect(),
    };
    names.into_iter().map(line).collect()
}

/// The mean over a pattern's lines, at the steps that all of them have.
fn mean_line(run: &Run, pattern: &str) -> Option<Line> {
    let lines = lines(&run.rows, pattern);
    let first = lines.first()?;
    let n = lines.len() as f64;
    let points = first.points.iter().filter_map(|&(step, _)| {
        let at = |it: &Line| it.points.iter().find(|point| point.0 == step).map(|point| point.1);
        let values: Option<Vec<f64>> = lines.iter().map(at).collect();
        Some((step, values?.iter().sum::<f64>() / n))
    });
    Some(Line { name: run.name.clone(), points: points.collect() })
}

fn n_samples(metrics: &BTreeMap<String, f64>) -> usize {
    let count = |name: &String| name.strip_prefix("eval/mean/pass_at_")?.parse().ok();
    metrics.keys().filter_map(count).max().unwrap_or(1)
}

fn rejections(rows: &[BTreeMap<String, f64>]) -> String {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, value) in rows.iter().flatten() {
        if let Some(name) = name.strip_prefix("reject/") {
            *counts.entry(name).or_default() += value;
        }
    }
    let mut counts: Vec<(&str, f64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rows = counts.iter().map(|(name, n)| format!("<tr><td>{}</td><td>{n:.0}</td></tr>", escape(name)));
    format!(
        "<table><tr><th>task type / reason</th><th>proposals</th></tr>{}</table>\n",
        rows.collect::<String>()
    )
}

/// Per role and task type, the first rollout of the step with the highest reward.
fn transcript(lines: &[Value]) -> String {
    let mut best: BTreeMap<String, &Value> = BTreeMap::new();
    for line in lines {
        let key =
            format!("{} / {}", line["role"].as_str().unwrap_or(""), line["task_type"].as_str().unwrap_or(""));
        let reward = |it: &Value| it["reward"].as_f64().unwrap_or(f64::NEG_INFINITY);
        let entry = best.entry(key).or_insert(line);
        if reward(entry) < reward(line) {
            *entry = line;
        }
    }
    let mut text = String::new();
    for (key, line) in best {
        let part = |name: &str| escape(line[name].as_str().unwrap_or(""));
        let _ = writeln!(
            text,
            "<h3>{} (reward {})</h3><pre>{}<b>{}</b></pre>",
            escape(&key),
            line["reward"],
            part("prompt"),
            part("response")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_each_type_that_was_recorded_played_or_not() {
        let row = |step: f64| {
            [("step", step), ("eval/deduction/accuracy", 0.5), ("eval/induction/accuracy", 0.25)]
                .map(|(name, value)| (name.to_owned(), value))
                .into()
        };
        let drawn = lines(&[row(0.0), row(1.0)], "eval/*/accuracy");
        let names: Vec<&str> = drawn.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["deduction", "induction"]);
        assert_eq!(drawn[1].points, [(0.0, 0.25), (1.0, 0.25)]);
    }
}
