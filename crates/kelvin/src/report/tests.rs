//! Reports of whole and of damaged run folders.

use std::fs;

use serde_json::{Value, json};

use super::*;

const LIMITS: Limits = Limits { tasks_max: 10, rollouts_max: 6, alarms_max: 5, chars_max: 100 };

/// A run folder with rows for steps 0 to 2.
fn folder(dir: &Path, seed: u64) -> PathBuf {
    let dir = dir.join(format!("run-{seed}"));
    fs::create_dir_all(dir.join("transcripts")).unwrap();
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    write(
        "config.toml",
        format!("recipe = \"azr\"\nenvironment = \"python_triplet\"\nseed = {seed}\nsteps = 2\n"),
    );
    write("manifest.json", json!({ "format": 1, "kelvin": "0.1.0" }).to_string());
    let row = |step: u64| {
        json!({ "step": step, "eval/mean/accuracy": 0.25 * step as f64, "solver/deduction/accuracy": 0.5 })
            .to_string()
            + "\n"
    };
    write("metrics.jsonl", (0..3).map(row).collect());
    let task =
        json!({ "task_type": "deduction", "born": 0, "payload": { "snippet": "def f(x):\n    return x" } });
    write("tasks.jsonl", format!("{task}\n{{\"task_type\": \"ded"));
    let rollout =
        json!({ "role": "solver", "task_type": "deduction", "prompt": "p", "response": "</script>" });
    write("transcripts/000002.jsonl", format!("{rollout}\n"));
    dir
}

fn data(page: &str) -> Value {
    let data = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(data).unwrap()
}

#[test]
fn a_run_and_its_seeds_are_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let dirs = [folder(scratch.path(), 1), folder(scratch.path(), 2)];
    let one = data(&single(&dirs[0], &LIMITS).unwrap());
    assert_eq!(one["tasks"]["total"], 1, "a line without its end is still being written");
    assert_eq!(one["rollouts"]["shown"][0]["response"], "</script>");
    assert_eq!(one["rollouts"]["shown"][0]["step"], 2);
    assert_eq!(one["alarms"]["total"], 0, "a run before that log");
    assert_eq!(one["ends"][0]["last"]["mean"], 0.5);
    assert_eq!(one["runs"][0]["columns"]["solver/deduction/accuracy"], json!([0.5, 0.5, 0.5]));

    let both = data(&comparison(&dirs).unwrap());
    assert_eq!(both["groups"], json!([{ "name": "run", "runs": [0, 1] }]));
    assert_eq!(both["ends"][0]["n"], 2);
    assert_eq!(both["differences"], json!([]));
}

#[test]
fn a_damaged_folder_is_one_message_with_a_hint() {
    let whole = "{\"step\": 0}\n";
    let damages: [(&str, &[u8]); 12] = [
        ("config.toml", b"seed = "),
        ("config.toml", b"\xff\xfe"),
        ("manifest.json", b"[]"),
        ("manifest.json", b"{\"format\": 7}"),
        ("manifest.json", b"{}"),
        ("metrics.jsonl", b""),
        ("metrics.jsonl", b"{\"loss\": 1}\n"),
        ("metrics.jsonl", b"{\"step\": null}\n"),
        ("metrics.jsonl", b"\x00\x00\x00\n{\"step\": 0}\n"),
        ("tasks.jsonl", b"{\"task_type\n"),
        ("alarms.jsonl", b"nonsense\n"),
        ("transcripts/000002.jsonl", b"[1, 2]\n"),
    ];
    for (name, bytes) in damages {
        let scratch = tempfile::tempdir().unwrap();
        let dir = folder(scratch.path(), 1);
        fs::write(dir.join(name), bytes).unwrap();
        let error = crate::error::render(&single(&dir, &LIMITS).unwrap_err());
        let whose = if name == "metrics.jsonl" && bytes.is_empty() { "run-1" } else { name };
        assert!(error.contains(whose) && error.contains("hint: "), "{name}: {error}");
        assert_eq!(error.matches("hint: ").count(), 1, "{name}: {error}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = folder(scratch.path(), 1);
    for name in ["config.toml", "manifest.json", "metrics.jsonl", "tasks.jsonl"] {
        let kept = fs::read(dir.join(name)).unwrap();
        fs::remove_file(dir.join(name)).unwrap();
        assert!(crate::error::render(&single(&dir, &LIMITS).unwrap_err()).contains("hint: "), "{name}");
        fs::write(dir.join(name), kept).unwrap();
    }
    // Values of a kind that no run writes are shown, not believed.
    fs::write(
        dir.join("metrics.jsonl"),
        format!("{whole}{{\"step\": -1e308, \"eval/mean/accuracy\": 1e308}}\n"),
    )
    .unwrap();
    fs::write(dir.join("tasks.jsonl"), "7\nnull\n").unwrap();
    assert!(single(&dir, &LIMITS).is_ok());
}
