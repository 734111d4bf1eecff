//! What the world does to the interpreters that programs run on: no verdict hangs on it.

use std::{
    fs,
    io::BufRead,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    command,
    faults::{records, started},
    feed, run,
};

/// A small run of programs, on the interpreter at `python`.
fn train_python(dir: &Path, python: &Path) -> Command {
    let python = format!("python.path={}", python.display());
    let sets = [
        "steps=3",
        "azr.batch_size=4",
        "azr.n_estimate=2",
        "azr.n_solutions=2",
        "azr.seed_factor=2",
        "eval.every=0",
        "checkpoint.every=1",
        "checkpoint.transcripts_every=1",
        "policy.threads=1",
        "python.workers=1",
        "python.cache_entries=0",
        &python,
    ];
    let sets = sets.iter().flat_map(|it| ["--set", it]);
    command(
        &["train", "--plain", "--run-dir", dir.to_str().unwrap()].into_iter().chain(sets).collect::<Vec<_>>(),
    )
}

/// Every process that a process has started, and those that they have.
fn below(host: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let Ok(stat) = fs::read_to_string(entry.unwrap().path().join("stat")) else { continue };
        // `pid (name) state ppid ...`; the name may hold anything.
        let (pid, rest) = stat.split_once(' ').unwrap();
        let parent = rest.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap();
        parents.push((pid.parse().unwrap(), parent.parse().unwrap()));
    }
    let mut found = vec![host];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|it| it.1 == parent).map(|it| it.0));
        at += 1;
    }
    found.split_off(1)
}

fn send(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    #[expect(clippy::disallowed_methods, reason = "signals need a command where there is no unsafe code")]
    let sent = Command::new("kill").arg(name).args(processes).stderr(Stdio::null()).status();
    // Some may have ended by themselves.
    sent.unwrap();
}

/// The interpreter itself: what stands on the path may be a script that looks for it.
fn real_python() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "only it knows where it is")]
    let told = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    fs::canonicalize(String::from_utf8(told.stdout).unwrap().trim()).unwrap()
}

/// What dies of somebody else's signal was no program's fault: no verdict changes.
#[test]
fn workers_that_are_killed_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (whole, struck) = (root.path().join("whole"), root.path().join("struck"));
    let ran = feed(train_python(&whole, &real_python()), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (mut child, mut said) = started(train_python(&struck, &real_python()), "seeded");
    let mut line = String::new();
    loop {
        send("-KILL", &below(child.id()));
        line.clear();
        if said.read_line(&mut line).unwrap() == 0 {
            break;
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(records(&struck), records(&whole));
}

/// It goes while the run lasts, and no worker comes up any more; then it is there again.
#[test]
fn a_python_that_goes_away_ends_a_run_and_nothing_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let (whole, struck, python) =
        (root.path().join("whole"), root.path().join("struck"), root.path().join("python3"));
    // A copy, which finds its library where the original does.
    let put = || fs::copy(real_python(), &python).unwrap();
    put();
    let ran = feed(train_python(&whole, &python), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (mut child, mut said) = started(train_python(&struck, &python), "seeded");
    fs::remove_file(&python).unwrap();
    send("-KILL", &below(child.id()));
    let mut told = String::new();
    while said.read_line(&mut told).unwrap() != 0 {}
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    assert!(told.contains("error: ") && told.contains("hint: `kelvin resume"), "{told}");
    let gone = run(&["resume", struck.to_str().unwrap(), "--plain"]);
    assert!(gone.code == Some(1) && gone.err.contains("\nhint: "), "{}", gone.err);
    put();
    let resumed = run(&["resume", struck.to_str().unwrap(), "--plain"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(records(&struck), records(&whole));
}

/// Each comes up and is killed, over and over: the run ends instead of trying for ever, and no program is blamed.
#[test]
fn workers_that_never_live_long_end_a_run_and_nothing_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let (whole, struck) = (root.path().join("whole"), root.path().join("struck"));
    let ran = feed(train_python(&whole, &real_python()), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (mut child, mut said) = started(train_python(&struck, &real_python()), "seeded");
    let (host, has_ended) = (child.id(), AtomicBool::new(false));
    let mut told = String::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !has_ended.load(Ordering::Relaxed) {
                send("-KILL", &below(host));
            }
        });
        while said.read_line(&mut told).unwrap() != 0 {}
        has_ended.store(true, Ordering::Relaxed);
    });
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    assert!(told.contains("error: ") && told.contains("hint: `kelvin resume"), "{told}");
    let resumed = run(&["resume", struck.to_str().unwrap(), "--plain"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(records(&struck), records(&whole));
}
