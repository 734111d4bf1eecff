//! The command line of kelvin: parses, dispatches, and turns errors into messages and exit codes. A library only so
//! that it compiles beside the crates that it needs, which a binary waits for.

mod benchmarks;
mod chat;
mod clock;
mod command;
mod config;
mod dashboard;
#[cfg(test)]
mod documented;
mod embedded;
mod error;
mod exam;
mod interrupt;
mod jsonl;
mod kill_point;
mod machine;
mod model;
mod model_card;
mod ordered;
mod plan;
mod pretrain;
mod progress;
mod remote;
mod report;
mod run_folder;
mod sandbox;
mod tensorboard;
mod terminal;
mod tracking;
mod wire;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;

use crate::{command::Cli, interrupt::Interrupt};

/// Does what the command line says: the exit code of the process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help goes to standard output with exit code 0, mistakes to standard error with 2. Nothing is left to
            // tell if that stream is closed.
            drop(usage.print());
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(error::EXIT_USAGE));
        }
    };
    let result = kelvin_model::kernels::simd::wanted()
        .map_err(error::Usage::error)
        .and_then(|_| Interrupt::install().context("cannot catch signals"))
        .and_then(|interrupt| command::run(cli, &interrupt));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            drop(io::stderr().write_all(error::render(&failure).as_bytes()));
            ExitCode::from(error::exit_code(&failure))
        }
    }
}
