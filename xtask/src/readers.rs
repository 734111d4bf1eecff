//! What kelvin writes, read by the libraries of those who use it, as they come from the Python package index.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::shell;

/// What is installed; the script says which releases it found.
const PACKAGES: [&str; 5] = ["torch", "transformers", "peft", "datasets", "tensorboard"];

/// Where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kelvin that writes
    #[arg(long, default_value = "target/release/kelvin")]
    pub(crate) binary: PathBuf,
    /// A Python that has the libraries; one is made where not given, of several gigabytes
    #[arg(long)]
    pub(crate) python: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = root.join(&options.binary);
    ensure!(binary.is_file(), "{} is not there\nhint: cargo build --release", options.binary.display());
    let python = match &options.python {
        Some(python) => python.clone(),
        None => shell::python_with(root, "target/readers/python", &PACKAGES)?,
    };
    let binary = binary.display().to_string();
    let arguments = ["xtask/py/readers.py", "--binary", &binary, "--folder", "target/readers/runs"];
    shell::run(root, &python.display().to_string(), &arguments, &[])
}
