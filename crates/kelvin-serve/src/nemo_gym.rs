//! NeMo Gym's resources server: `/verify` gives back what came with a reward. A row of its data has a field `label`, as the
//! routes of rewards take it; nothing is kept between calls.

use axum::{Json, extract::State, response::Response};
use serde_json::{Map, Value, json};

use crate::{
    app::Desk,
    gate::Room,
    given::Given,
    judge,
    refusal::{Refusal, ok},
};

/// `POST /seed_session`. An environment server names its session and hears the name again; an agent hears nothing.
pub(crate) async fn seed_session(Given(call): Given<Map<String, Value>>) -> Json<Value> {
    Json(match call.get("resources_session_id") {
        Some(id) => json!({ "resources_session_id": id, "resources_tools": null, "sandbox_access": null }),
        None => json!({}),
    })
}

/// `POST /close_session`.
pub(crate) async fn close_session(Given(call): Given<Map<String, Value>>) -> Json<Value> {
    Json(json!({ "resources_session_id": call.get("resources_session_id") }))
}

/// `GET /reverify_mode`.
pub(crate) async fn reverify_mode() -> Json<Value> {
    Json(json!("stateless"))
}

/// `POST /verify`.
pub(crate) async fn verify(
    State(desk): State<Desk>,
    room: Room,
    Given(mut call): Given<Map<String, Value>>,
) -> Result<Response, Refusal> {
    let label = call.get("label").or_else(|| call.get("verifier_metadata")?.get("label"));
    let label = label.ok_or_else(|| {
        Refusal::malformed("label: missing\nhint: a row of data has it beside responses_create_params")
    })?;
    let truth = judge::truth(&desk.served, label)?;
    let response = call.get("response").and_then(said).ok_or_else(|| {
        Refusal::malformed("response: not a response of OpenAI's Responses API, which has a list `output`")
    })?;
    let served = desk.served.clone();
    let judged = desk.gate.work(room, move || truth.judge(&served, &response)).await?;
    call.insert("reward".into(), json!(judged.reward));
    call.insert("correct".into(), json!(judged.grade.correct));
    call.insert("formatted".into(), json!(judged.grade.formatted));
    call.insert("miss".into(), json!(judged.grade.miss.map(|it| it.as_str())));
    Ok(ok(&call))
}

/// The text of a response: what its messages say, without reasoning and calls of tools.
fn said(response: &Value) -> Option<String> {
    let output = response.get("output")?.as_array()?;
    let messages = output.iter().filter(|it| it.get("type").is_some_and(|it| it == "message"));
    let mut text = String::new();
    for content in messages.filter_map(|it| it.get("content")) {
        match content {
            Value::String(words) => text.push_str(words),
            Value::Array(parts) => {
                let words = parts.iter().filter(|it| it.get("type").is_some_and(|it| it == "output_text"));
                words.filter_map(|it| it.get("text")?.as_str()).for_each(|it| text.push_str(it));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_says_what_its_messages_say() {
        let response = json!({ "output": [
            { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }] },
            { "type": "message", "content": [
                { "type": "output_text", "text": "a" }, { "type": "refusal", "refusal": "no" },
                { "type": "output_text", "text": "b" },
            ] },
            { "type": "function_call", "name": "f", "arguments": "{}" },
            { "type": "message", "content": "c" },
        ] });
        assert_eq!(said(&response).as_deref(), Some("abc"));
        assert_eq!(said(&json!({ "output": [] })).as_deref(), Some(""));
        for bad in [json!({}), json!({ "output": "text" }), json!(null)] {
            assert_eq!(said(&bad), None);
        }
    }
}
