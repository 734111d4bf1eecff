//! `kelvin audit`: how hard each iteration's questions are for each iteration's solver, and how many of their labels are
//! right: R-Zero's difficulty table (r-zero.md section 11). Truth comes from the environment, and nothing is trained.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use kelvin_core::{
    environment::DynEnvironment,
    policy::Player,
    seed::Seed,
    stop::Stop,
    task::{Label, Task},
};
use kelvin_model::{Dtype, kernels::Storage};
use kelvin_selfplay::{
    checkpoint,
    r_zero::phase::{Place, end_of},
    settings::{Recipe, RunSettings},
    stage::{self, Scene, Solves},
};
use serde::Serialize;

use crate::{
    config::{self, Config, Raw},
    error::Usage,
    model,
    terminal::{say, show},
    wire,
};

/// Measure the questions and labels of an R-Zero run against the truth
#[derive(Debug, clap::Args)]
#[command(after_help = "Only questions whose true answer the environment can tell are asked. Writes \
                        RUN_DIR/audit.json and prints its table.")]
pub(crate) struct Args {
    /// The run folder
    #[arg(value_name = "RUN_DIR")]
    run_dir: PathBuf,
    /// Questions of each iteration, at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    questions: usize,
    /// Answers of each solver to each
    #[arg(long, value_name = "N", default_value_t = 4)]
    samples: usize,
}

/// What `audit.json` holds. Shares are in `[0, 1]`.
#[derive(Debug, Serialize)]
struct Audit {
    format: u32,
    /// Answers to each question.
    samples: usize,
    /// By iteration, from the first.
    iterations: Vec<Iteration>,
}

/// The questions of an iteration.
#[derive(Debug, Serialize)]
struct Iteration {
    iteration: u32,
    /// How many were asked.
    questions: usize,
    /// Share of right answers, of the model that the run began with and of each iteration's solver.
    solvers: Vec<f64>,
    /// Share of right labels; absent where tasks have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    label_accuracy: Option<f64>,
}

/// Measures and prints.
///
/// # Errors
/// If the run is none of R-Zero, its files cannot be read, or the policy or the sandbox fails.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let raw = Raw::read(&args.run_dir.join("config.toml"))?;
    let config = config::resolve_run(&[&raw])?.config;
    if config.recipe != Recipe::RZero {
        return Err(Usage::error(format!(
            "{} is no run of R-Zero\nhint: an audit is of runs with recipe = \"r_zero\"",
            args.run_dir.display()
        )));
    }
    ensure!(0 < args.samples && 0 < args.questions, "there is nothing to ask\nhint: give at least 1 of each");
    let world = wire::world(&config, Stop::default())?;
    let settings = config.run_settings(world.n_judges());
    let questions = questions(&args.run_dir, &*world.env, &settings, args.questions)?;
    let mut iterations: Vec<Iteration> = questions
        .iter()
        .map(|(&iteration, asked)| Iteration {
            iteration,
            questions: asked.len(),
            solvers: Vec::new(),
            label_accuracy: label_accuracy(asked),
        })
        .collect();
    for (name, folder) in solvers(&args.run_dir, &settings)? {
        say(&format!("asking {name}"));
        for (row, asked) in iterations.iter_mut().zip(questions.values()) {
            let tasks: Vec<Task> = asked.iter().map(|it| it.with_truth.clone()).collect();
            row.solvers.push(accuracy(&config, &settings, &*world.env, &folder, &tasks, args.samples)?);
        }
    }
    let audit = Audit { format: 1, samples: args.samples, iterations };
    let path = args.run_dir.join("audit.json");
    let text = serde_json::to_string_pretty(&audit).expect("an audit is plain data");
    fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    show(&table(&audit));
    show(&format!("written to {}", path.display()));
    Ok(())
}

/// A question with its true answer where its label was, if it had one.
struct Asked {
    with_truth: Task,
    is_labelled_right: Option<bool>,
}

