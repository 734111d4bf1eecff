//! `logprobs`, `update` and `sample` on the tiny models whose numbers PyTorch computed.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Ran, command, feed, run};

const FOLDERS: [&str; 2] = ["tied", "untied"];

/// A golden model with a tokenizer that reads `t7` as token 7, and what PyTorch says of it.
pub fn golden(name: &str) -> (TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kelvin-model/goldens").join(name);
    for file in ["config.json", "model.safetensors"] {
        fs::copy(source.join(file), dir.path().join(file)).unwrap();
    }
    let vocab: serde_json::Map<String, Value> = (0..48).map(|id| (format!("t{id}"), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "t0"},
    });
    fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let expected = fs::read_to_string(source.join("expected.json")).unwrap();
    (dir, serde_json::from_str(&expected).unwrap())
}

pub fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn close(found: &Value, expected: &Value, tolerance: f64) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= tolerance, "{found}, PyTorch {expected}");
}

#[test]
fn logprobs_are_those_of_pytorch() {
    for name in FOLDERS {
        let (dir, expected) = golden(name);
        let input: String = (0..)
            .zip(expected["samples"].as_array().unwrap())
            .map(|(id, sample)| {
                let tokens = [sample["prompt"].as_array().unwrap(), sample["response"].as_array().unwrap()]
                    .map(Vec::clone)
                    .concat();
                format!("{}\n", json!({"id": id, "tokens": tokens, "other": null}))
            })
            .collect();
        let temperature = expected["objective"]["temperature"].to_string();
        let model = dir.path().to_str().unwrap();
        let options = ["logprobs", model, "--temperature", &temperature];
        let one = feed(command(&[&options[..], &["--threads", "1"]].concat()), &input);
        let two = feed(command(&[&options[..], &["--threads", "2"]].concat()), &input);
        assert_eq!(one.out, two.out, "threads change no bit");
        for (id, row) in rows(&one).iter().enumerate() {
            assert_eq!(row["id"], id);
            let (found, expected) =
                (row["logprobs"].as_array().unwrap(), expected["logprobs"][id].as_array().unwrap());
            assert_eq!(found.len(), expected.len());
            found.iter().zip(expected).for_each(|(found, expected)| close(found, expected, 3e-5));
        }
    }
}

/// What PyTorch was told, as a configuration.
fn update_config(expected: &Value) -> String {
    let (objective, adam) = (&expected["objective"], &expected["adam"]);
    let surrogate = &objective["surrogate"];
    let mut config = format!("loss = {}\noptimizer = \"adamw\"\ndtype = \"f32\"\n", surrogate["kind"]);
    if surrogate["kind"] == "ppo_clip" {
        let clip = format!("clip = [{}, {}]\n", surrogate["low"], surrogate["high"]);
        config.push_str(&format!("{clip}dual_clip = {}\n", surrogate["dual"]));
    }
    for key in ["aggregation", "temperature", "entropy_coefficient"] {
        config.push_str(&format!("{key} = {}\n", objective[key]));
    }
    for key in ["learning_rate", "beta1", "beta2", "eps", "weight_decay"] {
        config.push_str(&format!("{key} = {}\n", adam[key]));
    }
    config.push_str(&format!("gradient_clip = {}\n", adam["grad_clip"]));
    config
}

#[test]
fn update_takes_the_step_of_pytorch() {
    for name in FOLDERS {
        let (dir, expected) = golden(name);
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let samples: String =
            expected["samples"].as_array().unwrap().iter().map(|sample| format!("{sample}\n")).collect();
        fs::write(at("batch.jsonl"), samples).unwrap();
        fs::write(at("update.toml"), update_config(&expected)).unwrap();
        // The second update reads what the first saved; its optimizer is new, but its loss is of those weights.
        let mut model = dir.path().to_str().unwrap().to_owned();
        for (step, expected) in expected["steps"].as_array().unwrap().iter().enumerate() {
            let out = at(&format!("step{step}"));
            let ran = run(&[
                "update",
                &model,
                "--batch",
                &at("batch.jsonl"),
                "--config",
                &at("update.toml"),
                "--out",
                &out,
            ]);
            let found = &rows(&ran)[0];
            for key in ["loss", "entropy", "kl_old_new"] {
                close(&found[key], &expected[key], 2e-5);
            }
            close(
                &found["grad_norm"],
                &expected["grad_norm"],
                1e-4 * expected["grad_norm"].as_f64().unwrap(),
            );
            assert!(ran.out.starts_with("{\"loss\":"), "{}", ran.out);
            model = out;
        }
    }
}

