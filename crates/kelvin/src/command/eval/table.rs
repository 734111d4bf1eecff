//! What `kelvin eval` prints: the list of benchmarks, and scores as a table.

use std::fmt::Write;

use kelvin_env::benchmarks::BENCHMARKS;
use kelvin_selfplay::benchmark::Scored;

use super::results::{OfBenchmark, Results};
use crate::benchmarks::GROUPS;

/// Files of a benchmark that are listed by name; of more, the first and the last.
const FILES_SHOWN: usize = 5;

/// All benchmarks: where to get each, its licence, its files.
pub(super) fn list() -> String {
    let mut out =
        String::from("Benchmarks for --bench; files are looked for below the folder of --data.\n\n");
    for entry in BENCHMARKS {
        let card = &entry.card;
        let runs = if entry.runs_programs() { ", runs programs" } else { "" };
        let _ = writeln!(out, "{}: {}, {} rows{runs}", card.name, card.title, card.n_rows);
        let _ = writeln!(out, "  from: {}\n  licence: {}", card.source, card.licence);
        let n = card.files.len();
        for (place, file) in card.files.iter().enumerate() {
            if FILES_SHOWN < n && 0 < place && place < n - 1 {
                if place == 1 {
                    let _ = writeln!(out, "  ... {} more", n - 2);
                }
                continue;
            }
            let known = file.sha256.map_or("sha256 not known here".to_owned(), |it| format!("sha256 {it}"));
            let also: String = file.also.iter().map(|it| format!(", or {it}")).collect();
            let _ = writeln!(out, "  file: {} ({known}){also}", file.path);
        }
        if !card.note.is_empty() {
            let _ = writeln!(out, "  note: {}", card.note);
        }
    }
    let _ = writeln!(out, "\nGroups, the averages of two papers:");
    for group in GROUPS {
        let members = group.members(kelvin_core::benchmark::Profile::Paper).join(", ");
        let _ = writeln!(out, "{}: {} of {members}", group.name, group.title);
    }
    out.truncate(out.trim_end().len());
    out
}

/// The scores of an evaluation, in per cent.
pub(super) fn scores(results: &Results) -> String {
    let Results { model, profile, prompt_mode, .. } = results;
    let mut out = format!(
        "{model}, profile {profile}\n\n| benchmark | prompts | items x samples | accuracy | 95 % | more | truncated | no answer |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for it in results.benchmarks.values() {
        let score = &it.score;
        let part = if score.n_items < it.n_rows {
            format!("first {} of {}", score.n_items, it.n_rows)
        } else {
            score.n_items.to_string()
        };
        let _ = writeln!(
            out,
            "| {} | {prompt_mode} | {part} x {} | {:.1} | {} | {} | {:.1} | {:.1} |",
            it.title,
            score.n_samples,
            100.0 * score.accuracy.value,
            interval(&score.accuracy),
            more(it),
            100.0 * score.truncated,
            100.0 * score.no_answer
        );
    }
    for group in results.groups.values() {
        let published: Vec<String> =
            group.published.iter().map(|(model, value)| format!("{model} {value}")).collect();
        let _ = writeln!(
            out,
            "\n{}: {:.1}{} (published: {}; {})",
            group.title,
            group.value,
            if group.is_partial { ", of the first items alone" } else { "" },
            published.join(", "),
            group.conditions
        );
    }
    let unknown: Vec<&str> = results
        .benchmarks
        .values()
        .flat_map(|it| &it.files)
        .filter(|it| it.is_known == Some(false))
        .map(|it| it.path.as_str())
        .collect();
    if !unknown.is_empty() {
        let _ =
            writeln!(out, "\nnot the files that this version was checked against: {}", unknown.join(", "));
    }
    out.trim_end().to_owned()
}

/// The interval, in per cent.
pub(super) fn interval(scored: &Scored) -> String {
    format!("{:.1} to {:.1}", 100.0 * scored.interval.low, 100.0 * scored.interval.high)
}

/// Scores beside the accuracy.
pub(super) fn more(it: &OfBenchmark) -> String {
    let score = &it.score;
    let pass = score.pass_at.iter().map(|(k, it)| format!("pass@{k} {:.1}", 100.0 * it.value));
    let also = score.also.iter().map(|(name, it)| format!("{name} {:.1}", 100.0 * it.value));
    let harmonic = score.harmonic.map(|it| format!("harmonic {:.1}", 100.0 * it));
    pass.chain(also).chain(harmonic).collect::<Vec<_>>().join(", ")
}
