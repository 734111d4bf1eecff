//! Plans of the shipped configurations, and what cannot be planned.

use std::path::Path;

use serde_json::Value;

use crate::run;

fn config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name);
    path.to_str().unwrap().to_owned()
}

fn planned(arguments: &[&str]) -> Value {
    let ran = run(&[&["plan", "--json", "--cores", "16"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn more_gpus_take_less_time_and_hold_less_each() {
    let path = config("azr-qwen2.5-coder-7b.toml");
    let of = |gpus: &str| planned(&[&path, "--engine", "vllm", "--gpus", gpus]);
    let (one, eight) = (of("1"), of("8"));
    let number = |plan: &Value, key: &str| plan[key][1].as_f64().unwrap();
    for key in ["draw_s", "learn_s"] {
        assert!((number(&one, key) / number(&eight, key) - 8.0).abs() < 1e-6, "{key}");
    }
    // 16 bytes for each of 7.6 billion weights do not fit into 80 GB, an eighth of them with a copy does.
    assert_eq!((one["fits"].as_bool(), eight["fits"].as_bool()), (Some(false), Some(true)));
    assert!(eight["memory_bytes"].as_f64() < one["memory_bytes"].as_f64());
    let queue = eight["queue"].as_array().unwrap();
    assert_eq!(queue.len(), 4);
    let steps: Vec<f64> = queue.iter().map(|it| it["step_s"].as_f64().unwrap()).collect();
    assert!(steps.is_sorted_by(|a, b| b <= a), "more samplers never take longer: {steps:?}");
    assert_eq!(eight, of("8"), "equal inputs give equal plans");
}

/// Also what is not known is said.
#[test]
fn what_is_not_planned() {
    let ran = run(&["plan", &config("r-zero-tiny.toml")]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("AZR") && ran.err.contains("hint: "), "{}", ran.err);
    let ran = run(&["plan", &config("quickstart.toml")]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for word in ["--- memory", "--- a step on", "--- where it waits", "--- assumed", "1024"] {
        assert!(ran.out.contains(word), "{word} is not in\n{}", ran.out);
    }
}
