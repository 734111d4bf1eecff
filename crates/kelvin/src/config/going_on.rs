//! What of a configuration may change while its run goes on: what changes no result, how far it goes, and what is kept.

use std::path::Path;

use toml::Value;

use super::Raw;
use crate::error::Usage;

/// Keys that may change, and sections, which end in a dot.
const FREE: [&str; 47] = [
    "steps",
    "checkpoint.",
    "tracking.",
    "policy.threads",
    "policy.max_rows",
    "policy.kv_bytes_max",
    "policy.prefill_chunk",
    "policy.share_prompts",
    "policy.recompute",
    "policy.pack",
    "policy.remote.url",
    "policy.remote.api_key_env",
    "policy.remote.plain_http",
    "policy.remote.dialect",
    "policy.remote.sampler_weights",
    "policy.remote.concurrent_max",
    "policy.remote.timeout_s",
    "policy.remote.answer_s",
    "policy.remote.keep_alive",
    "policy.remote.retries",
    "policy.remote.pause_ms",
    "policy.remote.restarts_max",
    "policy.remote.wait_s",
    "policy.remote.heartbeat_s",
    "policy.remote.reply_bytes_max",
    "policy.rollouts.servers",
    "policy.rollouts.servers_file",
    "policy.rollouts.folder",
    "policy.rollouts.folder_there",
    "policy.rollouts.api_key_env",
    "policy.rollouts.plain_http",
    "policy.rollouts.concurrent_max",
    "policy.rollouts.answer_s",
    "policy.rollouts.load_s",
    "policy.rollouts.probe_s",
    "policy.rollouts.rejoin_s",
    "policy.rollouts.wait_s",
    "policy.rollouts.retries",
    "policy.rollouts.failures_max",
    "policy.rollouts.pause_ms",
    "policy.rollouts.reply_bytes_max",
    "python.path",
    "python.workers",
    "python.batch_max",
    "python.restore_after",
    "python.queue_max",
    "python.isolation",
];

/// Where what a run began with has gone to, a model and an adapter on it: free where what was learnt of them is in the
/// checkpoint, and the weights under adapters are told by their fingerprint.
pub(crate) const BEGINNING: [&str; 2] = ["policy.model", "policy.lora.from"];

/// Checks that the configuration of a run is that of its checkpoint, but for what may change; `free` names more of that.
///
/// # Errors
/// If it is not; the message has every difference.
pub(crate) fn require_same(run: &Path, was: &Raw, is: &Raw, free: &[&str]) -> anyhow::Result<()> {
    let is_free = |key: &str| {
        FREE.iter().chain(free).any(|it| key == *it || (it.ends_with('.') && key.starts_with(it)))
    };
    let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    let differences: Vec<String> = was
        .keys()
        .chain(is.keys().filter(|key| was.at(key).is_none()))
        .filter(|key| was.at(key) != is.at(key) && !is_free(key))
        .map(|key| format!("  {key} was {}, is {}", shown(was.at(&key)), shown(is.at(&key))))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Usage::error(format!(
        "{}/config.toml is not the configuration that the run has gone with:\n{}\nhint: put the values back, or begin a \
         new run in another folder; only steps, checkpoint.* and what changes no result may change",
        run.display(),
        differences.join("\n")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(was: &str, is: &str) -> Option<String> {
        let [was, is] = [was, is].map(|it| Raw::parse(it, "it").unwrap());
        require_same(Path::new("run"), &was, &is, &BEGINNING).err().map(|it| it.to_string())
    }

    #[test]
    fn every_difference_that_matters_is_shown() {
        let was = "seed = 1\nsteps = 4\n[azr]\nbatch_size = 8\n[policy]\nmodel = \"a\"\nthreads = 1\n[eval]\nevery = 2\n";
        assert_eq!(differs(was, was), None);
        let free = was
            .replace("steps = 4", "steps = 9")
            .replace("threads = 1", "threads = 2")
            .replace("\"a\"", "\"b\"");
        assert_eq!(differs(was, &free), None);
        let is = was
            .replace("seed = 1", "seed = 2")
            .replace("batch_size = 8", "batch_size = 9\nband = [0.1, 0.2]");
        insta::assert_snapshot!(differs(was, &is).unwrap(), @r"
        run/config.toml is not the configuration that the run has gone with:
          seed was 1, is 2
          azr.batch_size was 8, is 9
          azr.band was nothing, is [0.1, 0.2]
        hint: put the values back, or begin a new run in another folder; only steps, checkpoint.* and what changes no result may change
        ");
    }
}
