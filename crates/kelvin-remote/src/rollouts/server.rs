//! One server as it is asked: for a completion, what it holds, to take weights and to let go of them.

use std::{future::Future, time::Duration};

use kelvin_core::policy::Exported;
use serde_json::{Value, json};
use tokio::time;

use super::{
    settings::{Engine, RolloutSettings},
    sglang,
    shelf::Version,
    vllm,
    vllm_grpc::Grpc,
};
use crate::{
    drawing::{Drawn, Row},
    http::{Body, Failure, Http, KeyPlace, Reply, Secret},
};

const JSON: &str = "application/json";

/// A server of one of the engines.
pub(super) struct Server {
    http: Http,
    /// What is asked instead, where the engine speaks it; addresses and pauses are those of `http`.
    grpc: Option<Grpc>,
    engine: Engine,
    /// For a completion, for taking weights, for saying what it holds.
    deadlines: [Duration; 3],
}

/// One completion, please.
pub(super) struct Ask<'ask> {
    /// Names the request in the server's records: the row's own for each try.
    pub(super) id: String,
    pub(super) row: &'ask Row,
    pub(super) end_tokens: &'ask [u32],
    pub(super) version: &'ask Version,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It may be another one next time, or elsewhere.
    Passing(String),
    /// The server has other weights than were asked for.
    Stale(String),
    /// It will stay the same, everywhere.
    Refused(String),
}

impl Unusable {
    pub(super) fn garbled(error: anyhow::Error) -> Unusable {
        Unusable::Passing(format!("{error:#}"))
    }

    pub(super) fn words(&self) -> &str {
        let (Unusable::Passing(words) | Unusable::Stale(words) | Unusable::Refused(words)) = self;
        words
    }
}

/// Whether what says that it answers a request does. A server may put a word of its own before the request's name. A reply that
/// comes twice on a connection that is kept would else pass for the answer to the next request.
///
/// # Errors
/// If it answers another one.
pub(super) fn require_answer_to(id: &str, says: Option<&str>) -> Result<(), Unusable> {
    let is_own =
        |it: &str| it.strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with('-'));
    match says {
        Some(other) if !is_own(other) => {
            Err(Unusable::Passing(format!("the answer to {other:?}, where {id:?} was asked")))
        }
        Some(_) | None => Ok(()),
    }
}

impl From<Failure> for Unusable {
    fn from(failure: Failure) -> Unusable {
        match failure {
            Failure::Late | Failure::Passing(_) => Unusable::Passing(failure.to_string()),
            Failure::Refused { .. } => Unusable::Refused(failure.to_string()),
        }
    }
}

impl Server {
    /// A client of the server at `url`.
    ///
    /// # Errors
    /// If the address is none, or would send keys in plain text to another machine.
    pub(super) fn new(url: &str, settings: &RolloutSettings, key: Option<&str>) -> anyhow::Result<Server> {
        let secret = key.map(|it| Secret::new(it.to_owned()));
        let http = Http::new(url, (KeyPlace::Bearer, secret), settings.plain_http, settings.manner())?;
        let grpc = match settings.engine {
            Engine::VllmGrpc => Some(Grpc::new(url, key, settings)?),
            Engine::Off | Engine::Vllm | Engine::Sglang => None,
        };
        let RolloutSettings { answer_s, load_s, probe_s, .. } = *settings;
        let deadlines = [answer_s, load_s, probe_s].map(Duration::from_secs_f64);
        Ok(Server { http, grpc, engine: settings.engine, deadlines })
    }

    /// Its address, for messages.
    pub(super) fn name(&self) -> String {
        self.http.server()
    }

    /// Waits as one does after so many tries.
    pub(super) async fn pause(&self, tried: u32) {
        self.http.pause(tried).await;
    }

    /// Asks for a completion, once.
    pub(super) async fn draw(&self, ask: &Ask<'_>) -> Result<Drawn, Unusable> {
        let (name, exported) = (&ask.version.name, ask.version.exported);
        let [answer, ..] = self.deadlines;
        let drawn = match self.engine {
            Engine::Off => unreachable!("there is no server of no engine"),
            Engine::VllmGrpc => self.called(answer, self.grpc().draw(ask)).await,
            Engine::Vllm => {
                let asked = self.post(vllm::GENERATE, &vllm::generate(ask), answer).await;
                vllm::drawn(&asked.map_err(unknown_is_stale)?, name, &ask.id)
            }
            Engine::Sglang => {
                let asked = self.post(sglang::GENERATE, &sglang::generate(ask), answer).await;
                sglang::drawn(&asked.map_err(unknown_is_stale)?, (name, exported), &ask.id)
            }
        }?;
        drawn.check().map_err(Unusable::garbled)?;
        Ok(drawn)
    }

    /// Sees to it that it holds these weights, and says so by `telling` once it may. To ask again is safe: the name tells the
    /// same weights.
    pub(super) async fn take(&self, version: &Version, telling: impl FnOnce()) -> Result<(), Unusable> {
        if matches!(self.engine, Engine::Vllm | Engine::VllmGrpc) && version.exported == Exported::Model {
            return Err(Unusable::Refused("it takes adapters alone".into()));
        }
        let holds = self.holds(version).await?;
        telling();
        if holds {
            return Ok(());
        }
        let told = self.load(version).await;
        // What it says of the request does not count: it may have been done by one whose answer was lost.
        match (self.holds(version).await?, told) {
            (true, _) => Ok(()),
            (false, Ok(())) => {
                Err(Unusable::Passing(format!("it took {} and does not hold it", version.name)))
            }
            (false, Err(why)) => Err(why),
        }
    }

