//! What ends a run at its server and may be over in a while: then new adapters with the last checkpoint's state go on. Who holds
//! the run asks [`Engine::await_back`] for that moment.

use std::{fmt, time::Duration};

use anyhow::anyhow;
use kelvin_core::stop::Stop;
use serde_json::json;
use tokio::time;

use super::{
    engine::{Call, Engine, Link, Repeat},
    model::{self, Begun, From, Shape},
    trainer::Adapters,
    wire,
};
use crate::http::Failure;

/// Why a server does nothing for a run's adapters any more, where it may for new ones:
/// [`Trainer::restore`](kelvin_core::policy::Trainer::restore) makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It does not know the adapters or their session: it was started again, or heard nothing of the run for too long.
    Forgotten(String),
    /// It failed or did not answer, however often it was asked.
    Away(String),
    /// It has no place for more adapters. Those of a run that was killed are there until their session ends.
    Full(String),
}

impl Lost {
    /// Whether an error is of a server that has forgotten the run, which is why others fail beside it.
    pub(crate) fn is_forgotten(error: &anyhow::Error) -> bool {
        matches!(error.downcast_ref(), Some(Lost::Forgotten(_)))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Lost::Forgotten(words) | Lost::Away(words) | Lost::Full(words)) = self;
        f.write_str(words)
    }
}

impl std::error::Error for Lost {}

impl Engine {
    /// Waits until a server that has lost a run may go on with it, at most `policy.remote.wait_s`: until one that was away
    /// answers, until one that was full has places for so many such adapters.
    ///
    /// # Errors
    /// If it takes longer, if the server refuses, or [`Stopped`](kelvin_core::stop::Stopped) soon after `stop` is asked.
    pub fn await_back(
        &self,
        lost: &Lost,
        adapters: &Adapters,
        n_adapters: usize,
        stop: Stop,
    ) -> anyhow::Result<()> {
        stop.check()?;
        self.listen(stop);
        let link = &self.link;
        let longest = Duration::from_secs_f64(link.settings.wait_s);
        self.wait_heeding(async {
            let waits = async {
                match lost {
                    Lost::Forgotten(_) => Ok(()),
                    Lost::Away(_) => until(link, async || answers(link).await).await,
                    Lost::Full(_) => until(link, async || has_places(link, &adapters.shape(), n_adapters).await).await,
                }
            };
            match time::timeout(longest, waits).await {
                Ok(ended) => ended.map_err(|it| link.told("waiting for the server", it)),
                Err(_) => Err(anyhow!(
                    "{}, and that did not change in {} s\nhint: see to the server, or raise policy.remote.wait_s; `kelvin \
                     resume` goes on from the last checkpoint",
                    lost.to_string().lines().next().unwrap_or_default(),
                    link.settings.wait_s
                )),
            }
        })
    }
}

/// Asks until it is so.
async fn until(link: &Link, is_so: impl AsyncFn() -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut tried = 0;
    while !is_so().await? {
        link.http.pause(tried).await;
        tried += 1;
    }
    Ok(())
}

/// Whether the server answers, whatever it says.
async fn answers(link: &Link) -> Result<bool, Failure> {
    const NOT_FOUND: u16 = 404;
    match link.http.get_once("api/v1/healthz").await {
        // Whoever stands before a server that is away may say that nothing is there.
        Err(Failure::Refused { status: NOT_FOUND, .. }) => {
            Ok(link.http.get_once("api/v1/get_server_capabilities").await.is_ok())
        }
        Ok(_) | Err(Failure::Refused { .. }) => Ok(true),
        Err(Failure::Late | Failure::Passing(_)) => Ok(false),
    }
}

/// Whether so many adapters can be made; they are given back.
async fn has_places(link: &Link, shape: &Shape, n: usize) -> Result<bool, Failure> {
    let (mut begun, mut ended) = (Vec::new(), Ok(true));
    for _ in 0..n {
        ended = match model::begin(link, shape, &From::Nothing).await {
            Ok(Begun { id, .. }) => {
                begun.push(id);
                continue;
            }
            Err(Failure::Late | Failure::Passing(_)) => Ok(false),
            // A session that ended meanwhile is begun anew.
            Err(Failure::Refused { words, .. }) if is_full(&words) || is_forgotten(&words) => Ok(false),
            Err(failure) => Err(failure),
        };
        break;
    }
    for id in begun {
        let body = wire::json(&json!({"model_id": id, "type": "unload_model"}));
        let unload = Call { path: "api/v1/unload_model", body, repeat: Repeat::Safe };
        // A place that was not given back is none.
        if link.call(&unload).await.is_err() && ended.is_ok() {
            ended = Ok(false);
        }
    }
    ended
}

/// Whether a refusal says that the server does not know the model or session any more. What it is of stands first: a checkpoint,
/// a future or a base model that is not found is something else.
pub(super) fn is_forgotten(words: &str) -> bool {
    let words = words.to_lowercase();
    let Some((before, _)) = words.split_once(" not found").or_else(|| words.split_once(" not loaded")) else {
        return false;
    };
    let kinds = ["checkpoint", "future", "base model", "model", "session", "sampler"];
    let first = kinds.into_iter().filter_map(|kind| Some((before.find(kind)?, kind))).min();
    first.is_some_and(|(_, kind)| ["model", "session", "sampler"].contains(&kind))
}

/// Whether a refusal says that the server has no place for more adapters.
pub(super) fn is_full(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("maximum number of") && words.contains("adapters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_models_and_sessions_are_forgotten() {
        for words in [
            "Model not found",
            "Model 'model_1' not found",
            "Model a:train:0 not loaded (likely stale request from previous server)",
            "Session not found",
            "Sampling session not found",
            "Session 'x' not found",
            "model 'of/checkpoint-3' is not loaded",
        ] {
            assert!(is_forgotten(words), "{words}");
        }
        for words in [
            "Checkpoint 'kelvin-state-3' not found",
            "Checkpoint not found: model_1/kelvin-state-3",
            "Checkpoint 'x' of model 'm' not found",
            "Training checkpoint not found in /data/session",
            "Base model 'Qwen' not found",
            "Future not found",
            "Not Found",
            "loss 'x' not found",
            "LoRA rank 65 must be between 1 and 64",
        ] {
            assert!(!is_forgotten(words), "{words}");
        }
    }

    #[test]
    fn a_full_server_is_told_from_one_that_refuses() {
        assert!(is_full("Maximum number of LoRA adapters (32) reached"));
        assert!(!is_full("LoRA rank 65 must be between 1 and 64"));
        assert!(!is_full("maximum number of tokens reached"));
    }
}
