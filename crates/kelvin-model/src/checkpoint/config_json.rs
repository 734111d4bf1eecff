//! `config.json` of transformers (versions 4 and 5) to and from the engine's shape.
//!
//! What the engine does not compute is refused by name: a model that loads must give the numbers that
//! transformers gives.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Dtype, rope_json};
use crate::config::{Family, ModelConfig};

/// The fields that decide what is computed, beside those of rotary positions.
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
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
}

/// A family as its configurations name it, with what transformers takes for fields that are absent.
struct Spelling {
    model_type: &'static str,
    architecture: &'static str,
    family: fn(attention_bias: bool) -> Family,
    max_position_embeddings: usize,
    /// `None`: as many as query heads.
    num_key_value_heads: Option<usize>,
    /// `None`: the width divided by the heads.
    head_dim: Option<usize>,
    sliding_window: Option<usize>,
}

const SPELLINGS: [Spelling; 3] = [
    Spelling {
        model_type: "qwen2",
        architecture: "Qwen2ForCausalLM",
        family: |_| Family::Qwen2,
        max_position_embeddings: 32_768,
        num_key_value_heads: Some(32),
        head_dim: None,
        sliding_window: Some(4096),
    },
    Spelling {
        model_type: "qwen3",
        architecture: "Qwen3ForCausalLM",
        family: |attention_bias| Family::Qwen3 { attention_bias },
        max_position_embeddings: 32_768,
        num_key_value_heads: Some(32),
        head_dim: Some(128),
        sliding_window: Some(4096),
    },
    Spelling {
        model_type: "llama",
        architecture: "LlamaForCausalLM",
        family: |attention_bias| Family::Llama { attention_bias },
        max_position_embeddings: 2048,
        num_key_value_heads: None,
        head_dim: None,
        sliding_window: None,
    },
];

impl Spelling {
    fn of(family: Family) -> &'static Spelling {
        match family {
            Family::Qwen2 => &SPELLINGS[0],
            Family::Qwen3 { .. } => &SPELLINGS[1],
            Family::Llama { .. } => &SPELLINGS[2],
        }
    }
}

/// Reads a `config.json`.
pub(super) fn read(value: &Value) -> anyhow::Result<ModelConfig> {
    let spelling = spelling(value)?;
    let raw = Raw::deserialize(value)
        .context("a field is missing or of another type\nhint: fetch or save the model again")?;
    check_supported(value, &raw, spelling)?;
    let heads = raw.num_attention_heads;
    ensure!(0 < heads, "num_attention_heads is 0\nhint: every size of a model is at least 1");
    // What is null is worked out, what is absent has the family's default.
    let absent = |field: &str, default: Option<usize>| default.filter(|_| value.get(field).is_none());
    let kv_heads = raw.num_key_value_heads.or(absent("num_key_value_heads", spelling.num_key_value_heads));
    let head_dim = match raw.head_dim.or(absent("head_dim", spelling.head_dim)) {
        Some(head_dim) => head_dim,
        None => {
            ensure!(
                raw.hidden_size.is_multiple_of(heads),
                "hidden_size ({}) is not a multiple of num_attention_heads ({heads})\nhint: set head_dim",
                raw.hidden_size
            );
            raw.hidden_size / heads
        }
    };
    let max_position_embeddings = raw.max_position_embeddings.unwrap_or(spelling.max_position_embeddings);
    let config = ModelConfig {
        family: (spelling.family)(raw.attention_bias.unwrap_or(false)),
        vocab_size: raw.vocab_size,
        hidden_size: raw.hidden_size,
        intermediate_size: raw.intermediate_size,
        num_hidden_layers: raw.num_hidden_layers,
        num_attention_heads: heads,
        num_key_value_heads: kv_heads.unwrap_or(heads),
        head_dim,
        rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6) as f32,
        rope: rope_json::read(value, max_position_embeddings)?,
        max_position_embeddings,
        tie_word_embeddings: raw.tie_word_embeddings.unwrap_or(false),
    };
    config.validate()?;
    check_size(&config)?;
    Ok(config)
}

