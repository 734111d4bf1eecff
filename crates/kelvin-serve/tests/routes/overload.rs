//! More calls than there is room for, calls that take too long, and sockets.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Request, StatusCode},
};
use hyper::body::Frame;
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

/// A body whose length nobody says before it is read.
struct Unsized(Option<Bytes>);

impl HttpBody for Unsized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|it| Ok(Frame::data(it))))
    }
}

/// There is so much room for bodies together: who brings one more waits, however long it is, and who brings none goes by.
#[test]
fn bodies_wait_for_room() {
    let toy = Toy::new(Settings { running_max: 4, bodies_bytes_max: 1 << 16, ..settings() });
    let long = json!({ "code": "wait", "language": "python", "stdin": "x".repeat(60_000) });
    let of_unknown_length = || {
        let request = Request::post("/run_code").header("content-type", "application/json");
        request.body(Body::new(Unsized(Some(waiting().to_string().into())))).unwrap()
    };
    toy.runtime.block_on(async {
        let ask = |request| tokio::spawn(answer(toy.router.clone(), request));
        let admitted = async |n: usize| {
            let page = Request::get("/metrics").body(Body::empty()).unwrap();
            let (_, _, page) = answer(toy.router.clone(), page).await;
            String::from_utf8(page).unwrap().contains(&format!("kelvin_serve_admitted {n}\n"))
        };
        let first = ask(json_post("/run_code", &long));
        while !admitted(1).await {
            tokio::task::yield_now().await;
        }
        let more =
            [of_unknown_length(), json_post("/run_code", &long), json_post("/run_code", &waiting())].map(ask);
        let mut is_alone = true;
        for _ in 0..100 {
            tokio::task::yield_now().await;
            is_alone &= admitted(1).await;
        }
        toy.barrier.open();
        assert!(is_alone, "a body was read for which there is no room");
        for call in [first].into_iter().chain(more) {
            assert_eq!(call.await.unwrap().0, 200);
        }
    });
}

/// A body is in memory as long as anything works on it, also when nobody waits for that any more.
#[test]
fn what_outlives_its_call_keeps_the_room_of_its_body() {
    let toy = Toy::new(Settings {
        running_max: 4,
        bodies_bytes_max: 1 << 16,
        deadline: Duration::from_millis(20),
        ..settings()
    });
    let long = json!({ "code": "wait", "language": "python", "stdin": "x".repeat(60_000) });
    let late = [(); 2].map(|()| toy.post("/run_code", &long).0);
    let page = toy.get("/metrics").1;
    toy.barrier.open();
    assert_eq!(late, [504, 504]);
    assert!(page.contains("kelvin_serve_admitted 1\n"), "the second was let in");
    let status = loop {
        match toy.post("/run_code", &long).0 {
            504 => {}
            status => break status,
        }
    };
    assert_eq!(status, 200);
}

/// What is summed up takes a seat as programs do.
#[test]
fn sums_wait_for_a_seat() {
    let limits = Settings { running_max: 1, waiting_max: 0, ..settings() };
    let toy = Toy::new(limits);
    toy.runtime.block_on(async {
        let ask = |route: &str, body: Value| answer(toy.router.clone(), json_post(route, &body));
        let working = tokio::spawn(ask("/run_code", waiting()));
        while !toy.barrier.is_reached() {
            tokio::task::yield_now().await;
        }
        let sums = || ask("/aggregate_metrics", json!({ "verify_responses": [] }));
        let (busy, ..) = sums().await;
        toy.barrier.open();
        assert_eq!(busy, StatusCode::SERVICE_UNAVAILABLE);
        working.await.unwrap();
        assert_eq!(sums().await.0, StatusCode::OK);
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

/// An episode whose name was given to another one while a call stepped it is over: answers are to what was asked last.
#[test]
fn a_late_step_does_not_bring_an_old_episode_back() {
    let toy = Toy::new(Settings { running_max: 1, waiting_max: 2, ..settings() });
    toy.runtime.block_on(async {
        let ask = |route: &str, body: Value| answer(toy.router.clone(), json_post(route, &body));
        let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        let step = json!({ "action": { "response": "0" }, "episode_id": "e" });
        let working = tokio::spawn(ask("/run_code", waiting()));
        let before = json(ask("/reset", json!({ "seed": 1, "episode_id": "e" })).await.2);
        let late = tokio::spawn(ask("/step", step.clone()));
        loop {
            let state = Request::get("/state?episode_id=e").body(Body::empty()).unwrap();
            if json(answer(toy.router.clone(), state).await.2)["episode_id"].is_null() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let asked = json(ask("/reset", json!({ "seed": 4, "episode_id": "e" })).await.2);
        assert_ne!(
            asked["observation"]["prompt"], before["observation"]["prompt"],
            "the seeds pose two tasks"
        );
        late.abort();
        late.await.unwrap_err();
        toy.barrier.open();
        working.await.unwrap();
        let (status, _, seen) = ask("/step", step).await;
        assert_eq!(
            (status, &json(seen)["observation"]["prompt"]),
            (StatusCode::OK, &asked["observation"]["prompt"])
        );
    });
}

/// Nor where the new one is over by then.
#[test]
fn an_old_episode_does_not_outlive_its_successor() {
    let toy = Toy::new(Settings { running_max: 2, ..settings() });
    toy.runtime.block_on(async {
        let ask = |route: &str, body: Value| answer(toy.router.clone(), json_post(route, &body));
        let step = |response: &str| json!({ "action": { "response": response }, "episode_id": "e" });
        ask("/reset", json!({ "episode_id": "e" })).await;
        let old = tokio::spawn(ask("/step", step("wait")));
        while !toy.barrier.is_reached() {
            tokio::task::yield_now().await;
        }
        ask("/reset", json!({ "episode_id": "e" })).await;
        assert_eq!(ask("/step", step("0")).await.0, StatusCode::OK);
        old.abort();
        old.await.unwrap_err();
        assert_eq!(ask("/step", step("0")).await.0, StatusCode::NOT_FOUND);
        toy.barrier.open();
    });
}

#[test]
fn names_that_callers_chose_are_not_given_out_again() {
    let toy = Toy::new(settings());
    toy.post("/reset", &json!({ "episode_id": "episode-1" }));
    let (_, second) = toy.post("/reset", &json!({}));
    assert_eq!(second["observation"]["metadata"]["episode_id"], "episode-2");
}
