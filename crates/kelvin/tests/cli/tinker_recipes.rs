//! Recipe files train over the scripted server as they are: set are where the policy is, and sizes, so that a test takes seconds.

use std::{collections::BTreeMap, path::Path};

use kelvin_core::vocabulary::Vocabulary;
use kelvin_model::ModelText;
use serde_json::Value;

use crate::{
    command, feed,
    tinker::{
        outcome,
        scripted::{
            Server,
            table::Base,
            world::{Dialect, World},
        },
        server,
    },
};

/// A policy of `told`, the ends of prompts with responses, in the tokens of the embedded model. It sees two tokens, so what may
/// follow a digit hangs on little: responses that differ in kind have digits of their own.
fn policy(told: &[(&str, String)]) -> Server {
    let text = ModelText::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("base")).unwrap();
    let of = |(head, response): &(&str, String)| {
        [text.encode(head).unwrap(), text.encode(response).unwrap(), text.end_tokens().to_vec()].concat()
    };
    let base = Base::of(text.size(), &told.iter().map(of).collect::<Vec<_>>());
    Server::start(World::new("toy", base, Dialect::Protobuf))
}

/// Poses programs with inputs, and guesses outputs, inputs and programs.
fn on_programs() -> Server {
    let mut told = Vec::new();
    for by in ["%2", "%3", "%4", "//2", "//3", "//4"] {
        for input in 5..10 {
            told.push((" task\n", format!("def f(x):\n    return x{by}\ninput: {input}")));
            told.push((" output\n", (input % 2).to_string()));
            told.push((" input\n", input.to_string()));
            told.push((" program\n", format!("def f(x):\n    return x {by}")));
        }
    }
    policy(&told)
}

/// Poses sums, and is of two minds about every answer.
fn on_questions() -> Server {
    let mut told = Vec::new();
    for (a, b) in [(2, 5), (2, 6), (3, 5), (3, 6)] {
        told.push((" question\n", format!("What is then {a}+{b}?\nanswer: \\boxed{{{}}}", a + b)));
    }
    told.extend([7, 7, 8].map(|it| (" answer\n", format!("\\boxed{{{it}}}"))));
    policy(&told)
}

/// A run of `steps` of a file of configs/ with `sizes`. Gives its rows of metrics, the first of them of before any step.
fn train(server: &Server, file: &str, steps: u32, sizes: &[&str]) -> Vec<BTreeMap<String, Value>> {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(file);
    let (url, steps) = (format!("policy.remote.url={}", server.url()), steps.to_string());
    let paths = [config.to_str().unwrap(), "--run-dir", run.to_str().unwrap(), "--steps", &steps, "--plain"];
    let policy = ["policy.backend=tinker", "policy.remote.base_model=toy", &url];
    let mut command = command(&[&["train"], &paths[..]].concat());
    command.env("TINKER_API_KEY", "tml-hidden");
    command.args(policy.iter().chain(sizes).flat_map(|it| ["--set", it]));
    let ran = feed(command, "");
    assert_eq!(ran.code, Some(0), "{file}: {}", ran.err);
    outcome(&run).1
}

/// That two rows tell of updates, that the server took `n_updates` steps for them, and that rows have the metrics of `names`.
fn check(server: &Server, rows: &[BTreeMap<String, Value>], n_updates: u64, names: &[&str]) {
    let updates: Vec<_> = rows.iter().filter(|it| it.contains_key("update/grad_norm")).collect();
    assert_eq!(updates.len(), 2, "{rows:#?}");
    for row in updates {
        let number =
            |name: &str| row.get(name).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {name}"));
        assert!(0.0 < number("update/grad_norm") && 0.0 < number("update/learning_rate"), "{row:?}");
        assert!(0.0 < number("update/tokens") && number("update/loss").is_finite(), "{row:?}");
    }
    for name in names {
        assert!(rows.iter().any(|it| it.contains_key(*name)), "no {name}: {rows:#?}");
    }
    server.with(|it| {
        assert_eq!((it.world.n_steps, it.world.n_stale_draws), (n_updates, 0));
        assert!(0 < it.world.n_data);
    });
}

const AZR: [&str; 4] = ["azr.batch_size=6", "azr.n_estimate=2", "eval.every=2", "eval.n_samples=1"];
const R_ZERO: [&str; 10] = [
    "r_zero.challenger_steps=1",
    "r_zero.curriculum_steps=1",
    "r_zero.solver_steps=1",
    "r_zero.questions=6",
    "r_zero.pool=24",
    "r_zero.curriculum_min=1",
    "r_zero.solver_batch=6",
    "eval.every=3",
    "eval.n_tasks=6",
    "eval.n_samples=1",
];

#[test]
fn prime_inversion_trains_over_it() {
    let server = server(Dialect::Protobuf);
    let sizes = ["inversion.n_seeds=6", "inversion.eval_p_max=19"];
    let rows = train(&server, "prime-inversion.toml", 2, &[&AZR[..], &sizes].concat());
    check(&server, &rows, 2, &["solver/deduction/reward", "update/kl_reference", "eval/mean/accuracy"]);
}

const FEW: [&str; 3] = ["azr.n_solutions=2", "azr.seed_factor=1", "eval.n_tasks=6"];

#[test]
fn the_quick_start_trains_over_it() {
    let server = on_programs();
    let rows = train(&server, "quickstart.toml", 2, &[&AZR[..], &FEW].concat());
    check(
        &server,
        &rows,
        2,
        &["estimate/deduction/solve_rate", "solver/abduction/reward", "eval/mean/accuracy"],
    );
}

#[test]
fn questions_train_over_it() {
    let server = on_questions();
    let rows = train(&server, "questions.toml", 2, &[&AZR[..], &FEW].concat());
    check(
        &server,
        &rows,
        2,
        &["estimate/question/solve_rate", "solver/question/reward", "eval/mean/accuracy"],
    );
}

#[test]
fn r_zero_trains_over_it() {
    let server = on_questions();
    let rows = train(&server, "r-zero-tiny.toml", 3, &R_ZERO);
    // One of the challenger, two of the solver.
    check(&server, &rows, 3, &["challenger/uncertainty", "curriculum/kept", "eval/mean/accuracy"]);
}

#[test]
fn r_zero_on_python_trains_over_it() {
    let server = on_programs();
    let rows = train(&server, "r-zero-python.toml", 3, &R_ZERO);
    check(&server, &rows, 2, &["challenger/uncertainty", "curriculum/kept", "eval/mean/accuracy"]);
}
