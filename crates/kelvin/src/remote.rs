//! Policies on servers, and servers that draw for one that is here: what the configuration says of them, and the environment
//! variables with their keys.

use std::{env, sync::Arc};

use anyhow::Context;
use kelvin_core::{policy::Exports, seed::Seed, stop::Stop, vocabulary::Vocabulary};
use kelvin_remote::{
    rollouts::Rollouts,
    tinker::{Adapters, BaseModel, Engine, Examined, Lost, TinkerPolicy, TinkerSettings},
};

use crate::{
    config::{Config, PolicySettings},
    error::{Usage, note},
    model,
    terminal::say,
};

/// The rank of adapters where none is named: that of the protocol's official client.
const RANK: usize = 32;

/// A client of the server at which a run's policies are.
///
/// # Errors
/// If its address is none, or would send keys in plain text to another machine.
pub(crate) fn engine(settings: &TinkerSettings) -> anyhow::Result<Arc<Engine>> {
    Engine::new(settings.clone(), key(&settings.api_key_env))
        .map_err(|error| Usage::error(format!("policy.remote.url: {error:#}")))
}

fn key(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|it| !it.is_empty())
}

/// Lets servers draw for a policy of a run that learns here or at another server.
///
/// # Errors
/// If an address would send keys in plain text to another machine, or the folder for weights cannot be written.
pub(crate) fn rollouts<T: Exports>(config: &Config, name: &str, learner: T) -> anyhow::Result<Rollouts<T>> {
    let settings = &config.policy.rollouts;
    let key = key(&settings.api_key_env);
    let listed = Some(settings.servers_file.display().to_string()).filter(|it| !it.is_empty());
    let places = settings.servers.iter().cloned().chain(listed.map(|it| format!("the servers of {it}")));
    say(&format!("{name} draws at {}", places.collect::<Vec<_>>().join(", ")));
    Rollouts::new(learner, name, vocabulary(&config.policy)?, settings.clone(), key.as_deref())
}

/// A policy of a run, to be called `name`.
///
/// # Errors
/// If the server does not answer before `stop` is asked, or lacks what the configuration wants, or the tokenizer is not here.
pub(crate) fn policy(config: &Config, name: &str, stop: &Stop) -> anyhow::Result<TinkerPolicy> {
    let engine = engine(&config.policy.remote)?;
    engine.listen(stop.clone());
    let examined = engine.examine()?;
    require_served(config, &examined)?;
    say(&format!("{name} is at {}, in {}", examined.server, examined.spoken.as_str()));
    Ok(TinkerPolicy::new(engine, vocabulary(&config.policy)?, adapters(config, name)))
}

/// Those of the policy called `name`.
fn adapters(config: &Config, name: &str) -> Adapters {
    Adapters {
        base_model: base_model(&config.policy).to_owned(),
        rank: if config.policy.lora.rank == 0 { RANK } else { config.policy.lora.rank },
        seed: Seed::new(config.seed).fork("lora").fork(name),
    }
}

/// Waits until the server that has lost a run may go on with it, or until the run is asked to stop.
///
/// # Errors
/// If that takes longer than the configuration waits, or is not to be.
pub(crate) fn await_back(config: &Config, lost: &Lost, n_policies: usize, stop: Stop) -> anyhow::Result<()> {
    // Any are of the size that is needed.
    engine(&config.policy.remote)?.await_back(lost, &adapters(config, "waits"), n_policies, stop)
}

/// What a KL term pulls towards: the model below the adapters, on the server.
///
/// # Errors
/// As [`policy`].
pub(crate) fn reference(policy: &PolicySettings) -> anyhow::Result<BaseModel> {
    let name = base_model(policy).to_owned();
    Ok(BaseModel::new(engine(&policy.remote)?, vocabulary(policy)?, name))
}

/// What the server calls the model.
fn base_model(policy: &PolicySettings) -> &str {
    if policy.remote.base_model.is_empty() { &policy.model } else { &policy.remote.base_model }
}

fn vocabulary(policy: &PolicySettings) -> anyhow::Result<Arc<dyn Vocabulary>> {
    let name = &policy.model;
    let text = model::text(name, &policy.demote_tokens)
        .with_context(|| format!("cannot load the tokenizer of the model `{name}`"))?;
    Ok(Arc::new(text))
}

/// Checks that the server has the model and does what it is asked for.
fn require_served(config: &Config, examined: &Examined) -> anyhow::Result<()> {
    let Examined { server, models, clips, .. } = examined;
    let wanted = base_model(&config.policy);
    if !models.is_empty() && models.iter().all(|it| it != wanted) {
        return Err(Usage::error(format!(
            "{server} has no model {wanted:?}, it has {}\nhint: policy.model names the folder of its tokenizer here, \
             policy.remote.base_model what the server calls it",
            models.join(", ")
        )));
    }
    let clip = config.optimizer.grad_clip;
    match clips {
        Some(false) if clip != 0.0 => Err(Usage::error(format!(
            "optimizer.grad_clip = {clip} cannot be had at {server}, whose optimizer clips nothing\nhint: set it to 0"
        ))),
        None if clip != 0.0 => {
            note(&format!(
                "{server} does not say what its optimizer knows: optimizer.grad_clip = {clip} is sent, and may be passed over"
            ));
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}
