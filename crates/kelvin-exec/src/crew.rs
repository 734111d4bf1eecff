//! The threads of an executor: each takes jobs from the queue, runs them on its station, and answers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, ensure};
use kelvin_core::executor::{Calls, HashSeed, Limits, Names, Outcome};

use crate::metrics::Counters;
use crate::preload::Preload;
use crate::protocol::{Part, Request};
use crate::queue::{Queue, Ticket};
use crate::settle::{Attempt, Batch, End, Settlement, Turn};
use crate::station::{Fresh, Station};
use crate::worker::fresh_nonce;

/// Of so many results that came from a shared child, one is checked against a run alone.
const AUDIT_EVERY: u64 = 100;

/// What the threads share.
pub(crate) struct Crew {
    pub(crate) queue: Queue,
    pub(crate) counters: Counters,
    /// Most inputs of one child; 1 gives each its own.
    pub(crate) batch_max: usize,
    pub(crate) n_threads: usize,
    /// Classes of programs that no longer share a child, because a result came out otherwise alone.
    pub(crate) apart: Mutex<HashSet<String>>,
    /// See [`Crew::broken`].
    pub(crate) broken: Mutex<Option<String>>,
}

/// A thread that panics would leave those who wait for it waiting for ever.
struct CloseOnPanic<'a>(&'a Queue);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

impl Crew {
    /// Serves until the queue closes.
    pub(crate) fn serve(self: &Arc<Crew>, mut station: Station) {
        let _guard = CloseOnPanic(&self.queue);
        while let Some(tickets) = self.queue.take(self.batch_max, self.n_threads, &self.apart) {
            tickets.iter().for_each(|it| self.counters.queue.add(it.since.passed()));
            let outcomes = match self.broken() {
                Some(why) => Err(anyhow!(why)),
                None => self.run(&mut station, &tickets),
            };
            match outcomes {
                Ok(mut outcomes) => {
                    for ticket in tickets {
                        let rest = outcomes.split_off(ticket.job.inputs.len());
                        // Who asked may have gone.
                        let _ = ticket.reply.send((ticket.place, Ok(std::mem::replace(&mut outcomes, rest))));
                    }
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
                    for ticket in tickets {
                        let _ = ticket.reply.send((ticket.place, Err(why.clone())));
                    }
                }
            }
        }
    }

