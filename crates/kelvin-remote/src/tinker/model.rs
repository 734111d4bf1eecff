//! Adapters on the server with the session they live in. While one of these lives, the server is told so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{task::AbortHandle, time};

use super::{
    answers,
    engine::{Call, Engine, Link, Repeat, unanswered},
    kept,
    settings::SamplerWeights,
    wire::{self, Datum, LossFn, Pass},
};
use crate::http::{Body, Failure, Reply};

/// The longest that somebody who is done waits to say so.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);
const HEARTBEAT: &str = "api/v1/session_heartbeat";
const SAVE_FOR_SAMPLER: &str = "api/v1/save_weights_for_sampler";
/// What is told of it where it fails.
const PUBLISHING: &str = "publishing weights to the sampler";

/// What adapters are made like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// What the server calls the model below them.
    pub(super) base_model: String,
    pub(super) rank: usize,
    /// Of their first values; under 2^31, since some servers hold it in 32 bits.
    pub(super) seed: u64,
}

/// What adapters begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Nothing learnt.
    Nothing,
    /// A state that was saved, with what the optimizer remembers or without.
    State { path: String, with_optimizer: bool },
}

/// Adapters on the server.
pub(super) struct Model {
    engine: Arc<Engine>,
    id: String,
    /// Numbers of requests, from 1.
    next_seq: AtomicU64,
    /// Names of what is saved, never used twice.
    next_name: AtomicU64,
    heart: AbortHandle,
}

/// Where published weights are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Published {
    Session(String),
    Path(String),
}

impl Model {
    /// Makes adapters in a session of their own, and loads what they begin with.
    ///
    /// # Errors
    /// If the server fails or refuses.
    pub(super) fn create(engine: &Arc<Engine>, shape: &Shape, from: &From) -> anyhow::Result<Model> {
        let link = &engine.link;
        // Where an answer was lost, a session with adapters may be left behind. Nobody tells the server that it goes on, so
        // it ends.
        let begun =
            engine.wait_heeding(async { Ok(link.anew(async || begin(link, shape, from).await).await) })?;
        let Begun { id, next_seq, session } = begun.map_err(|it| {
            link.told(&format!("making adapters of rank {} for {:?}", shape.rank, shape.base_model), it)
        })?;
        let heart = engine.threads.handle().spawn(beat(Arc::clone(link), session)).abort_handle();
        let [next_seq, next_name] = [next_seq, 0].map(AtomicU64::new);
        Ok(Model { engine: Arc::clone(engine), id, next_seq, next_name, heart })
    }

    /// The number of the next request.
    fn seq(&self) -> u64 {
        self.next_seq.fetch_add(1, Ordering::Relaxed)
    }

    /// A request for log-probabilities or gradients, with a number of its own.
    pub(super) async fn pass(&self, data: &[Datum], loss: LossFn, pass: Pass) -> anyhow::Result<Call> {
        let spoken = self.engine.link.spoken().await?;
        let (path, body) = wire::pass(spoken, (&self.id, self.seq()), data, loss, pass);
        Ok(Call { path, body, repeat: Repeat::Safe })
    }

    /// A request for an optimizer step, with a number of its own.
    pub(super) fn step(&self, adam: serde_json::Value) -> Call {
        let body =
            json!({"model_id": self.id, "seq_id": self.seq(), "adam_params": adam, "type": "optim_step"});
        Call { path: "api/v1/optim_step", body: wire::json(&body), repeat: Repeat::Safe }
    }

    /// Saves weights and optimizer under a new name. Gives their path.
    ///
    /// # Errors
    /// If the server fails or refuses.
    pub(super) async fn save_state(&self) -> anyhow::Result<String> {
        let saved = self.save("api/v1/save_weights", |name| {
            json!({"model_id": self.id, "path": format!("kelvin-state-{name}"), "type": "save_weights"})
        });
        let link = &self.engine.link;
        let reply = saved.await.map_err(|it| link.told("saving the state of adapters", it))?;
        answers::object(&reply).and_then(|it| answers::text(&it, "path"))
    }

    /// Saves the weights as they are for whoever draws, under a new name. Gives their path.
    ///
    /// # Errors
    /// If the server fails or refuses.
    pub(super) async fn save_named(&self) -> anyhow::Result<String> {
        let link = &self.engine.link;
        let body = |name| json!({"model_id": self.id, "path": format!("{}{name}", kept::DRAWS), "type": "save_weights_for_sampler"});
        let reply = self.save(SAVE_FOR_SAMPLER, body).await.map_err(|it| link.told(PUBLISHING, it))?;
        answers::object(&reply).and_then(|it| answers::text(&it, "path"))
    }

