//! One server as it is used: its address and manner, the runtime that requests run on, and how a request becomes an
//! answer.
//!
//! Every long request is answered with the name of a future, which is asked for until it is there. A future that the
//! server has lost is asked for anew with the same bytes: requests for gradients and steps are numbered, and a number
//! that the server knows gives the answer it gave, so nothing is applied twice.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::anyhow;
use kelvin_core::stop::Stop;
use serde_json::json;

use super::{
    answers,
    lost::{Lost, is_forgotten, is_full},
    settings::TinkerSettings,
    wire::{self, Spoken},
};
use crate::{
    http::{Body, Failure, Http, KeyPlace, Reply, Secret},
    threads::Threads,
};

/// The header that holds the key.
const KEY_HEADER: &str = "x-api-key";

/// A server, ready to be asked.
pub struct Engine {
    pub(super) link: Arc<Link>,
    pub(super) threads: Threads,
}

/// What requests share. Tasks hold it, never the runtime.
pub(super) struct Link {
    pub(super) http: Http,
    pub(super) settings: TinkerSettings,
    spoken: OnceLock<Spoken>,
}

/// A request whose answer is a future.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) body: Body,
    pub(super) repeat: Repeat,
}

/// Whether the same bytes may be sent again where it is not known if they arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The server knows them by their number, or they change nothing.
    Safe,
    /// They would be done again, or refused because their name is taken.
    Never,
}

impl Engine {
    /// A client of a server. `key` is shown to it alone.
    ///
    /// # Errors
    /// If the address is none, or would send keys in plain text to another machine; if threads cannot be started.
    pub fn new(settings: TinkerSettings, key: Option<String>) -> anyhow::Result<Arc<Engine>> {
        let key = (KeyPlace::Header(KEY_HEADER), key.map(Secret::new));
        let http = Http::new(&settings.url, key, settings.plain_http, settings.manner())?;
        let link = Link { http, settings, spoken: OnceLock::new() };
        Ok(Arc::new(Engine { link: Arc::new(link), threads: Threads::start()? }))
    }

    /// Whoever asks for something that can be given up is told [`Stopped`](kelvin_core::stop::Stopped) soon after `stop` is asked.
    pub fn listen(&self, stop: Stop) {
        self.threads.listen(stop);
    }

    /// [`Threads::wait`].
    pub(super) fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.threads.wait(asked)
    }

    /// [`Threads::wait_heeding`].
    pub(super) fn wait_heeding<T>(
        &self,
        asked: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.threads.wait_heeding(asked)
    }
}

impl Link {
    /// The dialect, asked for once.
    pub(super) async fn spoken(&self) -> anyhow::Result<Spoken> {
        use super::settings::Dialect;
        match (self.settings.dialect, self.spoken.get()) {
            (Dialect::Json, _) => Ok(Spoken::Json),
            (Dialect::Protobuf, _) => Ok(Spoken::Protobuf),
            (Dialect::Auto, Some(known)) => Ok(*known),
            (Dialect::Auto, None) => {
                let found = self.detect().await?;
                Ok(*self.spoken.get_or_init(|| found))
            }
        }
    }

    /// A request for nothing in JSON: a server that wants protobuf says that this is the wrong type.
    async fn detect(&self) -> anyhow::Result<Spoken> {
        const WRONG_TYPE: u16 = 415;
        match self.http.post("api/v1/forward_backward", &wire::json(&json!({}))).await {
            Err(Failure::Refused { status: WRONG_TYPE, .. }) => Ok(Spoken::Protobuf),
            Err(Failure::Refused { status: 400 | 422, .. }) => Ok(Spoken::Json),
            Err(failure) => Err(self.told("finding out its dialect", unanswered(failure))),
            Ok(_) => Err(anyhow!(
                "{} takes an empty request for gradients\nhint: this is no server of the Tinker protocol; policy.remote.url \
                 names another one, or set policy.remote.dialect",
                self.http.server()
            )),
        }
    }