/// At most `n` questions of each iteration, those drawn whose truth is known.
fn questions(
    run: &Path,
    env: &dyn DynEnvironment,
    settings: &RunSettings,
    n: usize,
) -> anyhow::Result<BTreeMap<u32, Vec<Asked>>> {
    let path = run.join("tasks.jsonl");
    let mut by_iteration: BTreeMap<u32, Vec<Asked>> = BTreeMap::new();
    for line in BufReader::new(File::open(&path).with_context(|| path.display().to_string())?).lines() {
        let task: Task = serde_json::from_str(&line?).with_context(|| path.display().to_string())?;
        if task.born == 0 {
            continue;
        }
        let truth = match env.truth_by_vote() {
            true => match env.truth(&task)? {
                Some(answer) => Some(Label { answer, share: 1.0 }),
                None => continue,
            },
            false => None,
        };
        let iteration = Place::of(task.born, &settings.r_zero).iteration;
        let is_labelled_right =
            task.label.as_ref().zip(truth.as_ref()).map(|(label, truth)| label.answer == truth.answer);
        let with_truth = Task { label: truth, ..task };
        by_iteration.entry(iteration).or_default().push(Asked { with_truth, is_labelled_right });
    }
    for (&iteration, asked) in &mut by_iteration {
        let draws = Seed::new(settings.seed).fork("audit").nth(u64::from(iteration));
        let mut chosen = draws.draws().distinct(n, asked.len());
        chosen.sort_unstable();
        let mut at = 0;
        asked.retain(|_| {
            at += 1;
            chosen.binary_search(&(at - 1)).is_ok()
        });
    }
    Ok(by_iteration)
}

fn label_accuracy(asked: &[Asked]) -> Option<f64> {
    let labelled: Vec<bool> = asked.iter().filter_map(|it| it.is_labelled_right).collect();
    let n_right = labelled.iter().filter(|it| **it).count();
    (!labelled.is_empty()).then(|| n_right as f64 / labelled.len() as f64)
}

/// The model that the run began with, then the solver at the end of each iteration: a name and a folder.
fn solvers(run: &Path, settings: &RunSettings) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut solvers = Vec::new();
    for iteration in 0.. {
        let step = end_of(iteration, &settings.r_zero);
        let checkpoint = run.join("checkpoints").join(format!("{step:06}"));
        if !checkpoint.join(checkpoint::COMPLETE).is_file() {
            break;
        }
        let name = if iteration == 0 { "the base".to_owned() } else { format!("solver {iteration}") };
        solvers.push((name, model::solver_folder(&checkpoint)));
    }
    ensure!(
        1 < solvers.len(),
        "{} has not ended an iteration\nhint: `kelvin resume` goes on with it",
        run.display()
    );
    Ok(solvers)
}

/// Share of right answers of the model in `folder`.
fn accuracy(
    config: &Config,
    settings: &RunSettings,
    env: &dyn DynEnvironment,
    folder: &Path,
    tasks: &[Task],
    n: usize,
) -> anyhow::Result<f64> {
    let storage = match config.policy.dtype {
        Dtype::F32 => Storage::F32,
        Dtype::Bf16 => Storage::Bf16,
    };
    let (options, demote) = (config.policy.native_options(), &config.policy.demote_tokens);
    let sampler = model::sampler(&folder.display().to_string(), storage, options, demote)?;
    let name = "audit".into();
    let player = Player { name: &name, version: 0, sampler: &sampler };
    let scene = Scene { env, player, step: 1, settings };
    let seed = Seed::new(settings.seed).fork("audit answers");
    let solved = stage::solve(scene, Solves { tasks, n, sampling: &settings.sampling.eval, seed })?;
    let n_right = solved.iter().filter(|it| it.grade.correct).count();
    Ok(n_right as f64 / solved.len().max(1) as f64)
}

/// At most 80 columns for up to five iterations.
fn table(audit: &Audit) -> String {
    let n_solvers = audit.iterations.iter().map(|it| it.solvers.len()).max().unwrap_or_default();
    let mut text =
        format!("right answers in %, {} to each question\n\n{:<20}", audit.samples, "questions of");
    for at in 0..n_solvers {
        let name = if at == 0 { "base".to_owned() } else { format!("solver {at}") };
        text.push_str(&format!("{name:>10}"));
    }
    text.push_str("    labels\n");
    for it in &audit.iterations {
        let what = format!("iteration {} ({})", it.iteration, it.questions);
        text.push_str(&format!("{what:<20}"));
        it.solvers.iter().for_each(|share| text.push_str(&format!("{:>10.1}", 100.0 * share)));
        let labels = it.label_accuracy.map_or("-".to_owned(), |it| format!("{:.1}", 100.0 * it));
        text.push_str(&format!("{labels:>10}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_iteration() {
        let row = |iteration, solvers: &[f64], label_accuracy| Iteration {
            iteration,
            questions: 200,
            solvers: solvers.to_vec(),
            label_accuracy,
        };
        let audit = Audit {
            format: 1,
            samples: 4,
            iterations: vec![row(1, &[0.48, 0.59, 0.57], Some(0.79)), row(2, &[0.525, 0.53, 0.515], None)],
        };
        assert_eq!(
            table(&audit),
            "right answers in %, 4 to each question\n\n\
             questions of              base  solver 1  solver 2    labels\n\
             iteration 1 (200)         48.0      59.0      57.0      79.0\n\
             iteration 2 (200)         52.5      53.0      51.5         -\n"
        );
    }
}