/// Every part of an objective at once, on all samples and on two at a time.
#[test]
fn an_update_takes_every_part_of_an_objective_and_any_split() {
    let (dir, expected) = golden("tied");
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let samples =
        expected["samples"].as_array().unwrap().iter().zip(expected["logprobs"].as_array().unwrap());
    let rows: String = samples
        .map(|(sample, logprobs)| {
            // Those of the sequence; the response's are the last.
            let (n, logprobs) = (sample["response"].as_array().unwrap().len(), logprobs.as_array().unwrap());
            let now: Vec<f64> =
                logprobs[logprobs.len() - n..].iter().map(|it| it.as_f64().unwrap()).collect();
            let mut row = sample.clone();
            row["sampler_logprobs"] = json!(now.iter().map(|it| it - 0.1).collect::<Vec<_>>());
            row["reference_logprobs"] = json!(now.iter().map(|it| it + 0.5).collect::<Vec<_>>());
            format!("{row}\n")
        })
        .collect();
    // The last two rows are equal: parts of one update may be.
    let last = rows.lines().last().unwrap();
    fs::write(at("batch.jsonl"), format!("{rows}{last}\n")).unwrap();
    let update = |name: &str, micro_batch: usize| {
        let config = format!(
            "loss = \"gspo\"\nclip = [0.01, 0.02]\naggregation = \"constant\"\nconstant_length = 40\ntemperature = 0.8\n\
             kl_coefficient = 0.05\nimportance_cap = 1.5\nlearning_rate = 1e-3\nmicro_batch = {micro_batch}\n"
        );
        fs::write(at("update.toml"), config).unwrap();
        let (model, batch, config, out) =
            (dir.path().to_str().unwrap(), at("batch.jsonl"), at("update.toml"), at(name));
        run(&["update", model, "--batch", &batch, "--config", &config, "--out", &out])
    };
    let whole = self::rows(&update("whole", 0)).remove(0);
    let parts = self::rows(&update("parts", 1)).remove(0);
    for (key, value) in whole.as_object().unwrap() {
        close(&parts[key], value, 1e-5 * (1.0 + value.as_f64().unwrap().abs()));
    }
    // d = 0.5 everywhere: k3 = exp(0.5) - 1.5.
    close(&whole["kl_reference"], &json!(0.5f64.exp() - 1.5), 1e-4);
    // Where there are no old log-probabilities the weight is exp(0.1), under the cap; others are beyond it.
    close(&whole["importance_max"], &json!(1.5), 0.0);
}

#[test]
fn sampling_is_a_function_of_the_seed() {
    let (dir, _) = golden("tied");
    let model = dir.path().to_str().unwrap();
    let options = [
        "sample",
        model,
        "--prompt",
        "t1 t5",
        "--samples",
        "4",
        "--max-new",
        "12",
        "--json",
        "--threads",
        "1",
    ];
    let first = run(&options);
    let lines = rows(&first);
    assert_eq!(lines.len(), 4);
    assert_eq!(run(&[&options[..10], &["2"]].concat()).out, first.out, "threads change no bit");
    assert_ne!(run(&[&options[..], &["--seed", "9"]].concat()).out, first.out);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!((&line["index"], &line["prompt_tokens"]), (&json!(index), &json!([1, 5])));
        assert_eq!(line["finish"], "length");
        let tokens =
            [json!([1, 5]).as_array().unwrap(), line["tokens"].as_array().unwrap()].map(Vec::clone).concat();
        let scored =
            rows(&feed(command(&["logprobs", model]), &json!({"id": 0, "tokens": tokens}).to_string()));
        let drawn = line["logprobs"].as_array().unwrap();
        assert_eq!(drawn.len(), 12);
        for (drawn, scored) in drawn.iter().zip(&scored[0]["logprobs"].as_array().unwrap()[1..]) {
            assert_eq!(drawn, scored, "a drawn token's log-probability is that of scoring, bit for bit");
        }
    }
    let greedy =
        run(&["sample", model, "--prompt", "t1", "--temperature", "0", "--samples", "2", "--max-new", "3"]);
    assert_eq!(greedy.code, Some(0));
    let texts: Vec<&str> =
        greedy.out.split("---\n").skip(1).map(|it| it.split("\n---").next().unwrap().trim()).collect();
    assert_eq!((texts.len(), texts[0]), (2, texts[1]), "{}", greedy.out);
}