    async fn load(&self, version: &Version) -> Result<(), Unusable> {
        let Version { name, path, exported, .. } = version;
        let [_, load, _] = self.deadlines;
        let (at, body) = match (self.engine, exported) {
            (Engine::Off, _) | (Engine::Vllm | Engine::VllmGrpc, Exported::Model) => {
                unreachable!("there is no server of no engine, and vLLM's was refused above")
            }
            (Engine::VllmGrpc, Exported::Adapter) => {
                return self.called(load, self.grpc().load(version)).await;
            }
            (Engine::Vllm, Exported::Adapter) => {
                ("v1/load_lora_adapter", json!({"lora_name": name, "lora_path": path}))
            }
            (Engine::Sglang, Exported::Adapter) => {
                ("load_lora_adapter", json!({"lora_name": name, "lora_path": path}))
            }
            // Nothing of ours is drawn meanwhile; what others left behind would go on with mixed weights.
            (Engine::Sglang, Exported::Model) => (
                "update_weights_from_disk",
                json!({"model_path": path, "weight_version": name, "flush_cache": true, "abort_all_requests": true}),
            ),
        };
        self.post(at, &body, load).await?;
        Ok(())
    }

    /// Lets go of adapters, if it has them; of weights that others took the place of there is nothing to let go.
    pub(super) async fn release(&self, version: &Version) -> Result<(), Unusable> {
        let [.., probe] = self.deadlines;
        let at = match (self.engine, version.exported) {
            (_, Exported::Model) => return Ok(()),
            (Engine::VllmGrpc, Exported::Adapter) => {
                return self.called(probe, self.grpc().unload(version)).await;
            }
            (Engine::Sglang, Exported::Adapter) => "unload_lora_adapter",
            (Engine::Off | Engine::Vllm, Exported::Adapter) => "v1/unload_lora_adapter",
        };
        match self.post(at, &json!({"lora_name": version.name}), probe).await {
            // It has not got them.
            Ok(_) | Err(Failure::Refused { status: 400 | 404, .. }) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn holds(&self, version: &Version) -> Result<bool, Unusable> {
        let [.., probe] = self.deadlines;
        if let Some(grpc) = &self.grpc {
            return self.called(probe, grpc.holds(version)).await;
        }
        let page = async |path: &str| -> Result<Value, Unusable> {
            let reply = within(probe, self.http.get_once(path)).await?;
            serde_json::from_slice(&reply.bytes)
                .map_err(|error| Unusable::Passing(format!("{path} is no JSON: {error}")))
        };
        match version.exported {
            Exported::Adapter => {
                let models = page("v1/models").await?;
                let mut listed = models["data"].as_array().into_iter().flatten();
                Ok(listed.any(|it| it["id"] == version.name.as_str()))
            }
            Exported::Model => Ok(page("model_info").await?["weight_version"] == version.name.as_str()),
        }
    }

    fn grpc(&self) -> &Grpc {
        self.grpc.as_ref().expect("it was made for this engine")
    }

    /// What a call over gRPC comes to, its words told as those over HTTP.
    async fn called<T>(
        &self,
        deadline: Duration,
        asked: impl Future<Output = Result<T, Unusable>>,
    ) -> Result<T, Unusable> {
        let ended = time::timeout(deadline, asked).await.unwrap_or_else(|_| Err(Failure::Late.into()));
        ended.map_err(|why| match why {
            Unusable::Passing(words) => Unusable::Passing(self.http.told(&words)),
            Unusable::Stale(words) => Unusable::Stale(self.http.told(&words)),
            Unusable::Refused(words) => Unusable::Refused(self.http.told(&words)),
        })
    }

    async fn post(&self, path: &str, body: &Value, deadline: Duration) -> Result<Reply, Failure> {
        let body = Body { content_type: JSON, encoding: None, bytes: body.to_string().into() };
        within(deadline, self.http.post_once(path, &body)).await
    }
}

async fn within<T>(
    deadline: Duration,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    time::timeout(deadline, asked).await.unwrap_or(Err(Failure::Late))
}

/// A server that was started again knows nothing of the adapters that it held.
fn unknown_is_stale(failure: Failure) -> Unusable {
    match &failure {
        Failure::Refused { status: 404, words } if words.contains("does not exist") => {
            Unusable::Stale(words.clone())
        }
        Failure::Refused { status: 400, words } if words.contains("not loaded") => {
            Unusable::Stale(words.clone())
        }
        Failure::Late | Failure::Passing(_) | Failure::Refused { .. } => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_request_is_none() {
        for says in [None, Some("a-1"), Some("generate-a-1")] {
            assert_eq!(require_answer_to("a-1", says), Ok(()), "{says:?}");
        }
        for says in ["", "a-11", "a-2", "ba-1", "1"] {
            assert!(matches!(require_answer_to("a-1", Some(says)), Err(Unusable::Passing(_))), "{says}");
        }
    }
}
