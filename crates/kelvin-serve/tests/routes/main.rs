//! Every route without a port: what trainers send, what they get, and what none of them should.

mod ending;
mod hostile;
mod overload;
mod toy;

use axum::{body::Body, http::Request};
use kelvin_serve::{Access, Served};
use serde_json::{Value, json};
use toy::{Barrier, Toy, served, settings};

fn toy() -> Toy {
    Toy::new(settings())
}

fn label(a: i64) -> Value {
    json!({ "task_type": "deduction", "born": 0, "payload": { "a": a, "b": 10 } })
}

/// The body that verl's `call_sandbox_api` sends.
fn verl(code: &str) -> Value {
    json!({
        "compile_timeout": 10, "run_timeout": 10, "code": code, "stdin": "in", "memory_limit_MB": 1024,
        "language": "python", "files": {}, "fetch_files": [],
    })
}

#[test]
fn code_comes_back_as_sandbox_fusion_says_it() {
    let toy = toy();
    let (status, body) = toy.post("/run_code", &verl("echo"));
    let run = json!({
        "status": "Finished", "execution_time": 0.25, "return_code": 0, "stdout": "in", "stderr": "",
    });
    let whole = json!({
        "status": "Success", "message": "", "compile_result": null, "run_result": run, "executor_pod_name": null,
        "files": {},
    });
    assert_eq!((status, body), (200, whole));
    for (code, return_code) in [("raise", 1), ("eat", 1), ("flood", 1), ("crash", 1), ("status", 3)] {
        let (status, body) = toy.post("/run_code", &verl(code));
        assert_eq!((status, &body["status"]), (200, &json!("Failed")), "{code}");
        let run = &body["run_result"];
        assert_eq!(
            (&run["status"], &run["return_code"]),
            (&json!("Finished"), &json!(return_code)),
            "{code}"
        );
    }
    let (status, body) = toy.post("/run_code", &verl("long"));
    assert_eq!(status, 413);
    assert!(body["detail"].as_str().unwrap().contains("hint: "), "{body}");
    let (_, body) = toy.post("/run_code", &verl("loop"));
    let run = &body["run_result"];
    assert_eq!((&body["status"], &run["status"]), (&json!("Failed"), &json!("TimeLimitExceeded")));
    assert_eq!((&run["return_code"], &run["execution_time"]), (&Value::Null, &json!(10.0)));
}

