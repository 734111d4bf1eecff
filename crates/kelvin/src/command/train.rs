//! `kelvin train` and `kelvin resume`: a run from its configuration to its table of before and after.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kelvin_core::{metrics::Metrics, notices::Notices, task::Step};
use kelvin_remote::trackers::Ended;
use kelvin_selfplay::{
    checkpoint::{CONFIG, RunDir},
    run::{self, End, Event, Grounds},
    seeding,
    state::RunState,
};

use super::{dry_run, lost, seeds};
use crate::{
    config::{self, Config, Raw, Resolved},
    error::{Stopped, Usage},
    exam,
    interrupt::Interrupt,
    kill_point,
    progress::{self, Progress, Watching},
    report,
    run_folder::{self, MANIFEST, RunFolder},
    sandbox::{IsolationArgs, warn_of_mismatches},
    terminal::{say, show},
    tracking::Tracking,
    wire::{self, World},
};

/// What `train` runs without a configuration.
pub(crate) const QUICKSTART: &str = include_str!("../../../../configs/quickstart.toml");

/// Train by self-play; without CONFIG, the embedded quick start
#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// The run's configuration; without it, Absolute Zero on Python with the embedded base model
    #[arg(value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Override a setting, such as `--set azr.batch_size=8`
    #[arg(long = "set", value_name = "key=value")]
    sets: Vec<String>,
    /// The run's folder; without it, the next free one below runs/
    #[arg(long, value_name = "DIR")]
    pub(super) run_dir: Option<PathBuf>,
    /// Steps in all
    #[arg(long, value_name = "N")]
    steps: Option<Step>,
    // At most what a TOML file holds.
    /// Root of every random choice
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// One run after the other with these seeds, in folders beside each other below --run-dir or runs/NAME-seeds, and their
    /// comparison; the same command goes on with what is not complete
    #[arg(long, value_name = "S,S,...", value_delimiter = ',', conflicts_with = "seed", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(super) seeds: Vec<u64>,
    #[command(flatten)]
    pub(super) isolation: IsolationArgs,
    /// Print a line for each step, for logs and pipes
    #[arg(long)]
    pub(super) plain: bool,
    /// Resolve and check everything, show one prompt of each kind, start nothing
    #[arg(long)]
    dry_run: bool,
}

/// Go on with a run from its newest complete checkpoint
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// The run folder
    #[arg(value_name = "RUN_DIR")]
    pub(super) run_dir: PathBuf,
    /// Steps in all, instead of the configuration's
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<Step>,
    #[command(flatten)]
    pub(super) isolation: IsolationArgs,
    /// Print a line for each step, for logs and pipes
    #[arg(long)]
    pub(super) plain: bool,
}

/// `kelvin train`.
///
/// # Errors
/// If the configuration does not resolve, or the run fails.
pub(crate) fn train(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    if !args.seeds.is_empty() && !args.dry_run {
        return seeds::train(args, interrupt);
    }
    let (resolved, stem) = resolve(args, args.seed.or(args.seeds.first().copied()))?;
    if args.dry_run {
        seeding::files::check(&resolved.config.azr)?;
        return dry_run::run(&resolved);
    }
    begin(&resolved, args.run_dir.as_deref(), &stem, args.watching(), interrupt)
}

/// A run from its beginning to its end. `stem` names its folder where nothing else does.
pub(super) fn begin(
    resolved: &Resolved,
    run_dir: Option<&Path>,
    stem: &str,
    watching: Watching,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    seeding::files::check(&resolved.config.azr)?;
    let config = &resolved.config;
    let (folder, first) = {
        // Whatever can be missing is found before a folder is made.
        let disk = kill_point::disk()?;
        let world = wire::world(config, interrupt.stop())?.measuring(config, None)?;
        let state = wire::state(config, None, &interrupt.stop()).map_err(|it| interrupt.told(it))?;
        let folder = run_folder::create(&disk, run_dir, stem, resolved)?;
        run_folder::describe(&disk, &folder.path, &world, &config.policy)?;
        say(&format!("run folder {}", folder.path.display()));
        let dir = RunDir::on(disk, &folder.path, Some(resolved.text.clone()))?;
        let again = format!("kelvin resume {}", folder.path.display());
        let first = play(config, &world, state, &dir, &again, (watching, Vec::new()), interrupt);
        (folder, first)
    };
    let isolation = IsolationArgs { isolation: Some(config.python.isolation) };
    let life = Life { folder: &folder.path, steps: None, isolation: &isolation, watching };
    lost::outlive(config, &folder.path, first, interrupt, || life.go_on(interrupt))?;
    summarize(config, &folder)
}

