//! Trackers: servers that rows of metrics are sent to. A run never waits for one: rows go to a task of their own, which
//! sends them in order, tries again while a server is away, and keeps in the run folder how many a server has. What was not
//! sent is in `metrics.jsonl`, and goes with the next `kelvin resume`.
//!
//! Reading order: [`settings`], `sending` (the task), `service` (which servers there are), `trackio` and `mlflow` (what
//! goes over the wire), `mark` (what a folder keeps).

mod mark;
mod mlflow;
mod sending;
mod service;
pub mod settings;
mod trackio;

use std::{env, path::Path, sync::Arc, time::Duration};

use kelvin_core::{metrics::Metrics, stop::Stop, task::Step};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use self::{mark::Mark, mlflow::Mlflow, sending::Sending, service::Service, trackio::Trackio};
use crate::threads::Threads;

pub use service::Ended;
pub use settings::TrackingSettings;

/// What a run is called by trackers, and what it was configured with.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The project, or the experiment.
    pub project: String,
    /// The run.
    pub run: String,
    /// Its configuration: keys and values.
    pub parameters: Vec<(String, String)>,
}

/// A row of metrics on its way.
#[derive(Clone, Debug)]
struct Row {
    /// Its place among the run's rows.
    index: usize,
    step: Step,
    /// What the run has taken, in seconds.
    seconds: f64,
    metrics: Arc<Metrics>,
}

/// The trackers of a run.
pub struct Trackers {
    threads: Threads,
    lines: Vec<Line>,
    n_rows: usize,
    waiting_max: usize,
    close: Duration,
    ended: watch::Sender<Option<Ended>>,
}

/// The way to one tracker.
struct Line {
    told: String,
    rows: mpsc::UnboundedSender<Row>,
    sent: watch::Receiver<usize>,
    messages: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
    has_ended: bool,
    /// Rows that it was given.
    n_given: usize,
}

impl Trackers {
    /// The trackers that the settings name, for the run in folder `run`; `None` if they name none. Nothing is asked of a
    /// server yet.
    ///
    /// # Errors
    /// If an address is none, or threads cannot be started.
    pub fn begin(
        settings: &TrackingSettings,
        subject: &Subject,
        run: &Path,
    ) -> anyhow::Result<Option<Trackers>> {
        let services = services(settings)?;
        if services.is_empty() {
            return Ok(None);
        }
        let (threads, subject) = (Threads::start()?, Arc::new(subject.clone()));
        let (ended, ending) = watch::channel(None);
        let line = |service: Service| {
            let told = service.told();
            let mark = Mark::open(run, service.name(), service.server(), &subject.project);
            let (rows, to_send) = mpsc::unbounded_channel();
            let (say, messages) = mpsc::unbounded_channel();
            let (count, sent) = watch::channel(mark.n_sent);
            let pauses = [settings.pause_s, settings.pause_max_s].map(Duration::from_secs_f64);
            let sending = Sending {
                service,
                subject: subject.clone(),
                mark,
                rows_max: settings.rows_max,
                pauses,
                to_send,
                ending: ending.clone(),
                count,
                say,
            };
            Line {
                told,
                rows,
                sent,
                messages,
                task: threads.handle().spawn(sending.run()),
                has_ended: false,
                n_given: 0,
            }
        };
        let lines = services.into_iter().map(line).collect();
        let close = Duration::from_secs_f64(settings.close_s);
        Ok(Some(Trackers { threads, lines, n_rows: 0, waiting_max: settings.waiting_max, close, ended }))
    }

    /// A row of the run, after `seconds` of it; those that a tracker has are passed over. Rows come in order, from the run's
    /// first one.
    pub fn add(&mut self, step: Step, seconds: f64, metrics: &Metrics) {
        let row = Row { index: self.n_rows, step, seconds, metrics: Arc::new(metrics.clone()) };
        self.n_rows += 1;
        for line in &mut self.lines {
            // Once one was left out, the others would be out of order.
            if line.n_given == row.index && row.index < *line.sent.borrow() + self.waiting_max {
                // A tracker that refused is no longer listening.
                drop(line.rows.send(row.clone()));
                line.n_given += 1;
            }
        }
    }

    /// What there is to say since the last time.
    pub fn messages(&mut self) -> Vec<String> {
        let lines = self.lines.iter_mut();
        lines.flat_map(|line| std::iter::from_fn(|| line.messages.try_recv().ok())).collect()
    }

    /// Waits for what is to be sent, and gives what there is to say. A run that has stopped waits as long as the settings say,
    /// one that has finished as long as rows are taken, until `stop` is asked. `again` is the command that would send the
    /// rest.
    pub fn close(mut self, ended: Ended, again: &str, stop: &Stop) -> Vec<String> {
        self.ended.send_replace(Some(ended));
        let n_sent = |lines: &[Line]| lines.iter().map(|it| *it.sent.borrow()).collect::<Vec<usize>>();
        loop {
            let before = n_sent(&self.lines);
            let lines = &mut self.lines;
            self.threads.wait(async { drop(timeout(self.close, all_end(lines)).await) });
            let goes_on = ended == Ended::Finished && n_sent(&self.lines) != before && stop.check().is_ok();
            if !goes_on {
                break;
            }
        }
        let mut messages = self.messages();
        for Line { told, task, sent, .. } in &self.lines {
            let n = self.n_rows.saturating_sub(*sent.borrow());
            if 0 < n {
                messages.push(format!(
                    "{told} has not taken {n} of {} rows; they are in metrics.jsonl, and `{again}` sends them",
                    self.n_rows
                ));
            } else if !task.is_finished() {
                messages.push(format!("{told} was not told that the run has ended"));
            }
        }
        messages
    }
}

/// Until nothing is sent any more.
async fn all_end(lines: &mut [Line]) {
    for line in lines {
        // One that has ended in an earlier wait may not be asked again.
        if !line.has_ended {
            drop((&mut line.task).await);
            line.has_ended = true;
        }
    }
}

/// Those that are named.
fn services(settings: &TrackingSettings) -> anyhow::Result<Vec<Service>> {
    let key = |name: &str| env::var(name).ok().filter(|it| !it.is_empty());
    let mut services = Vec::new();
    if !settings.trackio.is_empty() {
        services.push(Service::Trackio(Trackio::new(settings, key(&settings.trackio_key_env))?));
    }
    if !settings.mlflow.is_empty() {
        services.push(Service::Mlflow(Mlflow::new(settings, key(&settings.mlflow_key_env))?));
    }
    Ok(services)
}

/// JSON has no word for what is left out here.
fn finite(metrics: &Metrics) -> impl Iterator<Item = (&String, &f64)> {
    metrics.iter().filter(|(name, value)| *name != "step" && value.is_finite())
}