    /// Why no job can run any more, once one could not.
    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The outcomes of all inputs of all jobs, which fit together.
    fn run(&self, station: &mut Station, tickets: &[Ticket]) -> anyhow::Result<Vec<Outcome>> {
        let first = &tickets[0];
        let shared = 1 < self.batch_max && first.job.company.is_some();
        let calls: Vec<Call<'_>> = tickets
            .iter()
            .flat_map(|ticket| ticket.job.inputs.iter().map(move |input| Call { ticket, input }))
            .collect();
        let mut settlement = Settlement::new(calls.len(), shared, &first.job.limits);
        while let Some(batch) = settlement.next_batch() {
            let fresh = if shared || batch.turn == Turn::Again { Fresh::Forked } else { Fresh::Enough };
            let crashed = match self.attempt(station, &calls, &batch, fresh)? {
                Ok(attempt) => settlement.settle(batch, attempt, &self.counters),
                Err(detail) => settlement.settle_lost(batch, &detail, &self.counters),
            };
            if crashed {
                self.check_health(station, first.job.hash_seed)?;
            }
        }
        let mut outcomes = settlement.finish();
        if shared && 1 < calls.len() {
            self.audit(station, &calls, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn attempt(
        &self,
        station: &mut Station,
        calls: &[Call<'_>],
        batch: &Batch,
        fresh: Fresh,
    ) -> anyhow::Result<Result<Attempt, String>> {
        let ticket = calls[batch.inputs[0]].ticket;
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut last: Option<&Ticket> = None;
        for call in batch.inputs.iter().map(|&at| &calls[at]) {
            if !last.is_some_and(|last| std::ptr::eq(last, call.ticket)) {
                parts.push(Part { program: &call.ticket.job.program, inputs: Vec::new() });
                last = Some(call.ticket);
            }
            parts.last_mut().expect("pushed above").inputs.push(call.input);
        }
        let job = &ticket.job;
        let request =
            Request { nonce: fresh_nonce(), parts, calls: job.calls, names: job.names, limits: job.limits };
        Ok(station.attempt(job.hash_seed, ticket.preload, &request, &self.counters, fresh)?)
    }

    /// Runs some of what came from a shared child again alone. Where that comes out otherwise it counts, and programs
    /// of the class run alone from then on.
    fn audit(
        &self,
        station: &mut Station,
        calls: &[Call<'_>],
        outcomes: &mut [Outcome],
    ) -> anyhow::Result<()> {
        let n_before = self.counters.n_shared.advance(calls.len());
        for (at, call) in calls.iter().enumerate() {
            if !(n_before + at as u64).is_multiple_of(AUDIT_EVERY) || depends_on_load(&outcomes[at]) {
                continue;
            }
            self.counters.n_audits.add(1);
            let mut alone = Settlement::new(1, false, &call.ticket.job.limits);
            while let Some(batch) = alone.next_batch() {
                match self.attempt(station, std::slice::from_ref(call), &batch, Fresh::Forked)? {
                    Ok(attempt) => alone.settle(batch, attempt, &self.counters),
                    Err(detail) => alone.settle_lost(batch, &detail, &self.counters),
                };
            }
            let alone = alone.finish().pop().expect("one input");
            if !agree(&alone, &outcomes[at]) && !depends_on_load(&alone) {
                self.counters.n_mismatches.add(1);
                let class = call.ticket.job.company.clone().unwrap_or_default();
                self.apart.lock().unwrap_or_else(PoisonError::into_inner).insert(class);
                outcomes[at] = alone;
            }
        }
        Ok(())
    }

    /// Tells a program that dies from a machine on which every program does: the second is no outcome.
    fn check_health(&self, station: &mut Station, hash_seed: HashSeed) -> anyhow::Result<()> {
        let request = Request {
            nonce: fresh_nonce(),
            parts: vec![Part { program: "def f(x):\n    return x + 1", inputs: vec!["1"] }],
            calls: Calls::Once,
            names: Names::Literals,
            limits: Limits::default(),
        };
        let seen = match station.attempt(hash_seed, Preload::Lean, &request, &self.counters, Fresh::Forked)? {
            Ok(Attempt { answers, end: End::Done }) => {
                answers.into_iter().next().map(|answer| answer.outcome)
            }
            Ok(Attempt { end, .. }) => return Err(anyhow!("{end:?}")).context(UNHEALTHY),
            Err(detail) => return Err(anyhow!(detail)).context(UNHEALTHY),
        };
        ensure!(seen == Some(Outcome::Value { repr: "2".into() }), "{UNHEALTHY} (it gives {seen:?})");
        Ok(())
    }
}

/// One input of one job.
struct Call<'a> {
    ticket: &'a Ticket,
    input: &'a str,
}

/// Whether two runs came to the same, but for where objects lie in memory: that depends on what ran before, and a
/// result that shows it is found out under the other hash seed.
fn agree(a: &Outcome, b: &Outcome) -> bool {
    match (a, b) {
        (Outcome::Value { repr: a }, Outcome::Value { repr: b }) => {
            a == b || without_addresses(a) == without_addresses(b)
        }
        _ => a == b,
    }
}

/// Without the digits of every `<object at 0x7f...>`.
fn without_addresses(text: &str) -> String {
    let mut pieces = text.split(" at 0x");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |kept, piece| {
        kept + " at 0x" + piece.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

fn depends_on_load(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::TimedOut | Outcome::OutOfMemory | Outcome::Crashed { .. })
}

const UNHEALTHY: &str = "the sandbox is broken: a program that adds one to one does not run either\n\
    hint: check the machine's memory and process limits; `kelvin doctor` tells more";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_no_difference() {
        let value = |text: &str| Outcome::Value { repr: text.into() };
        assert!(agree(&value("'<a at 0x7f01> <b at 0x1>'"), &value("'<a at 0xff> <b at 0x2>'")));
        assert!(!agree(&value("'<a at 0x7f01>'"), &value("'<b at 0x7f01>'")));
        assert!(!agree(&value("'0x1'"), &value("'0x2'")));
        assert!(!agree(&value("1"), &Outcome::Nondeterministic));
    }
}
