//! Names in the configuration to the things they name: the only place that knows every crate.

use std::sync::Arc;

use anyhow::Context;
use kelvin_core::{environment::DynEnvironment, executor::Executor, policy::Policy};
use kelvin_env::python_triplet::PythonTriplet;
use kelvin_exec::PythonExecutor;
use kelvin_model::{Checkpoint, NativePolicy};

use crate::{
    config::{Backend, Config, EnvironmentName},
    model::{self, POLICY_FOLDER},
};

/// What a run plays with.
pub(crate) struct World {
    /// Runs programs; kept for its report.
    pub(crate) executor: Arc<PythonExecutor>,
    /// The domain.
    pub(crate) env: Box<dyn DynEnvironment>,
}

/// Starts the executor and the environment on it.
///
/// # Errors
/// If no Python is found, it does not start, or programs would be confined less than the configuration wants.
pub(crate) fn world(config: &Config) -> anyhow::Result<World> {
    let executor = Arc::new(config.python.start_executor()?);
    let env = match config.environment {
        EnvironmentName::PythonTriplet => {
            let shared: Arc<dyn Executor> = executor.clone();
            Box::new(PythonTriplet::new(shared, config.python.environment_settings())?)
        }
    };
    Ok(World { executor, env })
}

/// Loads the policy of a run.
///
/// # Errors
/// If its model cannot be read.
pub(crate) fn policy(config: &Config) -> anyhow::Result<Policy> {
    let name = &config.policy.model;
    let mut checkpoint: Checkpoint =
        model::load(name).with_context(|| format!("cannot load the model `{name}`"))?;
    checkpoint.demote(&config.policy.demote_tokens).context("policy.demote_tokens does not fit the model")?;
    let trainer = match config.policy.backend {
        Backend::Native => NativePolicy::new(checkpoint, config.policy.native_options())?,
    };
    Ok(Policy { name: POLICY_FOLDER.into(), version: 0, trainer: Box::new(trainer) })
}
