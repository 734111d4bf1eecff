//! `kelvin eval`: benchmarks. Samples are drawn and graded, kept one by one, and scored from what was kept.

mod page;
mod results;
mod store;
mod table;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::ensure;
use kelvin_core::{
    benchmark::{Profile, PromptMode},
    executor::Executor,
    rollout::is_drawing_temperature,
    seed::Seed,
};
use kelvin_env::benchmarks::DataFolder;
use kelvin_exec::{ExecutorOptions, PythonExecutor};
use kelvin_model::THREADS_MAX;
use kelvin_selfplay::benchmark::{Course, Drawn, Sample, ask, regrade};

use super::up_to;
use crate::{
    benchmarks::{self, Asked, OpenedBenchmark, open_all},
    chat,
    config::threads_or_cores,
    interrupt::Interrupt,
    model::{self, EMBEDDED},
    sandbox::{self, IsolationArgs},
    terminal::{say, show},
};
use results::Results;
use store::{Manifest, Store};

/// Judges for each core: most wait for a program that runs elsewhere.
const JUDGES_PER_CORE: usize = 4;

/// Put benchmarks to a model
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes OUT/samples.jsonl, one response a line, and OUT/results.json and OUT/results.html from it. \
                        The same command goes on where it was cut off. See docs/evaluation.md."
)]
pub(crate) struct Args {
    /// A Hugging Face folder, a run folder, a hub name in the cache, or `embedded`
    #[arg(required_unless_present_any = ["list", "compare", "regrade", "verify"])]
    model: Option<String>,
    /// Benchmarks or groups of them, apart by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', required_unless_present_any = ["list", "compare"])]
    bench: Vec<String>,
    /// The folder with the publishers' files; `--list` says what belongs into it
    #[arg(long, value_name = "DIR", required_unless_present_any = ["list", "compare"])]
    data: Option<PathBuf>,
    /// Only the first N items of each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Responses to each item
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: u32,
    /// Whose rules: this project's, or those of the paper that published the numbers, flaws included
    #[arg(long, value_name = "clean|paper", default_value = "clean", value_parser = profile)]
    profile: Profile,
    /// Where samples and results go
    #[arg(long, value_name = "DIR", default_value = "eval")]
    out: PathBuf,
    /// Grade the samples in OUT again, without a model
    #[arg(long, conflicts_with_all = ["model", "list", "compare", "verify", "chat", "compact", "temperature", "max_new"])]
    regrade: bool,
    /// Grade the publishers' own answers, without a model: each should be right
    #[arg(long, conflicts_with_all = ["model", "list", "compare"])]
    verify: bool,
    /// Say which benchmarks there are, where to get them, and which files are expected
    #[arg(long)]
    list: bool,
    /// Compare two results.json item by item: the second against the first
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with_all = ["model", "list"])]
    compare: Option<Vec<PathBuf>>,
    /// Compare also where the two were asked or graded differently
    #[arg(long, requires = "compare")]
    force: bool,
    /// Divides the logits; 0 takes the most likely token. Without it 0, and for several samples of profile clean 0.6
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f32>,
    /// The longest response, in tokens; without it each benchmark's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_new: Option<u32>,
    /// Seed of the draws and of the intervals
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Ask through the model's chat template
    #[arg(long)]
    chat: bool,
    /// A setting of the chat template, such as `enable_thinking=false`; may be given again
    #[arg(long, value_name = "NAME=VALUE", requires = "chat", value_parser = chat::variable)]
    chat_set: Vec<(String, minijinja::Value)>,
    /// Ask in the markers that the embedded model knows, and what was trained from it; `embedded` always does
    #[arg(long, conflicts_with = "chat")]
    compact: bool,
    /// Tokenize the added token of this id as ordinary text, as the run that trained the model did; may be given again
    #[arg(long, value_name = "ID")]
    demote_token: Vec<u32>,
    /// Type in which weights are held
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    dtype: String,
    /// Threads of the model and programs running at once; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = up_to::<THREADS_MAX>)]
    workers: usize,
    /// The Python interpreter; without it, the first usable one is searched for
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    #[command(flatten)]
    isolation: IsolationArgs,
}

