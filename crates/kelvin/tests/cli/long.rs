//! Whole runs of the binary, killed and repeated. They take minutes and ask for `KELVIN_SLOW=1`.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
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

/// Pretrains a little, with these settings; gives the folder.
fn pretrained(root: &Path, name: &str, settings: &str) -> PathBuf {
    let change = |line: &str| match line.split(' ').next() {
        Some("n_programs") => "n_programs = 1500\n".to_owned(),
        Some("n_examples") => "n_examples = 6000\n".to_owned(),
        Some("tokens") => "tokens = 150000\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let (config, out) = (root.join(format!("{name}.toml")), root.join(name));
    fs::write(&config, settings.lines().map(change).collect::<String>()).unwrap();
    let ran = run(&["pretrain", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    out
}

#[test]
fn pretraining_again_gives_the_same_bytes() {
    if !is_asked_for() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let out = pretrained(root.path(), name, include_str!("../../../../configs/pretrain.toml"));
        ["model.safetensors", "tokenizer.json"].map(|name| fs::read(out.join(name)).unwrap())
    };
    assert!(bytes("once") == bytes("again"));
}

/// Bases of the papers' other families play both recipes, and are what `config.json` says they are.
#[test]
fn bases_of_other_families_play_both_recipes() {
    if !is_asked_for() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for (family, settings) in [
        ("llama", include_str!("../../../../configs/pretrain-llama.toml")),
        ("qwen3", include_str!("../../../../configs/pretrain-qwen3.toml")),
    ] {
        let base = pretrained(root.path(), family, settings);
        let text = fs::read_to_string(base.join("config.json")).unwrap();
        assert!(text.contains(&format!("\"model_type\": \"{family}\"")), "{text}");
        let model = format!("policy.model={}", base.display());
        for (recipe, more) in [
            ("prime-inversion", &["azr.batch_size=4", "inversion.eval_p_max=19", "eval.n_samples=2"][..]),
            (
                "r-zero-tiny",
                &[
                    "r_zero.questions=16",
                    "r_zero.pool=48",
                    "r_zero.curriculum_min=0",
                    "r_zero.challenger_steps=1",
                    "r_zero.curriculum_steps=1",
                    "r_zero.solver_steps=1",
                    "eval.n_tasks=10",
                ],
            ),
        ] {
            let config = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../configs/{recipe}.toml"));
            let dir = root.path().join(format!("{family}-{recipe}"));
            let sets = more.iter().copied().chain([model.as_str(), "steps=3", "eval.every=3"]);
            let sets: Vec<&str> = sets.flat_map(|it| ["--set", it]).collect();
            let paths = [config.to_str().unwrap(), "--run-dir", dir.to_str().unwrap(), "--plain"];
            let ran = run(&[&["train"][..], &paths, &sets].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            assert_eq!(timeless_rows(&dir).len(), 4, "{}", ran.err);
        }
    }
}
