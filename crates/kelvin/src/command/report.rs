//! `kelvin report`: a page for one run, or a comparison of several.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    report::{self, Limits},
    terminal::say,
};

/// Write RUN_DIR/report.html, or a comparison of several runs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run folders; of several, the comparison goes into the first as comparison.html
    #[arg(required = true, value_name = "RUN_DIR")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

/// Writes the page and says where.
///
/// # Errors
/// If a folder is not a run's, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.runs[..] {
        [run] => write(&run.join("report.html"), &report::single(run, &args.limits)?),
        runs => write(&runs[0].join("comparison.html"), &report::comparison(runs)?),
    }
}

/// Writes a page and says where.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    fs::write(path, page).with_context(|| {
        format!("cannot write {}\nhint: make room, or copy the run to a folder you can write", path.display())
    })?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}