/// Does what the arguments say.
///
/// # Errors
/// If a benchmark, its files, the model or the sandbox cannot be used, or the folder holds another evaluation.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    if args.list {
        show(&table::list());
        return Ok(());
    }
    if let Some(files) = &args.compare {
        let [first, second] = [&files[0], &files[1]];
        show(&results::compare(first, second, args.force)?);
        return Ok(());
    }
    let data = DataFolder::at(args.data.as_deref().expect("clap asks for it"))?;
    // Stored samples are graded as they were asked.
    let stored = if args.regrade { Some(Store::reopen(&args.out)?) } else { None };
    let asked = asked(args, stored.as_ref().map(|it| &it.1));
    let mut opened = open_all(&args.bench, &data, &asked, || args.executor())?;
    if args.verify {
        return verify(args, &opened, interrupt);
    }
    let manifest = Manifest {
        format: store::FORMAT,
        model: args.model.clone().unwrap_or_default(),
        weights: match &args.model {
            Some(name) => model::resolve(name)?.describe(),
            None => String::new(),
        },
        model_files: match &args.model {
            Some(name) => model::digests(name)?,
            None => BTreeMap::new(),
        },
        profile: asked.profile,
        prompt_mode: asked.mode,
        temperature: asked.temperature,
        max_new: asked.max_new,
        seed: args.seed,
        chat_set: args.chat_set.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        demote_token: args.demote_token.clone(),
        dtype: args.dtype.clone(),
        sampling: opened.iter().map(|it| (it.entry.card.name.to_owned(), (*it.sampling).clone())).collect(),
        files: opened.iter().map(|it| (it.entry.card.name.to_owned(), it.found.clone())).collect(),
    };
    let (store, manifest) = match stored {
        Some(stored) => {
            Store::require_same_files(&stored.1, &manifest.files)?;
            stored
        }
        None => Store::open(&args.out, manifest)?,
    };
    let mut n_samples = args.samples;
    if args.regrade {
        let samples = store.samples()?;
        n_samples = samples.iter().map(|it| it.sample as u32 + 1).max().unwrap_or(n_samples);
        for it in &mut opened {
            let drawn = manifest.sampling.get(it.entry.card.name).cloned();
            it.sampling = drawn.map_or_else(|| it.sampling.clone(), Arc::new);
        }
        grade_again(args, &opened, &store, samples, manifest.prompt_mode)?;
    } else {
        draw(args, &opened, &store, interrupt)?;
    }
    let samples = store.samples()?;
    let results = Results::new(&manifest, n_samples, args.limit, &opened, &samples).with_earlier(&args.out);
    results.write(&args.out)?;
    page::write(&args.out, &results)?;
    show(&table::scores(&results));
    Ok(())
}

/// As the command says, or as the samples that are there were asked.
fn asked(args: &Args, stored: Option<&Manifest>) -> Asked {
    let is_many = 1 < args.samples;
    match stored {
        Some(it) => Asked {
            profile: it.profile,
            mode: it.prompt_mode,
            temperature: it.temperature,
            max_new: it.max_new,
            is_many,
        },
        None => Asked {
            profile: args.profile,
            mode: args.mode(),
            temperature: args.temperature,
            max_new: args.max_new,
            is_many,
        },
    }
}

impl Args {
    fn mode(&self) -> PromptMode {
        match (self.chat, self.compact || self.model.as_deref() == Some(EMBEDDED)) {
            (true, _) => PromptMode::Chat,
            (false, true) => PromptMode::Compact,
            (false, false) => PromptMode::Plain,
        }
    }

    fn n_judges(&self) -> usize {
        JUDGES_PER_CORE * threads_or_cores(self.workers)
    }

