//! Child processes: the one place where a task starts one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// Runs `program` in `folder` with the caller's output and no input, and waits for it.
///
/// # Errors
/// If it cannot be started, or ends with anything but success.
pub(crate) fn run(
    folder: &Path,
    program: &str,
    arguments: &[impl AsRef<str>],
    environment: &[(&str, &str)],
) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let shown = format!("{program} {}", arguments.join(" "));
    #[expect(clippy::disallowed_methods, reason = "tasks exist to start other programs")]
    let status = Command::new(program)
        .args(&arguments)
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// A Python of its own in `folder`, below `root`, with packages of the Python package index.
///
/// # Errors
/// If one cannot be installed.
pub(crate) fn python_with(root: &Path, folder: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    run(root, "python3", &["-m", "venv", folder], &[])?;
    let python = root.join(folder).join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(root, &python.display().to_string(), &[&pip[..], packages].concat(), &[])?;
    Ok(python)
}
