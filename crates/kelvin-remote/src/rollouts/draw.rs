//! A row is drawn by the server with the least to do.
//!
//! A row's draw is a function of prompt, seed and weights, so it may be asked for anywhere and as often as it takes: the first
//! answer is the completion, and others are heard by nobody.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use kelvin_core::{rollout::Completion, vocabulary::Vocabulary};

use super::{
    fleet::Fleet,
    known::Refusals,
    server::{Ask, Unusable},
    shelf::Version,
};
use crate::drawing::{Drawn, Row, completion};

/// The right to ask one server for one completion.
struct Lease<'fleet> {
    fleet: &'fleet Fleet,
    idx: usize,
    version: Arc<Version>,
    /// How far its weights are behind the newest.
    behind: u64,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.fleet.known().places[self.idx].in_flight -= 1;
    }
}

impl Fleet {
    /// Draws one row, wherever there is room.
    pub(super) async fn draw(&self, vocabulary: &dyn Vocabulary, row: &Row) -> anyhow::Result<Completion> {
        if row.max_tokens == 0 {
            return completion(vocabulary, row, None);
        }
        let _asked = self.waits.asked();
        let (mut n_asked, mut tried) = (0, 0);
        let mut refusals = Refusals::default();
        loop {
            let lease = self.lease(&refusals).await?;
            let (server, version) = (self.server(lease.idx), &lease.version);
            let id = format!("{}-{}-{:x}.{n_asked}", version.name, row.index, row.seed);
            n_asked += 1;
            let ask = Ask { id, row, end_tokens: vocabulary.end_tokens(), version };
            let unusable = match server.draw(&ask).await {
                Ok(drawn) => {
                    self.known().places[lease.idx].n_failed = 0;
                    return self.completed(vocabulary, row, drawn, &lease);
                }
                Err(unusable) => unusable,
            };
            self.failed(&lease, &unusable, &mut refusals);
            if matches!(unusable, Unusable::Refused(_)) {
                // Another one may have room for a longer row, or be there where this one's address leads nowhere.
                continue;
            }
            if self.settings.retries <= tried {
                return Err(anyhow!(
                    "drawing at {}: {}, after {} tries\nhint: are the servers well? `kelvin resume` goes on from the last \
                     checkpoint",
                    server.name(),
                    unusable.words(),
                    tried + 1
                ));
            }
            let idx = lease.idx;
            drop(lease);
            // Where another server may draw, there is nothing to wait for.
            let elsewhere =
                self.known().next(self.settings.staleness_max, &refusals).is_some_and(|it| it.0 != idx);
            if !elsewhere {
                let _waiting = self.waits.waiting();
                self.server(idx).pause(tried).await;
            }
            tried += 1;
        }
    }

    fn completed(
        &self,
        vocabulary: &dyn Vocabulary,
        row: &Row,
        drawn: Drawn,
        lease: &Lease<'_>,
    ) -> anyhow::Result<Completion> {
        let completed = completion(vocabulary, row, Some(drawn))
            .with_context(|| format!("drawing at {}", self.server(lease.idx).name()))?;
        Ok(Completion { behind: lease.behind, ..completed })
    }

    /// What is learnt of a server that did not answer as it should.
    fn failed(&self, lease: &Lease<'_>, unusable: &Unusable, refusals: &mut Refusals) {
        let mut known = self.known();
        let place = &mut known.places[lease.idx];
        place.words = unusable.words().to_owned();
        match unusable {
            // Others may have noticed before, and brought it there again.
            Unusable::Stale(_) if place.holds.as_ref() == Some(&lease.version) => place.holds = None,
            Unusable::Stale(_) => {}
            Unusable::Passing(_) => {
                place.n_failed += 1;
                place.is_gone |= self.settings.failures_max <= place.n_failed;
            }
            Unusable::Refused(words) => {
                // It may well take the same weights again: that is not asked at once.
                place.is_gone = true;
                let is_news = refusals.add(lease.idx, place, words);
                if is_news && !known.all_refuse(refusals) {
                    self.notices.say(format!(
                        "warning: {}: {words}; others draw, and it is asked again in {} s",
                        self.server(lease.idx).name(),
                        self.settings.rejoin_s
                    ));
                }
                return;
            }
        }
        if place.is_gone || place.holds.is_none() {
            self.has_work.notify_one();
        }
    }

    /// Waits for a server that may draw, unless all refuse.
    async fn lease(&self, refusals: &Refusals) -> anyhow::Result<Lease<'_>> {
        let mut waiting = None;
        let leased = self.found(|known| {
            if let Some((idx, version, behind)) = known.next(self.settings.staleness_max, refusals) {
                known.places[idx].lease();
                return Some(Some(Lease { fleet: self, idx, version, behind }));
            }
            if !refusals.is_empty() && known.all_refuse(refusals) {
                return Some(None);
            }
            waiting.get_or_insert_with(|| self.waits.waiting());
            None
        });
        match leased.await {
            Some(Some(lease)) => Ok(lease),
            Some(None) => {
                let told = self.told(refusals);
                let hint = hint(&told, &self.settings.api_key_env);
                Err(anyhow!("no server draws what is asked for: {told}\nhint: {hint}"))
            }
            None => Err(anyhow!(
                "no server drew for {} s: {}\nhint: start one again, or raise policy.rollouts.wait_s; `kelvin resume` goes on \
                 from the last checkpoint",
                self.settings.wait_s,
                self.told(refusals)
            )),
        }
    }
}

/// What helps with a refusal.
fn hint(words: &str, key_env: &str) -> String {
    match words.contains("status 401") || words.contains("status 403") {
        true => format!("the key comes from the environment variable {key_env}"),
        false => "docs/engines/rollouts.md says how servers are started and what they refuse".to_owned(),
    }
}