    fn executor(&self) -> anyhow::Result<Arc<dyn Executor>> {
        let executor: PythonExecutor = sandbox::start(ExecutorOptions {
            python: self.python.clone(),
            workers: threads_or_cores(self.workers),
            least: self.isolation.isolation.unwrap_or_default().level(),
            ..ExecutorOptions::default()
        })?;
        Ok(Arc::new(executor))
    }
}

/// Draws and grades what is missing.
fn draw(args: &Args, opened: &[OpenedBenchmark], store: &Store, interrupt: &Interrupt) -> anyhow::Result<()> {
    let name = args.model.as_deref().expect("clap asks for it");
    let known = store.samples()?.iter().map(Sample::known).collect();
    let context_tokens = model::check(name, &args.demote_token)?.0.max_position_embeddings;
    let (storage, options) = (model::storage(&args.dtype), model::on_threads(args.workers));
    let sampler = model::sampler(name, storage, options, &args.demote_token)?;
    let tokenizer_at = model::resolve_tokenizer(name)?;
    let render = |asked| benchmarks::prompt(asked, &tokenizer_at, &args.chat_set);
    for it in opened {
        let course = args.course(it);
        say(&format!("{}: {} items, {} each", it.entry.card.title, course.n_items(), course.n_samples));
        let keep = |sample| {
            store.append(&sample)?;
            interrupt.check()
        };
        let drawn = Drawn { sampler: &sampler, context_tokens, n_judges: args.n_judges() };
        ask(&drawn, &course, &render, &known, &keep)?;
    }
    Ok(())
}

impl Args {
    fn course<'it>(&self, it: &'it OpenedBenchmark) -> Course<'it> {
        Course {
            name: it.entry.card.name,
            benchmark: &*it.benchmark,
            limit: self.limit.map(|it| it as usize),
            n_samples: self.samples as usize,
            mode: self.mode(),
            sampling: it.sampling.clone(),
            seed: Seed::new(self.seed).fork("eval"),
        }
    }
}

/// Grades what is there again, and puts it in the place of what was there.
fn grade_again(
    args: &Args,
    opened: &[OpenedBenchmark],
    store: &Store,
    mut samples: Vec<Sample>,
    mode: PromptMode,
) -> anyhow::Result<()> {
    for it in opened {
        let name = it.entry.card.name;
        let (of_it, others) = samples.into_iter().partition(|sample| sample.bench == name);
        samples = others;
        samples.extend(regrade(&*it.benchmark, mode, args.n_judges(), of_it)?);
    }
    store.replace(&samples)
}

/// Grades the publishers' own answers. Nothing is drawn.
fn verify(args: &Args, opened: &[OpenedBenchmark], interrupt: &Interrupt) -> anyhow::Result<()> {
    let mut n_wrong = 0;
    for it in opened {
        interrupt.check()?;
        let golds = kelvin_selfplay::benchmark::golds(
            &*it.benchmark,
            it.entry.card.name,
            args.limit.map(|it| it as usize),
        );
        let n = golds.len();
        let graded = regrade(&*it.benchmark, PromptMode::Plain, args.n_judges(), golds)?;
        for wrong in graded.iter().filter(|it| !it.correct) {
            n_wrong += 1;
            let why = wrong.reason.map_or("", |it| it.as_str());
            show(&format!("{} {}: {why}", it.entry.card.name, wrong.id));
        }
        if n == 0 {
            show(&format!("{}: its publisher gives no answers that could be graded", it.entry.card.title));
            continue;
        }
        let n_right = graded.iter().filter(|it| it.correct).count();
        show(&format!("{}: {n_right} of {n} of the publisher's own answers are right", it.entry.card.title));
    }
    ensure!(
        n_wrong == 0,
        "{n_wrong} of the publishers' own answers are graded as wrong\nhint: the files may be damaged, or the sandbox too small or too slow"
    );
    Ok(())
}

fn profile(text: &str) -> Result<Profile, String> {
    text.parse()
}

fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if is_drawing_temperature(value) { Ok(value) } else { Err("it is 0, or from 1e-6 to 1e6".to_owned()) }
}
