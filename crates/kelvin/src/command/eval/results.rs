//! `results.json`: the scores of an evaluation, with what they were made under, and comparisons of two of them.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use kelvin_core::{
    benchmark::{Profile, PromptMode},
    rollout::Sampling,
    seed::Seed,
};
use kelvin_env::benchmarks::Found;
use kelvin_selfplay::benchmark::{GRADER_VERSION, Sample, Score, compare as compare_scores, score};
use serde::{Deserialize, Serialize};

use super::store::{FORMAT, Manifest, pretty, write_whole};
use crate::{
    benchmarks::{GROUPS, OpenedBenchmark, published},
    error::Usage,
};

/// An evaluation, scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) format: u32,
    /// The version of the code that graded.
    pub(super) grader: u32,
    pub(super) model: String,
    pub(super) weights: String,
    pub(super) profile: Profile,
    pub(super) prompt_mode: PromptMode,
    /// Settings of the chat template, `NAME=VALUE`.
    pub(super) chat_set: Vec<String>,
    /// Added tokens that were ordinary text.
    #[serde(default)]
    pub(super) demote_token: Vec<u32>,
    /// The type in which weights were held.
    pub(super) dtype: String,
    pub(super) seed: u64,
    pub(super) benchmarks: BTreeMap<String, OfBenchmark>,
    /// Averages that papers report, of benchmarks that all have a score.
    pub(super) groups: BTreeMap<String, OfGroup>,
}

/// What one benchmark came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OfBenchmark {
    pub(super) title: String,
    /// Items in the file; a score may be of the first of them.
    pub(super) n_rows: usize,
    pub(super) files: Vec<Found>,
    pub(super) sampling: Sampling,
    pub(super) score: Score,
    /// What papers report, in per cent, by model. Asked and graded otherwise in profile `clean`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) published: BTreeMap<String, f64>,
}

/// An average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OfGroup {
    pub(super) title: String,
    pub(super) value: f64,
    /// Whether some of it is of the first items of a benchmark alone.
    pub(super) is_partial: bool,
    /// What the paper reports, in per cent, by model.
    pub(super) published: BTreeMap<String, f64>,
    /// How these were obtained.
    pub(super) conditions: String,
}

impl Results {
    /// The scores of what was kept: of each item the first `n_samples`, of the first `limit` items.
    pub(super) fn new(
        manifest: &Manifest,
        n_samples: u32,
        limit: Option<u32>,
        opened: &[OpenedBenchmark],
        samples: &[Sample],
    ) -> Results {
        let mut benchmarks = BTreeMap::new();
        for it in opened {
            let name = it.entry.card.name;
            let items = it.benchmark.items();
            let items = &items[..limit.map_or(items.len(), |limit| items.len().min(limit as usize))];
            let of_it: Vec<Sample> = samples
                .iter()
                .filter(|sample| sample.bench == name && sample.sample < n_samples as usize)
                .cloned()
                .collect();
            let seed = Seed::new(manifest.seed).fork("intervals").fork(name);
            let Some(score) = score(items, it.benchmark.headline(), &of_it, seed) else { continue };
            let published =
                published(name).into_iter().map(|(model, value)| (model.to_owned(), value)).collect();
            let of_benchmark = OfBenchmark {
                title: it.entry.card.title.to_owned(),
                n_rows: it.benchmark.items().len(),
                files: it.found.clone(),
                sampling: (*it.sampling).clone(),
                score,
                published,
            };
            benchmarks.insert(name.to_owned(), of_benchmark);
        }
        let groups = averages(&benchmarks, manifest.profile);
        Results {
            format: FORMAT,
            grader: GRADER_VERSION,
            model: manifest.model.clone(),
            weights: manifest.weights.clone(),
            profile: manifest.profile,
            prompt_mode: manifest.prompt_mode,
            chat_set: manifest.chat_set.clone(),
            demote_token: manifest.demote_token.clone(),
            dtype: manifest.dtype.clone(),
            seed: manifest.seed,
            benchmarks,
            groups,
        }
    }

    /// With what earlier commands scored in the same folder, whose samples these stand beside: other benchmarks, by the same
    /// graders.
    pub(super) fn with_earlier(mut self, dir: &Path) -> Results {
        if let Ok(earlier) = Results::read(&dir.join("results.json"))
            && earlier.grader == self.grader
        {
            for (name, it) in earlier.benchmarks {
                self.benchmarks.entry(name).or_insert(it);
            }
            self.groups = averages(&self.benchmarks, self.profile);
        }
        self
    }

    /// Writes `results.json`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write_whole(&dir.join("results.json"), &pretty(self))
    }

    fn read(path: &Path) -> anyhow::Result<Results> {
        let hint = "hint: name a results.json that `kelvin eval` of this version wrote";
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}\n{hint}", path.display()))?;
        let results: Results = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no results\n{hint}", path.display()))?;
        if results.format != FORMAT {
            bail!("{} has format {}, and {FORMAT} is read\n{hint}", path.display(), results.format);
        }
        Ok(results)
    }
}

