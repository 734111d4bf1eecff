//! What vLLM is asked and what it says: tokens in and out at `/inference/v1/generate`, adapters under new names (0.33.0).
//!
//! An adapter is never loaded in the place of another, so a name is one set of weights and the cache of prompts stays right.
//! Log-probabilities are those of `logprobs_mode = "raw_logprobs"`, vLLM's default: before temperature and truncations.

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Ask, Unusable, require_answer_to};
use crate::{drawing::Drawn, http::Reply};

pub(super) const GENERATE: &str = "inference/v1/generate";

/// One completion. End tokens are the policy's, whatever the server's own model folder says.
pub(super) fn generate(ask: &Ask<'_>) -> Value {
    let Ask { id, row, end_tokens, version } = ask;
    json!({
        "request_id": id,
        "model": version.name,
        "token_ids": &row.prompt[..],
        "stream": false,
        "sampling_params": {
            "n": 1,
            "temperature": row.sampling.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "seed": row.seed,
            "max_tokens": row.max_tokens,
            "logprobs": 0,
            "stop_token_ids": end_tokens,
            "ignore_eos": true,
            "detokenize": false,
        },
    })
}

#[derive(Deserialize)]
struct Response {
    request_id: Option<String>,
    model: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    token_ids: Vec<u32>,
    logprobs: Logprobs,
    finish_reason: String,
    #[serde(default)]
    weight_versions: Option<Vec<Span>>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Vec<Logprob>,
}

#[derive(Deserialize)]
struct Logprob {
    token_id: u32,
    logprob: f32,
}

/// Tokens that were drawn from the weights below the adapter under this label.
#[derive(Deserialize)]
struct Span {
    version: String,
}

/// Reads the completion that a request of this name asked for.
pub(super) fn drawn(reply: &Reply, name: &str, id: &str) -> Result<Drawn, Unusable> {
    let read: anyhow::Result<Response> =
        serde_json::from_slice(&reply.bytes).context("a completion that cannot be read");
    let Response { request_id, model, mut choices } = read.map_err(Unusable::garbled)?;
    require_answer_to(id, request_id.as_deref())?;
    match model {
        Some(model) if model == name => {}
        Some(other) => return Err(Unusable::Stale(format!("it drew from {other:?}, not from {name:?}"))),
        None => {
            return Err(Unusable::Refused(
                "it does not say which adapter drew: it is older than what this program was written for"
                    .into(),
            ));
        }
    }
    if choices.len() != 1 {
        return Err(Unusable::Passing(format!("{} completions instead of one", choices.len())));
    }
    let Choice { token_ids: tokens, logprobs, finish_reason, weight_versions } = choices.remove(0);
    if let Some([first, rest @ ..]) = weight_versions.as_deref()
        && rest.iter().any(|it| it.version != first.version)
    {
        return Err(Unusable::Refused(
            "the weights below the adapter moved while it drew: somebody else updates this server".into(),
        ));
    }
    let stopped = match finish_reason.as_str() {
        "stop" => true,
        "length" => false,
        other => return Err(Unusable::Passing(format!("a completion that ended with {other:?}"))),
    };
    if logprobs.content.iter().map(|it| it.token_id).ne(tokens.iter().copied()) {
        return Err(Unusable::Passing("log-probabilities of other tokens than were drawn".into()));
    }
    let logprobs = logprobs.content.iter().map(|it| it.logprob).collect();
    Ok(Drawn { tokens, logprobs, stopped, prompt_logprobs: None })
}
