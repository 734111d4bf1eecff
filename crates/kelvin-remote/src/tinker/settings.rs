//! How a server is used. What changes numbers is marked so.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    http::Manner,
    range::{SECONDS, of_client, require, seconds},
};

/// `[policy.remote]` of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TinkerSettings {
    /// Where the server is, such as `http://127.0.0.1:8000`.
    pub url: String,
    /// What the server calls the model; empty where it calls it as the configuration does.
    pub base_model: String,
    /// The environment variable that holds the key.
    pub api_key_env: String,
    /// Whether requests may go to other machines unencrypted.
    pub plain_http: bool,
    /// How gradients are asked for.
    pub dialect: Dialect,
    /// Who computes the loss. Changes numbers.
    pub losses: Losses,
    /// How the server averages gradients. Changes numbers.
    pub gradient: Gradient,
    /// What becomes of an entropy bonus. Changes numbers.
    pub entropy: Entropy,
    /// Where published weights are kept.
    pub sampler_weights: SamplerWeights,
    /// Completions that are asked for at once.
    pub concurrent_max: usize,
    /// Samples in one request for gradients.
    pub data_max: usize,
    /// The longest that one draw, gradient or step may take, in seconds, waiting for its turn included.
    pub timeout_s: f64,
    /// The longest wait for one HTTP answer, in seconds; what takes longer is asked for again.
    pub answer_s: f64,
    /// Whether requests share connections, which takes a quarter of the time. Answers of this protocol do not say which request
    /// they are to: should a server or a proxy say one twice, the second would be the next request's, unless it comes before that
    /// is sent, when the connection is given up. Without, each request has a connection of its own.
    pub keep_alive: bool,
    /// How often what may pass by itself is tried again.
    pub retries: u32,
    /// The pause before the first of these, in milliseconds; it doubles, to at most 20 seconds.
    pub pause_ms: u64,
    /// How often in a row, without a step in between, a run goes on by itself from its last checkpoint where the server was away,
    /// has forgotten its adapters or has no place for them; 0 ends it instead.
    pub restarts_max: u32,
    /// How long a run that goes on by itself waits each time for a server that is away or full, in seconds.
    pub wait_s: f64,
    /// How often the server is told that the run goes on, in seconds.
    pub heartbeat_s: f64,
    /// The longest answer, in bytes.
    pub reply_bytes_max: usize,
    /// How far the forward pass may be from that of the gradient, in nats a token on average: beyond it, weights moved in
    /// between. A server that computes in bf16 may be some hundredths off.
    pub drift_max: f64,
}

impl Default for TinkerSettings {
    fn default() -> TinkerSettings {
        TinkerSettings {
            url: String::new(),
            base_model: String::new(),
            api_key_env: "TINKER_API_KEY".to_owned(),
            plain_http: false,
            dialect: Dialect::Auto,
            losses: Losses::Ours,
            gradient: Gradient::MeanPerDatum,
            entropy: Entropy::Sampled,
            sampler_weights: SamplerWeights::Ephemeral,
            concurrent_max: 256,
            data_max: 128,
            timeout_s: 1800.0,
            answer_s: 60.0,
            keep_alive: true,
            retries: 8,
            pause_ms: 200,
            restarts_max: 3,
            wait_s: 600.0,
            heartbeat_s: 10.0,
            reply_bytes_max: 1 << 30,
            drift_max: 0.05,
        }
    }
}

/// How gradients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// As the server turns out to take them.
    Auto,
    /// In JSON: servers for clients up to 0.24 of the official one.
    Json,
    /// In protobuf: servers for clients from 0.25.
    Protobuf,
}

/// Who computes the loss of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Losses {
    /// kelvin: a forward pass gives log-probabilities, the objective each token's slope, and the server's loss
    /// `importance_sampling` at a ratio of 1 turns slopes into the gradient. Exact for whatever hangs on log-probabilities.
    Ours,
    /// The server: `importance_sampling`, `ppo` or `cispo`, with ratios to the sampler's log-probabilities. Spares the
    /// forward pass.
    Server,
}

/// How a server averages what it is given between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gradient {
    /// The mean over samples of the mean over a sample's tokens (SkyRL's JAX backend).
    MeanPerDatum,
    /// The sum over all tokens (the protocol's documentation).
    TokenSum,
}

/// What becomes of an entropy bonus, which no loss of these servers has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entropy {
    /// It is refused before anything starts.
    Refuse,
    /// Its gradient is estimated from the drawn tokens: without bias, with more noise than over whole distributions.
    Sampled,
}

/// Where published weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerWeights {
    /// For the session.
    Ephemeral,
    /// Under a name of their own, until somebody removes them.
    Named,
}

impl TinkerSettings {
    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// The first that is not: its key, and what it should be.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let fits = [
            ("url", !self.url.is_empty(), "the address of the server, such as \"http://127.0.0.1:8000\""),
            ("api_key_env", !self.api_key_env.is_empty(), "the name of an environment variable"),
            ("concurrent_max", (1..=1 << 16).contains(&self.concurrent_max), "from 1 to 65536"),
            ("data_max", (1..=1 << 16).contains(&self.data_max), "from 1 to 65536"),
            ("timeout_s", seconds(self.timeout_s), SECONDS),
            ("answer_s", seconds(self.answer_s), SECONDS),
            ("wait_s", seconds(self.wait_s), SECONDS),
            ("heartbeat_s", seconds(self.heartbeat_s), SECONDS),
            ("restarts_max", self.restarts_max <= 1000, "at most 1000"),
            ("drift_max", 0.0 < self.drift_max, "over 0; inf looks at nothing"),
        ];
        require(fits.into_iter().chain(of_client(self.retries, self.pause_ms, self.reply_bytes_max)))
    }

    pub(super) fn manner(&self) -> Manner {
        Manner {
            retries: self.retries,
            pause: Duration::from_millis(self.pause_ms),
            deadline: Duration::from_secs_f64(self.answer_s),
            reply_bytes_max: self.reply_bytes_max,
            keep_alive: self.keep_alive,
        }
    }
}
