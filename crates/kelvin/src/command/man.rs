//! `kelvin man`: manual pages, generated from the command tree.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use crate::{command::Cli, jsonl::Sink};

/// Print the manual page
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write a page for every command into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.out {
        return clap_mangen::generate_to(Cli::command(), dir).with_context(|| {
            format!("cannot write manual pages into {}\nhint: the folder must exist", dir.display())
        });
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).context("cannot render the manual page")?;
    let mut out = Sink::stdout();
    out.text(&String::from_utf8_lossy(&page))?;
    out.flush()
}