/// `kelvin resume`.
///
/// # Errors
/// If the folder holds no run, or the run fails.
pub(crate) fn resume(args: &ResumeArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let folder = run_folder::open(&args.run_dir)?;
    let ResumeArgs { steps, isolation, plain, .. } = args;
    let life = Life { folder: &folder.path, steps: *steps, isolation, watching: watching(*plain) };
    let config = life.resolve()?.1.config;
    let first = life.go_on(interrupt);
    lost::outlive(&config, &folder.path, first, interrupt, || life.go_on(interrupt))?;
    summarize(&config, &folder)
}

/// A run that goes on from its newest checkpoint.
struct Life<'run> {
    folder: &'run Path,
    /// Steps in all, instead of the configuration's.
    steps: Option<Step>,
    isolation: &'run IsolationArgs,
    watching: Watching,
}

impl Life<'_> {
    /// The configuration as it is in the folder, and as it goes on.
    fn resolve(&self) -> anyhow::Result<(Raw, Resolved)> {
        let raw = Raw::read(&self.folder.join("config.toml"))?;
        config::require_whole(&raw, self.folder)?;
        let steps = self.steps.map(|it| format!("steps={it}"));
        let steps = Raw::from_sets(&steps.into_iter().collect::<Vec<_>>())?;
        let mut resolved = config::resolve_run(&[&raw, &steps])?;
        let python = &mut resolved.config.python;
        python.isolation = self.isolation.isolation.unwrap_or(python.isolation);
        Ok((raw, resolved))
    }

    fn go_on(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let (raw, Resolved { config, text }) = self.resolve()?;
        let folder = self.folder.display();
        let again = match self.steps {
            Some(steps) => format!("kelvin resume {folder} --steps {steps}"),
            None => format!("kelvin resume {folder}"),
        };
        let dir = RunDir::on(kill_point::disk()?, self.folder, Some(text))?;
        let newest = dir.newest(&mut |warning| say(&format!("warning: {warning}")))?;
        if let Some((step, checkpoint)) = &newest {
            require_same(self.folder, checkpoint, &raw, &config)?;
            if config.steps < *step {
                return Err(Usage::error(format!(
                    "{folder} has gone {step} steps, and is asked for {}\nhint: --steps N with a larger N trains further",
                    config.steps
                )));
            }
        }
        let from = newest.as_ref().map(|it| it.1.as_path());
        if from.is_none() || wire::has_reference(&config) {
            run_folder::require_same_adapter(self.folder, &config.policy)?;
        }
        let world = wire::world(&config, interrupt.stop())?.measuring(&config, from)?;
        let mut state = wire::state(&config, from, &interrupt.stop()).map_err(|it| interrupt.told(it))?;
        match newest {
            Some((step, checkpoint)) => {
                dir.restore(&checkpoint, &mut state, &*world.env)?;
                say(&format!("resuming {folder} from step {step} of {}", config.steps));
            }
            None => say(&format!("{folder} has no checkpoint yet, starting from its beginning")),
        }
        if !self.folder.join(MANIFEST).is_file() {
            run_folder::describe(dir.disk(), self.folder, &world, &config.policy)?;
        }
        // Rows of a seed stage that begins again are written again.
        let history = if state.seeded { report::rows(self.folder).unwrap_or_default() } else { Vec::new() };
        play(&config, &world, state, &dir, &again, (self.watching, history), interrupt)
    }
}

/// Checks that a run goes on with the configuration that it has gone with.
fn require_same(run: &Path, checkpoint: &Path, raw: &Raw, config: &Config) -> anyhow::Result<()> {
    let was = Raw::read(&checkpoint.join(CONFIG))?;
    // A reference is read from their places, and nothing else would tell that another one is there.
    let free: &[&str] = if config.objective.kl_coefficient == 0.0 { &config::BEGINNING } else { &[] };
    config::require_same(run, &was, raw, free)
}

impl TrainArgs {
    /// How its runs are watched.
    pub(super) fn watching(&self) -> Watching {
        watching(self.plain)
    }
}

fn watching(plain: bool) -> Watching {
    if plain { Watching::Plain } else { Watching::Dashboard }
}