#[test]
fn a_stop_text_ends_a_sample() {
    let options =
        ["sample", "embedded", "--prompt", "### solve deduction", "--temperature", "0", "--max-new", "24"];
    let whole = &rows(&run(&[&options[..], &["--json"]].concat()))[0];
    let text = whole["text"].as_str().unwrap();
    let stop: String = text.chars().skip(4).take(3).collect();
    let (before, _) = text.split_once(&stop).expect("the model says more");
    let cut = &rows(&run(&[&options[..], &["--stop", "never said", "--stop", &stop, "--json"]].concat()))[0];
    assert_eq!((cut["text"].as_str().unwrap(), &cut["finish"]), (before, &json!("stop")));
    let n = cut["tokens"].as_array().unwrap().len();
    assert_eq!(cut["tokens"].as_array().unwrap()[..], whole["tokens"].as_array().unwrap()[..n]);
    assert!(cut["plain_logprobs"].as_array().unwrap().iter().all(|it| it.as_f64().unwrap() < 0.0));
    let (dir, _) = golden("tied");
    let refused = run(&["sample", dir.path().to_str().unwrap(), "--prompt", "t1", "--stop", "t2"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("not byte-level") && refused.err.contains("\nhint: "), "{}", refused.err);
}

#[test]
fn what_does_not_fit_the_model_is_said() {
    let (dir, _) = golden("tied");
    let model = dir.path().to_str().unwrap();
    let good_and_bad = "{\"id\": 1, \"tokens\": [1, 9]}\n{\"id\": 2, \"tokens\": [1, 99]}\n";
    let over = feed(command(&["logprobs", model]), good_and_bad);
    assert_eq!(over.code, Some(1));
    assert!(over.out.starts_with("{\"id\":1,") && over.out.lines().count() == 1, "{}", over.out);
    assert!(
        over.err.contains("id 2") && over.err.contains("99") && over.err.contains("\nhint: "),
        "{}",
        over.err
    );
    let chat = run(&["sample", model, "--prompt", "x", "--chat"]);
    assert_eq!(chat.code, Some(1));
    assert!(chat.err.contains("no chat template"), "{}", chat.err);
    fs::write(dir.path().join("chat_template.jinja"), "t3 {{ messages[0].content }} t4").unwrap();
    let chat = run(&["sample", model, "--prompt", "t9", "--chat", "--json", "--max-new", "1"]);
    assert_eq!(rows(&chat)[0]["prompt_tokens"], json!([3, 9, 4]));
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let gone = run(&["sample", model, "--prompt", "t1"]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("hint: ") && gone.err.contains("safetensors"), "{}", gone.err);
}

#[test]
fn benches_print_the_fields_of_the_contract() {
    let (dir, _) = golden("untied");
    let model = dir.path().to_str().unwrap();
    let sizes = ["--model", model, "--batch", "2", "--repeats", "1", "--threads", "1"];
    let decode = run(&[&["bench", "decode", "--prompt", "4", "--new", "4"], &sizes[..]].concat());
    let object = rows(&decode).pop().unwrap();
    assert_eq!((&object["prefill_tokens_computed"], &object["prefill_saved"]), (&json!(8), &json!(0.0)));
    let common = ["--prompt", "40", "--new", "2", "--shared", "33", "--samples", "5"];
    let object = rows(&run(&[&["bench", "decode"], &common[..], &sizes[..]].concat())).pop().unwrap();
    // Of two prompts of 40 tokens the second computes 7; each of the other 8 rows computes one token.
    assert_eq!(object["prefill_tokens_computed"], 40 + 7 + 8);
    let alike = run(&[&["bench", "decode", "--prompt", "4", "--shared", "4"], &sizes[..]].concat());
    assert_eq!(alike.code, Some(2), "{}", alike.err);
    let train = run(&[&["bench", "train", "--seq", "8"], &sizes[..]].concat());
    for (ran, keys) in
        [(decode, &["decode_tokens_per_s", "prefill_tokens_per_s"][..]), (train, &["tokens_per_s"][..])]
    {
        let object = rows(&ran).pop().unwrap();
        for key in [&["threads", "seconds", "repeats", "gflops", "fraction_of_gemm_peak"], keys].concat() {
            assert!(object[key].is_number(), "{key} of {object}");
        }
        assert!(object["name"].is_string());
    }
    let refused = run(&["bench", "train", "--model", model, "--dtype", "bf16"]);
    assert_eq!(refused.code, Some(2));
}

/// Another name of the input, which writing would empty.
#[test]
fn the_input_is_not_overwritten_by_another_name() {
    let (dir, _) = golden("tied");
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let row = "{\"id\": 1, \"tokens\": [1, 9]}\n";
    fs::write(at("rows"), row).unwrap();
    fs::hard_link(at("rows"), at("link")).unwrap();
    let ran = run(&["logprobs", dir.path().to_str().unwrap(), "--in", &at("rows"), "--out", &at("link")]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let mut from_stdin = command(&["logprobs", dir.path().to_str().unwrap(), "--out", &at("link")]);
    let ran = from_stdin.stdin(fs::File::open(at("rows")).unwrap()).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert_eq!(fs::read_to_string(at("rows")).unwrap(), row);
}
