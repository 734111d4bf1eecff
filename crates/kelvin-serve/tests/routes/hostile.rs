//! Bodies that nobody should send: each is answered, and by nothing over 499.

use axum::{body::Body, http::Request};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::toy::{Toy, settings};

const ROUTES: [&str; 11] = [
    "/run_code",
    "/reward",
    "/get_reward",
    "/reset",
    "/step",
    "/seed_session",
    "/close_session",
    "/verify",
    "/aggregate_metrics",
    "/sums/task",
    "/sums/task_range",
];

/// JSON of the words that the routes know.
fn known_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|it| json!(it)),
        prop_oneof![
            Just("train"),
            Just("deduction"),
            Just("python"),
            Just("echo"),
            Just("message"),
            Just("11")
        ]
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("code"),
        Just("language"),
        Just("stdin"),
        Just("run_timeout"),
        Just("memory_limit_MB"),
        Just("files"),
        Just("response"),
        Just("responses"),
        Just("label"),
        Just("labels"),
        Just("query"),
        Just("prompts"),
        Just("task_type"),
        Just("born"),
        Just("payload"),
        Just("a"),
        Just("b"),
        Just("action"),
        Just("episode_id"),
        Just("seed"),
        Just("output"),
        Just("type"),
        Just("content"),
        Just("text"),
        Just("split"),
        Just("index"),
        Just("start"),
        Just("stop"),
        Just("verifier_metadata"),
        Just("usage"),
        Just("mask_sample"),
        Just("_ng_task_index"),
        Just("_ng_rollout_index"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_json_is_answered(body in known_json(), route in prop::sample::select(&ROUTES[..])) {
        let toy = Toy::new(settings());
        let (status, _) = toy.post(route, &body);
        // A program that the toy does not know breaks its sandbox, which is said so.
        let broken = route == "/run_code" && status == 500;
        // As many episodes as may be are no trouble of this kind.
        prop_assert!(status < 500 || broken, "{route} {status}");
    }

    /// Rows that are objects get further than most of what is made above.
    #[test]
    fn any_rollouts_are_summed_up(rows in prop::collection::vec(known_json().prop_filter("an object", Value::is_object), 0..4)) {
        let toy = Toy::new(settings());
        let (status, _) = toy.post("/aggregate_metrics", &json!({ "verify_responses": rows }));
        prop_assert!(status == 200 || status == 422, "{status}");
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 1..200), route in prop::sample::select(&ROUTES[..])) {
        let toy = Toy::new(settings());
        let request = Request::post(route).header("content-type", "application/json").body(Body::from(body)).unwrap();
        let status = toy.ask(request).0.as_u16();
        prop_assert!((200..500).contains(&status), "{route} {status}");
    }
}

#[test]
fn limits_of_a_body() {
    let toy = Toy::new(settings());
    let post = |content_type: &str, body: String| {
        let request =
            Request::post("/run_code").header("content-type", content_type).body(Body::from(body)).unwrap();
        toy.ask(request).0.as_u16()
    };
    let code = |n: usize| json!({ "code": "echo", "language": "python", "stdin": "x".repeat(n) }).to_string();
    assert_eq!(post("application/json; charset=utf-8", code(60_000)), 200);
    assert_eq!(post("application/json", code(70_000)), 413);
    for simple in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(post(simple, code(1)), 415, "what a page may send without being asked: {simple}");
    }
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(post("application/json", deep), 422);
    assert_eq!(toy.get("/run_code").0, 405);
    assert_eq!(toy.get("/nowhere").0, 404);
}
