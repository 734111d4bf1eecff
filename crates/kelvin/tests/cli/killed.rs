//! Runs of the binary that are killed and go on: in every kind of write of a run folder, and whenever. What they leave in
//! the end is what a run leaves that nothing happened to.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kelvin_core::seed::{Draws, Seed};
use kelvin_model::{Checkpoint, Lora, LoraConfig, LoraTarget};
use serde_json::Value;

use crate::{Ran, command, feed, run, timeless_rows};

/// A small run of a recipe on an environment.
struct Arm {
    config: Option<&'static str>,
    sets: &'static [&'static str],
}

/// Absolute Zero on prime inversion.
const INVERSION: Arm = Arm {
    config: Some("prime-inversion.toml"),
    sets: &[
        "steps=2",
        "azr.batch_size=3",
        "azr.n_estimate=2",
        "azr.n_solutions=2",
        "inversion.n_seeds=8",
        "inversion.eval_p_max=19",
        "eval.n_tasks=18",
        "eval.n_samples=2",
        "eval.every=1",
        "checkpoint.keep=1",
    ],
};

/// Absolute Zero on Python.
const PYTHON: Arm = Arm {
    config: None,
    sets: &[
        "steps=3",
        "azr.batch_size=4",
        "azr.n_estimate=2",
        "azr.n_solutions=2",
        "azr.seed_factor=2",
        "eval.n_tasks=4",
        "eval.n_samples=2",
        "eval.every=2",
        "checkpoint.keep=2",
    ],
};

/// R-Zero on questions, with a reference at each phase's start.
const R_ZERO: Arm = Arm {
    config: Some("r-zero-tiny.toml"),
    sets: &[
        "steps=8",
        "r_zero.challenger_steps=1",
        "r_zero.curriculum_steps=1",
        // So that a reference of a phase's start is found again within the phase.
        "r_zero.solver_steps=2",
        "r_zero.questions=8",
        "r_zero.votes=2",
        "r_zero.pool=12",
        "r_zero.label_votes=3",
        "r_zero.curriculum_min=1",
        "r_zero.solver_batch=2",
        "r_zero.solver_rollouts=2",
        "objective.kl_coefficient=0.01",
        "eval.n_tasks=4",
        "eval.n_samples=2",
        "eval.every=2",
        "checkpoint.keep=1",
    ],
};

const COMMON: [&str; 4] =
    ["checkpoint.every=1", "checkpoint.transcripts_every=1", "policy.threads=1", "python.workers=1"];

impl Arm {
    fn train(&self, dir: &Path, more: &[&str]) -> Command {
        let mut train = command(&["train", "--plain", "--run-dir", dir.to_str().unwrap()]);
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        train.args(self.config.map(|it| configs.join(it)));
        train.args(self.sets.iter().chain(&COMMON).chain(more).flat_map(|it| ["--set", it]));
        train
    }
}

fn resume(dir: &Path) -> Command {
    command(&["resume", dir.to_str().unwrap(), "--plain"])
}

/// What must not differ between two identical runs: records, and the policies of the last checkpoint.
fn outcome(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut take = |path: &Path| {
        let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        files.insert(name, fs::read(path).unwrap());
    };
    ["tasks.jsonl", "alarms.jsonl"].iter().for_each(|it| take(&dir.join(it)));
    below(&dir.join("transcripts")).iter().for_each(|it| take(it));
    let checkpoints = sorted(&dir.join("checkpoints"));
    let policies = sorted(checkpoints.last().unwrap()).into_iter().filter(|it| it.is_dir());
    policies.flat_map(|it| below(&it)).for_each(|it| take(&it));
    files.insert("metrics.jsonl".into(), timeless_rows(dir).join("\n").into_bytes());
    files
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { below(&path) } else { vec![path] };
    sorted(dir).into_iter().flat_map(below).collect()
}

