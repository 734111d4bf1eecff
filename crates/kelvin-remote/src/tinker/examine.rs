//! What a server says of itself, for `kelvin doctor` and before a run.

use serde_json::Value;

use super::{
    answers,
    engine::{Engine, Link, unanswered},
    wire::Spoken,
};
use crate::http::Failure;

/// A server as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Its address.
    pub server: String,
    /// How it takes gradients.
    pub spoken: Spoken,
    /// What it says that it serves; empty if it says nothing.
    pub models: Vec<String>,
    /// Whether it clips gradients, if it says what it reads.
    pub clips: Option<bool>,
}

impl Engine {
    /// Asks the server what it is. Changes nothing there.
    ///
    /// # Errors
    /// If it does not answer, or is no server of this protocol.
    pub fn examine(&self) -> anyhow::Result<Examined> {
        let link = &self.link;
        self.wait_heeding(async {
            let failed = |it| link.told("asking what it is", unanswered(it));
            optional(link, "api/v1/healthz").await.map_err(failed)?;
            let served = optional(link, "api/v1/get_server_capabilities").await.map_err(failed)?;
            let described = optional(link, "openapi.json").await.map_err(failed)?;
            Ok(Examined {
                server: link.http.server(),
                spoken: link.spoken().await?,
                models: served.map_or_else(Vec::new, |it| models(&it)),
                clips: described.and_then(|it| clips(&it)),
            })
        })
    }
}

/// A page of JSON that a server need not have.
async fn optional(link: &Link, path: &str) -> Result<Option<Value>, Failure> {
    match link.http.get(path).await {
        Ok(reply) => Ok(answers::object(&reply).ok()),
        Err(Failure::Refused { status: 404 | 405, .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn models(capabilities: &Value) -> Vec<String> {
    let models = capabilities["supported_models"].as_array().into_iter().flatten();
    models.filter_map(|it| it["model_name"].as_str().or_else(|| it.as_str()).map(str::to_owned)).collect()
}

/// Whether the optimizer's parameters have one for it in the server's own description.
fn clips(described: &Value) -> Option<bool> {
    let fields = described["components"]["schemas"]["AdamParams"]["properties"].as_object()?;
    Some(fields.contains_key("grad_clip_norm"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_says_whether_gradients_are_clipped() {
        let with = |fields: Value| json!({"components": {"schemas": {"AdamParams": {"properties": fields}}}});
        assert_eq!(clips(&with(json!({"beta1": {}}))), Some(false));
        assert_eq!(clips(&with(json!({"grad_clip_norm": {}}))), Some(true));
        assert_eq!(clips(&json!({"paths": {}})), None);
    }

    #[test]
    fn models_are_named_in_either_form() {
        let served = json!({"supported_models": [{"model_name": "a"}, "b", {"other": 1}]});
        assert_eq!(models(&served), ["a", "b"]);
    }
}
