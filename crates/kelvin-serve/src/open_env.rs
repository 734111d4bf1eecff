//! OpenEnv's routes of single calls, and what it tells of itself. Its clients speak over `/ws` (`socket.rs`).

use axum::{
    Json,
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::Desk,
    episode::{Action, Beginning, Episode, Standing, Taken},
    gate::Room,
    given::Given,
    refusal::{Refusal, ok},
};

/// `POST /reset`.
pub(crate) async fn reset(
    State(desk): State<Desk>,
    Given(call): Given<Beginning>,
) -> Result<Response, Refusal> {
    let seat = desk.episodes.seat().ok_or(Refusal::Full)?;
    let episode = Episode::begin(&desk, call)?;
    let seen = ok(&episode.first_sight());
    desk.episodes.keep(episode, seat);
    Ok(seen)
}

/// What `POST /step` takes. The name of the episode is an extra of ours, which OpenEnv's model lets be.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    action: Action,
    #[serde(default)]
    episode_id: Option<String>,
}

/// `POST /step`. A call that got no verdict may be made again.
pub(crate) async fn step(
    State(desk): State<Desk>,
    room: Room,
    Given(call): Given<Step>,
) -> Result<Response, Refusal> {
    let taken = desk.episodes.take(call.episode_id.as_deref())?;
    let mut held = Held { desk: &desk, taken: Some(taken) };
    let Taken { episode, .. } = held.taken.as_mut().expect("it was put there");
    let seen = episode.step(&desk, room, call.action).await?;
    if let Some(taken) = held.taken.take() {
        desk.episodes.end(&taken);
    }
    Ok(ok(&seen))
}

/// An episode that goes back when the call ends without a verdict, also because nobody waits for one any more.
struct Held<'desk> {
    desk: &'desk Desk,
    taken: Option<Taken>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.desk.episodes.put_back(taken);
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    episode_id: Option<String>,
}

/// `GET /state`.
pub(crate) async fn state(State(desk): State<Desk>, Query(asked): Query<Named>) -> Json<Standing> {
    Json(desk.episodes.standing(asked.episode_id.as_deref()))
}

/// `GET /metadata`.
pub(crate) async fn metadata(State(desk): State<Desk>) -> Json<Value> {
    let types: Vec<&str> = desk.served.env.task_types().iter().map(|it| it.as_str()).collect();
    Json(json!({
        "name": desk.served.name,
        "description": format!("One question, one answer, graded by a verifier. Tasks: {}.", types.join(", ")),
        "version": env!("CARGO_PKG_VERSION"),
        "readme_content": null, "author": null, "documentation_url": null,
    }))
}

/// `GET /schema`: JSON Schema of what goes in and out.
pub(crate) async fn schema() -> Json<Value> {
    let text = || json!({ "type": "string" });
    let object = |title: &str, properties: Value, required: &[&str]| {
        json!({
            "title": title, "type": "object", "properties": properties, "required": required,
            "additionalProperties": false,
        })
    };
    let metadata = json!({ "type": "object", "additionalProperties": true });
    let seen = json!({ "prompt": text(), "task_type": text(), "metadata": metadata });
    let mut graded = seen.clone();
    graded["correct"] = json!({ "type": "boolean" });
    graded["formatted"] = json!({ "type": "boolean" });
    graded["score"] = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    graded["miss"] = json!({ "anyOf": [text(), { "type": "null" }] });
    let state = json!({
        "episode_id": { "anyOf": [text(), { "type": "null" }] }, "step_count": { "type": "integer", "minimum": 0 },
    });
    Json(json!({
        "action": object("Answer", json!({ "response": text(), "metadata": metadata }), &["response"]),
        "observation": object("Verdict", graded, &["prompt", "task_type", "correct", "formatted", "score"]),
        "reset_observation": object("Question", seen, &["prompt", "task_type"]),
        "state": object("State", state, &[]),
    }))
}