fn assert_same(found: &Path, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    let found = outcome(found);
    for (name, bytes) in expected {
        assert!(found.get(name) == Some(bytes), "{what}: {name} differs");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

/// A run that nothing happens to; gives what it left and in how many operations on the disk.
fn whole(arm: &Arm, dir: &Path) -> (BTreeMap<String, Vec<u8>>, usize) {
    let mut train = arm.train(dir, &[]);
    train.env("KELVIN_KILL_AT", "0:0");
    let ran = feed(train, "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let counted = ran.err.lines().find_map(|it| it.strip_prefix("KELVIN_KILL_AT: ")).unwrap();
    let n_operations = counted.strip_suffix(" operations").unwrap().parse().unwrap();
    let files = outcome(dir);
    assert!(files.keys().any(|it| it.ends_with("optimizer.safetensors")), "{:?}", files.keys());
    (files, n_operations)
}

/// Goes on to the end, from whatever was left.
fn finish(arm: &Arm, dir: &Path) -> Ran {
    // Killed before it had a configuration, it is begun again.
    let again = if dir.join("config.toml").exists() { resume(dir) } else { arm.train(dir, &[]) };
    let ran = feed(again, "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(!ran.err.contains("damaged"), "{}", ran.err);
    ran
}

/// Kills a run in one of its operations, and often what goes on with it in another.
fn killed_within_writes(arm: &Arm, n: usize, draws: &mut Draws) {
    let root = tempfile::tempdir().unwrap();
    let (expected, n_operations) = whole(arm, &root.path().join("whole"));
    for point in 0..n {
        // Spread over the whole run.
        let at = 1 + (point * n_operations + draws.below(n_operations)) / n;
        let bytes = draws.below(1 << 24);
        let dir = root.path().join(format!("killed-{point}"));
        let mut train = arm.train(&dir, &[]);
        train.env("KELVIN_KILL_AT", format!("{at}:{bytes}"));
        let ran = feed(train, "");
        assert_eq!(ran.code, None, "operation {at} of {n_operations}: {}", ran.err);
        let mut what = format!("killed in operation {at}:{bytes} of {n_operations}");
        if draws.chance(0.5) && dir.join("config.toml").exists() {
            let again = 1 + draws.below(30);
            let mut resume = resume(&dir);
            resume.env("KELVIN_KILL_AT", format!("{again}:{bytes}"));
            feed(resume, "");
            what.push_str(&format!(", going on in operation {again}"));
        }
        finish(arm, &dir);
        assert_same(&dir, &expected, &what);
        fs::remove_dir_all(&dir).unwrap();
    }
}

/// Kills a run after some time, wherever it is then.
#[expect(clippy::disallowed_methods, reason = "when it is killed decides nothing about the verdict")]
fn killed_whenever(arm: &Arm, n: usize, draws: &mut Draws) {
    let root = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let (expected, _) = whole(arm, &root.path().join("whole"));
    let lasts = started.elapsed();
    for point in 0..n {
        let dir = root.path().join(format!("killed-{point}"));
        let mut train = arm.train(&dir, &[]);
        let mut child = train.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let share = (point as f64 + draws.unit()) / n as f64;
        thread::sleep(Duration::from_secs_f64(share * lasts.as_secs_f64()));
        child.kill().unwrap();
        child.wait().unwrap();
        finish(arm, &dir);
        assert_same(&dir, &expected, &format!("killed after {share:.2} of its time"));
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_run_that_is_killed_within_a_write_goes_on_bit_for_bit() {
    killed_within_writes(&INVERSION, 3, &mut Seed::new(1).draws());
}

/// Over a hundred points of both recipes.
#[test]
fn runs_that_are_killed_anywhere_go_on_bit_for_bit() {
    if env::var_os("KELVIN_SLOW").is_none() {
        eprintln!("skipped: takes minutes, asks for KELVIN_SLOW=1");
        return;
    }
    let mut draws = Seed::new(2).draws();
    for arm in [INVERSION, PYTHON, R_ZERO] {
        killed_within_writes(&arm, 26, &mut draws);
        killed_whenever(&arm, 10, &mut draws);
    }
}

/// Weights and tokenizer are in the checkpoint; what adapters stand on is not.
#[test]
fn a_run_goes_on_without_the_model_that_it_began_with() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let model = at("model");
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("base")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), model.join(file.file_name())).unwrap();
    }
    let of_model = format!("policy.model={}", model.display());
    // A reference would be read from the model's place again.
    let alone = [of_model.as_str(), "objective.kl_coefficient=0", "objective.kl_estimator=k3"];
    let lora = [&alone[..], &["policy.lora.rank=2"]].concat();
    for (name, more) in [("weights", &alone[..]), ("adapters", &lora[..])] {
        let (all, part) = (at(&format!("{name}-all")), at(&format!("{name}-part")));
        let ran = feed(INVERSION.train(&all, more), "");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(feed(INVERSION.train(&part, &[more, &["steps=1"]].concat()), "").code, Some(0));
        let manifest: Value =
            serde_json::from_str(&fs::read_to_string(part.join("manifest.json")).unwrap()).unwrap();
        let sums = &manifest["model_files"];
        assert!(sums["model.safetensors"].is_string() && sums["tokenizer.json"].is_string(), "{manifest}");
        fs::rename(&model, at("elsewhere")).unwrap();
        let resumed = run(&["resume", part.to_str().unwrap(), "--steps", "2", "--plain"]);
        fs::rename(at("elsewhere"), &model).unwrap();
        if name == "weights" {
            assert_eq!(resumed.code, Some(0), "{}", resumed.err);
            let last =
                |dir: &Path| outcome(dir).remove("checkpoints/000002/policy/model.safetensors").unwrap();
            assert!(last(&part) == last(&all));
        } else {
            assert!(resumed.code == Some(1) && resumed.err.contains("\nhint: "), "{}", resumed.err);
        }
    }
}

/// All that an adapter is, so that its file is not read to resolve the configuration.
const LORA_OF_ANOTHER: [&str; 4] = [
    "policy.lora.rank=3",
    "policy.lora.alpha=16",
    "policy.lora.targets=[\"down_proj\", \"q_proj\"]",
    "policy.lora.rslora=false",
];

/// An adapter on the base model, and what a run takes that is to go on from it.
fn adapter_at(dir: &Path, seed: u64) -> (Lora, [String; 2]) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("base");
    let config = LoraConfig {
        rank: 2,
        targets: vec![LoraTarget::DownProj, LoraTarget::QProj],
        ..LoraConfig::default()
    };
    let mut lora = Lora::new(&Checkpoint::load(&base).unwrap().config, &config, Seed::new(7));
    for (idx, it) in lora.flat.iter_mut().enumerate() {
        *it += 0.01 * (Seed::new(seed).nth(idx as u64).unit() as f32 - 0.5);
    }
    lora.save(dir, "embedded").unwrap();
    let sets = [("policy.model", &*base), ("policy.lora.from", dir)];
    (lora, sets.map(|(key, path)| format!("{key}={}", path.display())))
}

/// A run that goes on from an adapter, which is gone when the run goes on.
#[test]
fn an_adapter_learns_on_and_is_not_read_again() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let adapter = at("adapter");
    let (given, [of_model, of_adapter]) = adapter_at(&adapter, 8);
    let more = [of_model.as_str(), &of_adapter, "objective.kl_coefficient=0", "objective.kl_estimator=k3"];
    let (all, part) = (at("all"), at("part"));
    let mut dry = INVERSION.train(&all, &more);
    dry.arg("--dry-run");
    let dry = feed(dry, "");
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    let whole = [&more[..], &LORA_OF_ANOTHER].concat();
    let mut dry = INVERSION.train(&all, &whole);
    dry.arg("--dry-run");
    let dry = feed(dry, "");
    assert!(dry.code == Some(1) && dry.err.contains("lora.rank is 3, and the adapter in "), "{}", dry.err);
    let ran = feed(INVERSION.train(&all, &more), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("policy goes on from the adapter in "), "{}", ran.err);
    assert!(ran.err.contains("says that it is for embedded; it goes on upon "), "{}", ran.err);
    assert_eq!(feed(INVERSION.train(&part, &[&more[..], &["steps=1"]].concat()), "").code, Some(0));
    let manifest = fs::read_to_string(part.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let sums = &manifest["model_files"];
    assert!(sums["adapter/adapter_model.safetensors"].is_string(), "{manifest}");
    assert!(sums["model.safetensors"].is_string(), "{manifest}");
    // A step moves what learns by about the learning rate; fresh adapters would be far away.
    let model = Checkpoint::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("base")).unwrap().config;
    let learnt = Lora::load(&part.join("checkpoints/000001/policy"), &model).unwrap();
    let moved = learnt.flat.iter().zip(&given.flat).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(0.0 < moved && moved < 1e-3, "{moved}");

    fs::remove_dir_all(&adapter).unwrap();
    let resumed = run(&["resume", part.to_str().unwrap(), "--steps", "2", "--plain"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let last =
        |dir: &Path| outcome(dir).remove("checkpoints/000002/policy/adapter_model.safetensors").unwrap();
    assert!(last(&part) == last(&all));
    let gone = feed(INVERSION.train(&at("gone"), &more), "");
    assert!(gone.code == Some(2) && gone.err.contains("policy.lora.from: "), "{}", gone.err);
    assert!(!at("gone").exists());
}

/// A reference has the adapter on it, so each start reads it; and so does a run that goes on before its first checkpoint.
#[test]
fn another_adapter_in_the_place_of_the_first_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let (adapter, dir) = (at("adapter"), at("run"));
    let (_, [of_model, of_adapter]) = adapter_at(&adapter, 8);
    let more = [of_model.as_str(), &of_adapter, "objective.kl_coefficient=0.01", "steps=1"];
    let ran = feed(INVERSION.train(&dir, &more), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // What a run leaves that is killed before its first checkpoint.
    let begun = at("begun");
    fs::create_dir(&begun).unwrap();
    for file in ["config.toml", "manifest.json"] {
        fs::copy(dir.join(file), begun.join(file)).unwrap();
    }
    let go_on = |dir: &Path| run(&["resume", dir.to_str().unwrap(), "--steps", "2", "--plain"]);
    let refused = |dir: &Path, what: &str| {
        let ran = go_on(dir);
        assert!(ran.code == Some(1) && ran.err.contains(what), "{}", ran.err);
        assert!(ran.err.contains("\nhint: put "), "{}", ran.err);
    };
    adapter_at(&adapter, 9);
    for dir in [&dir, &begun] {
        refused(dir, "is another one than the run began with: adapter_model.safetensors differs");
    }
    fs::remove_dir_all(&adapter).unwrap();
    refused(&dir, "the run reads the adapter of policy.lora.from again: reading ");
    adapter_at(&adapter, 8);
    for dir in [&dir, &begun] {
        let ran = go_on(dir);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    assert_same(&begun, &outcome(&dir), "one that had not begun");
}
