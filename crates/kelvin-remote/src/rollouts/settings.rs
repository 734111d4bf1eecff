//! How servers are used that draw. Nothing here changes a number, but for `staleness_max`.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    http::Manner,
    range::{SECONDS, of_client, require, seconds},
};

/// `[policy.rollouts]` of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutSettings {
    /// What draws.
    pub engine: Engine,
    /// Where servers are, such as `http://127.0.0.1:8000`.
    pub servers: Vec<String>,
    /// A file with the address of another server in each line, read again every `rejoin_s` while something is drawn: who is added
    /// draws, who is taken out is asked for nothing more. Every line ends with a newline, and a file without one at its end is not
    /// read. Empty where there is none.
    pub servers_file: PathBuf,
    /// Where weights are put for them, a folder for each publication. No other run has the same.
    pub folder: PathBuf,
    /// What servers call that folder; empty where they call it the same.
    pub folder_there: PathBuf,
    /// The environment variable that holds the key of all servers.
    pub api_key_env: String,
    /// Whether requests may go to other machines unencrypted.
    pub plain_http: bool,
    /// How many publications older than the newest the weights may be that draw. With 0, a publication waits for every
    /// server that answers. Changes numbers.
    pub staleness_max: u64,
    /// Completions that are asked for at once, at all servers together.
    pub concurrent_max: usize,
    /// The longest wait for one completion, in seconds.
    pub answer_s: f64,
    /// The longest that a server may take over new weights, in seconds.
    pub load_s: f64,
    /// The longest that a server may take to say what it holds, in seconds.
    pub probe_s: f64,
    /// How often a server that is gone or behind is asked whether it is there, in seconds.
    pub rejoin_s: f64,
    /// The longest that a draw or a publication waits until any server may serve it, in seconds.
    pub wait_s: f64,
    /// How often one completion is tried again, or a delivery of weights to a server while no other one has them.
    pub retries: u32,
    /// So many failures in a row, and a server is asked for nothing more until it answers again.
    pub failures_max: u32,
    /// The pause before the first retry, in milliseconds; it doubles, to at most 20 seconds.
    pub pause_ms: u64,
    /// The longest answer, in bytes.
    pub reply_bytes_max: usize,
}

impl Default for RolloutSettings {
    fn default() -> RolloutSettings {
        RolloutSettings {
            engine: Engine::Off,
            servers: Vec::new(),
            servers_file: PathBuf::new(),
            folder: PathBuf::new(),
            folder_there: PathBuf::new(),
            api_key_env: "KELVIN_ROLLOUTS_KEY".to_owned(),
            plain_http: false,
            staleness_max: 0,
            concurrent_max: 256,
            answer_s: 600.0,
            load_s: 300.0,
            probe_s: 10.0,
            rejoin_s: 10.0,
            wait_s: 600.0,
            retries: 8,
            failures_max: 3,
            pause_ms: 200,
            reply_bytes_max: 1 << 26,
        }
    }
}

/// What draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The policy's own backend.
    Off,
    /// Servers of vLLM, in adapters under new names.
    Vllm,
    /// The same over gRPC, where vLLM's Rust frontend offers it.
    VllmGrpc,
    /// Servers of SGLang, in adapters under new names or in all weights.
    Sglang,
}

impl RolloutSettings {
    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// The first that is not: its key, and what it should be.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let no_two = (1..self.servers.len()).all(|it| !self.servers[..it].contains(&self.servers[it]));
        let fits = [
            (
                "servers",
                (!self.servers.is_empty() || !self.servers_file.as_os_str().is_empty()) && no_two,
                "one or more addresses, each once, such as [\"http://127.0.0.1:8000\"]; none where servers_file lists them",
            ),
            ("folder", !self.folder.as_os_str().is_empty(), "a folder that the servers can read"),
            ("api_key_env", !self.api_key_env.is_empty(), "the name of an environment variable"),
            ("staleness_max", self.staleness_max <= 1000, "from 0 to 1000"),
            ("concurrent_max", (1..=1 << 16).contains(&self.concurrent_max), "from 1 to 65536"),
            ("answer_s", seconds(self.answer_s), SECONDS),
            ("load_s", seconds(self.load_s), SECONDS),
            ("probe_s", seconds(self.probe_s), SECONDS),
            ("rejoin_s", seconds(self.rejoin_s), SECONDS),
            ("wait_s", seconds(self.wait_s), SECONDS),
            ("failures_max", (1..=1000).contains(&self.failures_max), "from 1 to 1000"),
        ];
        require(fits.into_iter().chain(of_client(self.retries, self.pause_ms, self.reply_bytes_max)))
    }

    /// Deadlines of single requests are set where they are made, below the longest.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            retries: self.retries,
            pause: Duration::from_millis(self.pause_ms),
            deadline: Duration::from_secs_f64(self.answer_s.max(self.load_s).max(self.probe_s)),
            reply_bytes_max: self.reply_bytes_max,
            keep_alive: true,
        }
    }
}
