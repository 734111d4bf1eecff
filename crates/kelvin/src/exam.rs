//! Benchmarks that a run is measured by, from its configuration.

use std::{path::Path, sync::Arc};

use kelvin_core::{
    benchmark::{Ask, PromptMode},
    executor::Executor,
    metrics::Metrics,
    seed::Seed,
};
use kelvin_env::benchmarks::DataFolder;
use kelvin_selfplay::{
    benchmark::{Course, Exam},
    settings::{BenchmarkSettings, Recipe},
};

use crate::{
    benchmarks::{self, Asked, OpenedBenchmark},
    config::Config,
    error::Usage,
    model::{self, ModelSource, POLICY, SOLVER},
};

/// Benchmarks with their files, as a configuration asks for them.
pub(crate) struct Examiner {
    settings: BenchmarkSettings,
    opened: Vec<OpenedBenchmark>,
    tokenizer_at: ModelSource,
    context_tokens: usize,
}

impl Examiner {
    /// Reads their files; `None` where the configuration names none. The model is that of the checkpoint `from`, where
    /// there is one: the one that the run began with may be gone.
    ///
    /// # Errors
    /// If a file or the model cannot be read, a benchmark has no such prompt, or the budget pays for none of its items.
    pub(crate) fn open(
        config: &Config,
        from: Option<&Path>,
        start: impl Fn() -> anyhow::Result<Arc<dyn Executor>>,
    ) -> anyhow::Result<Option<Examiner>> {
        let settings = config.benchmarks.clone();
        if settings.names.is_empty() {
            return Ok(None);
        }
        let solver = match config.recipe {
            Recipe::RZero if config.r_zero.two_policies => SOLVER,
            Recipe::RZero | Recipe::Azr => POLICY,
        };
        let model = from
            .map_or_else(|| config.policy.model.clone(), |it| it.join(solver).to_string_lossy().into_owned());
        let asked = Asked {
            profile: settings.profile,
            mode: settings.prompt_mode,
            temperature: None,
            max_new: None,
            is_many: 1 < settings.n_samples,
        };
        let data = DataFolder::at(&settings.data)?;
        let opened = benchmarks::open_all(&settings.names, &data, &asked, start)?;
        let examiner = Examiner {
            tokenizer_at: model::resolve_tokenizer(&model)?,
            context_tokens: model::check(&model, &[])?.0.max_position_embeddings,
            settings,
            opened,
        };
        for it in &examiner.opened {
            examiner.prompt(it.benchmark.ask(0, examiner.settings.prompt_mode)?)?;
            if examiner.n_items(it) == 0 {
                return Err(Usage::error(format!(
                    "benchmarks.tokens_max = {} pays for no item of {}, whose responses are up to {} tokens long\nhint: \
                     set it higher, or name fewer benchmarks",
                    examiner.settings.tokens_max, it.entry.card.name, it.sampling.max_new_tokens
                )));
            }
        }
        Ok(Some(examiner))
    }

    /// What a run holds.
    pub(crate) fn exam(&self, n_judges: usize) -> Exam<'_> {
        Exam {
            courses: self.opened.iter().map(|it| self.course(it)).collect(),
            render: Box::new(|asked| self.prompt(asked)),
            context_tokens: self.context_tokens,
            n_judges,
            seed: self.seed(),
            every: self.settings.every,
        }
    }

    /// What is asked each time, a line for each benchmark, and the first question of each.
    ///
    /// # Errors
    /// If a question has no prompt.
    pub(crate) fn describe(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for it in &self.opened {
            let (name, n_samples) = (it.entry.card.title, self.settings.n_samples);
            let mode: PromptMode = self.settings.prompt_mode;
            let prompt = self.prompt(it.benchmark.ask(0, mode)?)?;
            text += &format!(
                "--- {name}: {} items, {n_samples} each, prompts {mode}, up to {} tokens a response\n{prompt}\n",
                self.n_items(it),
                it.sampling.max_new_tokens
            );
        }
        Ok(text)
    }

    fn seed(&self) -> Seed {
        Seed::new(self.settings.seed)
    }

    fn course<'it>(&'it self, it: &'it OpenedBenchmark) -> Course<'it> {
        Course {
            name: it.entry.card.name,
            benchmark: &*it.benchmark,
            limit: Some(self.n_items(it)),
            n_samples: self.settings.n_samples,
            mode: self.settings.prompt_mode,
            sampling: it.sampling.clone(),
            seed: self.seed().fork("eval"),
        }
    }

    fn n_items(&self, it: &OpenedBenchmark) -> usize {
        let paid = self.settings.n_items(self.opened.len(), it.sampling.max_new_tokens);
        paid.min(it.benchmark.items().len())
    }

    fn prompt(&self, asked: Ask) -> anyhow::Result<String> {
        benchmarks::prompt(asked, &self.tokenizer_at, &[])
    }
}

/// Scores of benchmarks the first and the last time that they were asked, of rows of metrics; `None` where they never were.
pub(crate) fn before_and_after(rows: &[Metrics], mode: PromptMode) -> Option<String> {
    let mut asked = rows.iter().filter(|it| it.keys().any(|key| key.starts_with("benchmark/")));
    let first = asked.next()?;
    let last = asked.next_back().unwrap_or(first);
    let mut text = format!(
        "benchmarks in %, 95 % intervals over items, prompts {mode}: step {:.0} -> step {:.0}\n\n",
        first.get("step")?,
        last.get("step")?
    );
    for name in first.keys().filter_map(|it| it.strip_prefix("benchmark/")?.strip_suffix("/accuracy")) {
        let percent = |row: &Metrics, key: &str| {
            row.get(&format!("benchmark/{name}/{key}"))
                .map_or("?".to_owned(), |it| format!("{:.1}", 100.0 * it))
        };
        let of = |row: &Metrics| {
            let [value, low, high] = ["accuracy", "accuracy_low", "accuracy_high"].map(|it| percent(row, it));
            format!("{value} [{low}, {high}]")
        };
        let rates =
            ["truncated", "no_answer"].map(|it| format!("{} -> {}", percent(first, it), percent(last, it)));
        text.push_str(&format!(
            "{name:<24} {} -> {}, truncated {}, no answer {}\n",
            of(first),
            of(last),
            rates[0],
            rates[1]
        ));
    }
    Some(text)
}