/// The family that a configuration names. It is looked at first: the other fields may mean something else in
/// another family.
fn spelling(value: &Value) -> anyhow::Result<&'static Spelling> {
    let architectures: Vec<&str> =
        value["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let model_type = value["model_type"].as_str();
    let named = model_type.is_some() || !architectures.is_empty();
    let fits = |it: &&Spelling| {
        named
            && model_type.is_none_or(|model_type| model_type == it.model_type)
            && (architectures.is_empty() || architectures.contains(&it.architecture))
    };
    if let Some(spelling) = SPELLINGS.iter().find(fits) {
        return Ok(spelling);
    }
    let known = |name: &&&str| SPELLINGS.iter().any(|it| it.architecture == **name);
    let name = match (architectures.iter().find(|name| !known(name)), model_type, architectures.first()) {
        (Some(architecture), _, _) => (*architecture).to_owned(),
        (None, Some(model_type), Some(architecture)) => format!("{architecture} of model_type {model_type}"),
        (None, Some(model_type), None) => model_type.to_owned(),
        (None, None, _) => "(not named)".to_owned(),
    };
    let ours: Vec<&str> = SPELLINGS.iter().map(|it| it.architecture).collect();
    bail!(
        "the architecture {name} is not supported\nhint: the native engine computes {}: the families of \
         Qwen2 and Qwen2.5, Qwen3 (dense), and Llama 3",
        ours.join(", ")
    )
}

fn check_supported(value: &Value, raw: &Raw, spelling: &Spelling) -> anyhow::Result<()> {
    let act = raw.hidden_act.as_deref().unwrap_or("silu");
    let hint = "hint: the native engine computes silu, full attention, gated layers without bias, unquantised \
        weights";
    ensure!(matches!(act, "silu" | "swish"), "hidden_act {act} is not supported\n{hint}");
    ensure!(!raw.mlp_bias.unwrap_or(false), "mlp_bias is not supported\n{hint}");
    if let Some(other) = raw.layer_types.iter().flatten().find(|it| *it != "full_attention") {
        bail!("layer type {other} is not supported\n{hint}");
    }
    // A window is given by most configurations and used by few: it begins at a layer, often beyond the last.
    let window = match value.get("sliding_window") {
        None => spelling.sliding_window.map_or(Value::Null, Value::from),
        Some(window) => window.clone(),
    };
    let in_use = spelling.sliding_window.is_some()
        && raw.use_sliding_window.unwrap_or(false)
        && !window.is_null()
        && raw.layer_types.is_none()
        && raw.max_window_layers.unwrap_or(28) < raw.num_hidden_layers;
    ensure!(!in_use, "the sliding_window of {window} (use_sliding_window) is not supported\n{hint}");
    if let Some(quantization) = &raw.quantization_config {
        bail!("quantised weights ({}) are not supported\n{hint}", quantization["quant_method"]);
    }
    Ok(())
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

/// Fields that speak of the folder they were in, not of the model.
const OF_THE_FOLDER: [&str; 4] = ["_name_or_path", "auto_map", "transformers_version", "model_name"];

/// The `config.json` of a model, for transformers 4 and 5 alike. Fields of `kept`, the file that the model came
/// with, stay as they are unless the engine knows better.
pub(super) fn write(config: &ModelConfig, dtype: Dtype, end_ids: &Value, kept: &Map<String, Value>) -> Value {
    let spelling = Spelling::of(config.family);
    let mut fields: Map<String, Value> = [
        ("attention_dropout", json!(0.0)),
        ("bos_token_id", Value::Null),
        ("initializer_range", json!(0.02)),
        ("use_cache", json!(true)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .chain(kept.clone())
    .collect();
    OF_THE_FOLDER.iter().for_each(|name| drop(fields.remove(*name)));
    let known = json!({
        "architectures": [spelling.architecture],
        "model_type": spelling.model_type,
        "dtype": dtype.as_str(),
        "eos_token_id": end_ids,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "rms_norm_eps": shortest(config.rms_norm_eps),
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": dtype.as_str(),
        "vocab_size": config.vocab_size,
    });
    let Value::Object(known) = known else { unreachable!("written as an object above") };
    fields.extend(known);
    fields.extend(rope_json::write(&config.rope).into_iter().map(|(name, value)| (name.to_owned(), value)));
    let of_family = match config.family {
        Family::Qwen2 => vec![("use_sliding_window", false)],
        Family::Qwen3 { attention_bias } => {
            vec![("use_sliding_window", false), ("attention_bias", attention_bias)]
        }
        Family::Llama { attention_bias } => vec![("mlp_bias", false), ("attention_bias", attention_bias)],
    };
    fields.extend(of_family.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    if spelling.sliding_window.is_some() {
        fields.entry("sliding_window").or_insert(Value::Null);
    }
    Value::Object(fields)
}

/// The shortest decimal that reads back as `x`: 1e-6, not 9.999999974752427e-7.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().expect("a printed number is a number")
}
