//! Prime inversion runs nothing, so it trains, stops and goes on where there is no Python.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{Ran, command, feed, timeless_rows};

fn without_python(args: &[&str]) -> Ran {
    let mut command = command(args);
    command.env("PATH", "/nonexistent").env("KELVIN_PYTHON", "/nonexistent/python");
    feed(command, "")
}

fn train(dir: &Path, steps: &str) -> Ran {
    train_with(dir, steps, &[])
}

fn train_with(dir: &Path, steps: &str, more: &[&str]) -> Ran {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/prime-inversion.toml");
    let sets = [
        "azr.batch_size=3",
        "azr.n_estimate=2",
        "azr.n_solutions=2",
        "inversion.eval_p_max=19",
        "eval.n_samples=2",
        "eval.every=1",
        "checkpoint.every=1",
        "policy.threads=1",
    ];
    let sets = sets.iter().flat_map(|it| ["--set", it]);
    let paths = [config.to_str().unwrap(), "--run-dir", dir.to_str().unwrap(), "--steps", steps, "--plain"];
    let more = more.iter().copied();
    without_python(&["train"].into_iter().chain(paths).chain(sets).chain(more).collect::<Vec<_>>())
}

/// Seeds beside each other: what is complete stays as it is, what is not goes on, and a page has all of them.
#[test]
fn several_seeds_are_one_command_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, alone) = (dir.path().join("runs"), dir.path().join("alone"));
    let twice = train_with(&runs, "1", &["--seeds", "2,1,2"]);
    assert!(twice.code == Some(2) && twice.err.contains("names a seed twice\nhint: "), "{}", twice.err);

    let ran = train_with(&runs, "1", &["--seeds", "2"]);
    assert!(ran.code == Some(0) && ran.err.contains("one seed has no comparison"), "{}", ran.err);
    let before = fs::read(runs.join("seed-2/metrics.jsonl")).unwrap();
    let ran = train_with(&runs, "1", &["--seeds", "1,2", "--set", "tracking.tensorboard=false"]);
    assert!(ran.code == Some(0) && ran.err.contains("seed-2 is complete"), "{}", ran.err);
    assert!(ran.out.contains("2 seeds"), "{}", ran.out);
    assert_eq!(fs::read(runs.join("seed-2/metrics.jsonl")).unwrap(), before);
    let page = fs::read_to_string(runs.join("comparison.html")).unwrap();
    assert!(page.contains("seed-1") && page.contains("seed-2"));

    assert_eq!(train_with(&alone, "1", &["--set", "seed=2"]).code, Some(0));
    assert_eq!(timeless_rows(&alone), timeless_rows(&runs.join("seed-2")));

    let other = train_with(&runs, "1", &["--seeds", "1,2", "--set", "azr.batch_size=2"]);
    assert!(
        other.code == Some(2) && other.err.contains("holds a run with other settings\nhint: "),
        "{}",
        other.err
    );
}

#[test]
fn a_run_needs_no_python_and_resumes_to_the_same_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let ran = train(&whole, "2");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("evaluated at step   2") && !ran.err.contains("isolation"), "{}", ran.err);
    assert!(ran.out.contains("uniform guess") && ran.out.contains("withheld"), "{}", ran.out);
    let manifest = fs::read_to_string(whole.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["python"], &manifest["isolation"]), (&Value::Null, &Value::Null));

    assert_eq!(train(&cut, "1").code, Some(0));
    let resumed = without_python(&["resume", cut.to_str().unwrap(), "--steps", "2", "--plain"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(timeless_rows(&cut), timeless_rows(&whole));
    for name in ["eval/deduction/withheld", "eval/mean/withheld_ci95", "eval/induction/floor_constant"] {
        assert!(timeless_rows(&whole)[0].contains(&format!("\"{name}\":")), "{name}");
    }

    let listed = without_python(&["tasks", whole.to_str().unwrap()]);
    assert!(listed.code == Some(0) && listed.out.contains(r#""payload":{"p":"#), "{}", listed.out);
    let seeds = without_python(&["tasks", whole.to_str().unwrap(), "--format", "azr"]);
    assert!(seeds.code == Some(1) && seeds.err.contains("hint: leave out --format azr"), "{}", seeds.err);

    let report = without_python(&["report", whole.to_str().unwrap()]);
    assert_eq!(report.code, Some(0), "{}", report.err);
    let page = fs::read_to_string(whole.join("report.html")).unwrap();
    assert!(page.contains(r#""floors":[{"#) && page.contains(r#""key":"withheld""#));
}
