//! The limits of a server. Each is an option of `kelvin serve` of the same name.

use std::time::Duration;

/// How much a server takes, and from whom.
#[derive(Clone)]
pub struct Settings {
    /// Who may call.
    pub access: Access,
    /// Calls that work at once.
    pub running_max: usize,
    /// Calls that wait for their turn; more are sent away with 503.
    pub waiting_max: usize,
    /// From a call's first byte to its answer; later it is 504.
    pub deadline: Duration,
    /// The longest body or message.
    pub body_bytes_max: usize,
    /// All bodies that were sent to calls without an answer, together; who brings more waits. No less than one of the longest.
    pub bodies_bytes_max: usize,
    /// Answers graded in one call.
    pub batch_max: usize,
    /// Open connections; more wait to be accepted.
    pub connections_max: usize,
    /// Episodes open at once, each socket being one.
    pub sessions_max: usize,
    /// After so long without a message an episode ends.
    pub session_idle: Duration,
    /// How long calls may still work once the server is to end.
    pub grace: Duration,
    /// Threads that read and write; programs have their own.
    pub threads: usize,
    /// The root of the draws of tasks that a caller gives no seed for.
    pub seed: u64,
    /// What scripts may use.
    pub scripts: ScriptLimits,
}

/// Who may call. It holds a secret, so nothing prints it.
#[derive(Clone)]
pub enum Access {
    /// Who knows the key.
    Key(String),
    /// Who is on this machine and no page in a browser there.
    Loopback,
    /// Whoever reaches the port.
    Anybody,
}

/// What a script may use. A call that asks for more is refused: under another limit its verdict would be another.
#[derive(Clone, Copy, Debug)]
pub struct ScriptLimits {
    /// CPU seconds where a call does not say (SandboxFusion: 10).
    pub timeout_s: f64,
    /// CPU seconds that a call can ask for.
    pub timeout_s_max: f64,
    /// Memory where a call does not say.
    pub memory_bytes: u64,
    /// Memory that a call can ask for.
    pub memory_bytes_max: u64,
    /// The longest output of both streams.
    pub output_bytes: u64,
    /// The wall limit that goes with a CPU limit, both in seconds.
    pub wall_s: fn(f64) -> f64,
}
