//! Whole runs of the binary, killed and repeated. They take minutes and ask for `KELVIN_SLOW=1`.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use crate::{command, run, timeless_rows};

/// Whether long tests were asked for; says so where they were not.
fn is_asked_for() -> bool {
    let asked = env::var_os("KELVIN_SLOW").is_some();
    if !asked {
        eprintln!("skipped: takes minutes, asks for KELVIN_SLOW=1");
    }
    asked
}

/// A quick start of four small steps, with a checkpoint after each.
const SMALL: [&str; 12] = [
    "train",
    "--plain",
    "--steps",
    "4",
    "--set",
    "azr.batch_size=8",
    "--set",
    "eval.every=2",
    "--set",
    "eval.n_tasks=10",
    "--set",
    "checkpoint.every=1",
];

fn threads(n: usize) -> [String; 4] {
    ["--set".into(), format!("policy.threads={n}"), "--set".into(), format!("python.workers={n}")]
}

/// Starts the small run in `dir`; with `until`, kills it with SIGKILL once it prints a line with that text.
fn start(dir: &Path, n_threads: usize, until: Option<&str>) {
    let mut command = command(&SMALL);
    command.args(["--run-dir", dir.to_str().unwrap()]).args(threads(n_threads));
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if until.is_some_and(|until| line.contains(until)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert!(child.wait().unwrap().success() && until.is_none(), "{said}");
}

/// What must not differ between two identical runs.
fn outcome(dir: &Path) -> Vec<Vec<u8>> {
    let rows = timeless_rows(dir);
    assert_eq!(rows.len(), 5, "{rows:?}");
    let policy = dir.join("checkpoints/000004/policy");
    vec![
        rows.join("\n").into_bytes(),
        fs::read(dir.join("tasks.jsonl")).unwrap(),
        fs::read(policy.join("model.safetensors")).unwrap(),
    ]
}

#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    if !is_asked_for() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    start(&whole, 1, None);
    for (at, until) in ["seeding", "seeded", "step   1/4", "step   3/4"].into_iter().enumerate() {
        let killed = root.path().join(format!("killed-{at}"));
        start(&killed, 2, Some(until));
        let resumed = run(&["resume", killed.to_str().unwrap(), "--plain"]);
        assert_eq!(resumed.code, Some(0), "{}", resumed.err);
        assert!(outcome(&killed) == outcome(&whole), "killed at `{until}`");
    }
}

#[test]
fn pretraining_again_gives_the_same_bytes() {
    if !is_asked_for() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let settings = include_str!("../../../../configs/pretrain.toml")
        .replace("n_programs = 70000", "n_programs = 1500")
        .replace("n_examples = 800000", "n_examples = 6000")
        .replace("tokens = 40000000", "tokens = 150000");
    let config = root.path().join("small.toml");
    fs::write(&config, settings).unwrap();
    let pretrained = |name: &str| {
        let out = root.path().join(name);
        let arguments = ["pretrain", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let ran = run(&arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ["model.safetensors", "tokenizer.json"].map(|name| fs::read(out.join(name)).unwrap())
    };
    assert!(pretrained("once") == pretrained("again"));
}
