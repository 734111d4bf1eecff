//! `kelvin pretrain`: makes a base model from the project's own generated programs.

use std::{
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::channel},
    thread,
};

use anyhow::Context;
use kelvin_core::{executor::Executor, policy::Trainer, rollout::Sample, seed::Seed};
use kelvin_env::corpus::{self, Example};
use kelvin_model::{Checkpoint, Dtype, END_OF_TEXT, KeptFields, NativePolicy, Params, Tokenizer};
use kelvin_selfplay::{clock::Stopwatch, state::HeldOut};
use serde_json::json;

use crate::{
    config::{self, Raw},
    error::Usage,
    interrupt::Interrupt,
    model, ordered,
    pretrain::{self, CurvePoint, PretrainSettings, Start},
    progress,
    sandbox::IsolationArgs,
    terminal::{say, show},
    wire,
};

/// The settings of the embedded base model.
const DEFAULT: &str = include_str!("../../../../configs/pretrain.toml");

/// Make a base model from the project's own generated programs
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Settings; without them, those that made the embedded base model
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "DIR", default_value = "base")]
    out: PathBuf,
    #[command(flatten)]
    isolation: IsolationArgs,
}

/// Generates, labels, tokenises, trains, saves in bf16.
///
/// # Errors
/// If there is no Python, the folder cannot be written, or a signal stops it: pretraining keeps no checkpoint.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    // Nothing is kept before the end, so that a signal need not wait for any of the work.
    let (to_waiter, done) = channel();
    let (work_args, heard) = (args.clone(), interrupt.clone());
    let work = thread::spawn(move || drop(to_waiter.send(make(&work_args, &heard))));
    match ordered::wait(&done, interrupt, || Ok(()))? {
        Some(made) => made,
        None => resume_unwind(work.join().expect_err("it ends without a word when it panics")),
    }
}

fn make(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let settings = read(args.config.as_deref())?;
    settings.check()?;
    if let Start::From(name) = settings.start()? {
        model::check(name, &[])?;
    }
    model::require_new(&args.out)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let watch = Stopwatch::start();
    let seed = Seed::new(settings.seed);
    let mut quickstart =
        config::resolve(&[&Raw::parse(super::train::QUICKSTART, "the embedded quick start")?])?.config;
    quickstart.python.isolation = args.isolation.isolation.unwrap_or(quickstart.python.isolation);
    let executor: Arc<dyn Executor> = Arc::new(quickstart.python.start_executor()?);
    let env = wire::environment(&quickstart, || Ok(executor.clone()))?;

    say("generating and labelling programs");
    let held_out = HeldOut::new(&*env, &quickstart.python.task_types, &quickstart.eval)?;
    let held_out_programs = corpus::held_out_programs(&held_out.tasks)?;
    let corpus = corpus::generate(&settings.corpus, seed.fork("corpus"), &*executor, &held_out_programs)?;
    interrupt.check()?;
    say(&format!(
        "{} examples of {} programs in {}, sha256 {}",
        corpus.examples.len(),
        corpus.n_programs,
        progress::duration(watch.seconds()),
        corpus.digest
    ));
    let checkpoint = start(&settings, &corpus.examples, seed)?;
    let end = *checkpoint.end_tokens.first().context("the model has no end token")?;
    let samples = pretrain::samples(&checkpoint.tokenizer, end, &corpus.examples)?;
    let n_params = checkpoint.params.flat.len();
    say(&format!("training {n_params} parameters on {} tokens", settings.train.tokens));
    let mut policy = NativePolicy::new(checkpoint, quickstart.policy.native_options())?;
    let curve = train(&mut policy, &samples, &settings, seed, interrupt)?;
    model::write_new(&args.out, |dir| policy.export(dir, Dtype::Bf16))?;
    // What is examined is what the file holds: weights rounded to bf16.
    let mut config = quickstart;
    config.policy.model = args.out.to_string_lossy().into_owned();
    let run_settings = config.run_settings(executor.parallelism());
    let mut state = wire::state(&config, None, &interrupt.stop())?;
    let examined = pretrain::examine(&mut state, &*env, &held_out, &run_settings)?;
    for (name, value) in &examined {
        show(&format!("{name:<32} {value:.3}"));
    }
    let record = json!({
        "format": 1,
        "kelvin": env!("CARGO_PKG_VERSION"),
        "settings": settings,
        "corpus_sha256": corpus.digest,
        "parameters": n_params,
        "simd": kelvin_model::kernels::simd::level().as_str(),
        "cpu": crate::machine::cpu_name(),
        "examined": examined,
        "curve": curve,
    });
    let path = args.out.join("pretrain.json");
    fs::write(&path, format!("{record:#}\n")).with_context(|| format!("writing {}", path.display()))?;
    say(&format!("{} in {}", args.out.display(), progress::duration(watch.seconds())));
    Ok(())
}

/// The model that `settings` name, or a new one with a tokenizer of these examples.
fn start(settings: &PretrainSettings, examples: &[Example], seed: Seed) -> anyhow::Result<Checkpoint> {
    let shape = match settings.start()? {
        Start::From(name) => return model::load(name),
        Start::New(shape) => shape,
    };
    let texts = examples.iter().flat_map(|it| [it.prompt.as_str(), it.response.as_str()]);
    let tokenizer = Tokenizer::train_bpe(texts, shape.vocab_size())?;
    let end = tokenizer.id(END_OF_TEXT).expect("a trained tokenizer has its end token");
    let config = shape.config(tokenizer.vocab_size());
    let params = Params::random(&config, seed.fork("init"));
    Ok(Checkpoint { config, params, tokenizer, end_tokens: vec![end], kept: KeptFields::default() })
}

fn read(path: Option<&Path>) -> anyhow::Result<PretrainSettings> {
    let (text, name) = match path {
        None => (DEFAULT.to_owned(), "the embedded settings".to_owned()),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                Usage::error(format!(
                    "cannot read {}: {error}\nhint: see configs/pretrain.toml for a start",
                    path.display()
                ))
            })?;
            (text, path.display().to_string())
        }
    };
    toml::from_str(&text).map_err(|error| {
        Usage::error(format!(
            "{name}: {}\nhint: configs/pretrain.toml is one that works",
            error.to_string().trim_end()
        ))
    })
}

fn train(
    policy: &mut dyn Trainer,
    samples: &[Sample],
    settings: &PretrainSettings,
    seed: Seed,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<CurvePoint>> {
    let watch = Stopwatch::start();
    pretrain::train(
        policy,
        samples,
        &settings.train,
        seed.fork("order"),
        &|| interrupt.check(),
        &mut |point| {
            let seconds = watch.seconds();
            let left = seconds * (settings.train.tokens as f64 / point.tokens as f64 - 1.0);
            say(&format!(
                "update {:>5}  loss {:.4}  {:.1} M tokens  {:.0} tokens/s  {} left",
                point.update,
                point.loss,
                point.tokens as f64 / 1e6,
                point.tokens as f64 / seconds,
                progress::duration(left)
            ));
        },
    )
}
