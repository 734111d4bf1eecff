//! Child processes: the one place where a task starts one.

use std::{
    path::Path,
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
