//! Benchmarks by name: which ones are meant, their files, and how their questions reach a model. For `kelvin eval`, and
//! for runs that are measured as they learn.

mod published;

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{bail, ensure};
use kelvin_core::{
    benchmark::{Ask, Benchmark, Profile, PromptMode},
    executor::Executor,
    rollout::{Prompt, Sampling},
};
use kelvin_env::benchmarks::{BENCHMARKS, DataFolder, Entry, Found, named};

use crate::{
    chat,
    error::{Usage, note},
    model::ModelSource,
};

pub(crate) use published::{GROUPS, published};

/// Temperature and nucleus of several samples in profile `clean`, where nobody says otherwise.
const MANY: (f32, f32) = (0.6, 0.95);

/// A benchmark with its files.
pub(crate) struct OpenedBenchmark {
    /// What it is.
    pub(crate) entry: &'static Entry,
    /// Its files.
    pub(crate) found: Vec<Found>,
    /// It.
    pub(crate) benchmark: Box<dyn Benchmark>,
    /// How responses are drawn.
    pub(crate) sampling: Arc<Sampling>,
}

/// What questions are asked under.
pub(crate) struct Asked {
    /// Whose rules.
    pub(crate) profile: Profile,
    /// How questions reach the model.
    pub(crate) mode: PromptMode,
    /// What the logits are divided by, where somebody says so.
    pub(crate) temperature: Option<f32>,
    /// The longest response in tokens, where somebody says so.
    pub(crate) max_new: Option<u32>,
    /// Whether each item is asked several times.
    pub(crate) is_many: bool,
}

impl Asked {
    fn sampling(&self, own: Sampling) -> Sampling {
        let draws_many = self.is_many && self.profile == Profile::Clean && self.temperature.is_none();
        let (temperature, top_p) = if draws_many { MANY } else { (own.temperature, own.top_p) };
        Sampling {
            temperature: self.temperature.unwrap_or(temperature),
            top_p,
            max_new_tokens: self.max_new.map_or(own.max_new_tokens, |it| it as usize),
            ..own
        }
    }
}

/// The benchmarks that names and groups mean, each once, in the order of `kelvin eval --list`.
///
/// # Errors
/// If there is none of a name.
pub(crate) fn chosen(names: &[String], profile: Profile) -> anyhow::Result<Vec<&'static Entry>> {
    let mut wanted = BTreeSet::new();
    for name in names {
        let members = match GROUPS.iter().find(|it| it.name == name.as_str()) {
            Some(group) => group.members(profile),
            None => vec![name.as_str()],
        };
        for member in members {
            ensure_known(member)?;
            wanted.insert(member.to_owned());
        }
    }
    Ok(BENCHMARKS.iter().filter(|it| wanted.contains(it.card.name)).collect())
}

fn ensure_known(name: &str) -> anyhow::Result<()> {
    if named(name).is_none() {
        let close = BENCHMARKS.iter().map(|it| it.card.name).chain(GROUPS.iter().map(|it| it.name));
        let close =
            close.max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name))).unwrap_or_default();
        return Err(Usage::error(format!(
            "there is no benchmark {name}\nhint: did you mean {close}? `kelvin eval --list` shows all"
        )));
    }
    Ok(())
}

/// Reads the files of benchmarks. Those that run programs share an executor, which is started for the first of them.
///
/// # Errors
/// If a benchmark is unknown, its files are missing or not the publisher's, or no executor starts.
pub(crate) fn open_all(
    names: &[String],
    data: &DataFolder,
    asked: &Asked,
    start: impl Fn() -> anyhow::Result<Arc<dyn Executor>>,
) -> anyhow::Result<Vec<OpenedBenchmark>> {
    let mut shared: Option<Arc<dyn Executor>> = None;
    let mut opened = Vec::new();
    for entry in chosen(names, asked.profile)? {
        let mut given = None;
        let benchmark = entry.open(data, asked.profile, || {
            let executor = shared.clone().map_or_else(&start, Ok)?;
            given = Some(executor.clone());
            Ok(executor)
        })?;
        shared = given.or(shared);
        let found: Vec<Found> =
            entry.card.files.iter().map(|it| data.found(it)).collect::<anyhow::Result<_>>()?;
        for it in found.iter().filter(|it| it.is_known == Some(false)) {
            note(&format!("{} is not the file that this version was checked against", it.path));
        }
        let n_rows = benchmark.items().len();
        ensure!(0 < n_rows, "{} has no items here\nhint: fetch its files again", entry.card.title);
        let mut ids = BTreeSet::new();
        if let Some(twice) = benchmark.items().iter().find(|it| !ids.insert(it.id.as_str())) {
            bail!("{} has two items called {}\nhint: fetch its files again", entry.card.title, twice.id);
        }
        if n_rows != entry.card.n_rows {
            note(&format!(
                "{} has {n_rows} items here, and {} as published",
                entry.card.title, entry.card.n_rows
            ));
        }
        let sampling = Arc::new(asked.sampling(benchmark.sampling(asked.mode)));
        opened.push(OpenedBenchmark { entry, found, benchmark, sampling });
    }
    Ok(opened)
}

/// A prompt of what a benchmark asks; `variables` are settings of the chat template.
///
/// # Errors
/// If the tokenizer's folder has no template, or the template fails.
pub(crate) fn prompt(
    asked: Ask,
    tokenizer_at: &ModelSource,
    variables: &[(String, minijinja::Value)],
) -> anyhow::Result<Prompt> {
    Ok(match asked {
        Ask::Text(text) => text,
        Ask::Chat { system, user, prefill } => {
            chat::render(tokenizer_at, system.as_deref(), &user, variables)? + &prefill
        }
    })
}
