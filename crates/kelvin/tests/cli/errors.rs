//! Messages say what happened and how to mend it; exit codes say whose fault it is.

use std::{fs, process::Stdio};

use crate::{Ran, command, feed, run, without};

/// One message, and what was asked.
fn told(args: &[&str], ran: &Ran) -> String {
    format!("$ kelvin {}\n{}[exit code {}]\n", args.join(" "), ran.err, ran.code.unwrap_or(-1))
}

#[test]
fn mistakes_get_one_message_and_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir_all(at("run/checkpoints/000003")).unwrap();
    fs::write(at("rows.jsonl"), "{\"id\": 1, \"tokens\": [1]}\nnot json\n").unwrap();
    fs::write(at("batch.jsonl"), "{\"prompt\": [1], \"response\": [2]}\n").unwrap();
    fs::write(at("update.toml"), "learning_rte = 1e-3\n").unwrap();
    fs::write(at("ok.toml"), "learning_rate = 1e-3\nclip = 0.2\n").unwrap();
    fs::write(at("clip.toml"), "clip = \"tight\"\n").unwrap();
    let cases: &[&[&str]] = &[
        &["trian"],
        &["exec"],
        &["logprobs", &at("nowhere")],
        &["logprobs", &at("empty")],
        &["logprobs", &at("rows.jsonl")],
        &["sample", &at("run"), "--prompt", "x"],
        &["sample", "Qwen/Qwen2.5-3B", "--prompt", "x"],
        &["sample", &at("empty"), "--prompt", "x", "--temperature", "-1"],
        &["update", "m", "--batch", &at("batch.jsonl"), "--config", &at("update.toml"), "--out", &at("new")],
        &["update", "m", "--batch", &at("batch.jsonl"), "--config", &at("clip.toml"), "--out", &at("new")],
        &["update", "m", "--batch", &at("batch.jsonl"), "--config", &at("ok.toml"), "--out", &at("new")],
        &["update", "m", "--batch", &at("nothing"), "--config", &at("ok.toml"), "--out", &at("new")],
        &["exec", "validate", "--in", &at("missing.jsonl")],
        &["exec", "validate", "--in", &at("rows.jsonl")],
        &["exec", "validate", "--python", &at("no-python")],
        &["exec", "validate", "--timeout", "0"],
        &["exec", "grade", "--in", &at("rows.jsonl"), "--out", &at("rows.jsonl")],
        &["man", "--out", &at("missing")],
    ];
    let mut transcript = String::new();
    for args in cases {
        let mut command = command(args);
        command.env("HF_HOME", dir.path());
        let ran = feed(command, "");
        assert!(matches!(ran.code, Some(1 | 2)), "{args:?} ends with {:?}", ran.code);
        transcript.push_str(&without(&told(args, &ran), dir.path()));
        transcript.push('\n');
    }
    insta::assert_snapshot!(transcript);
    let rows = fs::read_to_string(at("rows.jsonl")).unwrap();
    assert!(rows.ends_with("not json\n"), "a refused command leaves its input alone");
}

/// Limits that the engine has are known before it starts.
#[test]
fn arguments_beyond_their_limits_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("run").to_str().unwrap().to_owned();
    let sample = ["sample", "embedded", "--prompt", "x"];
    let stops = ["--stop", "x"].repeat(17);
    let long = "x".repeat(1025);
    let cases: [Vec<&str>; 6] = [
        [&sample[..], &["--threads", "1025"]].concat(),
        [&sample[..], &stops].concat(),
        [&sample[..], &["--stop", &long]].concat(),
        vec!["logprobs", "embedded", "--threads", "1025"],
        vec!["bench", "train", "--threads", "-1"],
        vec!["train", "--run-dir", &run_dir, "--set", "policy.threads=1025"],
    ];
    let mut transcript = String::new();
    for args in &cases {
        let ran = feed(command(args), "");
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.err);
        transcript.push_str(&without(&told(args, &ran), dir.path()).replace(&long, "(1025 letters)"));
        transcript.push('\n');
    }
    let args = ["sample", "embedded", "--prompt", "x"];
    let mut typo = command(&args);
    typo.env("KELVIN_SIMD", "avx");
    let ran = feed(typo, "");
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    transcript.push_str(&format!("KELVIN_SIMD=avx {}", told(&args, &ran)));
    insta::assert_snapshot!(transcript);
    assert!(!dir.path().join("run").exists());
}

/// Before any model is read.
#[test]
fn an_update_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(
        at("batch.jsonl"),
        concat!(
            "{\"prompt\": [1], \"response\": [2, 0], \"advantage\": 1.0, \"sampler_logprobs\": [-1, -2], ",
            "\"reference_logprobs\": [-1, -2]}\n",
            "{\"prompt\": [1], \"response\": [3, 0], \"advantage\": -1.0}\n"
        ),
    )
    .unwrap();
    let mut transcript = String::new();
    for config in [
        "loss = \"grpo\"",
        "loss = \"gspo\"",
        "loss = \"cispo\"\ndual_clip = 5",
        "loss = \"reinforce\"\ndual_clip = 5",
        "clip = [1.5, 0.2]",
        "aggregation = \"constant\"",
        "constant_length = 100",
        "aggregation = \"mean\"",
        "kl_estimator = \"k2\"",
        "dtype = \"bf16\"\nlora.rank = 4",
        "lora.alpha = 32",
        "kl_coefficient = -0.1",
        "kl_coefficient = 0.1\nkl_estimator = \"k4\"",
        "kl_coefficient = 0.1",
        "importance_cap = -2",
        "importance_cap = 2",
        "temperature = 0",
        "temperature = 1e-50",
        "learning_rate = -1",
        "eps = 1e-60",
        "gradient_clip = inf",
        "optimizer = \"sgd\"",
        "micro_batch = -1",
    ] {
        fs::write(at("update.toml"), config).unwrap();
        let (batch, config_path, out) = (at("batch.jsonl"), at("update.toml"), at("new"));
        let ran = run(&["update", "m", "--batch", &batch, "--config", &config_path, "--out", &out]);
        assert!(matches!(ran.code, Some(1 | 2)), "{config} ends with {:?}", ran.code);
        let told = without(&ran.err, dir.path());
        transcript.push_str(&format!("{config}\n{told}[exit code {}]\n\n", ran.code.unwrap_or(-1)));
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn without_python_nothing_runs() {
    let mut command = command(&["exec", "validate"]);
    command.env("PATH", "/nonexistent");
    let ran = feed(command, "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("no CPython") && ran.err.contains("\nhint: install one"), "{}", ran.err);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut child =
        command(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn doctor_says_what_is_there() {
    let ran = run(&["doctor"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    for subject in ["python", "isolation", "cpu", "threads", "memory", "disk", "hub cache"] {
        let line = ran.out.lines().find(|line| line.get(6..).is_some_and(|rest| rest.starts_with(subject)));
        assert!(line.is_some_and(|line| line.starts_with("ok ") || line.starts_with("warn ")), "{}", ran.out);
    }
    let ran = run(&["doctor", "--python", "/nonexistent/python"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("fail  python") && ran.err.contains("hint: "), "{}{}", ran.out, ran.err);
}
