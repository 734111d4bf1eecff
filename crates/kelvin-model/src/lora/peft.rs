//! Adapters as PEFT writes and reads them: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Lora, LoraConfig, LoraTarget};
use crate::{
    checkpoint::{CONFIG_JSON, Dtype, Source, open_tensors, read_tensors, write_json, write_tensors},
    config::ModelConfig,
};

const ADAPTER_CONFIG_JSON: &str = "adapter_config.json";
const ADAPTER_SAFETENSORS: &str = "adapter_model.safetensors";
const HINT: &str = "hint: the engine has plain LoRA: a list of targets, one rank and one alpha, no biases";
const MISSING_HINT: &str =
    "hint: an adapter is the folder that PEFT's save_pretrained or `kelvin export --adapter` wrote";

/// The model that the adapters in `dir` are for, as their file names it; `None` if `dir` is no adapter folder.
///
/// # Errors
/// If the file is damaged or names no model.
pub fn adapter_base(dir: &Path) -> anyhow::Result<Option<String>> {
    if dir.join(CONFIG_JSON).is_file() || !dir.join(ADAPTER_CONFIG_JSON).is_file() {
        return Ok(None);
    }
    match read_config(dir)?.base_model_name_or_path {
        Some(base) if !base.is_empty() => Ok(Some(base)),
        _ => bail!(
            "{} in {} does not say which model it is for\nhint: set base_model_name_or_path there",
            ADAPTER_CONFIG_JSON,
            dir.display()
        ),
    }
}

/// The fields that decide what is computed; those that PEFT leaves at their defaults may be absent.
#[derive(Deserialize)]
struct Raw {
    peft_type: String,
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    target_modules: Value,
    #[serde(default)]
    use_rslora: bool,
    bias: Option<String>,
    /// How the values began that were learnt. Methods beyond those of [`INITIAL`] change the model's weights too.
    #[serde(default)]
    init_lora_weights: Value,
    /// Those of [`UNSUPPORTED`] make another computation of it unless they are null, false or empty.
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// Fields of PEFT's configuration that the engine has no computation for.
const UNSUPPORTED: [&str; 17] = [
    "use_dora",
    "fan_in_fan_out",
    "modules_to_save",
    "layers_to_transform",
    "layer_replication",
    "rank_pattern",
    "alpha_pattern",
    "exclude_modules",
    "target_parameters",
    "trainable_token_indices",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "loftq_config",
    "corda_config",
];

/// Words for initial values of A and B alone; `true` and `false` are others.
const INITIAL: [&str; 3] = ["gaussian", "orthogonal", "eva"];

fn read_config(dir: &Path) -> anyhow::Result<Raw> {
    let bytes = Source::Folder(dir)
        .read(ADAPTER_CONFIG_JSON)?
        .with_context(|| format!("there is no {ADAPTER_CONFIG_JSON} in {}\n{MISSING_HINT}", dir.display()))?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!("{ADAPTER_CONFIG_JSON} in {} is not PEFT's\nhint: save the adapter again", dir.display())
    })
}

impl Raw {
    fn config(self) -> anyhow::Result<LoraConfig> {
        ensure!(self.peft_type == "LORA", "adapters of type {} are not supported\n{HINT}", self.peft_type);
        let bias = self.bias.as_deref().unwrap_or("none");
        ensure!(bias == "none", "adapters with bias = {bias} are not supported\n{HINT}");
        let initial = &self.init_lora_weights;
        let is_plain = match initial {
            Value::Null | Value::Bool(_) => true,
            other => other.as_str().is_some_and(|it| INITIAL.contains(&it)),
        };
        ensure!(is_plain, "adapters with init_lora_weights = {initial} are not supported\n{HINT}");
        for name in UNSUPPORTED {
            let is_plain = match &self.rest.get(name) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Object(items)) => items.is_empty(),
                Some(Value::Bool(true) | Value::Number(_) | Value::String(_)) => false,
            };
            ensure!(is_plain, "adapters with {name} are not supported\n{HINT}");
        }
        let targets: Vec<LoraTarget> = serde_json::from_value(self.target_modules.clone())
            .with_context(|| format!("target_modules {} are not supported\n{HINT}", self.target_modules))?;
        let config = LoraConfig { rank: self.r, alpha: self.lora_alpha, targets, rslora: self.use_rslora };
        config.validate()?;
        Ok(config)
    }
}

impl LoraConfig {
    /// What the file in an adapter folder says.
    ///
    /// # Errors
    /// If it is missing or damaged, or the adapters are of a kind that the engine does not have.
    pub fn load(dir: &Path) -> anyhow::Result<LoraConfig> {
        read_config(dir).and_then(Raw::config).with_context(|| unusable(dir))
    }

    /// Checks that these are `stored`, which the adapter in `dir` has.
    ///
    /// # Errors
    /// If they are not; the message names the key.
    pub fn require_stored(&self, stored: &LoraConfig, dir: &Path) -> anyhow::Result<()> {
        let Some((key, [wanted, stored])) = self.difference(stored) else { return Ok(()) };
        bail!(
            "lora.{key} is {wanted}, and the adapter in {} that learning goes on from has {stored}\n\
             hint: leave out lora.{key}: it is taken from the adapter",
            dir.display()
        )
    }
}

fn unusable(dir: &Path) -> String {
    format!("the adapter in {} cannot be used", dir.display())
}

impl Lora {
    /// Reads an adapter folder for a model of shape `model`.
    ///
    /// # Errors
    /// If a file is missing or damaged, the adapters are of a kind that the engine does not have, or they do not fit
    /// the model; the message names what.
    pub fn load(dir: &Path, model: &ModelConfig) -> anyhow::Result<Lora> {
        let mut lora = Lora::zeros(model, &LoraConfig::load(dir)?);
        read_tensors(dir, ADAPTER_SAFETENSORS, &lora.tensors(), &mut lora.flat)
            .with_context(|| unusable(dir))?;
        Ok(lora)
    }

    /// Checks what [`Lora::load`] would, but for the numbers, which are not read.
    ///
    /// # Errors
    /// As there.
    pub fn check(dir: &Path, model: &ModelConfig) -> anyhow::Result<()> {
        let tensors = Lora::zeros(model, &LoraConfig::load(dir)?).tensors();
        open_tensors(dir, ADAPTER_SAFETENSORS, &tensors).with_context(|| unusable(dir))?;
        Ok(())
    }

    /// Writes a folder that PEFT and [`Lora::load`] read, in f32. `dir` is made if missing; `base` names the model
    /// that the adapters are for.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, base: &str) -> anyhow::Result<()> {
        let LoraConfig { rank, alpha, targets, rslora } = &self.config;
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": 0.0,
            "target_modules": targets,
            "use_rslora": rslora,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "modules_to_save": null,
        });
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        write_json(&dir.join(ADAPTER_CONFIG_JSON), &config)?;
        let path = dir.join(ADAPTER_SAFETENSORS);
        write_tensors(&path, &self.tensors(), &self.flat, Dtype::F32, &[("format", "pt")])
    }
}