/// The averages that papers report, where all of their benchmarks have a score.
fn averages(benchmarks: &BTreeMap<String, OfBenchmark>, profile: Profile) -> BTreeMap<String, OfGroup> {
    let accuracy = |name: &str| benchmarks.get(name).map(|it| 100.0 * it.score.accuracy.value);
    let is_part = |name: &&str| benchmarks.get(*name).is_some_and(|it| it.score.n_items < it.n_rows);
    let groups = GROUPS.iter().filter_map(|group| {
        let published = group.published.iter().map(|(model, value)| ((*model).to_owned(), *value));
        let of_group = OfGroup {
            title: group.title.to_owned(),
            value: group.average(profile, accuracy)?,
            is_partial: group.members(profile).iter().any(is_part),
            published: published.collect(),
            conditions: group.conditions.to_owned(),
        };
        Some((group.name.to_owned(), of_group))
    });
    groups.collect()
}

/// A table of what the second gains over the first on the items that both answered.
///
/// # Errors
/// If a file is none, or, unless `force`, the two were asked or graded differently.
pub(super) fn compare(first: &Path, second: &Path, force: bool) -> anyhow::Result<String> {
    let (a, b) = (Results::read(first)?, Results::read(second)?);
    let differences = differences(&a, &b);
    if !differences.is_empty() && !force {
        return Err(Usage::error(format!(
            "the two were not obtained alike: {}\nhint: --force compares all the same, and says so",
            differences.join("; ")
        )));
    }
    let mut out = String::new();
    for difference in &differences {
        let _ = writeln!(out, "not alike: {difference}");
    }
    let _ = writeln!(
        out,
        "first:  {} ({}, {})\nsecond: {} ({}, {})\n",
        a.model, a.profile, a.prompt_mode, b.model, b.profile, b.prompt_mode
    );
    let _ = writeln!(
        out,
        "| benchmark | items | first | second | difference, points | 95 % | wins : losses | p | truncated | no answer |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    );
    let mut n_common = 0;
    for (name, of_a) in &a.benchmarks {
        let Some(of_b) = b.benchmarks.get(name) else { continue };
        let seed = Seed::new(a.seed).fork("compare").fork(name);
        let Some(it) = compare_scores(&of_a.score, &of_b.score, seed) else { continue };
        n_common += 1;
        let p = it.paired;
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} | {:.1} | {:+.1} | {:+.1} to {:+.1} | {} : {} | {:.4} | {:.1}, {:.1} | {:.1}, {:.1} |",
            of_a.title,
            p.n,
            100.0 * it.first,
            100.0 * it.second,
            100.0 * p.difference,
            100.0 * p.interval.low,
            100.0 * p.interval.high,
            p.wins,
            p.losses,
            p.p_value,
            100.0 * of_a.score.truncated,
            100.0 * of_b.score.truncated,
            100.0 * of_a.score.no_answer,
            100.0 * of_b.score.no_answer
        );
    }
    if n_common == 0 {
        return Err(Usage::error("the two have no benchmark in common\nhint: evaluate both on one"));
    }
    let _ = write!(
        out,
        "\nOne response an item: McNemar's exact test. Several: a permutation test of signs. Intervals: paired bootstrap over items."
    );
    Ok(out)
}

/// What makes two results not comparable.
fn differences(a: &Results, b: &Results) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| {
        let (a, b) = (a.to_string(), b.to_string());
        if a != b {
            differences.push(format!("{what} is {a} and {b}"));
        }
    };
    differ("the profile", &a.profile, &b.profile);
    differ("the prompt mode", &a.prompt_mode, &b.prompt_mode);
    differ("the grader's version", &a.grader, &b.grader);
    differ("the chat template's settings", &a.chat_set.join(" "), &b.chat_set.join(" "));
    let demoted = |it: &Results| format!("{:?}", it.demote_token);
    differ("what is demoted to text", &demoted(a), &demoted(b));
    differ("the type of the weights", &a.dtype, &b.dtype);
    for (name, of_a) in &a.benchmarks {
        let Some(of_b) = b.benchmarks.get(name) else { continue };
        let hashes =
            |it: &OfBenchmark| it.files.iter().map(|it| it.sha256.as_str()).collect::<Vec<_>>().join(" ");
        differ(&format!("the data of {name}"), &hashes(of_a), &hashes(of_b));
        let sampling = |it: &OfBenchmark| format!("{:?}", it.sampling);
        differ(&format!("the sampling of {name}"), &sampling(of_a), &sampling(of_b));
    }
    differences
}