    /// Makes the weights as they are ready to draw from, and removes what was before: nothing is to be drawn from that.
    ///
    /// # Errors
    /// If the server fails or refuses.
    pub(super) async fn save_for_sampler(&self) -> anyhow::Result<Published> {
        let link = &self.engine.link;
        let before = kept::published(link, &self.id).await;
        let published = self.publish().await?;
        for it in before {
            kept::remove(link, &it).await;
        }
        Ok(published)
    }

    async fn publish(&self) -> anyhow::Result<Published> {
        let link = &self.engine.link;
        match link.settings.sampler_weights {
            SamplerWeights::Ephemeral => {
                let body = |name| {
                    json!({"model_id": self.id, "sampling_session_seq_id": name, "seq_id": self.seq(),
                        "type": "save_weights_for_sampler"})
                };
                let reply =
                    self.save(SAVE_FOR_SAMPLER, body).await.map_err(|it| link.told(PUBLISHING, it))?;
                let reply = answers::object(&reply)?;
                answers::text(&reply, "sampling_session_id").map(Published::Session)
            }
            SamplerWeights::Named => self.save_named().await.map(Published::Path),
        }
    }

    /// Saves something, each time that it is tried under a new name: whether an answer that was lost had taken the name is
    /// not known, and a name that is taken is refused.
    async fn save(
        &self,
        path: &'static str,
        body: impl Fn(u64) -> serde_json::Value,
    ) -> Result<Reply, Failure> {
        let link = &self.engine.link;
        link.anew(async || {
            const TAKEN: u16 = 409;
            let name = self.next_name.fetch_add(1, Ordering::Relaxed);
            let call = Call { path, body: wire::json(&body(name)), repeat: Repeat::Never };
            match link.call(&call).await {
                Err(Failure::Refused { status: TAKEN, words }) => Err(Failure::Passing(words)),
                ended => ended,
            }
        })
        .await
    }
}

impl Drop for Model {
    /// Frees the adapters' place on the server. If nobody hears it, the session ends by itself.
    fn drop(&mut self) {
        self.heart.abort();
        let body = wire::json(&json!({"model_id": self.id, "type": "unload_model"}));
        let said = self.engine.link.http.post_once("api/v1/unload_model", &body);
        drop(self.engine.wait(async { time::timeout(GOODBYE, said).await }));
    }
}

/// Adapters that were just made.
pub(super) struct Begun {
    pub(super) id: String,
    next_seq: u64,
    session: String,
}

/// A session with adapters in it. Every failure is one of the whole.
pub(super) async fn begin(link: &Link, shape: &Shape, from: &From) -> Result<Begun, Failure> {
    let unread = |error: anyhow::Error| Failure::Passing(format!("{error:#}"));
    let body = json!({"tags": ["kelvin"], "user_metadata": {}, "sdk_version": SDK_VERSION, "type": "create_session"});
    let reply = link.http.post_once("api/v1/create_session", &wire::json(&body)).await.map_err(unanswered)?;
    let session = answers::object(&reply).and_then(|it| answers::text(&it, "session_id")).map_err(unread)?;
    // SkyRL ends no session that was never told of: one that is left behind would hold its adapters for good.
    drop(link.http.post_once(HEARTBEAT, &heartbeat(&session)).await);
    let Shape { base_model, rank, seed } = shape;
    let lora =
        json!({"rank": rank, "seed": seed, "train_mlp": true, "train_attn": true, "train_unembed": false});
    let body = json!({"session_id": session, "model_seq_id": 0, "base_model": base_model, "lora_config": lora,
        "type": "create_model"});
    let create = Call { path: "api/v1/create_model", body: wire::json(&body), repeat: Repeat::Never };
    let reply = link.call(&create).await?;
    let id = answers::object(&reply).and_then(|it| answers::text(&it, "model_id")).map_err(unread)?;
    let From::State { path, with_optimizer } = from else { return Ok(Begun { id, next_seq: 1, session }) };
    let body = json!({"model_id": id, "seq_id": 1, "path": path, "optimizer": with_optimizer, "type": "load_weights"});
    let load = Call { path: "api/v1/load_weights", body: wire::json(&body), repeat: Repeat::Never };
    link.call(&load).await?;
    Ok(Begun { id, next_seq: 2, session })
}

/// The version of the official client that the requests are those of.
const SDK_VERSION: &str = "0.25.0";

/// Tells the server that a session goes on. What it answers is found out by the next request.
async fn beat(link: Arc<Link>, session: String) {
    let body = heartbeat(&session);
    loop {
        time::sleep(Duration::from_secs_f64(link.settings.heartbeat_s)).await;
        drop(link.http.post_once(HEARTBEAT, &body).await);
    }
}

fn heartbeat(session: &str) -> Body {
    wire::json(&json!({"session_id": session, "type": "session_heartbeat"}))
}
