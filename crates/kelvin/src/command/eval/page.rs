//! `results.html`: the table of scores, what papers report, and parts of benchmarks. Self-contained.

use std::{fmt::Write, path::Path};

use super::{
    results::Results,
    store::write_whole,
    table::{interval, more},
};
use crate::report::{escaped, head};

/// Writes the page.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(dir: &Path, results: &Results) -> anyhow::Result<()> {
    write_whole(&dir.join("results.html"), &page(results))
}

fn page(results: &Results) -> String {
    let Results { model, weights, profile, prompt_mode, seed, grader, .. } = results;
    let mut out = head(&format!("Evaluation of {model}"));
    let settings = format!(
        "Weights {weights}; profile {profile}; prompts {prompt_mode}; seed {seed}; grader {grader}. Scores in per cent, 95 % \
         intervals by bootstrap over items."
    );
    let _ = writeln!(out, "<p>{}</p>\n<table>", escaped(&settings));
    row(
        &mut out,
        "th",
        &[
            "benchmark",
            "prompts",
            "items",
            "samples",
            "temperature",
            "tokens at most",
            "accuracy",
            "95 %",
            "more",
            "truncated",
            "no answer",
            "timeout",
            "mean tokens",
        ],
    );
    for it in results.benchmarks.values() {
        let score = &it.score;
        row(
            &mut out,
            "td",
            &[
                &it.title,
                prompt_mode.as_str(),
                &format!("{} of {}", score.n_items, it.n_rows),
                &score.n_samples.to_string(),
                &it.sampling.temperature.to_string(),
                &it.sampling.max_new_tokens.to_string(),
                &per_cent(score.accuracy.value),
                &interval(&score.accuracy),
                &more(it),
                &per_cent(score.truncated),
                &per_cent(score.no_answer),
                &per_cent(score.timeout),
                &format!("{:.0}", score.mean_tokens),
            ],
        );
    }
    out.push_str("</table>\n");
    beside_papers(&mut out, results);
    parts(&mut out, results);
    out.push_str("</main></body></html>\n");
    out
}

fn per_cent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// The parts of each benchmark that has any.
fn parts(out: &mut String, results: &Results) {
    for it in results.benchmarks.values().filter(|it| 1 < it.score.by_group.len()) {
        let _ = writeln!(out, "<details><summary>{} by part</summary><table>", escaped(&it.title));
        row(out, "th", &["part", "items", "accuracy", "95 %", "truncated", "no answer"]);
        for (group, part) in &it.score.by_group {
            row(
                out,
                "td",
                &[
                    group,
                    &part.n_items.to_string(),
                    &per_cent(part.accuracy.value),
                    &interval(&part.accuracy),
                    &per_cent(part.truncated),
                    &per_cent(part.no_answer),
                ],
            );
        }
        out.push_str("</table></details>\n");
    }
}

/// What papers report of these benchmarks and of their averages.
fn beside_papers(out: &mut String, results: &Results) {
    let published =
        results.benchmarks.values().map(|it| (&it.title, 100.0 * it.score.accuracy.value, &it.published, ""));
    let whole = results.groups.values().filter(|it| !it.is_partial);
    let averages = whole.map(|it| (&it.title, it.value, &it.published, it.conditions.as_str()));
    let beside: Vec<_> = published.chain(averages).filter(|it| !it.2.is_empty()).collect();
    if !beside.is_empty() {
        out.push_str("<h2>Beside what papers report</h2>\n<p>Obtained with other prompts and graders, but for profile paper as far as it goes.</p>\n<table>\n");
        for (title, value, published, conditions) in beside {
            let rows: Vec<String> =
                published.iter().map(|(model, value)| format!("{model} {value}")).collect();
            row(out, "td", &[title, &format!("{value:.1}"), &rows.join(", "), conditions]);
        }
        out.push_str("</table>\n");
    }
}

fn row(out: &mut String, cell: &str, texts: &[&str]) {
    let cells: String = texts.iter().map(|it| format!("<{cell}>{}</{cell}>", escaped(it))).collect();
    let _ = writeln!(out, "<tr>{cells}</tr>");
}
