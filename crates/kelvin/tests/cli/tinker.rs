//! Runs over a scripted server: with everything that can go wrong they end as one that nothing happened to.

#[path = "../../../kelvin-remote/tests/tinker/scripted/mod.rs"]
pub mod scripted;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Stdio},
    thread,
    time::Duration,
};

use kelvin_core::{seed::Seed, vocabulary::Vocabulary};
use kelvin_model::ModelText;
use serde_json::Value;

use crate::{Ran, command, feed};
use scripted::{
    Fault, Faults, Rates, Server,
    table::Base,
    world::{Dialect, World},
};

const NAME: &str = "toy";
const STEPS: &str = "3";

/// A policy that has read equations and their answers, in the tokens of the embedded model.
pub fn base() -> Base {
    let text = ModelText::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("base")).unwrap();
    let mut texts = Vec::new();
    for p in [19u32, 23, 29] {
        for a in 2..p - 1 {
            let b = (1..p).find(|b| a * b % p == 1).unwrap();
            for (letter, slots, answer) in [
                ("x", format!("x * {a} = 1 mod {p}"), b),
                ("y", format!("{b} * y = 1 mod {p}"), a),
                ("p", format!("{a} * {b} = 1 mod p"), p),
            ] {
                texts.push(format!("### inversion\n{slots}\n### {letter}\n{answer}"));
                texts.push(format!("### propose inversion {letter}\n{slots}\n### task\n{slots}"));
            }
        }
    }
    let ends = |it: &String| [text.encode(it).unwrap(), text.end_tokens().to_vec()].concat();
    let texts: Vec<Vec<u32>> = texts.iter().map(ends).collect();
    Base::of(text.size(), &texts)
}

/// A server of that policy.
pub fn server(dialect: Dialect) -> Server {
    Server::start(World::new(NAME, base(), dialect))
}

fn sets(server: &Server) -> Vec<String> {
    let url = format!("policy.remote.url={}", server.url());
    let more = [
        "policy.backend=tinker",
        "policy.remote.base_model=toy",
        "policy.remote.answer_s=4",
        "policy.remote.retries=40",
        "policy.remote.keep_alive=false",
        "policy.remote.pause_ms=2",
        // Where it ends, and what it says then, is what most tests look at.
        "policy.remote.restarts_max=0",
        "policy.remote.data_max=7",
        "azr.batch_size=6",
        "azr.n_estimate=2",
        "inversion.n_seeds=6",
        "inversion.p_max=29",
        "inversion.eval_p_max=19",
        "eval.n_samples=1",
        "eval.every=3",
        "checkpoint.every=1",
    ];
    let more = more.into_iter().map(str::to_owned).chain([url]);
    more.flat_map(|it| ["--set".to_owned(), it]).collect()
}

pub fn train_command(server: &Server, dir: &Path) -> process::Command {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/prime-inversion.toml");
    let sets = sets(server);
    let paths = [config.to_str().unwrap(), "--run-dir", dir.to_str().unwrap(), "--steps", STEPS, "--plain"];
    let arguments: Vec<&str> =
        ["train"].into_iter().chain(paths).chain(sets.iter().map(String::as_str)).collect();
    let mut command = command(&arguments);
    command.env("TINKER_API_KEY", "tml-hidden");
    command
}

fn resume_command(dir: &Path) -> process::Command {
    let mut command = command(&["resume", dir.to_str().unwrap(), "--plain"]);
    command.env("TINKER_API_KEY", "tml-hidden");
    command
}

fn resume(dir: &Path) -> Ran {
    feed(resume_command(dir), "")
}

/// What a run is compared by: its tasks, and its metrics without what may differ between two runs.
pub fn outcome(dir: &Path) -> (String, Vec<BTreeMap<String, Value>>) {
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let rows = read("metrics.jsonl").lines().map(|it| serde_json::from_str(it).unwrap()).collect::<Vec<_>>();
    let lasts = |name: &str| !name.starts_with("timing/") && !name.starts_with("system/");
    let kept = |row: BTreeMap<String, Value>| row.into_iter().filter(|(name, _)| lasts(name)).collect();
    (read("tasks.jsonl"), rows.into_iter().map(kept).collect())
}

