//! `config.json` of transformers (versions 4 and 5) to and from the engine's shape.
//!
//! What the engine does not compute is refused by name: a model that loads must give the numbers that
//! transformers gives.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Dtype;
use crate::{
    config::{Family, ModelConfig},
    kernels::Rope,
};

const MODEL_TYPE: &str = "qwen2";
const ARCHITECTURE: &str = "Qwen2ForCausalLM";

/// The fields that decide what is computed. Absent ones have the default of transformers' `Qwen2Config`.
#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Option<String>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    tie_word_embeddings: Option<bool>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
    /// Version 4.
    rope_theta: Option<f64>,
    /// Version 4; anything but the default kind changes the frequencies.
    rope_scaling: Option<Value>,
    /// Version 5.
    rope_parameters: Option<Value>,
}

/// Reads a `config.json`.
pub(super) fn read(value: &Value) -> anyhow::Result<ModelConfig> {
    check_architecture(value)?;
    let raw = Raw::deserialize(value)
        .context("a field is missing or of another type\nhint: fetch or save the model again")?;
    check_supported(&raw)?;
    let heads = raw.num_attention_heads;
    ensure!(0 < heads, "num_attention_heads is 0\nhint: every size of a model is at least 1");
    if raw.head_dim.is_none() {
        ensure!(
            raw.hidden_size.is_multiple_of(heads),
            "hidden_size ({}) is not a multiple of num_attention_heads ({heads})\nhint: set head_dim",
            raw.hidden_size
        );
    }
    let config = ModelConfig {
        vocab_size: raw.vocab_size,
        hidden_size: raw.hidden_size,
        intermediate_size: raw.intermediate_size,
        num_hidden_layers: raw.num_hidden_layers,
        num_attention_heads: heads,
        num_key_value_heads: raw.num_key_value_heads.unwrap_or(heads),
        head_dim: raw.head_dim.unwrap_or(raw.hidden_size / heads),
        rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6) as f32,
        rope: Rope::plain(rope_theta(&raw)?),
        max_position_embeddings: raw.max_position_embeddings.unwrap_or(32_768),
        tie_word_embeddings: raw.tie_word_embeddings.unwrap_or(false),
        family: Family::Qwen2,
    };
    config.validate()?;
    check_size(&config)?;
    Ok(config)
}

/// The fields that may belong to another family are looked at first, so that its name is the message.
fn check_architecture(value: &Value) -> anyhow::Result<()> {
    let architectures: Vec<&str> =
        value["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let model_type = value["model_type"].as_str();
    let known_type = model_type.is_none_or(|it| it == MODEL_TYPE);
    let known_architecture = architectures.is_empty() || architectures.contains(&ARCHITECTURE);
    let named = model_type.is_some() || !architectures.is_empty();
    if known_type && known_architecture && named {
        return Ok(());
    }
    let name = match (architectures.first(), model_type) {
        (Some(architecture), _) if !known_architecture => architecture,
        (_, Some(model_type)) => model_type,
        _ => "(not named)",
    };
    bail!(
        "the architecture {name} is not supported\n\
         hint: the native engine computes {ARCHITECTURE} (model_type {MODEL_TYPE}), the family of Qwen2 and \
         Qwen2.5"
    )
}

fn check_supported(raw: &Raw) -> anyhow::Result<()> {
    let act = raw.hidden_act.as_deref().unwrap_or("silu");
    let hint = "hint: the native engine computes plain Qwen2: silu, full attention, unscaled rotary \
        positions, unquantised weights";
    ensure!(act == "silu", "hidden_act {act} is not supported\n{hint}");
    ensure!(!raw.use_sliding_window.unwrap_or(false), "use_sliding_window is not supported\n{hint}");
    if let Some(other) = raw.layer_types.iter().flatten().find(|it| *it != "full_attention") {
        bail!("layer type {other} is not supported\n{hint}");
    }
    if let Some(quantization) = &raw.quantization_config {
        bail!("quantised weights ({}) are not supported\n{hint}", quantization["quant_method"]);
    }
    if let Some(scaling) = &raw.rope_scaling {
        check_rope_kind("rope_scaling", scaling, hint)?;
    }
    if let Some(parameters) = &raw.rope_parameters {
        check_rope_kind("rope_parameters", parameters, hint)?;
    }
    Ok(())
}

fn check_rope_kind(field: &str, rope: &Value, hint: &str) -> anyhow::Result<()> {
    let kind =
        rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    ensure!(kind == "default", "{field} of kind {kind} is not supported\n{hint}");
    let factor = rope.get("partial_rotary_factor").and_then(Value::as_f64).unwrap_or(1.0);
    ensure!(factor == 1.0, "partial_rotary_factor {factor} is not supported\n{hint}");
    Ok(())
}

fn rope_theta(raw: &Raw) -> anyhow::Result<f64> {
    match &raw.rope_parameters {
        None => Ok(raw.rope_theta.unwrap_or(10_000.0)),
        Some(parameters) => match (parameters.get("rope_theta"), raw.rope_theta) {
            (Some(theta), _) => theta.as_f64().with_context(|| {
                format!("rope_theta is {theta}, which is no number\nhint: it is usually 10000 or 1000000")
            }),
            (None, Some(theta)) => Ok(theta),
            (None, None) => {
                bail!("rope_parameters has no rope_theta\nhint: set it; it is usually 10000 or 1000000")
            }
        },
    }
}

/// Bounds that keep the arithmetic of sizes below overflow, whatever the file says.
fn check_size(config: &ModelConfig) -> anyhow::Result<()> {
    const LAYERS_MAX: usize = 1 << 12;
    const PARAMS_MAX: u128 = 1 << 38;
    let wide = |size: usize| size as u128;
    let (hidden, ffn) = (wide(config.hidden_size), wide(config.intermediate_size));
    let heads = wide(config.num_attention_heads) + 2 * wide(config.num_key_value_heads);
    let layer = hidden * (3 * ffn + 2 * heads * wide(config.head_dim) + 2);
    let total = 2 * wide(config.vocab_size) * hidden + wide(config.num_hidden_layers) * layer;
    ensure!(
        config.num_hidden_layers <= LAYERS_MAX && total <= PARAMS_MAX,
        "{} layers with {total} weights are more than the engine takes ({LAYERS_MAX} layers, {PARAMS_MAX} \
         weights)\nhint: check the sizes in config.json",
        config.num_hidden_layers
    );
    Ok(())
}

/// The `config.json` of a model, for transformers 4 and 5 alike.
pub(super) fn write(config: &ModelConfig, dtype: Dtype, end_ids: &Value) -> anyhow::Result<Value> {
    ensure!(
        config.family == Family::Qwen2 && config.rope.scaling.is_none(),
        "a model of another family has no form as {ARCHITECTURE}\nhint: build it as Family::Qwen2"
    );
    Ok(json!({
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "attention_dropout": 0.0,
        "bos_token_id": null,
        "dtype": dtype.as_str(),
        "eos_token_id": end_ids,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "rms_norm_eps": shortest(config.rms_norm_eps),
        "rope_parameters": { "rope_theta": config.rope.theta, "rope_type": "default" },
        "rope_theta": config.rope.theta,
        "sliding_window": null,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": dtype.as_str(),
        "use_cache": true,
        "use_sliding_window": false,
        "vocab_size": config.vocab_size,
    }))
}

/// The shortest decimal that reads back as `x`: 1e-6, not 9.999999974752427e-7.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().expect("a printed number is a number")
}
