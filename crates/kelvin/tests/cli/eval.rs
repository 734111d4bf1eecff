//! `kelvin eval` from outside, on a few questions of our own in CRUXEval's format, put to the embedded model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Ran, run};

/// A data folder with our questions.
fn data() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("cruxeval")).unwrap();
    fs::write(dir.path().join("cruxeval/cruxeval.jsonl"), include_str!("../fixtures/cruxeval.jsonl"))
        .unwrap();
    dir
}

fn eval(data: &Path, out: &Path, more: &[&str]) -> Ran {
    let (data, out) = (data.to_str().unwrap(), out.to_str().unwrap());
    let mut args = vec!["eval", "--data", data, "--out", out, "--isolation", "none"];
    args.extend(more);
    run(&args)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn json_line(text: &str) -> Value {
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

/// The whole path: prompt, draw, answer, sandbox, score, page; then cut off, resumed, graded again and compared.
#[test]
fn the_embedded_model_answers_cruxeval() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let ours = ["embedded", "--bench", "cruxeval-o,cruxeval-i", "--samples", "2", "--seed", "3"];
    let whole = dir.path().join("whole");
    let ran = eval(data.path(), &whole, &ours);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("| CRUXEval-O | compact | 6 x 2 |"), "{}", ran.out);
    assert!(ran.err.contains("not the file that this version was checked against"), "{}", ran.err);
    let results = json(&whole.join("results.json"));
    let score = &results["benchmarks"]["cruxeval-o"]["score"];
    assert_eq!((score["n_items"].as_u64(), score["by_item"].as_object().unwrap().len()), (Some(6), 6));
    // It was trained on such programs: of twelve responses some are right, and none of the kind is ever out of reach.
    assert!(0.0 < score["accuracy"]["value"].as_f64().unwrap(), "{score}");
    let page = fs::read_to_string(whole.join("results.html")).unwrap();
    assert!(page.contains("CRUXEval-O") && !page.contains("http"), "{page}");

    // Half of the samples, the last of them cut: what is missing is drawn again, and nothing else.
    let cut = dir.path().join("cut");
    fs::create_dir(&cut).unwrap();
    fs::copy(whole.join("manifest.json"), cut.join("manifest.json")).unwrap();
    let samples = fs::read_to_string(whole.join("samples.jsonl")).unwrap();
    let lines: Vec<&str> = samples.lines().collect();
    assert_eq!(lines.len(), 24);
    fs::write(cut.join("samples.jsonl"), lines[..12].join("\n") + "\n" + &lines[12][..20]).unwrap();
    let ran = eval(data.path(), &cut, &ours);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(json(&cut.join("results.json")), results);
    assert!(fs::read_to_string(cut.join("samples.jsonl")).unwrap().starts_with(&lines[..12].join("\n")));

    // What was asked or graded otherwise is not mixed with what would be drawn now.
    let kept = fs::read_to_string(cut.join("samples.jsonl")).unwrap();
    let prompt = json_line(&kept)["prompt_sha256"].as_str().unwrap().to_owned();
    for (from, to, hint) in
        [(prompt.as_str(), "0", "another folder"), ("\"grader\":1", "\"grader\":0", "--regrade")]
    {
        fs::write(cut.join("samples.jsonl"), kept.replacen(from, to, 1)).unwrap();
        let ran = eval(data.path(), &cut, &ours);
        assert!(ran.code == Some(1) && ran.err.contains("hint: ") && ran.err.contains(hint), "{}", ran.err);
    }

    // Samples stay that answer other data than what is there now.
    let other = self::data();
    let rows = include_str!("../fixtures/cruxeval.jsonl");
    fs::write(other.path().join("cruxeval/cruxeval.jsonl"), rows.lines().next().unwrap()).unwrap();
    let ran = eval(other.path(), &whole, &["--regrade", "--bench", "cruxeval-o"]);
    assert!(ran.code == Some(2) && ran.err.contains("other files of data"), "{}", ran.err);
    assert_eq!(fs::read_to_string(whole.join("samples.jsonl")).unwrap(), samples);

    let bench = ["--regrade", "--bench", "cruxeval-o,cruxeval-i", "--samples", "2"];
    let ran = eval(data.path(), &cut, &bench);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(json(&cut.join("results.json")), results);

    // One benchmark alone: what was scored of the other stays beside it.
    let ran = eval(data.path(), &cut, &["--regrade", "--bench", "cruxeval-o", "--samples", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(json(&cut.join("results.json")), results);

    let files = [&whole, &cut].map(|it| it.join("results.json"));
    let ran = run(&["eval", "--compare", files[0].to_str().unwrap(), files[1].to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("| CRUXEval-O | 6 |") && ran.out.contains("| 0 : 0 | 1.0000 |"), "{}", ran.out);
}

/// A draw does not hang on how many others there are, nor on threads.
#[test]
fn a_limit_changes_no_response() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let responses = |name: &str, more: &[&str]| {
        let out = dir.path().join(name);
        let args: Vec<&str> =
            ["embedded", "--bench", "cruxeval-o", "--temperature", "1"].iter().chain(more).copied().collect();
        let ran = eval(data.path(), &out, &args);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let mut lines: Vec<String> =
            fs::read_to_string(out.join("samples.jsonl")).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let all = responses("all", &["--workers", "2"]);
    let some = responses("some", &["--workers", "1", "--limit", "3"]);
    assert_eq!((all.len(), some.len()), (6, 3));
    assert!(some.iter().all(|it| all.contains(it)), "{some:?} {all:?}");
}

/// A copy of the embedded model's files.
fn base_in(dir: &Path) -> PathBuf {
    let model = dir.join("model");
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/base")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), model.join(file.file_name())).unwrap();
    }
    model
}

/// Questions go through the model's chat template and its settings; another setting is another evaluation.
#[test]
fn a_chat_template_asks() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let model = base_in(dir.path());
    let out = dir.path().join("out");
    let ask = |mood: &str| {
        let mood = format!("mood={mood}");
        let more = ["--bench", "cruxeval-o", "--limit", "2", "--max-new", "4", "--chat", "--chat-set", &mood];
        eval(data.path(), &out, &[&[model.to_str().unwrap()], &more[..]].concat())
    };
    let ran = ask("calm");
    assert!(ran.code == Some(1) && ran.err.contains("no chat template"), "{}", ran.err);
    fs::write(model.join("chat_template.jinja"), "{{ mood }} {{ messages[0].content }}").unwrap();
    fs::remove_dir_all(&out).unwrap();
    let ran = ask("calm");
    assert!(
        ran.code == Some(0) && ran.out.contains("| CRUXEval-O | chat | first 2 of 6 x 1 |"),
        "{}{}",
        ran.out,
        ran.err
    );
    assert_eq!(json(&out.join("manifest.json"))["chat_set"], serde_json::json!(["mood=calm"]));
    let ran = ask("calm");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let ran = ask("wild");
    assert!(ran.code == Some(2) && ran.err.contains("another evaluation"), "{}", ran.err);
    // Other files below the same name are another model.
    fs::write(model.join("chat_template.jinja"), "wild {{ messages[0].content }}").unwrap();
    let ran = ask("calm");
    assert!(ran.code == Some(2) && ran.err.contains("another evaluation"), "{}", ran.err);
}

/// What is demoted stands in the manifest, makes another evaluation, and has to be an added token.
#[test]
fn a_demoted_token_makes_another_evaluation() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let model = base_in(dir.path());
    // The first letter of every program comes to be a token that is added.
    let path = model.join("tokenizer.json");
    let mut tokenizer = json(&path);
    let id = tokenizer["model"]["vocab"]["d"].clone();
    let mut added = tokenizer["added_tokens"][0].clone();
    (added["id"], added["content"]) = (id.clone(), "d".into());
    tokenizer["added_tokens"].as_array_mut().unwrap().push(added);
    fs::write(&path, tokenizer.to_string()).unwrap();
    let ask = |out: &str, more: &[&str]| {
        let first = [model.to_str().unwrap(), "--bench", "cruxeval-o", "--limit", "2", "--max-new", "4"];
        eval(data.path(), &dir.path().join(out), &[&first[..], more].concat())
    };
    let id = id.to_string();
    for (out, more) in [("added", &[][..]), ("text", &["--demote-token", &id])] {
        let ran = ask(out, more);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    assert_eq!(json(&dir.path().join("text/manifest.json"))["demote_token"].to_string(), format!("[{id}]"));
    let ran = ask("added", &["--demote-token", &id]);
    assert!(ran.code == Some(2) && ran.err.contains("another evaluation"), "{}", ran.err);
    let ran = ask("other", &["--demote-token", "5"]);
    assert!(ran.code == Some(1) && ran.err.contains("hint:"), "{}", ran.err);
}

#[test]
fn publishers_answers_are_right() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let ran = eval(data.path(), &dir.path().join("none"), &["--verify", "--bench", "cruxeval-o,cruxeval-i"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("CRUXEval-I: 6 of 6"), "{}", ran.out);
    assert!(!dir.path().join("none").exists());
}

#[test]
fn mistakes_get_a_hint() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    for (args, code, said) in [
        (&["embedded", "--bench", "cruxeval"][..], 2, "did you mean cruxeval-"),
        (&["embedded", "--bench", "gsm8k"], 1, "cannot read"),
        (&["--regrade", "--bench", "cruxeval-o"], 1, "holds no evaluation"),
        (&["--bench", "cruxeval-o"], 2, "<MODEL>"),
    ] {
        let ran = eval(data.path(), &out, args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
        assert!(code == 2 && said == "<MODEL>" || ran.err.contains("hint: "), "{args:?}: {}", ran.err);
    }
    let listed = run(&["eval", "--list"]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    for text in
        ["humaneval_plus/HumanEvalPlus.jsonl.gz", "Apache-2.0", "livecodebench", "supergpqa", "azr-code"]
    {
        assert!(listed.out.contains(text), "{}", listed.out);
    }
}

/// A run is measured as it learns by the same questions, draws and grades as `kelvin eval` of its checkpoint.
#[test]
fn a_run_is_measured_as_eval_measures_it() {
    let (data, dir) = (data(), tempfile::tempdir().unwrap());
    let (data, run_dir) = (data.path().to_str().unwrap(), dir.path().join("run"));
    let at = run_dir.to_str().unwrap();
    let config = dir.path().join("measured.toml");
    fs::write(
        &config,
        format!(
            "environment = \"prime_inversion\"\nsteps = 2\n[azr]\nbatch_size = 4\nn_estimate = 2\n[eval]\nevery = 0\n\
             [sampling.propose]\nmax_new_tokens = 32\n[sampling.solve]\nmax_new_tokens = 16\n\
             [sampling.estimate]\nmax_new_tokens = 16\n[sampling.seed]\nmax_new_tokens = 32\n\
             [policy]\nmodel = \"embedded\"\n[inversion]\nprompt_set = \"compact\"\n[benchmarks]\nnames = [\"cruxeval-o\"]\ndata = {data:?}\n\
             prompt_mode = \"compact\"\nn_samples = 2\nseed = 3\nlimit = 5\nevery = 0\n[python]\nisolation = \"none\"\n"
        ),
    )
    .unwrap();
    let train = ["train", config.to_str().unwrap(), "--run-dir", at, "--plain"];
    let ran = run(&[&train[..], &["--dry-run"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("--- CRUXEval-O: 5 items, 2 each, prompts compact"), "{}", ran.out);
    let ran = run(&train);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("benchmarks in %") && ran.out.contains("\ncruxeval-o  "), "{}", ran.out);
    let rows = fs::read_to_string(run_dir.join("metrics.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let metric = |step: usize, name: &str| rows[step][format!("benchmark/cruxeval-o/{name}")].as_f64();
    assert_eq!((metric(0, "items"), metric(1, "items"), metric(2, "items")), (Some(5.0), None, Some(5.0)));

    let out = dir.path().join("out");
    let more = ["--bench", "cruxeval-o", "--samples", "2", "--seed", "3", "--limit", "5", "--compact"];
    let ran = eval(Path::new(data), &out, &[&[at], &more[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let score = &json(&out.join("results.json"))["benchmarks"]["cruxeval-o"]["score"];
    for (ours, theirs) in [("accuracy", "value"), ("accuracy_low", "low"), ("accuracy_high", "high")] {
        assert_eq!(metric(2, ours), score["accuracy"][theirs].as_f64(), "{ours}");
    }
    let lines = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&run_dir.join("benchmarks/000002.jsonl")), lines(&out.join("samples.jsonl")));

    for (set, code, what) in [
        ("benchmarks.tokens_max=10", 2, "pays for no item of cruxeval-o"),
        ("benchmarks.names=[\"cruxeval\"]", 2, "there is no benchmark cruxeval"),
        ("benchmarks.data=\"nowhere\"", 1, "no folder nowhere"),
        ("benchmarks.n_samples=0", 2, "benchmarks.n_samples"),
    ] {
        let ran = run(&[&train[..3], &["x", "--set", set]].concat());
        assert!(
            ran.code == Some(code) && ran.err.contains(what) && ran.err.contains("hint:"),
            "{set}: {}",
            ran.err
        );
    }
}