fn contents(dir: &Path) -> Vec<u8> {
    let entries = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    entries.flat_map(|it| if it.is_dir() { contents(&it) } else { fs::read(it).unwrap() }).collect()
}

/// A whole run of Absolute Zero on prime inversion, with a KL term: learns something, and speaks either dialect. More seeds of
/// faults ask for `KELVIN_SLOW=1`.
#[test]
fn a_run_over_a_server_ends_the_same_whatever_goes_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let spared = dir.path().join("spared");
    let healthy = server(Dialect::Protobuf);
    let ran = feed(train_command(&healthy, &spared), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("in protobuf"), "{}", ran.err);
    let (tasks, rows) = outcome(&spared);
    assert!(rows.iter().skip(1).all(|it| 0.0 < it["update/grad_norm"].as_f64().unwrap()));
    assert!(tasks.lines().any(|it| !it.contains("\"born\":0")), "proposals are admitted: {tasks}");
    assert!(!holds_key(&spared));
    let n_requests = healthy.with(|it| it.n_requests);
    healthy.with(|it| assert_eq!((it.world.n_steps, it.world.n_stale_draws), (3, 0)));

    let (quick, slow) = (3, 8);
    let is_slow = env::var_os("KELVIN_SLOW").is_some();
    if !is_slow {
        eprintln!("{quick} seeds of faults instead of {slow}: more take minutes and ask for KELVIN_SLOW=1");
    }
    let n_seeds = if is_slow { slow } else { quick };
    for number in 0..n_seeds {
        let struck = dir.path().join(format!("struck-{number}"));
        let seed = Seed::new(7).nth(number);
        let dialect = if number % 2 == 0 { Dialect::Json } else { Dialect::Protobuf };
        // Shared connections, as they are by default, cannot tell an answer that comes twice from the next.
        let is_shared = number % 3 == 2;
        let server = server(dialect);
        go_through_faults(&server, seed, n_requests, is_shared, &struck);
        assert_eq!(outcome(&struck), (tasks.clone(), rows.clone()), "seed {number}");
        assert!(!holds_key(&struck));
        server.with(|it| {
            let wanted = Fault::ALL.iter().filter(|it| !is_shared || **it != Fault::Doubled);
            let missing: Vec<_> = wanted.filter(|fault| !it.struck.contains_key(fault)).collect();
            assert!(missing.is_empty(), "seed {number}: {missing:?} never struck: {:?}", it.struck);
            assert!(it.restarts.is_empty(), "seed {number}: {:?}", it.restarts);
            assert_eq!(it.world.n_stale_draws, 0, "seed {number}");
        });
    }
}

