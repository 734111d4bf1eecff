//! The task that sends rows to one tracker.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{Mark, Row, Service, Subject, service::Ended};
use crate::http::Failure;

pub(super) struct Sending {
    pub(super) service: Service,
    pub(super) subject: Arc<Subject>,
    pub(super) mark: Mark,
    pub(super) rows_max: usize,
    /// The first pause and the longest.
    pub(super) pauses: [Duration; 2],
    pub(super) to_send: mpsc::UnboundedReceiver<Row>,
    /// How the run ended, once it has.
    pub(super) ending: watch::Receiver<Option<Ended>>,
    /// How many rows the tracker has.
    pub(super) count: watch::Sender<usize>,
    pub(super) say: mpsc::UnboundedSender<String>,
}

/// The most metrics of a batch of several rows: what MLflow takes at once, so that each answer is a step forward.
const METRICS_MAX: usize = 1000;

/// The first rows, as many as go together.
fn batch(waiting: &VecDeque<Row>, rows_max: usize) -> Vec<Row> {
    let mut n_metrics = 0;
    let fits = |row: &&Row| {
        n_metrics += row.metrics.len();
        n_metrics <= METRICS_MAX || n_metrics == row.metrics.len()
    };
    waiting.iter().take(rows_max).take_while(fits).cloned().collect()
}

impl Sending {
    /// Sends until the run has ended and the tracker has all, or until it refuses.
    pub(super) async fn run(mut self) {
        let told = self.service.told();
        // What the run is called there is known before it is sent, so that a row whose answer is lost is the same one again.
        self.keep();
        if let Err(failure) = self.send_all(&told).await {
            self.tell(format!("warning: {told}: {failure}; nothing more is sent there, the run goes on"));
        }
    }

    async fn send_all(&mut self, told: &str) -> Result<(), Failure> {
        let mut waiting = VecDeque::new();
        loop {
            self.take(&mut waiting).await;
            let batch = batch(&waiting, self.rows_max);
            self.send(told, &batch).await?;
            if batch.is_empty() {
                return Ok(());
            }
            waiting.drain(..batch.len());
        }
    }

    /// Takes what there is and the tracker has not; waits for a row where there is none, until the run has ended.
    async fn take(&mut self, waiting: &mut VecDeque<Row>) {
        let Sending { to_send, ending, mark, .. } = self;
        while waiting.is_empty() {
            tokio::select! {
                // Rows first: none is left when the end is heard.
                biased;
                row = to_send.recv() => match row {
                    Some(row) => waiting.push_back(row),
                    None => return,
                },
                _ = ending.wait_for(Option::is_some) => return,
            }
            while let Ok(row) = to_send.try_recv() {
                waiting.push_back(row);
            }
            waiting.retain(|it| mark.n_sent <= it.index);
        }
    }

    /// Sends rows, or without any how the run ended: again and again while the server is away.
    async fn send(&mut self, told: &str, rows: &[Row]) -> Result<(), Failure> {
        let [mut pause, longest] = self.pauses;
        let mut is_away = false;
        loop {
            let there = self.mark.there.clone();
            let Sending { service, subject, mark, .. } = self;
            let ended = (*self.ending.borrow()).unwrap_or(Ended::Stopped);
            let sent = match rows {
                [] => service.end(mark, ended).await,
                rows => service.send(subject, mark, rows).await,
            };
            match sent {
                Ok(()) => {
                    self.mark.n_sent = rows.last().map_or(self.mark.n_sent, |it| it.index + 1);
                    self.keep();
                    self.count.send_replace(self.mark.n_sent);
                    if is_away {
                        self.tell(format!("{told} is back"));
                    }
                    return Ok(());
                }
                Err(refused @ Failure::Refused { .. }) => return Err(refused),
                Err(failure) => {
                    if there != self.mark.there {
                        self.keep();
                    }
                    if !is_away {
                        self.tell(format!("warning: {told}: {failure}; rows wait until it is back"));
                    }
                    is_away = true;
                    self.rest(pause).await;
                    pause = pause.saturating_mul(2).min(longest);
                }
            }
        }
    }

    /// Waits; a run that has ended does not wait long for the next try.
    async fn rest(&mut self, pause: Duration) {
        let [shortest, _] = self.pauses;
        if self.ending.borrow().is_some() {
            return tokio::time::sleep(pause.min(shortest)).await;
        }
        let ended = self.ending.wait_for(Option::is_some);
        drop(tokio::time::timeout(pause, ended).await);
    }

    fn keep(&self) {
        if let Err(error) = self.mark.keep() {
            self.tell(format!(
                "warning: trackers/{}.json cannot be written ({error}); a resume would send rows again",
                self.service.name()
            ));
        }
    }

    fn tell(&self, text: String) {
        drop(self.say.send(text));
    }
}
