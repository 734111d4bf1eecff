//! Draws completions: one request for each, with a seed of its own, many at once.
//!
//! A row's draw is the server's function of prompt, seed and weights: it does not depend on what is asked beside it,
//! as far as the server's arithmetic does not.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc::Receiver,
};

use anyhow::Context;
use kelvin_core::{
    policy::{Completions, Indexed},
    rollout::{Completion, SampleRequest},
    vocabulary::Vocabulary,
};

use super::{
    answers,
    engine::{Call, Engine, Link, Repeat},
    model::Published,
    wire::{self, Draw, Source},
};
use crate::drawing::{self, Drawn, Row, completion};

pub(super) const ASAMPLE: &str = "api/v1/asample";

/// Published weights to draw from.
pub(super) struct Drawer {
    pub(super) vocabulary: Arc<dyn Vocabulary>,
    pub(super) published: Published,
    /// Numbers of requests in the sampling session.
    pub(super) next_seq: Arc<AtomicU64>,
}

/// [`kelvin_core::policy::Sampler::serve`].
pub(super) fn serve(
    engine: &Engine,
    drawer: Drawer,
    requests: &Receiver<Indexed<SampleRequest>>,
    completions: &Completions,
) -> anyhow::Result<()> {
    let (link, drawer) = (&engine.link, Arc::new(drawer));
    let place = (&engine.threads, &*drawer.vocabulary);
    drawing::serve(place, link.settings.concurrent_max, requests, completions, |row| {
        let (link, drawer) = (Arc::clone(link), Arc::clone(&drawer));
        async move { draw(&link, &drawer, &row).await }
    })
}

async fn draw(link: &Link, drawer: &Drawer, row: &Row) -> anyhow::Result<Completion> {
    if row.max_tokens == 0 {
        return completion(&*drawer.vocabulary, row, None);
    }
    let body = wire::sample(&Draw {
        source: match &drawer.published {
            Published::Session(id) => Source::Session(id, drawer.next_seq.fetch_add(1, Ordering::Relaxed)),
            Published::Path(path) => Source::Path(path),
        },
        prompt: &row.prompt,
        max_tokens: row.max_tokens,
        temperature: row.sampling.temperature,
        seed: row.seed,
        stop: drawer.vocabulary.end_tokens(),
        prompt_logprobs: false,
    });
    let drawn = ask(link, body).await?;
    completion(&*drawer.vocabulary, row, Some(drawn))
}

/// Asks for a completion. One that makes no sense is asked for again: a second draw with one seed is the first.
pub(super) async fn ask(link: &Link, body: crate::http::Body) -> anyhow::Result<Drawn> {
    let call = Call { path: ASAMPLE, body, repeat: Repeat::Safe };
    let mut tried = 0;
    loop {
        let reply = link.call(&call).await.map_err(|it| link.told("drawing", it))?;
        match answers::drawn(&reply) {
            Err(_) if tried < link.settings.retries => {
                link.http.pause(tried).await;
                tried += 1;
            }
            read => return read.with_context(|| format!("drawing at {}", link.http.server())),
        }
    }
}