/// A run to its end over a server that is at fault in every way at least once, is started again twice, and whose client is killed
/// a third of the way. A run without faults makes `n_requests`.
fn go_through_faults(server: &Server, seed: Seed, n_requests: u64, is_shared: bool, dir: &Path) {
    server.with(|it| {
        let mut rates = Rates { late: 0.0003, ..Rates::all(0.003) };
        if is_shared {
            rates.doubled = 0.0;
        }
        it.faults = Some(Faults { seed, rates });
        // What is rare, or hangs on what a request is for, comes for sure: in another order and elsewhere with each seed.
        let mut draws = seed.fork("due").draws();
        it.due = Fault::ALL.map(|fault| (draws.below(n_requests as usize * 3 / 4) as u64, fault)).to_vec();
        it.due.retain(|(_, fault)| !is_shared || *fault != Fault::Doubled);
        // In the middle of what a run without faults asks for, and once more on the way on.
        it.restarts = vec![n_requests, n_requests / 2];
    });
    let mut child = train_command(server, dir)
        .args(["--set", &format!("policy.remote.keep_alive={is_shared}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.with(|it| it.n_requests) < n_requests / 3 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut ends = Vec::new();
    for _ in 0..12 {
        let ran = resume(dir);
        let said = ran.err;
        assert!(!said.contains("tml-hidden"), "{said}");
        ends.push(ran.code);
        match ran.code {
            Some(0) => break,
            Some(1) => assert!(said.contains("hint: ") && said.contains("kelvin resume"), "{said}"),
            other => panic!("{other:?}: {said}"),
        }
    }
    assert!(2 <= ends.len() && ends.last() == Some(&Some(0)), "{ends:?}");
}

/// Whether the key is in any file of a run.
fn holds_key(dir: &Path) -> bool {
    contents(dir).windows(10).any(|it| it == b"tml-hidden")
}

/// One command is enough where the server is started again, in the seed stage and later; where it forgets again and again, the
/// run ends.
#[test]
fn a_run_goes_on_by_itself_when_its_server_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let train = |server: &Server, name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let mut command = train_command(server, &run);
        command.args(more.iter().flat_map(|it| ["--set", it]));
        (feed(command, ""), run)
    };
    let spared = server(Dialect::Protobuf);
    let (ran, whole) = train(&spared, "spared", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let n = spared.with(|it| it.n_requests);
    let server = server(Dialect::Protobuf);
    // The last first: after the seed stage began, in the middle, near the end.
    server.with(|it| it.restarts = vec![n, n * 3 / 4, 40]);
    let (ran, struck) = train(&server, "struck", &["policy.remote.restarts_max=2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let n_said = ran.err.matches("going on from the last checkpoint (").count();
    assert_eq!((n_said, server.with(|it| it.restarts.len())), (3, 0), "{}", ran.err);
    assert_eq!(outcome(&struck), outcome(&whole));
    assert_eq!(server.with(|it| it.world.n_stale_draws), 0);

    server.with(|it| it.restarts = (1..200).rev().map(|at| it.n_requests + 40 * at).collect());
    let (ran, _) = train(&server, "lost", &["policy.remote.restarts_max=2"]);
    let said = ran.err;
    assert_eq!(ran.code, Some(1), "{said}");
    assert!(said.contains("(2 of 2 without a step") && !said.contains("(3 of"), "{said}");
    assert!(said.contains("was started again") && said.contains("kelvin resume"), "{said}");
}

/// Runs to the end; `heard` is told each line on standard error.
fn listen(mut command: process::Command, mut heard: impl FnMut(&str)) -> (Option<i32>, String) {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = silent.spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        heard(&line);
        said += &line;
        said.push('\n');
    }
    (child.wait().unwrap().code(), said)
}

/// The server keeps the states of the checkpoints that are here, and no others.
#[test]
fn states_of_checkpoints_that_go_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let server = server(Dialect::Protobuf);
    let mut command = train_command(&server, &run);
    command.args(["--set", "checkpoint.keep=2", "--set", "checkpoint.keep_best=0"]);
    let ran = feed(command, "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let checkpoints = fs::read_dir(run.join("checkpoints")).unwrap().map(|it| it.unwrap().path());
    let state = |it: PathBuf| {
        let text = fs::read_to_string(it.join("policy/tinker.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["state"].as_str().unwrap().to_owned()
    };
    let here: BTreeSet<String> = checkpoints.map(state).collect();
    assert_eq!(here.len(), 2);
    server.with(|it| assert_eq!(it.world.states(), here.iter().map(String::as_str).collect()));
}

/// A server goes away in the middle of a run, is nowhere for longer than requests are tried, and comes back as a new process: the
/// run waits for it, also where it goes again before the run goes on, and ends as one that nothing happened to.
#[test]
fn a_run_waits_for_a_server_that_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let [spared, struck] = ["spared", "struck"].map(|it| dir.path().join(it));
    let healthy = server(Dialect::Json);
    let ran = feed(train_command(&healthy, &spared), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let n = healthy.with(|it| it.n_requests);

    let server = server(Dialect::Json);
    server.with(|it| it.leaves = vec![n * 3 / 4, n / 3]);
    let mut command = train_command(&server, &struck);
    for set in ["restarts_max=3", "retries=1", "answer_s=60", "wait_s=600"] {
        command.args(["--set", &format!("policy.remote.{set}")]);
    }
    let mut n_waits = 0;
    let (code, said) = listen(command, |line| {
        if line.contains("waiting up to 600 s until it answers") {
            n_waits += 1;
            // The first time it answers that it is there, and goes before it says what it is.
            server.with(|it| it.leaves_before = (n_waits == 1).then_some("api/v1/get_server_capabilities"));
            server.come_back();
        }
    });
    assert_eq!((code, n_waits), (Some(0), 3), "{said}");
    assert!(said.contains("going on from the last checkpoint (2 of 3 without a step in between)"), "{said}");
    assert_eq!(outcome(&struck), outcome(&spared));
    server.with(|it| assert_eq!(it.world.n_stale_draws, 0));
}

/// A run that is resumed where what the killed one left takes the server's only place waits until that is free.
#[test]
fn a_run_waits_for_a_place_on_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let [spared, struck] = ["spared", "struck"].map(|it| dir.path().join(it));
    let healthy = server(Dialect::Protobuf);
    let ran = feed(train_command(&healthy, &spared), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let n = healthy.with(|it| it.n_requests);

    let server = server(Dialect::Protobuf);
    server.with(|it| it.world.n_models_max = 1);
    let mut command = train_command(&server, &struck);
    command.args(["--set", "policy.remote.restarts_max=3"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while server.with(|it| it.n_requests) < n / 2 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(server.with(|it| it.world.n_models()), 1, "nobody said that it goes");
    let mut n_waits = 0;
    let (code, said) = listen(resume_command(&struck), |line| {
        if line.contains("waiting up to 600 s until it has a place") {
            n_waits += 1;
            server.with(|it| (0..2).for_each(|_| it.world.end_silent()));
        }
    });
    assert_eq!((code, n_waits), (Some(0), 1), "{said}");
    assert!(said.contains("Maximum number of LoRA adapters (1) reached"), "{said}");
    assert_eq!(outcome(&struck), outcome(&spared));
}

/// What a server cannot do is said before a folder is made.
#[test]
fn what_the_server_lacks_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(Dialect::Protobuf);
    server.with(|it| it.world.clips = false);
    let told = |more: &[&str]| {
        let run = dir.path().join("run");
        let mut command = train_command(&server, &run);
        command.args(more.iter().flat_map(|it| ["--set", it]));
        let ran = feed(command, "");
        assert!(ran.code == Some(2) && !run.exists(), "{}", ran.err);
        ran.err
    };
    assert!(told(&[]).contains("optimizer.grad_clip = 1 cannot be had"));
    let off = "optimizer.grad_clip=0";
    assert!(told(&[off, "policy.remote.base_model=other"]).contains("has no model \"other\", it has toy"));
    let said = told(&[off, "objective.entropy_coefficient=0.01", "policy.remote.entropy=refuse"]);
    assert!(said.contains("objective.entropy_coefficient") && said.contains("hint: "), "{said}");
    for (set, key) in [
        ("sampling.solve.top_p=0.9", "sampling.solve"),
        ("policy.remote.losses=server", "objective.kl_coefficient"),
        ("policy.lora.rank=4", "policy.lora"),
        ("policy.remote.url=http://192.168.0.1:8000", "is not https"),
        ("policy.remote.concurrent_max=0", "policy.remote.concurrent_max"),
        ("policy.backend=native", "policy.remote"),
    ] {
        let said = told(&[off, set]);
        assert!(said.contains(key) && said.contains("hint: "), "{set}: {said}");
    }
}

#[test]
fn the_doctor_names_the_dialect() {
    for (dialect, name) in [(Dialect::Json, "json"), (Dialect::Protobuf, "protobuf")] {
        let server = server(dialect);
        let ran = feed(command(&["doctor", "--engine", &server.url()]), "");
        assert!(ran.out.contains(&format!("Tinker protocol in {name} at ")), "{}", ran.out);
    }
}
