//! `kelvin completions`: a completion script, generated from the command tree.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{command::Cli, jsonl::Sink};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For bash:\n  kelvin completions bash > ~/.local/share/bash-completion/completions/kelvin"
)]
pub(crate) struct Args {
    /// The shell to complete in
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kelvin", &mut script);
    let mut out = Sink::stdout();
    out.text(&String::from_utf8_lossy(&script))?;
    out.flush()
}
