//! More calls than there is room for, calls that take too long, and sockets.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use kelvin_serve::Settings;
use serde_json::{Value, json};

use crate::toy::{Toy, answer, json_post, settings};

fn waiting() -> Value {
    json!({ "code": "wait", "language": "python" })
}

#[test]
fn who_finds_no_place_is_sent_away_at_once() {
    let toy = Toy::new(Settings { running_max: 1, waiting_max: 1, ..settings() });
    toy.runtime.block_on(async {
        let ask = || answer(toy.router.clone(), json_post("/run_code", &waiting()));
        let (first, second) = (tokio::spawn(ask()), tokio::spawn(ask()));
        // One works and one waits once both are in.
        loop {
            let page = Request::get("/metrics").body(Body::empty()).unwrap();
            let (_, _, page) = answer(toy.router.clone(), page).await;
            if String::from_utf8(page).unwrap().contains("kelvin_serve_admitted 2") {
                break;
            }
            tokio::task::yield_now().await;
        }
        let (status, head, body) = ask().await;
        assert_eq!(
            (status, &head.headers()["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        assert!(String::from_utf8(body).unwrap().contains("hint: "));
        toy.barrier.open();
        for call in [first, second] {
            let (status, _, body) = call.await.unwrap();
            assert_eq!(status, 200);
            assert!(String::from_utf8(body).unwrap().contains("went on"));
        }
        let (status, ..) = ask().await;
        assert_eq!(status, 200, "there is room again");
    });
}

#[test]
fn a_late_answer_is_an_error_and_keeps_its_seat() {
    let limits =
        Settings { running_max: 1, waiting_max: 1, deadline: Duration::from_millis(20), ..settings() };
    let toy = Toy::new(limits);
    let (status, body) = toy.post("/run_code", &waiting());
    assert_eq!(status, 504, "{body}");
    // What was begun still works, so that the next call waits for its seat, and is late too.
    assert_eq!(toy.post("/run_code", &json!({ "code": "echo", "language": "python" })).0, 504);
    assert!(toy.get("/metrics").1.contains("kelvin_serve_running 1"));
    toy.barrier.open();
}

/// A call that is given up while it waits leaves nothing behind, and a step that got no verdict can be made again.
#[test]
fn an_episode_outlives_a_call_that_is_late() {
    let limits =
        Settings { running_max: 1, waiting_max: 1, deadline: Duration::from_millis(20), ..settings() };
    let toy = Toy::new(limits);
    toy.post("/reset", &json!({ "seed": 1, "episode_id": "e" }));
    assert_eq!(toy.post("/run_code", &waiting()).0, 504);
    let step = json!({ "action": { "response": "0" }, "episode_id": "e" });
    assert_eq!(toy.post("/step", &step).0, 504);
    toy.barrier.open();
    let status = loop {
        match toy.post("/step", &step).0 {
            504 => {}
            status => break status,
        }
    };
    assert_eq!(status, 200);
}
