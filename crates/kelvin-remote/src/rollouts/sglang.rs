//! What SGLang is asked and what it says: tokens in and out at `/generate`, all weights from a folder or adapters under new names
//! (0.5.23).

use anyhow::Context;
use kelvin_core::policy::Exported;
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Ask, Unusable, require_answer_to};
use crate::{drawing::Drawn, http::Reply};

pub(super) const GENERATE: &str = "generate";

/// One completion. The server's own end tokens end it too; those that end it are kept.
pub(super) fn generate(ask: &Ask<'_>) -> Value {
    let Ask { id, row, end_tokens, version } = ask;
    let adapter = match version.exported {
        Exported::Adapter => json!(version.name),
        Exported::Model => Value::Null,
    };
    json!({
        "rid": id,
        "input_ids": &row.prompt[..],
        "lora_path": adapter,
        "stream": false,
        "return_logprob": true,
        "logprob_start_len": -1,
        "top_logprobs_num": 0,
        "sampling_params": {
            "n": 1,
            "temperature": row.sampling.temperature,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "sampling_seed": row.seed,
            "max_new_tokens": row.max_tokens,
            "stop_token_ids": end_tokens,
            "no_stop_trim": true,
        },
    })
}

#[derive(Deserialize)]
struct Response {
    output_ids: Vec<u32>,
    meta_info: Meta,
}

#[derive(Deserialize)]
struct Meta {
    id: Option<String>,
    finish_reason: Finish,
    /// Log-probability, token, and its text or nothing.
    output_token_logprobs: Vec<(f32, u32, Value)>,
    weight_version: Option<String>,
    /// Only where weights moved while it drew.
    #[serde(default)]
    weight_versions: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Finish {
    r#type: String,
}

/// Reads a completion of these weights. Which adapter drew is not said: a request names it, and one that is not loaded is refused.
pub(super) fn drawn(reply: &Reply, (name, exported): (&str, Exported), id: &str) -> Result<Drawn, Unusable> {
    let read: anyhow::Result<Response> =
        serde_json::from_slice(&reply.bytes).context("a completion that cannot be read");
    let Response { output_ids: tokens, meta_info } = read.map_err(Unusable::garbled)?;
    let Meta { id: says, finish_reason, output_token_logprobs, weight_version, weight_versions } = meta_info;
    require_answer_to(id, says.as_deref())?;
    if weight_versions.is_some_and(|it| 1 < it.len()) {
        return Err(Unusable::Stale("its weights moved while it drew".into()));
    }
    match (exported, weight_version) {
        (Exported::Adapter, _) => {}
        (Exported::Model, Some(version)) if version == name => {}
        (Exported::Model, Some(other)) => {
            return Err(Unusable::Stale(format!("it drew from {other:?}, not from {name:?}")));
        }
        (Exported::Model, None) => {
            return Err(Unusable::Refused(
                "it does not say which weights drew: it is older than what this program was written for"
                    .into(),
            ));
        }
    }
    let stopped = match finish_reason.r#type.as_str() {
        "stop" => true,
        "length" => false,
        other => return Err(Unusable::Passing(format!("a completion that ended with {other:?}"))),
    };
    if output_token_logprobs.iter().map(|it| it.1).ne(tokens.iter().copied()) {
        return Err(Unusable::Passing("log-probabilities of other tokens than were drawn".into()));
    }
    let logprobs = output_token_logprobs.iter().map(|it| it.0).collect();
    Ok(Drawn { tokens, logprobs, stopped, prompt_logprobs: None })
}
