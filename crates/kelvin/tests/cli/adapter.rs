//! Adapters from outside: learnt by `update`, read by `logprobs`, taken out of a run by `export`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    Ran, command, feed,
    model::{close, golden, rows},
    run,
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn lines(values: &Value) -> String {
    values.as_array().unwrap().iter().map(|it| format!("{it}\n")).collect()
}

/// What `logprobs` writes for every sample of a golden.
fn scored(model: &Path, expected: &Value) -> Ran {
    let input: String = expected["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            let tokens =
                [&sample["prompt"], &sample["response"]].map(|it| it.as_array().unwrap().clone()).concat();
            format!("{}\n", json!({ "tokens": tokens }))
        })
        .collect();
    let temperature = expected["objective"]["temperature"].to_string();
    feed(command(&["logprobs", text(model), "--temperature", &temperature]), &input)
}

#[test]
fn an_adapter_folder_is_a_model() {
    let (base, _) = golden("tied");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kelvin-model/goldens/lora");
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(source.join("expected.json")).unwrap()).unwrap();
    let adapter = base.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    fs::copy(source.join("adapter_model.safetensors"), adapter.join("adapter_model.safetensors")).unwrap();
    let config = fs::read_to_string(source.join("adapter_config.json")).unwrap();
    let write = |name: &Path| {
        fs::write(adapter.join("adapter_config.json"), config.replace("../tied", text(name))).unwrap()
    };
    write(base.path());
    let found = rows(&scored(&adapter, &expected));
    for (found, expected) in found.iter().zip(expected["logprobs"].as_array().unwrap()) {
        let pairs = found["logprobs"].as_array().unwrap().iter().zip(expected.as_array().unwrap());
        pairs.for_each(|(found, expected)| close(found, expected, 3e-5));
    }
    // One that stands on itself ends.
    write(&adapter);
    let ran = scored(&adapter, &expected);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("stands on more than 4 others"), "{}", ran.err);
}

#[test]
fn update_learns_an_adapter_and_export_takes_it_out() {
    let (dir, expected) = golden("tied");
    let at = |name: &str| dir.path().join(name);
    fs::write(at("batch.jsonl"), lines(&expected["samples"])).unwrap();
    fs::write(
        at("update.toml"),
        "learning_rate = 0.01\n[lora]\nrank = 2\ntargets = [\"v_proj\", \"down_proj\"]\n",
    )
    .unwrap();
    let out = at("out");
    let (batch, config) = (at("batch.jsonl"), at("update.toml"));
    let options = ["--batch", text(&batch), "--config", text(&config), "--out", text(&out)];
    let ran = run(&[&["update", text(dir.path())], &options[..]].concat());
    assert!(rows(&ran)[0]["grad_norm"].as_f64().unwrap() > 0.0);
    // Merged when it was saved, and merged when it is read.
    let merged = scored(&out, &expected);
    assert_eq!(merged.code, Some(0), "{}", merged.err);
    assert_eq!(merged.out, scored(&out.join("adapter"), &expected).out);
    assert_ne!(merged.out, scored(dir.path(), &expected).out);

    // It learns on, here with a step of no length.
    let on = at("on");
    let learns_on = |more: &str| {
        let keys = format!("learning_rate = 0\nlora.from = {}\n{more}", json!(text(&out.join("adapter"))));
        fs::write(at("on.toml"), keys).unwrap();
        let config = at("on.toml");
        let options = ["--batch", text(&batch), "--config", text(&config), "--out", text(&on)];
        run(&[&["update", text(dir.path())], &options[..]].concat())
    };
    let refused = learns_on("lora.rank = 3");
    assert!(refused.code == Some(2) && refused.err.contains("lora.rank is 3"), "{}", refused.err);
    assert!(rows(&learns_on(""))[0]["grad_norm"].as_f64().unwrap() > 0.0);
    assert_eq!(scored(&on.join("adapter"), &expected).out, merged.out);

    // A run whose checkpoint holds that adapter.
    let run_dir = at("run");
    let checkpoint = run_dir.join("checkpoints/000003");
    fs::create_dir_all(checkpoint.join("policy")).unwrap();
    fs::write(run_dir.join("config.toml"), "steps = 3\n").unwrap();
    fs::write(checkpoint.join("COMPLETE"), r#"{"format": 1, "files": []}"#).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"] {
        fs::copy(out.join("adapter").join(file), checkpoint.join("policy").join(file)).unwrap();
    }
    let export = |name: &str, more: &[&str]| {
        let out = at(name);
        let ran = run(&[&["export", text(&run_dir), "--out", text(&out)], more].concat());
        (ran, out)
    };
    for (name, more) in [("whole", &[][..]), ("alone", &["--adapter"])] {
        let (ran, out) = export(name, more);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{name}");
        assert_eq!(scored(&out, &expected).out, merged.out, "{name}");
        assert_eq!(out.join("config.json").exists(), name == "whole");
        assert!(out.join("tokenizer.json").exists(), "{name}");
    }
    let (again, _) = export("whole", &[]);
    assert!(again.code == Some(2) && again.err.contains("is not an empty folder"), "{}", again.err);
    let (other, _) = export("other", &["--policy", "solver"]);
    assert!(other.code == Some(2) && other.err.contains("its policies are policy"), "{}", other.err);
}
