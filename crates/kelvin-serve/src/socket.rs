//! OpenEnv's `/ws`: one environment for each socket, and the messages that its clients send.

use axum::{
    extract::{
        RawQuery, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    app::Desk,
    connections::asked,
    episode::{Action, Beginning, Episode, Standing},
    gate::Room,
    refusal::Refusal,
};

/// The codes of OpenEnv's errors that happen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    InvalidJson,
    UnknownType,
    Validation,
    Execution,
    Capacity,
    Session,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Code::InvalidJson => "INVALID_JSON",
            Code::UnknownType => "UNKNOWN_TYPE",
            Code::Validation => "VALIDATION_ERROR",
            Code::Execution => "EXECUTION_ERROR",
            Code::Capacity => "CAPACITY_REACHED",
            Code::Session => "SESSION_ERROR",
        }
    }
}

/// `GET /ws`.
pub(crate) async fn connect(
    State(desk): State<Desk>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let max = desk.settings.body_bytes_max;
    let names_session = query.is_some_and(|it| it.split('&').any(|pair| pair.starts_with("session_id=")));
    upgrade.max_message_size(max).max_frame_size(max).on_upgrade(move |socket| async move {
        // Whoever is gone hears nothing more, and nothing here depends on it.
        let _ = converse(socket, &desk, names_session).await;
    })
}

async fn converse(mut socket: WebSocket, desk: &Desk, names_session: bool) -> Result<(), axum::Error> {
    let Some(_seat) = desk.episodes.seat() else {
        let (active, max) = desk.episodes.count();
        let message = format!("{active} of {max} sessions are open");
        let mut text = error(Code::Capacity, &message);
        text["data"]["active_sessions"] = json!(active);
        text["data"]["max_sessions"] = json!(max);
        socket.send(Message::text(text.to_string())).await?;
        return socket.send(Message::Close(None)).await;
    };
    if names_session {
        let text = error(Code::Session, "Unknown session_id: a socket has an episode of its own here");
        socket.send(Message::text(text.to_string())).await?;
        return socket.send(Message::Close(None)).await;
    }
    let mut ending = desk.ending.clone();
    let mut episode: Option<Episode> = None;
    loop {
        let heard = tokio::select! {
            heard = timeout(desk.settings.session_idle, socket.recv()) => heard,
            () = asked(&mut ending) => return socket.send(Message::Close(None)).await,
        };
        let text = match heard {
            Ok(Some(Ok(Message::Text(text)))) => text,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Binary(_)))) => {
                let text = error(Code::InvalidJson, "Invalid JSON: a message is a text");
                socket.send(Message::text(text.to_string())).await?;
                continue;
            }
            Ok(Some(Ok(Message::Close(_))) | None) => return Ok(()),
            Ok(Some(Err(gone))) => return Err(gone),
            Err(_) => return socket.send(Message::Close(None)).await,
        };
        let Some(reply) = answer(desk, &mut episode, text.as_str()).await else {
            return socket.send(Message::Close(None)).await;
        };
        // Who reads nothing gives up its seat as who says nothing does.
        match timeout(desk.settings.session_idle, socket.send(Message::text(reply.to_string()))).await {
            Ok(sent) => sent?,
            Err(_) => return Ok(()),
        }
    }
}

/// A message. More fields than these are an error, as in OpenEnv's models.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heard {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Option<Value>,
}

/// What is said to a message; nothing to a farewell.
async fn answer(desk: &Desk, episode: &mut Option<Episode>, text: &str) -> Option<Value> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(why) => return Some(error(Code::InvalidJson, &format!("Invalid JSON: {why}"))),
    };
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = ["reset", "step", "state", "close"].contains(&kind.as_str());
    if !known && value.is_object() {
        return Some(error(Code::UnknownType, &format!("Unknown message type: {kind}")));
    }
    let Heard { kind, data } = match serde_json::from_value(value) {
        Ok(heard) => heard,
        Err(why) => return Some(invalid(&why)),
    };
    let said = match kind.as_str() {
        "reset" => match read::<Beginning>(data) {
            Ok(beginning) => {
                Episode::begin(desk, beginning).map(|it| observation(episode.insert(it).first_sight()))
            }
            Err(why) => return Some(invalid(&why)),
        },
        "step" => match (data.map(serde_json::from_value::<Action>), episode) {
            (Some(Ok(action)), Some(episode)) => {
                episode.step(desk, Room::default(), action).await.map(observation)
            }
            (Some(Ok(_)), None) => Err(Refusal::malformed("nothing is posed yet\nhint: reset first")),
            (Some(Err(why)), _) => return Some(invalid(&why)),
            (None, _) => return Some(error(Code::Validation, "Invalid message: a step has data")),
        },
        "state" => {
            let standing = episode.as_ref().map(Episode::standing).unwrap_or_default();
            return Some(state(&standing));
        }
        _ => return None,
    };
    Some(said.unwrap_or_else(|refusal| error(Code::Execution, refusal.message())))
}

fn read<T: serde::de::DeserializeOwned + Default>(data: Option<Value>) -> serde_json::Result<T> {
    data.map_or_else(|| Ok(T::default()), serde_json::from_value)
}

fn observation(data: Value) -> Value {
    json!({ "type": "observation", "data": data })
}

fn state(standing: &Standing) -> Value {
    json!({ "type": "state", "data": standing })
}

fn error(code: Code, message: &str) -> Value {
    json!({ "type": "error", "data": { "message": message, "code": code.as_str() } })
}

fn invalid(why: &serde_json::Error) -> Value {
    let mut text = error(Code::Validation, "Invalid message");
    text["data"]["errors"] = json!([{ "type": "value_error", "loc": [], "msg": why.to_string() }]);
    text
}
