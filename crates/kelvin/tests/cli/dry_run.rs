//! A dry run shows what a run would be and starts nothing: it needs neither weights nor Python.

use std::path::Path;

use crate::{Ran, command, feed};

/// In an empty folder, without Python and without a cache of models.
fn dry_run(dir: &Path, args: &[&str]) -> Ran {
    let mut command = command(&[&["train", "--dry-run"], args].concat());
    command.current_dir(dir).env("HF_HOME", dir).env("PATH", "/nonexistent");
    let ran = feed(command, "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "nothing is written");
    for role in ["proposer", "solver"] {
        for task_type in ["deduction", "abduction", "induction"] {
            assert!(ran.out.contains(&format!("--- {role}, {task_type}")), "{}", ran.out);
        }
    }
    ran
}

#[test]
fn the_quick_start_is_planned_from_its_own_model() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dry_run(dir.path(), &[]);
    assert_eq!(ran.err, "");
    for line in ["--- memory, from the files of embedded", "tokens of at most 320)", "model = \"embedded\""] {
        assert!(ran.out.contains(line), "{}", ran.out);
    }
}

#[test]
fn prime_inversion_shows_what_guesses_would_get() {
    let dir = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/prime-inversion.toml");
    let ran = dry_run(dir.path(), &[config.to_str().unwrap()]);
    assert_eq!(ran.err, "");
    for line in [
        "deduction   uniform guess   3.2 %, best constant answer   3.2 %",
        "induction   uniform guess  23.1 %, best constant answer  19.6 %",
        "### propose inversion p\n",
        "tokens of at most 128)",
        "tokens of at most 64)",
    ] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    let ran = dry_run(dir.path(), &[config.to_str().unwrap(), "--set", "inversion.induction=any_prime"]);
    assert!(
        ran.out.contains("induction   uniform guess  18.1 %, best constant answer  29.2 %"),
        "{}",
        ran.out
    );
}

/// Once a run comes to have composites, though its first step has none.
#[test]
fn composite_proposals_have_their_own_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let grows =
        ["--set", "azr.composite.scheduler.enabled=true", "--set", "azr.composite.scheduler.chance_start=20"];
    let ran = dry_run(dir.path(), &[&["--set", "python.prompt_set=full"], &grows[..]].concat());
    let n = |text: &str| ran.out.matches(text).count();
    assert_eq!((n(", composite ("), n("--- proposer, ")), (2, 5), "{}", ran.out);
    assert_eq!(dry_run(dir.path(), &[]).out.matches(", composite (").count(), 0);
}

#[test]
fn a_model_that_is_not_here_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/azr-qwen2.5-coder-3b.toml");
    let ran = dry_run(dir.path(), &[config.to_str().unwrap(), "--set", "n_samples=8"]);
    assert!(ran.err.contains("note: --set: `n_samples` is `azr.n_estimate` here"), "{}", ran.err);
    assert!(ran.err.contains("warning: ") && ran.err.contains("\nhint: "), "{}", ran.err);
    for line in [
        "--- memory, from the published shape of Qwen/Qwen2.5-Coder-3B",
        "3,085,938,688 in f32",
        "15,544,320  tokens, if all responses reach their limit",
        "640 + 2,560 + 320",
    ] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    let ran = dry_run(dir.path(), &["--set", "policy.model=someone/else"]);
    assert!(ran.out.contains("not known: the shape of someone/else"), "{}", ran.out);
}
