//! The command line from outside: what it prints, and the codes it ends with.

mod adapter;
mod data;
mod dry_run;
mod errors;
mod eval;
mod exec;
mod faults;
mod help;
mod inversion;
mod killed;
mod long;
mod model;
mod plan;
mod rollouts;
mod seeds;
mod serve;
mod tinker;
mod tinker_recipes;
mod workers;

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

/// What a command left behind.
pub struct Ran {
    /// The exit code; `None` after a signal that was not caught.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The command, at 80 columns, without what the caller's environment says.
pub fn command(args: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "these tests are about a process")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_kelvin"));
    command.args(args).env("COLUMNS", "80").env("NO_COLOR", "1");
    for name in ["KELVIN_PYTHON", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command
}

/// Runs to the end with `input` on standard input.
pub fn feed(mut command: Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary under test starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_owned();
    // A command that fails early does not read its input.
    let feeding = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the child can be waited for");
    feeding.join().unwrap();
    Ran {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Runs to the end without input.
pub fn run(args: &[&str]) -> Ran {
    feed(command(args), "")
}

/// The text with the folder, which differs from run to run, called DIR.
pub fn without(text: &str, dir: &Path) -> String {
    text.replace(dir.to_str().unwrap(), "DIR")
}

/// Rows of a run's metrics, each as text, without what may differ between two runs.
pub fn timeless_rows(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|it| serde_json::from_str::<serde_json::Map<String, Value>>(it).unwrap());
    let lasts = |name: &str| !name.starts_with("timing/") && !name.starts_with("system/");
    rows.map(|row| Value::Object(row.into_iter().filter(|(name, _)| lasts(name)).collect()).to_string())
        .collect()
}
