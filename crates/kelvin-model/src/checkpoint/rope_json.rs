//! The spellings of rotary frequencies: `rope_theta` and `rope_scaling` of transformers 4, `rope_parameters` of
//! version 5.

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use crate::kernels::{Llama3Scaling, Rope};

const LLAMA3: &str = "llama3";
/// As transformers assumes where a file says nothing.
const THETA_DEFAULT: f64 = 10_000.0;

/// Reads the frequencies of a `config.json`. As in transformers, `rope_scaling` wins over `rope_parameters`, and
/// a base in either over one beside them.
pub(super) fn read(config: &Value, max_position_embeddings: usize) -> anyhow::Result<Rope> {
    let filled = |field: &&str| config[*field].as_object().is_some_and(|it| !it.is_empty());
    let field = ["rope_scaling", "rope_parameters"].into_iter().find(filled);
    let empty = Map::new();
    let parameters = field.and_then(|field| config[field].as_object()).unwrap_or(&empty);
    let field = field.unwrap_or("rope_parameters");
    if let Some((layer_type, _)) = parameters.iter().find(|(_, value)| value.is_object()) {
        bail!("{field} for {layer_type} is not supported\nhint: all layers must turn alike");
    }
    let share = parameters.get("partial_rotary_factor").unwrap_or(&config["partial_rotary_factor"]);
    ensure!(
        share.is_null() || share.as_f64() == Some(1.0),
        "partial_rotary_factor {share} is not supported\nhint: whole heads must turn"
    );
    let theta = match parameters.get("rope_theta").unwrap_or(&config["rope_theta"]) {
        Value::Null => THETA_DEFAULT,
        theta => theta.as_f64().with_context(|| {
            format!("rope_theta is {theta}, which is no number\nhint: it is usually 10000 or 1000000")
        })?,
    };
    let kind = parameters.get("rope_type").or_else(|| parameters.get("type"));
    match kind.map_or(Some("default"), Value::as_str) {
        Some("default") => Ok(Rope::plain(theta)),
        Some(LLAMA3) => {
            Ok(Rope { theta, scaling: Some(llama3(field, parameters, max_position_embeddings)?) })
        }
        Some(kind) => bail!(
            "{field} of kind {kind} is not supported\nhint: the native engine computes rotary positions that are \
             not scaled and those of kind {LLAMA3}"
        ),
        None => bail!("the kind of {field} is no text\nhint: set its rope_type"),
    }
}

fn llama3(
    field: &str,
    parameters: &Map<String, Value>,
    max_position_embeddings: usize,
) -> anyhow::Result<Llama3Scaling> {
    let number = |name: &str| {
        parameters.get(name).and_then(Value::as_f64).with_context(|| {
            format!("{field} has no number {name}\nhint: {LLAMA3} needs it; fetch or save the model again")
        })
    };
    let original = match parameters.get("original_max_position_embeddings") {
        None | Some(Value::Null) => max_position_embeddings,
        Some(value) => value.as_u64().and_then(|it| usize::try_from(it).ok()).with_context(|| {
            format!(
                "original_max_position_embeddings of {field} is {value}\nhint: it is a whole number, 8192 in \
                 Llama 3"
            )
        })?,
    };
    Ok(Llama3Scaling {
        factor: number("factor")?,
        low_freq_factor: number("low_freq_factor")?,
        high_freq_factor: number("high_freq_factor")?,
        original_max_position_embeddings: original,
    })
}

/// The fields that transformers 4 and 5 read.
pub(super) fn write(rope: &Rope) -> Vec<(&'static str, Value)> {
    let Rope { theta, scaling } = rope;
    let (scaling, parameters) = match scaling {
        None => (Value::Null, json!({ "rope_theta": theta, "rope_type": "default" })),
        Some(scaling) => {
            let Llama3Scaling { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } =
                scaling;
            let both = json!({
                "factor": factor,
                "high_freq_factor": high_freq_factor,
                "low_freq_factor": low_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "rope_type": LLAMA3,
            });
            let mut parameters = both.clone();
            parameters["rope_theta"] = json!(theta);
            (both, parameters)
        }
    };
    vec![("rope_parameters", parameters), ("rope_scaling", scaling), ("rope_theta", json!(theta))]
}
