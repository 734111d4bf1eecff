//! Why a call has no result, as HTTP says it. Every one is an error to whoever called: none can be read as a verdict.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

/// Seconds after which it is worth asking again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// See the module.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The caller's fault, with what is wrong and, after `hint: `, what to do: 422.
    Malformed(String),
    /// The caller's fault, in another way.
    Status(StatusCode, String),
    /// No place to wait in: 503.
    Busy,
    /// No place for another episode: 503.
    Full,
    /// No answer in time: 504.
    Late,
    /// The sandbox or another part of the world is broken: 500.
    Broken(String),
    /// We made a mistake: 500.
    Panicked,
}

impl Refusal {
    pub(crate) fn malformed(why: impl Into<String>) -> Refusal {
        Refusal::Malformed(why.into())
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Status(status, _) => *status,
            Refusal::Busy | Refusal::Full => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Late => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Broken(_) | Refusal::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Refusal::Malformed(why) | Refusal::Status(_, why) | Refusal::Broken(why) => why,
            Refusal::Busy => "as many calls wait as may\nhint: ask again later, or raise --waiting-max",
            Refusal::Full => {
                "as many episodes are open as may\nhint: step those that are, or raise --sessions-max or lower --session-idle"
            }
            Refusal::Late => "no answer within the deadline\nhint: ask again, or raise --deadline",
            Refusal::Panicked => "a mistake of kelvin's own; the server's standard error has it",
        }
    }
}

impl IntoResponse for Refusal {
    /// As FastAPI, which the servers that are stood in for are written with, says it: the message under `detail`.
    fn into_response(self) -> Response {
        let mut response = reply(self.status(), &json!({ "detail": self.message() }));
        if matches!(self, Refusal::Busy | Refusal::Full) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}

/// A JSON body.
pub(crate) fn reply(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("what is answered is plain data");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON body of a call that went well.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    reply(StatusCode::OK, body)
}
