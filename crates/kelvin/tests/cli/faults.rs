//! What the world does to a run: each thing gets one message with a hint, and nothing is lost.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{Ran, command, feed, run, without};

const SETS: [&str; 10] = [
    "azr.batch_size=3",
    "azr.n_estimate=2",
    "azr.n_solutions=2",
    "inversion.n_seeds=8",
    "inversion.eval_p_max=19",
    "eval.n_tasks=18",
    "eval.n_samples=2",
    "eval.every=2",
    "checkpoint.every=2",
    "policy.threads=1",
];

/// The arguments of a small run of prime inversion.
fn arguments(dir: &Path, steps: &str) -> Vec<String> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/prime-inversion.toml");
    let paths = [config.to_str().unwrap(), "--run-dir", dir.to_str().unwrap(), "--steps", steps, "--plain"];
    let sets = SETS.iter().flat_map(|it| ["--set", it]);
    ["train"].into_iter().chain(paths).chain(sets).map(str::to_owned).collect()
}

fn train(dir: &Path, steps: &str) -> Command {
    let arguments = arguments(dir, steps);
    command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Through a shell, which says what the process may do.
fn under(limits: &str, arguments: &[String]) -> Ran {
    feed(in_shell(limits, arguments), "")
}

fn in_shell(limits: &str, arguments: &[String]) -> Command {
    let quoted: Vec<String> = arguments.iter().map(|it| format!("'{it}'")).collect();
    let line = format!("{limits}; exec '{}' {}", env!("CARGO_BIN_EXE_kelvin"), quoted.join(" "));
    #[expect(clippy::disallowed_methods, reason = "a shell sets limits before the process under test starts")]
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]);
    shell
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

/// The tasks and transcripts, which two identical runs have in common.
pub(crate) fn records(dir: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("transcripts")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files.push(dir.join("tasks.jsonl"));
    files.into_iter().map(text).collect()
}

