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

/// What is valid is tried: without much of it there is less to draw, and longer queues where there are few samplers.
#[test]
fn a_plan_follows_what_the_loop_asks_for() {
    let path = config("quickstart.toml");
    let of = |arguments: &[&str]| planned(&[&[path.as_str()], arguments].concat());
    let rows = |plan: &Value| plan["tokens"]["rows"].as_f64().unwrap();
    let all = of(&["--valid", "1"]);
    assert_eq!(rows(&all), 96.0 + 2.0 * 768.0);
    let few = of(&["--valid", "0.1"]);
    assert!((96.0 + 768.0..96.0 + 768.0 + 0.3 * 768.0).contains(&rows(&few)), "{few}");
    let queue = |plan: &Value, at: usize, key: &str| plan["queue"][at][key].as_f64().unwrap();
    assert!(queue(&all, 3, "sampler_queue_max") < queue(&all, 0, "sampler_queue_max"));
    // One core draws and learns half of what two do.
    let one = of(&["--valid", "1", "--set", "policy.threads=1"]);
    let learn_s = |plan: &Value| plan["learn_s"][0].as_f64().unwrap();
    assert!((learn_s(&one) / learn_s(&all) - 2.0).abs() < 1e-9);
    // With lag 0 nothing of what is solved is drawn before all else is graded.
    let later = of(&["--valid", "1", "--set", "azr.solve_lag=0"]);
    assert!(queue(&all, 3, "graded_s") < queue(&later, 3, "graded_s"), "{all} {later}");
    for wrong in ["0", "1.1", "some"] {
        assert_eq!(run(&["plan", &path, "--valid", wrong]).code, Some(2));
    }
}

/// Paid by the token: what is asked for more costs more, and nobody says how long it takes.
#[test]
fn a_hosted_server_is_paid_by_the_token() {
    let path = config("azr-qwen2.5-coder-7b.toml");
    let of = |set: &[&str]| {
        let means = ["--response-tokens", "500", "--prompt-tokens", "3000"];
        planned(&[&[path.as_str(), "--engine", "tinker"], &means[..], set].concat())
    };
    let ours = of(&[]);
    let theirs = [
        "policy.backend=tinker",
        "policy.remote.losses=server",
        "policy.remote.url=http://127.0.0.1:1",
        "objective.dual_clip=inf",
        "objective.entropy_coefficient=0",
    ];
    let theirs = of(&theirs.map(|it| ["--set", it]).concat());
    let kl = of(&["--set", "objective.kl_coefficient=0.1"]);
    let usd =
        |plan: &Value| plan["step_usd"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
    let [least, most]: [f64; 2] = Vec::try_into(usd(&ours)).unwrap();
    // By hand: 7.62 of 8.19 billion weights; prompts of as many rows as nine of ten valid proposals come to, tokens drawn,
    // and 384 rows scored and learnt from.
    let (rows, prompt) = (ours["tokens"]["rows"].as_f64().unwrap(), 3000.0);
    assert!((rows - (384.0 + 0.9 * 1536.0)).abs() < 0.05 * 1536.0, "{rows}");
    let learnt = 384.0 * (prompt + 500.0);
    let expected =
        [(0.13, 0.40, 0.13, 0.40), (0.195, 0.60, 0.44, 0.44)].map(|(prefill, sample, score, train)| {
            7.615_616_512 / 8.19
                * 1e-6
                * (rows * (prompt * prefill + 500.0 * sample) + learnt * (score + train))
        });
    assert!(
        (least - expected[0]).abs() < 1e-6 && (most - expected[1]).abs() < 1e-6,
        "{least} {most} {expected:?}"
    );
    assert_eq!((ours["scored"].as_f64(), theirs["scored"].as_f64()), (Some(learnt), Some(0.0)));
    assert_eq!(kl["scored"].as_f64(), Some(2.0 * learnt));
    assert_eq!(ours["run_usd"][1].as_f64(), Some(500.0 * most));
    let ran = run(&["plan", &path, "--engine", "tinker"]);
    assert!(
        ran.out.contains("USD") && ran.out.contains("not known") && ran.out.lines().all(|it| it.len() <= 140)
    );
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
