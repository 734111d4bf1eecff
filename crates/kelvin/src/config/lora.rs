//! Settings of adapters, and what of them an adapter that learning goes on from says itself.

use std::path::{Path, PathBuf};

use kelvin_model::{LoraConfig, LoraTarget};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use toml::Table;

use super::{Raw, settings};
use crate::error::Usage;

/// Adapters that learn instead of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoraSettings {
    /// Folder of an adapter as PEFT writes it, whose values are the first ones; the other keys here are then taken from its
    /// file. Empty for fresh adapters.
    pub(crate) from: PathBuf,
    /// Rows of A and columns of B; 0 for no adapters.
    pub(crate) rank: usize,
    /// The branch is multiplied by `alpha / rank`.
    pub(crate) alpha: f64,
    /// Which matrices have one.
    pub(crate) targets: Vec<LoraTarget>,
    /// Divides by the root of the rank instead (Kalajdzievski 2023).
    pub(crate) rslora: bool,
}

impl Default for LoraSettings {
    fn default() -> LoraSettings {
        LoraSettings::fresh(LoraConfig::default())
    }
}

impl LoraSettings {
    /// Adapters that begin fresh.
    pub(crate) fn fresh(config: LoraConfig) -> LoraSettings {
        let LoraConfig { rank, alpha, targets, rslora } = config;
        LoraSettings { from: PathBuf::new(), rank, alpha, targets, rslora }
    }

    /// What they are, wherever their values come from.
    pub(crate) fn config(&self) -> LoraConfig {
        let LoraSettings { from: _, rank, alpha, targets, rslora } = self.clone();
        LoraConfig { rank, alpha, targets, rslora }
    }

    /// The folder that learning goes on from.
    pub(crate) fn from(&self) -> Option<&Path> {
        Some(&*self.from).filter(|it| !it.as_os_str().is_empty())
    }
}

/// [`settings`] with those of adapters below `section`, which `lora` finds, unless nothing reads them. What nobody has
/// written of them is as the adapter has it that learning goes on from. Where all is written, as in the configuration of
/// a run, its file is not read: the folder may be gone.
///
/// # Errors
/// As [`settings`], or if the adapter's file cannot be used, or says something else than what is written.
pub(crate) fn settings_with_lora<T: Serialize + DeserializeOwned>(
    defaults: &T,
    raws: &[&Raw],
    section: &str,
    lora: impl Fn(&T) -> Option<&LoraSettings>,
) -> anyhow::Result<(T, Table)> {
    let found = settings(defaults, raws)?;
    let is_written = |key: &str| raws.iter().any(|it| it.at(&format!("{section}.{key}")).is_some());
    let is_whole = ["rank", "alpha", "targets", "rslora"].into_iter().all(is_written);
    let Some(from) = lora(&found.0).and_then(LoraSettings::from).filter(|_| !is_whole) else {
        return Ok(found);
    };
    let usage = |error: anyhow::Error| Usage::error(format!("{section}.from: {error:#}"));
    let stored = LoraConfig::load(from).map_err(usage)?;
    let text = toml::to_string(&stored).expect("settings are plain data");
    let below = Raw::parse(&format!("[{section}]\n{text}"), &from.display().to_string())?;
    let filled = settings(defaults, &[&[&below], raws].concat())?;
    if let Some(lora) = lora(&filled.0) {
        lora.config().require_stored(&stored, &lora.from).map_err(usage)?;
    }
    Ok(filled)
}
