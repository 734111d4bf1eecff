//! What can be chosen of trackers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    address::address,
    http::Manner,
    range::{SECONDS, require, seconds},
};

/// `[tracking]` of a configuration: what is written for other programs to draw. None of it changes a run, and all of it may
/// be changed when a run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackingSettings {
    /// Whether the run folder has curves for TensorBoard.
    pub tensorboard: bool,
    /// Where metrics can be scraped as long as the run goes, such as `127.0.0.1:9464`: the page `/metrics`, as Prometheus
    /// reads it. Empty for none.
    pub prometheus: String,
    /// Address of a Trackio server that metrics are sent to, such as `http://127.0.0.1:7860`; empty for none.
    pub trackio: String,
    /// Address of an MLflow server that metrics are sent to, such as `http://127.0.0.1:5000`; empty for none.
    pub mlflow: String,
    /// The project of Trackio, the experiment of MLflow.
    pub project: String,
    /// What the run is called there; empty for the name of its folder.
    pub run: String,
    /// The environment variable with Trackio's write token, if the server wants one.
    pub trackio_key_env: String,
    /// The environment variable with MLflow's token, if the server wants one.
    pub mlflow_key_env: String,
    /// Whether addresses beyond this machine may be plain `http`.
    pub plain_http: bool,
    /// The longest wait for one answer, in seconds.
    pub timeout_s: f64,
    /// The pause after a server did not answer, in seconds; it doubles up to `pause_max_s`.
    pub pause_s: f64,
    /// The longest pause between two tries, in seconds.
    pub pause_max_s: f64,
    /// How long the end of a run waits for rows that are still to be sent, in seconds; where it did all its steps, anew as
    /// long as rows are taken. What is not sent by then is sent by `kelvin resume`.
    pub close_s: f64,
    /// The most rows of metrics in one request.
    pub rows_max: usize,
    /// The most rows that wait for one server; those beyond are sent by `kelvin resume`.
    pub waiting_max: usize,
}

impl Default for TrackingSettings {
    fn default() -> TrackingSettings {
        TrackingSettings {
            tensorboard: true,
            prometheus: String::new(),
            trackio: String::new(),
            mlflow: String::new(),
            project: "kelvin".into(),
            run: String::new(),
            trackio_key_env: "TRACKIO_WRITE_TOKEN".into(),
            mlflow_key_env: "MLFLOW_TRACKING_TOKEN".into(),
            plain_http: false,
            timeout_s: 10.0,
            pause_s: 1.0,
            pause_max_s: 60.0,
            close_s: 5.0,
            rows_max: 64,
            waiting_max: 4096,
        }
    }
}

impl TrackingSettings {
    /// Whether values are in their ranges.
    ///
    /// # Errors
    /// The first that is not: its key, and what it should be.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        const NO_QUERY: &str = "without a query: a token belongs into the environment variable of its key";
        require([
            ("trackio", !self.trackio.contains(['?', '#']), NO_QUERY),
            ("mlflow", !self.mlflow.contains(['?', '#']), NO_QUERY),
            ("project", !self.project.is_empty(), "a name"),
            ("trackio_key_env", !self.trackio_key_env.is_empty(), "the name of an environment variable"),
            ("mlflow_key_env", !self.mlflow_key_env.is_empty(), "the name of an environment variable"),
            ("timeout_s", seconds(self.timeout_s), SECONDS),
            ("pause_s", seconds(self.pause_s), SECONDS),
            ("pause_max_s", seconds(self.pause_max_s), SECONDS),
            ("close_s", (0.0..=1e6).contains(&self.close_s), "from 0 to 1000000"),
            ("rows_max", (1..=4096).contains(&self.rows_max), "from 1 to 4096"),
            ("waiting_max", 1 <= self.waiting_max, "at least 1"),
        ])
    }

    /// Whether addresses of trackers are some.
    ///
    /// # Errors
    /// If one is none.
    pub fn check_addresses(&self) -> anyhow::Result<()> {
        for url in [&self.trackio, &self.mlflow].into_iter().filter(|it| !it.is_empty()) {
            address(url, self.plain_http)?;
        }
        Ok(())
    }

    /// Tries are counted and paused by who sends, not by the client.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            retries: 0,
            pause: Duration::ZERO,
            deadline: Duration::from_secs_f64(self.timeout_s),
            reply_bytes_max: 1 << 22,
            keep_alive: false,
        }
    }
}