    /// The answer to a request, waited for.
    pub(super) async fn call(&self, call: &Call) -> Result<Reply, Failure> {
        let whole = Duration::from_secs_f64(self.settings.timeout_s);
        let answered = async {
            let mut lost = 0;
            loop {
                let submitted = match call.repeat {
                    Repeat::Safe => self.http.post(call.path, &call.body).await,
                    Repeat::Never => self.http.post_once(call.path, &call.body).await,
                };
                let submitted = submitted.map_err(unanswered)?;
                let named = answers::object(&submitted).and_then(|it| answers::text(&it, "request_id"));
                let ended = match named {
                    Ok(id) => self.retrieve(&id).await,
                    Err(error) => Err(Failure::Passing(format!("{error:#}"))),
                };
                match ended {
                    Err(Failure::Passing(_))
                        if call.repeat == Repeat::Safe && lost < self.settings.retries =>
                    {
                        self.http.pause(lost).await;
                        lost += 1;
                    }
                    ended => return ended,
                }
            }
        };
        match tokio::time::timeout(whole, answered).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::Late),
        }
    }

    /// Asks for a future until it is there. A future that is lost is [`Failure::Passing`].
    async fn retrieve(&self, id: &str) -> Result<Reply, Failure> {
        const UNKNOWN: u16 = 404;
        let body = wire::json(&json!({"request_id": id}));
        let mut failed = 0;
        loop {
            let asked = self.http.post_once("api/v1/retrieve_future", &body).await;
            let read = |reply: Reply| match answers::words(&reply) {
                Ok(words) => Ok((reply, words)),
                Err(error) => Err(Failure::Passing(format!("{error:#}"))),
            };
            let (reply, said) = match asked.and_then(read) {
                Ok(read) => read,
                // The server holds a question as long as it likes: it is asked anew, within the whole time.
                Err(Failure::Late) => continue,
                Err(Failure::Passing(what)) if what.starts_with("status 408") => {
                    self.http.pause(0).await;
                    continue;
                }
                Err(Failure::Passing(_)) if failed < self.settings.retries => {
                    self.http.pause(failed).await;
                    failed += 1;
                    continue;
                }
                Err(Failure::Refused { status: UNKNOWN, words }) => {
                    return Err(Failure::Passing(format!("the server has lost a request: {words}")));
                }
                Err(failure) => return Err(failure),
            };
            failed = 0;
            let Some(said) = said else { return Ok(reply) };
            if said["type"] == "try_again" {
                self.http.pause(0).await;
                continue;
            }
            if let Some(error) = said["error"].as_str() {
                let words = self.http.told(error);
                return Err(match said["category"].as_str() {
                    Some("server" | "unknown") => Failure::Passing(words),
                    Some(_) | None => Failure::Refused { status: 400, words },
                });
            }
            return Ok(reply);
        }
    }

    /// Does anew what cannot be sent twice, until it succeeds, is refused, or has failed too often.
    pub(super) async fn anew<T>(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tried = 0;
        loop {
            match attempt().await {
                Err(Failure::Late | Failure::Passing(_)) if tried < self.settings.retries => {
                    self.http.pause(tried).await;
                    tried += 1;
                }
                ended => return ended,
            }
        }
    }

    /// A failure for people: what was asked for, what was said, what helps. One that may be over in a while is a [`Lost`].
    pub(super) fn told(&self, what: &str, failure: Failure) -> anyhow::Error {
        let said = |hint: &str| format!("{what} at {}: {failure}\nhint: {hint}", self.http.server());
        match &failure {
            Failure::Late => anyhow!(said("raise policy.remote.timeout_s if the server is only slow")),
            Failure::Passing(_) => Lost::Away(said(
                "is it running there? `kelvin doctor --engine URL` asks; `kelvin resume` goes on from the last checkpoint",
            ))
            .into(),
            Failure::Refused { status: 401 | 403, .. } => {
                let variable = &self.settings.api_key_env;
                anyhow!(said(&format!("the key comes from the environment variable {variable}")))
            }
            Failure::Refused { words, .. } if is_forgotten(words) => Lost::Forgotten(said(
                "the server was started again or ended the session; `kelvin resume` loads the last checkpoint's state into \
                 new adapters",
            ))
            .into(),
            Failure::Refused { words, .. } if is_full(words) => Lost::Full(said(
                "adapters of a run that was killed go when the server ends their session; `kelvin resume` asks again",
            ))
            .into(),
            Failure::Refused { .. } => anyhow!(said("docs/engines/tinker.md says what servers refuse")),
        }
    }
}

/// A server that answers nothing in time may be away: what takes longer than the whole time is another failure.
pub(super) fn unanswered(failure: Failure) -> Failure {
    match failure {
        Failure::Late => Failure::Passing("no answer in policy.remote.answer_s".to_owned()),
        other => other,
    }
}
