//! kelvin beside the real servers of Trackio and MLflow, as they come from the Python package index.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::shell;

/// What is installed; results/ says which releases it was tried with.
const PACKAGES: [&str; 3] = ["trackio", "mlflow", "prometheus_client"];

/// Where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kelvin that trains
    #[arg(long, default_value = "target/release/kelvin")]
    binary: PathBuf,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = root.join(&options.binary);
    ensure!(binary.is_file(), "{} is not there\nhint: cargo build --release", options.binary.display());
    let python = shell::python_with(root, "target/tracker-peers/python", &PACKAGES)?;
    let binary = binary.display().to_string();
    let arguments = [
        "xtask/py/tracker_peers.py",
        "--binary",
        &binary,
        "--config",
        "configs/prime-inversion.toml",
        "--folder",
        "target/tracker-peers/runs",
    ];
    shell::run(root, &python.display().to_string(), &arguments, &[])
}
