//! Plans of the shipped configurations, and what cannot be planned.

use std::path::Path;

use serde_json::Value;

use crate::{command, feed, run};

fn config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name);
    path.to_str().unwrap().to_owned()
}

fn planned(arguments: &[&str]) -> Value {
    let ran = run(&[&["plan", "--json", "--cores", "16"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// Seconds, hours and dollars are those of the queue, in which a row is no faster however many GPUs there are.
#[test]
fn a_plan_never_contradicts_its_queue() {
    let path = config("azr-qwen2.5-coder-7b.toml");
    let of = |gpus: &str| planned(&[&path, "--engine", "vllm", "--gpus", gpus]);
    let number = |it: &Value| it.as_f64().unwrap();
    let span = |plan: &Value, key: &str| [0, 1].map(|at| number(&plan[key][at]));
    let gpus = ["1", "8", "24", "64", "1024"];
    let plans = gpus.map(of);
    for (n, plan) in gpus.iter().zip(&plans) {
        let queue = plan["queue"].as_array().unwrap();
        let flow = queue
            .iter()
            .find(|it| it["samplers"].as_u64() == n.parse().ok())
            .expect("its own number is played");
        for (key, of_flow) in [("draw_s", "drawn_s"), ("graded_s", "graded_s"), ("step_s", "step_s")] {
            let ([least, most], middle) = (span(plan, key), number(&flow[of_flow]));
            assert!(least <= middle && middle <= most, "{n} {key}: {least} {middle} {most}");
        }
        let [graded, learn, publish, step, hours, usd] =
            ["graded_s", "learn_s", "publish_s", "step_s", "run_hours", "run_usd"].map(|it| span(plan, it));
        for at in [0, 1] {
            assert!(((graded[at] + learn[at] + publish[at]) / step[at] - 1.0).abs() < 1e-9, "{n}");
            assert!((hours[at] * 3600.0 / (500.0 * step[at]) - 1.0).abs() < 1e-9, "{n}");
            let usd_per_hour = [2.49, 3.99][at] * n.parse::<f64>().unwrap();
            assert!((usd[at] / (hours[at] * usd_per_hour) - 1.0).abs() < 1e-9, "{n}");
        }
        let steps: Vec<f64> = queue.iter().map(|it| number(&it["step_s"])).collect();
        assert!(steps.is_sorted_by(|a, b| b <= a), "more samplers never take longer: {steps:?}");
    }
    // A response of 8,096 tokens, each of which has to read 7.6 billion weights of two bytes.
    let row_s = 8096.0 * 2.0 * 7.615_616_512e9 / 3350e9;
    assert!(row_s < span(&plans[4], "draw_s")[0]);
    assert!(plans.is_sorted_by(|a, b| span(b, "draw_s") <= span(a, "draw_s")));
    // What is learnt is shared by all.
    let [one, eight, .., many] = &plans;
    assert!((span(one, "learn_s")[1] / span(eight, "learn_s")[1] - 8.0).abs() < 1e-6);
    assert!(10.0 * span(eight, "run_usd")[0] < span(many, "run_usd")[0], "who waits is paid for");
    let last = many["queue"].as_array().unwrap().last().unwrap();
    let rest = number(&last["graded_s"]) - number(&last["executors_s"]) - number(&last["rows_s"]);
    assert!(rest < 0.2 * number(&last["rows_s"]), "little of it is for want of samplers: {last}");
    let ran = run(&["plan", &path, "--engine", "vllm", "--gpus", "1024", "--cores", "32"]);
    assert!(ran.out.contains("the longest rows") && ran.out.lines().all(|it| it.len() <= 140), "{}", ran.out);
}

#[test]
fn more_gpus_hold_less_each() {
    let path = config("azr-qwen2.5-coder-7b.toml");
    let of = |gpus: &str| planned(&[&path, "--engine", "vllm", "--gpus", gpus]);
    let (one, eight) = (of("1"), of("8"));
    // 16 bytes for each of 7.6 billion weights do not fit into 80 GB, an eighth of them with a copy does.
    assert_eq!((one["fits"].as_bool(), eight["fits"].as_bool()), (Some(false), Some(true)));
    assert!(eight["memory_bytes"].as_f64() < one["memory_bytes"].as_f64());
    assert_eq!(eight, of("8"), "equal inputs give equal plans");
}

/// Prompts are read before their rows are drawn, each once at best and with every row at worst.
#[test]
fn longer_prompts_take_longer() {
    let path = config("azr-qwen2.5-coder-7b.toml");
    let of = |prompt_tokens: &str| {
        let means = ["--response-tokens", "500", "--prompt-tokens", prompt_tokens];
        planned(&[&[path.as_str(), "--engine", "sglang", "--gpus", "8"], &means[..]].concat())
    };
    let (short, long) = (of("300"), of("3000"));
    let at = |plan: &Value, key: &str, at: usize| plan[key][at].as_f64().unwrap();
    // By hand: two operations for each of 7.07 billion weights of matrices, and attention to half of the prompt on average.
    let flops = 2.0 * 7.07e9 + 4.0 * 28.0 * 3584.0 * 1500.0;
    let rows = long["tokens"]["rows"].as_f64().unwrap();
    let most = rows * 3000.0 * flops / (0.2 * 989e12) / 8.0;
    assert!((at(&long, "read_s", 1) / most - 1.0).abs() < 0.01, "{most} {long}");
    assert!(at(&long, "read_s", 0) < most / 4.0, "eight tries have one prompt");
    for end in [0, 1] {
        let drawn_s = at(&long, "draw_s", end) - at(&short, "draw_s", end);
        let read_s = at(&long, "read_s", end) - at(&short, "read_s", end);
        assert!(0.5 * read_s < drawn_s, "{end}: {drawn_s} {read_s}");
    }
}

/// What a file of checks says was planned is what is planned today. Predicted again: the command of each in the root of the
/// repository, its object under `predicted`.
fn committed(file: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("results").join(file)).unwrap();
    let checks: Value = serde_json::from_str(&text).unwrap();
    let checks = checks["checks"].as_array().unwrap();
    for check in checks {
        let (name, predicted) = (&check["name"], &check["predicted"]);
        let line = check["command"].as_str().unwrap().replace('\'', "");
        let arguments: Vec<&str> = line.split(' ').skip(1).collect();
        let mut command = command(&arguments);
        command.current_dir(&root);
        let ran = feed(command, "");
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.err);
        assert!(is_near(&serde_json::from_str(&ran.out).unwrap(), predicted), "{name}: {}", ran.out);
    }
    checks.clone()
}

/// The seconds that were measured and do not lie in the ranges of what was planned.
fn outside(planned: &Value, measured: &Value) -> Vec<String> {
    let is_outside = |(key, of_run): &(&str, &str)| {
        let [least, most] = [0, 1].map(|at| planned[key][at].as_f64().unwrap());
        let it = measured[of_run].as_f64().unwrap();
        it < least || most < it
    };
    let keys = [("draw_s", "draw_s"), ("learn_s", "update_s"), ("step_s", "step_s")];
    keys.into_iter().filter(is_outside).map(|it| it.0.to_owned()).collect()
}

/// The predictions of the check that `docs/plan.md` shows are what is planned today, and what was measured lies in their
/// ranges.
#[test]
fn committed_predictions_hold_what_was_measured() {
    let checks = committed("2026-11-23-plan.json");
    assert_eq!(checks.len(), 5);
    for check in &checks {
        for (seed, measured) in check["measured"].as_object().unwrap() {
            let none = outside(&check["predicted"], measured);
            assert!(none.is_empty(), "{}, {seed}: {none:?}", check["name"]);
        }
    }
    let two_cores = checks.last().unwrap();
    assert_eq!(two_cores["name"], "quick start, two cores");
    // What the page says of it: 18 and 15 % too many tokens, and the middle beside the step.
    let measured = |key: &str| two_cores["measured"]["seed-1"][key].as_f64().unwrap();
    let tokens = |key: &str| two_cores["predicted"]["tokens"][key].as_f64().unwrap();
    assert!((tokens("drawn") / measured("tokens_drawn") - 1.18).abs() < 0.005);
    assert!((tokens("learnt") / measured("tokens_learnt") - 1.14).abs() < 0.005);
    let middle = two_cores["predicted"]["queue"][0]["step_s"].as_f64().unwrap();
    assert!((middle / measured("step_s") - 1.0).abs() < 0.05, "{middle}");
}

/// Each phase of R-Zero against each phase of six runs; what lies outside is named, and the page names it too.
#[test]
fn committed_predictions_of_r_zero_hold_what_was_measured() {
    let checks = committed("2026-11-23-plan-r-zero.json");
    let mut n_measured = 0;
    for check in &checks {
        let mut found = Vec::new();
        for (run, measured) in check["measured"].as_object().unwrap() {
            for planned in check["predicted"]["phases"].as_array().unwrap() {
                let phase = planned["phase"].as_str().unwrap();
                let of_phase = &measured[phase];
                found.extend(outside(planned, of_phase).into_iter().map(|it| format!("{run} {phase} {it}")));
                assert_eq!(planned["run_steps"], of_phase["steps"], "{run} {phase}");
                // Of responses that are learnt from, 7 % too few tokens to 12 % too many.
                if let Some(learnt) = of_phase["response_tokens_learnt"].as_f64() {
                    let each = if phase == "challenger" { 32.0 } else { 13.0 };
                    let off = planned["tokens"]["trained"].as_f64().unwrap() * each / learnt - 1.0;
                    assert!((-0.075..0.12).contains(&off), "{run} {phase}: {off}");
                }
                n_measured += 1;
            }
            let [least, most] = [0, 1].map(|at| check["predicted"]["run_hours"][at].as_f64().unwrap());
            let hours = measured["run_hours"].as_f64().unwrap();
            assert!(least < hours && hours < most, "{run}: {hours}");
        }
        assert_eq!(check["outside"], serde_json::json!(found), "{}", check["name"]);
    }
    assert_eq!(n_measured, 3 * 3 + 3 * 2);
}

/// Whether two plans are one but for what machines round otherwise.
fn is_near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-6 * b.abs()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_near(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_near(a, b)))
        }
        _ => a == b,
    }
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

