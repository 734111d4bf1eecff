//! `kelvin report`: a page for one run, or a comparison of several.

use std::{fs, path::PathBuf};

use anyhow::Context;

use crate::{report, terminal::say};

/// Write RUN_DIR/report.html, or a comparison of several runs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run folders; of several, the comparison goes into the first as comparison.html
    #[arg(required = true, value_name = "RUN_DIR")]
    runs: Vec<PathBuf>,
}

/// Writes the page and says where.
///
/// # Errors
/// If a folder is not a run's, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|it| report::read(it)).collect::<anyhow::Result<Vec<_>>>()?;
    let (name, page) = match &runs[..] {
        [run] => ("report.html", report::single(run)),
        runs => ("comparison.html", report::comparison(runs)),
    };
    let path = args.runs[0].join(name);
    fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}