#[test]
fn a_broken_sandbox_is_no_verdict() {
    let toy = toy();
    assert_eq!(toy.get("/health"), (200, r#"{"status":"healthy"}"#.to_owned()));
    let (status, body) = toy.post("/run_code", &verl("?"));
    assert_eq!((status, &body["status"]), (500, &json!("SandboxError")));
    assert!(body["message"].as_str().unwrap().contains("no interpreter") && body["run_result"].is_null());
    assert_eq!(toy.get("/health").0, 503, "nothing here mends a sandbox");
    for (route, body) in [
        ("/reward", json!({ "prompt": "", "response": "break", "label": label(1) })),
        ("/get_reward", json!({ "responses": ["11", "break"], "labels": [label(1), label(1)] })),
        (
            "/verify",
            json!({ "response": { "output": [{ "type": "message", "content": "break" }] }, "label": label(1) }),
        ),
        ("/reward", json!({ "prompt": "", "response": "panic", "label": label(1) })),
    ] {
        let (status, said) = toy.post(route, &body);
        assert_eq!(status, 500, "{route}");
        assert!(said.get("reward").is_none() && said.get("rewards").is_none() && said["detail"].is_string());
    }
}

#[test]
fn what_code_may_ask_for() {
    let toy = toy();
    let with = |key: &str, value: Value| {
        let mut body = verl("limits");
        body[key] = value;
        toy.post("/run_code", &body)
    };
    for (key, value, word) in [
        ("language", json!("fortran"), "language"),
        ("language", json!(5), "invalid type"),
        ("files", json!({ "a.txt": "aGk=" }), "files"),
        ("fetch_files", json!(["a.txt"]), "fetch_files"),
        ("run_timeout", json!(61), "--run-timeout-max"),
        ("run_timeout", json!(0), "run_timeout"),
        ("run_timeout", json!(-1), "run_timeout"),
        ("memory_limit_MB", json!(1025), "--memory-max"),
        ("memory_limit_MB", json!(i64::MAX), "--memory-max"),
    ] {
        let (status, body) = with(key, value);
        assert_eq!(status, 422, "{key}");
        assert!(body["detail"].as_str().unwrap().contains(word), "{key}: {body}");
    }
    let stdout = |body: &Value| body["run_result"]["stdout"].as_str().unwrap().to_owned();
    let (_, body) = with("memory_limit_MB", json!(-1));
    let said = "Limits { cpu_s: 10.0, wall_s: 40.0, memory_bytes: 536870912, output_bytes: 1048576 }";
    assert_eq!(stdout(&body), said);
    let (_, body) = with("run_timeout", json!(2.5));
    let said = "Limits { cpu_s: 2.5, wall_s: 10.0, memory_bytes: 1073741824, output_bytes: 1048576 }";
    assert_eq!(stdout(&body), said);
    let bare = json!({ "code": "limits", "language": "python" });
    assert!(stdout(&toy.post("/run_code", &bare).1).contains("cpu_s: 10.0"));
    let (status, body) = with("language", json!("rust"));
    assert_eq!(
        (status, &body["status"]),
        (200, &json!("SandboxError")),
        "as SandboxFusion without that runner"
    );
    let without = Served { scripts: None, ..served(&Barrier::default()) };
    let (status, _) = Toy::serving(without, Barrier::default(), settings()).post("/run_code", &verl("echo"));
    assert_eq!(status, 404);
}

#[test]
fn slime_gets_a_number() {
    let toy = toy();
    let ask = |response: &str, label: Value| {
        toy.post("/reward", &json!({ "prompt": [{ "role": "user" }], "response": response, "label": label }))
    };
    for (response, reward) in [("11", 1.0), ("12", 0.0), ("?", 0.0), ("half", 0.5)] {
        assert_eq!(ask(response, label(1)), (200, json!(reward)), "{response}");
        assert_eq!(ask(response, json!(label(1).to_string())), (200, json!(reward)), "as a text: {response}");
    }
    for (label, word) in [
        (json!(null), "neither"),
        (json!([1]), "neither"),
        (json!("11"), "grades by tasks"),
        (json!(11), "grades by tasks"),
        (json!({}), "no task"),
        (
            json!({ "task_type": "deduction", "born": 0, "payload": { "x": 1 } }),
            "another environment's|does not fit",
        ),
        (json!({ "task_type": "question", "born": 0, "payload": { "a": 1, "b": 1 } }), "no question tasks"),
    ] {
        let (status, body) = ask("11", label.clone());
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(status, 422, "{label}");
        assert!(
            word.split('|').any(|it| detail.contains(it)) && detail.contains("hint: "),
            "{label}: {detail}"
        );
    }
}

#[test]
fn gold_answers_are_for_domains_that_grade_by_them() {
    let by_gold = Served {
        by_gold: Some(|gold, response| match gold == response {
            true => kelvin_core::task::Grade::correct(),
            false => kelvin_core::task::Grade::malformed(),
        }),
        worth: |grade| if grade.correct { 1.0 } else { -1.0 },
        ..served(&Barrier::default())
    };
    let toy = Toy::serving(by_gold, Barrier::default(), settings());
    for (label, reward) in [(json!("42"), 1.0), (json!(42), 1.0), (json!("41"), -1.0)] {
        let body = json!({ "prompt": "?", "response": "42", "label": label });
        assert_eq!(toy.post("/reward", &body), (200, json!(reward)), "{label}");
    }
}

#[test]
fn open_rlhf_gets_lists() {
    let toy = toy();
    let body = json!({
        "query": ["<s>1 + 10?11", "1 + 10?x"], "prompts": ["1 + 10?", "1 + 10?"],
        "labels": [label(1).to_string(), label(1)],
    });
    let (status, said) = toy.post("/get_reward", &body);
    let logs = json!({ "correct": [1.0, 0.0], "formatted": [1.0, 0.0] });
    assert_eq!(status, 200);
    assert_eq!(said, json!({ "rewards": [1.0, 0.0], "scores": [1.0, 0.0], "extra_logs": logs }));
    for (body, word) in [
        (json!({ "query": ["a"], "prompts": ["b"], "labels": [label(1)] }), "does not hold its prompt"),
        (json!({ "query": ["a"], "prompts": [], "labels": [label(1)] }), "lengths"),
        (json!({ "responses": ["a"], "labels": [] }), "lengths"),
        (json!({ "labels": [] }), "one of"),
        (json!({ "responses": vec!["1"; 5], "labels": vec![label(1); 5] }), "--batch-max"),
    ] {
        let (status, said) = toy.post("/get_reward", &body);
        assert_eq!(status, 422);
        assert!(said["detail"].as_str().unwrap().contains(word), "{said}");
    }
}

#[test]
fn an_episode_is_a_question_and_an_answer() {
    let toy = toy();
    let (status, seen) = toy.post("/reset", &json!({ "seed": 3, "episode_id": "mine", "unheard_of": 1 }));
    assert_eq!((status, &seen["reward"], &seen["done"]), (200, &Value::Null, &json!(false)));
    let prompt = seen["observation"]["prompt"].as_str().unwrap();
    let a: i64 = prompt.split(' ').next().unwrap().parse().unwrap();
    let state = toy.get("/state?episode_id=mine").1;
    assert_eq!(state, r#"{"episode_id":"mine","step_count":0}"#);
    let step = |body: Value| toy.post("/step", &body);
    assert_eq!(step(json!({ "action": { "answer": "1" } })).0, 422, "the action has another name");
    let broken = json!({ "action": { "response": "break" }, "episode_id": "mine" });
    assert_eq!(step(broken).0, 500, "no verdict, and the episode stays");
    let action = json!({ "response": (a + 10).to_string(), "metadata": {} });
    let (status, seen) = step(json!({ "action": action, "episode_id": "mine", "timeout_s": 3.0 }));
    assert_eq!((status, &seen["reward"], &seen["done"]), (200, &json!(1.0), &json!(true)));
    let observation = &seen["observation"];
    assert_eq!((&observation["correct"], &observation["miss"]), (&json!(true), &Value::Null));
    assert_eq!(step(json!({ "action": action, "episode_id": "mine" })).0, 404, "it is done");
    // The same seed is the same task, whatever happened in between.
    let again = |seed: u64| toy.post("/reset", &json!({ "seed": seed })).1["observation"]["prompt"].clone();
    assert_eq!(again(3), prompt);
    let (status, _) = step(json!({ "action": { "response": "0" } }));
    assert_eq!(status, 200, "the only one that is open needs no name");
    again(4);
    again(5);
    assert_eq!(step(json!({ "action": { "response": "0" } })).0, 409, "two are open");
    again(6);
    assert_eq!(toy.post("/reset", &json!({})).0, 503, "three are as many as may be");
    assert_eq!(toy.get("/state?episode_id=none").1, r#"{"episode_id":null,"step_count":0}"#);
}

#[test]
fn what_open_env_tells_of_itself() {
    let toy = toy();
    let schema: Value = serde_json::from_str(&toy.get("/schema").1).unwrap();
    for part in ["action", "observation", "reset_observation", "state"] {
        assert_eq!(schema[part]["type"], "object", "{part}");
    }
    let metadata: Value = serde_json::from_str(&toy.get("/metadata").1).unwrap();
    assert_eq!(metadata["name"], "sums");
    assert_eq!(toy.get("/list_environments").1, r#"["sums"]"#);
    assert_eq!(toy.get("/sums/splits").1, r#"[{"name":"train","type":"train"}]"#);
    assert_eq!(toy.post("/sums/num_tasks", &json!({ "split": "train" })), (200, json!({ "num_tasks": 5 })));
    let (_, body) = toy.post("/sums/task", &json!({ "split": "train", "index": 4 }));
    assert_eq!((&body["task"]["prompt"], &body["task"]["label"]), (&json!("4 + 10?"), &label(4)));
    let (_, body) = toy.post("/sums/task_range", &json!({ "split": "train", "start": 3 }));
    assert_eq!(body["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(toy.post("/sums/task_range", &json!({ "split": "train" })).0, 422, "over --batch-max");
    assert_eq!(toy.post("/sums/task", &json!({ "split": "train", "index": 5 })).0, 404);
    assert_eq!(toy.post("/sums/task", &json!({ "split": "test", "index": 0 })).0, 404);
    assert_eq!(toy.post("/other/num_tasks", &json!({ "split": "train" })).0, 404);
}

#[test]
fn nemo_gym_gets_back_what_it_sent() {
    let toy = toy();
    assert_eq!(toy.post("/seed_session", &json!({})), (200, json!({})));
    let named = json!({ "resources_session_id": "s", "episode_id": "e", "task_id": "t", "task_data": {} });
    let said = json!({ "resources_session_id": "s", "resources_tools": null, "sandbox_access": null });
    assert_eq!(toy.post("/seed_session", &named), (200, said));
    assert_eq!(toy.get("/reverify_mode").1, r#""stateless""#);
    let sent = json!({
        "responses_create_params": { "input": [{ "role": "user", "content": "1 + 10?" }] },
        "response": { "id": "r", "output": [
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "11" }] },
        ] },
        "label": label(1), "anything": [1, 2],
    });
    let (status, got) = toy.post("/verify", &sent);
    assert_eq!((status, &got["reward"], &got["correct"]), (200, &json!(1.0), &json!(true)));
    for (key, value) in sent.as_object().unwrap() {
        assert_eq!(&got[key], value, "{key}");
    }
    for missing in ["label", "response"] {
        let mut less = sent.clone();
        less.as_object_mut().unwrap().remove(missing);
        let (status, said) = toy.post("/verify", &less);
        assert_eq!(status, 422);
        assert!(said["detail"].as_str().unwrap().starts_with(missing), "{said}");
    }
}

#[test]
fn nemo_gym_has_its_rewards_summed_up() {
    let toy = toy();
    let row = |task: u64, rollout: u64, reward: f64| json!({ "_ng_task_index": task, "_ng_rollout_index": rollout, "reward": reward });
    let ask = |rows: &[Value]| toy.post("/aggregate_metrics", &json!({ "verify_responses": rows }));
    let (status, got) = ask(&[row(0, 0, 1.0), row(0, 1, 0.0), row(1, 0, 1.0)]);
    assert_eq!((status, &got["key_metrics"]), (200, &json!({ "mean/reward": 2.0 / 3.0 })));
    assert_eq!(got["group_level_metrics"][0]["mean/reward"], 0.5);
    assert_eq!(ask(&[]).0, 200);
    for (bad, word) in [
        (vec![row(0, 0, 1.0), row(0, 0, 1.0)], "two are of the same"),
        (vec![json!({ "_ng_task_index": "first" })], "_ng_task_index"),
        (vec![json!(1)], "does not fit"),
    ] {
        let (status, said) = ask(&bad);
        assert!(status == 422 && said["detail"].as_str().unwrap().contains(word), "{said}");
    }
}

#[test]
fn a_key_opens_everything_and_nothing_else_does() {
    let key = "correct horse";
    let toy = Toy::new(kelvin_serve::Settings { access: Access::Key(key.into()), ..settings() });
    for route in ["/metrics", "/schema", "/state", "/ws", "/nowhere"] {
        let (status, body) = toy.get(route);
        assert_eq!(status, 401, "{route}");
        assert!(!body.contains(key));
    }
    assert_eq!(toy.get("/health").0, 200);
    let with = |name: &str, value: String| {
        toy.ask(Request::get("/schema").header(name, value).body(Body::empty()).unwrap()).0.as_u16()
    };
    assert_eq!(with("authorization", format!("Bearer {key}")), 200);
    assert_eq!(with("x-api-key", key.into()), 200);
    assert_eq!(with("x-api-key", "correct".into()), 401);
    assert_eq!(with("cookie", format!("key={key}")), 401);
}

#[test]
fn calls_are_counted() {
    let toy = toy();
    toy.post("/run_code", &verl("echo"));
    toy.post("/run_code", &json!({}));
    toy.get("/nowhere");
    let (status, page) = toy.get("/metrics");
    assert_eq!(status, 200);
    for line in [
        "kelvin_serve_calls_total{route=\"/run_code\",status=\"200\"} 1",
        "kelvin_serve_calls_total{route=\"/run_code\",status=\"422\"} 1",
        "kelvin_serve_calls_total{route=\"unknown\",status=\"404\"} 1",
        "kelvin_serve_call_seconds_count{route=\"/run_code\"} 2",
        "kelvin_serve_running 0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}
