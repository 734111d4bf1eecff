//! `report.html` and `comparison.html`: what runs wrote, drawn. They hold sums and means of `metrics.jsonl`,
//! `tasks.jsonl`, `alarms.jsonl` and `transcripts/` with their intervals, and open offline. This side reads, chooses and
//! counts; the files in `page/` draw.

mod compare;
mod configuration;
mod divergence;
mod gallery;
mod html;
mod read;
mod series;

use std::path::{Path, PathBuf};

use kelvin_selfplay::metrics::DEFINITIONS;
use serde_json::{Value, json};

use configuration::Presets;
pub(crate) use gallery::Limits;
pub(crate) use html::{escaped, head};
pub(crate) use read::{Run, rows};

/// The report of one run.
///
/// # Errors
/// If the folder is not a run's, or a file in it cannot be read.
pub(crate) fn single(dir: &Path, limits: &Limits) -> anyhow::Result<String> {
    let run = read::run(dir)?;
    let groups = [compare::Group { name: run.name.clone(), runs: vec![0] }];
    let recipe = configuration::word(&run.config, "recipe");
    let mut data = common("run", &run.name, std::slice::from_ref(&run), &groups);
    data["facts"] = run.facts().into();
    data["floors"] = compare::floors(&run);
    data["tasks"] = gallery::tasks(dir, limits)?;
    data["rollouts"] = gallery::rollouts(dir, limits)?;
    data["alarms"] = gallery::alarms(dir, limits)?;
    data["settings"] = configuration::settings(&run.config, &Presets::of(&run.config));
    data["divergences"] = divergence::table(&recipe);
    data["manifest"] = run.manifest.iter().map(|(key, value)| json!([key, spoken(value)])).collect();
    Ok(html::page(&format!("kelvin: {}", run.name), &data))
}

/// The report of several runs. Those that differ in nothing but their seed stand together, with intervals over seeds.
///
/// # Errors
/// If a folder is not a run's, or a file in it cannot be read.
pub(crate) fn comparison(dirs: &[PathBuf]) -> anyhow::Result<String> {
    let mut runs = dirs.iter().map(|it| read::run(it)).collect::<anyhow::Result<Vec<Run>>>()?;
    read::tell_apart(&mut runs, dirs);
    let groups = compare::groups(&runs);
    let names: Vec<&str> = groups.iter().map(|it| it.name.as_str()).collect();
    let title = names.join(" and ");
    let mut data = common("comparison", &title, &runs, &groups);
    data["facts"] = runs.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ").into();
    data["differences"] = compare::differences(&runs, &groups);
    Ok(html::page(&format!("kelvin: {title}"), &data))
}

/// The first and the last held-out solve rate over runs that differ in their seed, as text.
///
/// # Errors
/// If a folder is not a run's.
pub(crate) fn over_seeds(dirs: &[PathBuf]) -> anyhow::Result<String> {
    let runs = dirs.iter().map(|it| read::run(it)).collect::<anyhow::Result<Vec<Run>>>()?;
    Ok(compare::over_seeds(&runs))
}

/// What both kinds of page have.
fn common(kind: &str, title: &str, runs: &[Run], groups: &[compare::Group]) -> Value {
    let glossary: Vec<Value> =
        DEFINITIONS.iter().map(|it| json!([it.pattern, it.unit, it.meaning])).collect();
    let groups_said: Vec<Value> =
        groups.iter().map(|it| json!({ "name": it.name, "runs": it.runs })).collect();
    json!({
        "kind": kind,
        "title": title,
        "runs": runs.iter().map(series::of).collect::<Vec<_>>(),
        "groups": groups_said,
        "n_samples": compare::n_samples(runs),
        "ends": compare::ends(runs, groups),
        "glossary": glossary,
    })
}

fn spoken(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
