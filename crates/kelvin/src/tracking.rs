//! Where a run is shown beside its own files: curves for TensorBoard, a page for Prometheus, and trackers elsewhere. None of
//! them changes the run, and none can end it.

use std::path::Path;

use anyhow::Context;
use kelvin_core::{metrics::Metrics, stop::Stop, task::Step};
use kelvin_remote::trackers::{Ended, Subject, Trackers};
use kelvin_serve::RunPage;
use toml::{Table, Value};

use crate::{config::Config, progress, tensorboard::Curves, terminal::say};

/// See the module.
pub(crate) struct Tracking {
    curves: Option<Curves>,
    page: Option<RunPage>,
    trackers: Option<Trackers>,
    /// What the run has taken.
    seconds: f64,
}

impl Tracking {
    /// For the run in folder `run`, whose rows so far are `rows`.
    ///
    /// # Errors
    /// If an address is none, or the page's is taken.
    pub(crate) fn begin(config: &Config, run: &Path, rows: &[Metrics]) -> anyhow::Result<Tracking> {
        let settings = &config.tracking;
        let folder = run.canonicalize().ok();
        let name = folder.as_deref().and_then(Path::file_name).map(|it| it.to_string_lossy().into_owned());
        let subject = Subject {
            project: settings.project.clone(),
            run: if settings.run.is_empty() { name.unwrap_or_default() } else { settings.run.clone() },
            parameters: parameters(config),
        };
        let page = settings.prometheus.parse().ok().map(RunPage::begin).transpose();
        let page =
            page.context("the page of tracking.prometheus\nhint: choose another port, or leave it out")?;
        if let Some(page) = &page {
            say(&format!("metrics for Prometheus at http://{}/metrics", page.address()));
        }
        let mut tracking = Tracking {
            curves: settings.tensorboard.then(|| Curves::begin(run)),
            page,
            trackers: Trackers::begin(settings, &subject, run)?,
            seconds: 0.0,
        };
        for row in rows {
            tracking.add(row.get("step").map_or(0, |it| *it as Step), row);
        }
        Ok(tracking)
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, step: Step, metrics: &Metrics) {
        self.seconds += progress::seconds(metrics);
        if let Some(curves) = &mut self.curves {
            curves.add(self.seconds, step, metrics);
        }
        if let Some(page) = &self.page {
            page.set(step, metrics);
        }
        if let Some(trackers) = &mut self.trackers {
            trackers.add(step, self.seconds, metrics);
        }
    }

    /// What there is to say since the last time.
    pub(crate) fn messages(&mut self) -> Vec<String> {
        let of_curves = self.curves.as_mut().and_then(Curves::message);
        of_curves.into_iter().chain(self.trackers.iter_mut().flat_map(Trackers::messages)).collect()
    }

    /// Waits a little for what is still to be sent; `again` is the command that would send it.
    pub(crate) fn close(mut self, ended: Ended, again: &str, stop: &Stop) {
        let mut messages = self.messages();
        messages.extend(self.trackers.into_iter().flat_map(|it| it.close(ended, again, stop)));
        for message in messages {
            say(&message);
        }
    }
}

/// Every key of the configuration with its value.
fn parameters(config: &Config) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    flatten(&Table::try_from(config).expect("a configuration is a table"), "", &mut parameters);
    parameters
}

fn flatten(table: &Table, before: &str, parameters: &mut Vec<(String, String)>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => flatten(inner, &format!("{before}{key}."), parameters),
            Value::String(text) => parameters.push((format!("{before}{key}"), text.clone())),
            value => parameters.push((format!("{before}{key}"), value.to_string())),
        }
    }
}
