//! The command tree: each command is a variant here, a file beside this one, and an arm of [`run`].

mod audit;
mod bench;
mod completions;
mod doctor;
mod dry_run;
mod eval;
mod exec;
mod export;
mod logprobs;
mod lost;
mod man;
mod plan;
mod pretrain;
#[cfg(test)]
mod reference_tests;
mod report;
mod sample;
mod seeds;
pub(crate) mod serve;
mod tasks;
pub(crate) mod train;
mod update;

use clap::{Parser, Subcommand};

use crate::interrupt::Interrupt;

/// Self-play reasoning with zero data: a model proposes Python tasks, solves them, and learns from what running
/// the programs says
#[derive(Debug, Parser)]
#[command(name = "kelvin", version, max_term_width = 100, propagate_version = false)]
#[command(
    after_help = "Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration, 130 and 143 after \
                        Ctrl-C and SIGTERM."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::TrainArgs),
    Resume(train::ResumeArgs),
    Sample(sample::Args),
    Logprobs(logprobs::Args),
    Update(update::Args),
    Export(export::Args),
    Eval(eval::Args),
    Exec(exec::Args),
    Bench(bench::Args),
    Pretrain(pretrain::Args),
    Plan(plan::Args),
    Serve(serve::Args),
    Report(report::Args),
    Tasks(tasks::Args),
    Audit(audit::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs one command.
///
/// # Errors
/// What the command says; [`crate::error`] turns it into text and an exit code.
pub(crate) fn run(cli: Cli, interrupt: &Interrupt) -> anyhow::Result<()> {
    match cli.command {
        Command::Train(args) => train::train(&args, interrupt),
        Command::Resume(args) => train::resume(&args, interrupt),
        Command::Sample(args) => sample::run(&args, interrupt),
        Command::Logprobs(args) => logprobs::run(&args, interrupt),
        Command::Update(args) => update::run(&args, interrupt),
        Command::Export(args) => export::run(&args),
        Command::Eval(args) => eval::run(&args, interrupt),
        Command::Exec(args) => exec::run(&args, interrupt),
        Command::Bench(args) => bench::run(&args, interrupt),
        Command::Plan(args) => plan::run(&args),
        Command::Pretrain(args) => pretrain::run(&args, interrupt),
        Command::Serve(args) => serve::run(&args, interrupt),
        Command::Report(args) => report::run(&args),
        Command::Tasks(args) => tasks::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// An argument that is a number of at most `MAX`.
fn up_to<const MAX: usize>(text: &str) -> Result<usize, String> {
    let n: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if n <= MAX { Ok(n) } else { Err(format!("it is at most {MAX}")) }
}

/// An argument that is a number from 1 to `MAX`.
fn from_one_to<const MAX: usize>(text: &str) -> Result<usize, String> {
    match up_to::<MAX>(text)? {
        0 => Err("it is at least 1".to_owned()),
        n => Ok(n),
    }
}