/// An iteration is its steps, and a run its iterations; two policies take twice the memory, and passes for log-probabilities
/// are counted as they are asked for.
#[test]
fn r_zero_is_planned_by_its_phases() {
    let path = config("r-zero-qwen3-4b-base.toml");
    let of = |sets: &[&str]| {
        let small = [
            "r_zero.questions=64",
            "r_zero.pool=256",
            "r_zero.curriculum_steps=2",
            "r_zero.curriculum_min=8",
        ];
        let sets = small.iter().chain(sets).flat_map(|it| ["--set", it]);
        let asked = [path.as_str(), "--engine", "vllm", "--gpus", "8", "--response-tokens", "500"];
        planned(&asked.into_iter().chain(sets).collect::<Vec<_>>())
    };
    let plan = of(&[]);
    let number = |it: &Value| it.as_f64().unwrap();
    let phases = plan["phases"].as_array().unwrap();
    let told: Vec<_> =
        phases.iter().map(|it| (it["phase"].as_str().unwrap(), number(&it["run_steps"]))).collect();
    assert_eq!(
        told,
        [("challenger", 20.0), ("curriculum", 8.0), ("solver", 56.0)],
        "84 steps, 22 in an iteration"
    );
    for at in [0, 1] {
        let sum = |n: &str| {
            phases.iter().map(|it| number(&it[n]) * number(&it["step_s"][at])).sum::<f64>() / 3600.0
        };
        assert!((sum("run_steps") / number(&plan["run_hours"][at]) - 1.0).abs() < 1e-9);
        assert!((sum("iteration_steps") / number(&plan["iteration_hours"][at]) - 1.0).abs() < 1e-9);
        for it in phases {
            let parts =
                ["graded_s", "learn_s", "publish_s"].map(|key| number(&it[key][at])).iter().sum::<f64>();
            assert!((parts / number(&it["step_s"][at]) - 1.0).abs() < 1e-9, "{it}");
        }
    }
    // A reference scores, and so do the weights before several updates.
    let scored = |plan: &Value, at: usize| number(&plan["phases"][at]["tokens"]["scored"]);
    let learnt = number(&phases[2]["tokens"]["learnt"]);
    assert_eq!((scored(&plan, 2), scored(&plan, 1)), (2.0 * learnt, 0.0));
    let without = of(&["objective.kl_coefficient=0", "r_zero.solver_updates=1"]);
    assert_eq!(scored(&without, 2), 0.0);
    let publish = |plan: &Value| number(&plan["phases"][2]["publish_s"][0]);
    assert!((publish(&plan) / publish(&without) - 4.0).abs() < 1e-9, "each update is published");
    // By hand: 16 bytes of what learns and 2 of what is pulled towards over eight, and 2 to draw from.
    let bytes = |n: f64| 4_022_468_096.0 * (n * 16.0 / 8.0 + 2.0 / 8.0 + n * 2.0);
    assert!((number(&plan["memory_bytes"]) / bytes(2.0) - 1.0).abs() < 1e-6);
    let shared = of(&["r_zero.two_policies=false"]);
    assert!((number(&shared["memory_bytes"]) / bytes(1.0) - 1.0).abs() < 1e-6);
    let hosted =
        planned(&[&path, "--engine", "tinker", "--set", "r_zero.questions=64", "--set", "r_zero.pool=256"]);
    let of_run: f64 = hosted["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| number(&it["run_steps"]) * number(&it["step_usd"][1]))
        .sum();
    assert!((of_run / number(&hosted["run_usd"][1]) - 1.0).abs() < 1e-9);
}

/// Proposals have lengths of their own where that is said, and other rows those of responses.
#[test]
fn proposals_may_be_longer_than_answers() {
    let path = config("r-zero-tiny.toml");
    let of = |more: &[&str]| {
        let means = ["--response-tokens", "10", "--prompt-tokens", "20"];
        planned(&[&[path.as_str(), "--set", "r_zero.pool=240"], &means[..], more].concat())
    };
    let (plain, own) = (of(&[]), of(&["--proposal-tokens", "30", "--proposal-prompt-tokens", "4"]));
    let drawn = |plan: &Value, at: usize| plan["phases"][at]["tokens"]["drawn"].as_f64().unwrap();
    assert_eq!((drawn(&own, 0) - drawn(&plain, 0), drawn(&own, 2)), (192.0 * 20.0, drawn(&plain, 2)));
    assert_eq!(own["asked"]["proposal_tokens"].as_f64(), Some(30.0));
    assert!(plain["asked"].get("proposal_tokens").is_none());
}

/// What is planned has its sections, for each kind of step where there are several.
#[test]
fn plans_have_their_sections() {
    let ran = run(&["plan", &config("quickstart.toml")]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for word in ["--- memory", "--- a step on", "--- where it waits", "--- assumed", "1024"] {
        assert!(ran.out.contains(word), "{word} is not in\n{}", ran.out);
    }
    let ran = run(&["plan", &config("r-zero-tiny.toml"), "--set", "r_zero.pool=240"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for word in [
        "the other policy",
        "--- a challenger step, 5 in an iteration",
        "--- a curriculum step",
        "in that, of 9216 tokens",
        "--- where a solver step waits",
        "iteration ",
    ] {
        assert!(ran.out.contains(word), "{word} is not in\n{}", ran.out);
    }
    assert!(ran.out.lines().all(|it| it.len() <= 80), "{}", ran.out);
    let ran = run(&["plan", &config("r-zero-tiny.toml"), "--set", "r_zero.pool=240", "--engine", "tinker"]);
    assert!(
        ran.out.contains("--- a solver step at a hosted server") && ran.out.contains("iteration "),
        "{}",
        ran.out
    );
}