/// A checkpoint does not fit below the limit; with room again the run goes on as if nothing had been.
#[test]
fn a_full_disk_ends_a_run_with_one_message_and_room_mends_it() {
    let root = tempfile::tempdir().unwrap();
    let (full, whole) = (root.path().join("full"), root.path().join("whole"));
    assert_eq!(feed(train(&whole, "2"), "").code, Some(0));
    // In blocks of 512 bytes or of 1,024: less than the weights, more than all records.
    let ran = under("ulimit -f 2000", &arguments(&full, "2"));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let told = without(&ran.err, root.path());
    let told = told.lines().skip_while(|it| !it.starts_with("error:")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(told);
    let resumed = run(&["resume", full.to_str().unwrap(), "--plain"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(records(&full), records(&whole));
}

#[test]
fn a_folder_that_cannot_be_written_is_said_before_anything_starts() {
    let ran = feed(train(Path::new("/proc/kelvin/run"), "1"), "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.err, @r"
    error: cannot create /proc/kelvin/run: making /proc/kelvin/run: No such file or directory (os error 2)
    hint: choose a folder you can write with --run-dir
    ");
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("run");
    assert_eq!(feed(train(&dir, "1"), "").code, Some(0));
    let held = fs::File::create(dir.join("lock")).unwrap();
    held.lock().unwrap();
    let before = text(dir.join("metrics.jsonl"));
    let ran = run(&["resume", dir.to_str().unwrap(), "--steps", "2"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(without(&ran.err, root.path()), @r"
    error: DIR/run is in use by another kelvin process
    hint: wait for it, stop it, or give this run its own --run-dir
    ");
    assert_eq!(text(dir.join("metrics.jsonl")), before);
}

#[test]
fn a_configuration_that_was_edited_is_refused_with_every_difference() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("run");
    assert_eq!(feed(train(&dir, "1"), "").code, Some(0));
    let config = text(dir.join("config.toml"));
    let edited = config.replace("batch_size = 3", "batch_size = 4").replacen("\nseed = 1", "\nseed = 2", 1);
    fs::write(dir.join("config.toml"), edited).unwrap();
    let refused = run(&["resume", dir.to_str().unwrap(), "--steps", "2"]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(without(&refused.err, root.path()));
    let free = config.replace("every = 2", "every = 1").replace("threads = 1", "threads = 2");
    // The evaluation's too, which is put back.
    let free = free.replacen("n_samples = 2\nevery = 1", "n_samples = 2\nevery = 2", 1);
    fs::write(dir.join("config.toml"), free.replace("[eval]\nevery = 1", "[eval]\nevery = 2")).unwrap();
    let goes_on = run(&["resume", dir.to_str().unwrap(), "--steps", "2", "--plain"]);
    assert_eq!(goes_on.code, Some(0), "{}", goes_on.err);
}

/// Nobody reads what a run prints, and nobody types.
#[test]
fn a_run_outlives_its_terminal() {
    let root = tempfile::tempdir().unwrap();
    let (alone, watched) = (root.path().join("alone"), root.path().join("watched"));
    assert_eq!(feed(train(&watched, "2"), "").code, Some(0));
    let mut child = train(&alone, "2")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(records(&alone), records(&watched));
    let closed = root.path().join("closed");
    let ran = under("exec 0<&- 1>&- 2>&-", &arguments(&closed, "2"));
    assert_eq!(ran.code, Some(0));
    assert_eq!(records(&closed), records(&watched));
}

/// Starts a command and gives it with its standard error once it has said a line with `until`.
pub(crate) fn started(mut command: Command, until: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(until) {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ends before it says `{until}`");
    }
    (child, said)
}

fn signal(child: &Child, name: &str) {
    #[expect(clippy::disallowed_methods, reason = "signals need a command where there is no unsafe code")]
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// As `nohup` starts it.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_ignores_a_closed_terminal_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("run");
    let (mut child, mut said) = started(in_shell("trap '' HUP", &arguments(&dir, "2")), "step   1/2");
    signal(&child, "-HUP");
    said.read_line(&mut String::new()).unwrap();
    drop(said);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Whether who started the tests closes its terminal without ending them, as `nohup` does; runs that tests start inherit it.
fn ignores_a_closed_terminal() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    ignored.is_some_and(|it| u64::from_str_radix(it.trim(), 16).unwrap() & SIGHUP_BIT != 0)
}

/// Within a step, too: what was complete before it is in a checkpoint, and the end is that of a run that was left alone.
#[test]
fn a_run_that_is_told_to_end_leaves_a_checkpoint_of_its_last_step() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    assert_eq!(feed(train(&whole, "4"), "").code, Some(0));
    for (name, code, until) in [
        ("-TERM", 143, "step   1/4"),
        ("-INT", 130, "step   2/4"),
        ("-HUP", 129, "step   2/4"),
        ("-TERM", 143, "seeding"),
    ] {
        if name == "-HUP" && ignores_a_closed_terminal() {
            continue;
        }
        let dir = root.path().join(format!("ended{name}{}", until.replace([' ', '/'], "-")));
        let (mut child, mut said) = started(train(&dir, "4"), until);
        signal(&child, name);
        let mut told = String::new();
        while said.read_line(&mut told).unwrap() != 0 {}
        assert_eq!(child.wait().unwrap().code(), Some(code), "{told}");
        assert!(told.contains("kelvin resume"), "{told}");
        let resumed = run(&["resume", dir.to_str().unwrap(), "--plain"]);
        assert_eq!(resumed.code, Some(0), "{}", resumed.err);
        if until != "seeding" {
            let from = resumed.err.lines().find(|it| it.starts_with("resuming")).unwrap().to_owned();
            assert!(!from.contains("from step 0"), "{from}");
        }
        assert_eq!(records(&dir), records(&whole), "after `{until}`");
    }
}

#[test]
fn pretraining_ends_when_it_is_told_to() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("model");
    let (mut child, _said) =
        started(command(&["pretrain", "--out", out.to_str().unwrap()]), "generating and labelling");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!out.join("model.safetensors").exists());
}
