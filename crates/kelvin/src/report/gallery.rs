//! What a report shows of tasks, transcripts and alarms: all of them where they fit its limits, else some that lie
//! evenly over the run.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{files, parsed, text, text_if_there, whole_lines};

/// The most that a report takes over.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Limits {
    /// The most tasks that a page shows
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) tasks_max: usize,
    /// The most rollouts of transcripts that a page shows
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub(crate) rollouts_max: usize,
    /// The most alarming phrases that a page shows
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) alarms_max: usize,
    /// The most characters of one text in a page
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub(crate) chars_max: usize,
}

/// A transcript is worth opening for this many rollouts.
const ROLLOUTS_OF_A_FILE: usize = 12;

/// `tasks.jsonl`: how many there are, and those that are shown.
///
/// # Errors
/// If the log cannot be read.
pub(super) fn tasks(dir: &Path, limits: &Limits) -> anyhow::Result<Value> {
    let path = dir.join("tasks.jsonl");
    let text = text(&path)?;
    let lines: Vec<&str> = whole_lines(&text).collect();
    let mut shown = Vec::new();
    for index in spread(lines.len(), limits.tasks_max) {
        shown.push(cut(parsed(&path, lines[index])?, limits.chars_max));
    }
    Ok(json!({ "total": lines.len(), "shown": shown }))
}

/// `alarms.jsonl`: how many lines there are, and the first of them.
///
/// # Errors
/// If the log cannot be read.
pub(super) fn alarms(dir: &Path, limits: &Limits) -> anyhow::Result<Value> {
    let path = dir.join("alarms.jsonl");
    let text = text_if_there(&path)?;
    let lines: Vec<&str> = whole_lines(&text).collect();
    let shown: Vec<Value> =
        lines.iter().take(limits.alarms_max).map(|it| parsed(&path, it)).collect::<anyhow::Result<_>>()?;
    let shown: Vec<Value> = shown.into_iter().map(|it| cut(it, limits.chars_max)).collect();
    Ok(json!({ "total": lines.len(), "shown": shown }))
}

/// `transcripts/`: rollouts with their step, from files that lie evenly over the run, half of them proposals where there
/// are that many; how many those files hold, and how many files there are.
///
/// # Errors
/// If a transcript cannot be read.
pub(super) fn rollouts(dir: &Path, limits: &Limits) -> anyhow::Result<Value> {
    let files = files(&dir.join("transcripts"))?;
    let read = spread(files.len(), limits.rollouts_max.div_ceil(ROLLOUTS_OF_A_FILE));
    let (mut shown, mut total) = (Vec::new(), 0);
    for (nth, index) in read.iter().enumerate() {
        let path = &files[*index];
        let step = path.file_stem().and_then(|it| it.to_string_lossy().parse::<u32>().ok());
        let text = text(path)?;
        let lines: Vec<&str> = whole_lines(&text).collect();
        total += lines.len();
        // What is left, by turns over the files that are left.
        let quota = (limits.rollouts_max - shown.len()) / (read.len() - nth);
        for index in chosen(path, &lines, quota)? {
            let mut rollout = cut(parsed(path, lines[index])?, limits.chars_max);
            if let Value::Object(fields) = &mut rollout {
                fields.insert("step".to_owned(), step.into());
            }
            shown.push(rollout);
        }
    }
    Ok(json!({ "total": total, "shown": shown, "files": files.len(), "read": read.len() }))
}

/// The lines of a transcript that are shown: proposals and solutions in equal number, each spread over its own.
fn chosen(path: &Path, lines: &[&str], quota: usize) -> anyhow::Result<Vec<usize>> {
    #[derive(Deserialize)]
    struct Line {
        role: String,
    }
    let (mut proposals, mut solutions) = (Vec::new(), Vec::new());
    for (index, line) in lines.iter().enumerate() {
        let line: Line = parsed(path, line)?;
        if line.role == "proposer" { &mut proposals } else { &mut solutions }.push(index);
    }
    let n_proposals = (quota - quota / 2).max(quota.saturating_sub(solutions.len()));
    let of = |indices: &[usize], n: usize| -> Vec<usize> {
        spread(indices.len(), n).into_iter().map(|it| indices[it]).collect()
    };
    let mut chosen = of(&proposals, n_proposals);
    chosen.extend(of(&solutions, quota - chosen.len()));
    Ok(chosen)
}

/// At most `n_max` of `n` places, evenly spaced, the last one always among them.
fn spread(n: usize, n_max: usize) -> Vec<usize> {
    match n_max {
        0 => Vec::new(),
        1 => n.checked_sub(1).into_iter().collect(),
        _ if n <= n_max => (0..n).collect(),
        _ => (0..n_max).map(|it| it * (n - 1) / (n_max - 1)).collect(),
    }
}

/// The value with its texts cut to a number of characters.
fn cut(value: Value, chars_max: usize) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(chars_max) {
            Some((end, _)) => Value::String(format!("{} … (cut)", &text[..end])),
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(|it| cut(it, chars_max)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, it)| (key, cut(it, chars_max))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_to_the_last() {
        for n in 0..40 {
            for n_max in 0..12 {
                let places = spread(n, n_max);
                assert_eq!(places.len(), n.min(n_max), "{n} {n_max}");
                assert!(places.is_sorted_by(|a, b| a < b), "{n} {n_max}: {places:?}");
                assert!(places.is_empty() || places.last() == Some(&(n - 1)));
            }
        }
    }

    #[test]
    fn texts_are_cut_by_characters_at_any_depth() {
        let value = json!({ "a": ["äöü", 1], "b": { "c": "äö" } });
        assert_eq!(cut(value, 2), json!({ "a": ["äö … (cut)", 1], "b": { "c": "äö" } }));
    }

    #[test]
    fn half_of_a_transcript_is_proposals_where_there_are_as_many() {
        let line = |role: &str| format!(r#"{{"role":"{role}"}}"#);
        let lines: Vec<String> = (0..10).map(|it| line(if it < 3 { "proposer" } else { "solver" })).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let of = |lines: &[&str], n| chosen(Path::new("x"), lines, n).unwrap();
        assert_eq!(of(&lines, 4), [0, 2, 3, 9]);
        assert_eq!(of(&lines, 8), [0, 1, 2, 3, 4, 6, 7, 9]);
        assert_eq!(of(&lines[..3], 2), [0, 2]);
        assert_eq!(of(&lines[3..], 2), [0, 6]);
        assert!(of(&lines, 0).is_empty());
    }
}