/// The configuration with a seed, if one is given, and what the configuration is called.
pub(super) fn resolve(args: &TrainArgs, seed: Option<u64>) -> anyhow::Result<(Resolved, String)> {
    let (raw, stem) = match &args.config {
        Some(path) => {
            let stem = path.file_stem().map_or("run".into(), |it| it.to_string_lossy().into_owned());
            (Raw::read(path)?, stem)
        }
        None => (Raw::parse(QUICKSTART, "the embedded quick start")?, "quickstart".to_owned()),
    };
    let mut sets = args.sets.clone();
    sets.extend(args.steps.map(|it| format!("steps={it}")));
    sets.extend(seed.map(|it| format!("seed={it}")));
    let overrides = Raw::from_sets(&sets)?;
    let mut resolved = config::resolve(&[&raw, &overrides])?;
    let python = &mut resolved.config.python;
    python.isolation = args.isolation.isolation.unwrap_or(python.isolation);
    Ok((resolved, stem))
}

/// Runs to the end, or to a signal. `again` is the command that goes on; the history of a run are its rows so far.
fn play(
    config: &Config,
    world: &World,
    mut state: RunState,
    dir: &RunDir,
    again: &str,
    (watching, history): (Watching, Vec<Metrics>),
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let settings = config.run_settings(world.n_judges());
    state.listen(&interrupt.stop());
    let notices = state.notices();
    let mut tracking = Tracking::begin(config, &dir.path, &history)?;
    let mut progress = Progress::new(&settings, watching, history, interrupt);
    let exam = world.examiner.as_ref().map(|it| it.exam(settings.n_judges));
    let grounds = Grounds { env: &*world.env, exam: exam.as_ref() };
    let end = run::run(&mut state, grounds, &settings, dir, &|| interrupt.requested().is_some(), &mut |it| {
        if let Event::Recorded { step, metrics, .. } = &it {
            tracking.add(*step, metrics);
        }
        progress.show(it);
        for message in tracking.messages().into_iter().chain(notices.iter().flat_map(Notices::take)) {
            progress.lasting(&message);
        }
    });
    progress.close();
    notices.iter().flat_map(Notices::take).for_each(|it| say(&it));
    tracking.close(ended(end.as_ref().ok()), again, &interrupt.stop());
    world.executor.as_deref().inspect(|it| warn_of_mismatches(it));
    let end = end.with_context(|| match state.seeded {
        true => format!(
            "the run stopped after step {}\nhint: `{again}` goes on from its last checkpoint",
            state.step
        ),
        false => format!("the run stopped in its seed stage\nhint: `{again}` begins that again"),
    })?;
    let told = match end {
        End::Finished => return Ok(()),
        End::Interrupted => {
            format!("stopped after step {}, checkpoint written; `{again}` goes on", state.step)
        }
        End::CutOff if !state.seeded => format!("stopped within the seed stage; `{again}` begins that again"),
        End::CutOff => format!("stopped within a step; `{again}` goes on from the last checkpoint"),
    };
    say(&told);
    let signal = interrupt.requested().expect("only a signal interrupts");
    Err(Stopped(signal).into())
}

fn ended(end: Option<&End>) -> Ended {
    match end {
        Some(End::Finished) => Ended::Finished,
        Some(End::Interrupted | End::CutOff) => Ended::Stopped,
        None => Ended::Failed,
    }
}

/// Prints the table of before and after on standard output, and where everything is.
fn summarize(config: &Config, folder: &RunFolder) -> anyhow::Result<()> {
    let rows = report::rows(&folder.path)?;
    if let Some((first, last)) = progress::evaluations(rows.iter()) {
        let table = progress::before_and_after(
            &first,
            &last,
            config.eval.n_samples,
            config.sampling.eval.temperature,
        );
        show(&format!("\n{table}"));
    }
    if let Some(table) = exam::before_and_after(&rows, config.benchmarks.prompt_mode) {
        show(&format!("\n{table}"));
    }
    let path = folder.path.display();
    if config.azr.seed_only {
        show(&format!(
            "seeds are in {path}\n  kelvin tasks {path} --format azr    as seed files of other runs"
        ));
        return Ok(());
    }
    let seconds: f64 = rows.iter().map(progress::seconds).sum();
    // A falling probe may have ended it early.
    let steps = rows.last().and_then(|it| it.get("step")).map_or(0, |it| *it as Step);
    show(&format!("{steps} steps in {}; everything is in {path}", progress::duration(seconds)));
    show(&format!(
        "  kelvin report {path}   a page with its curves\n  kelvin tasks {path}    the tasks it posed"
    ));
    Ok(())
}
