//! A checkpoint of Qwen2.5-0.5B's shape with weights drawn at random, in three shards of bf16, to measure how long one takes to load.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use kelvin_core::seed::Seed;
use serde_json::{Map, Value, json};

/// Where it lies, from the root of the repository.
pub(super) const FOLDER: &str = "target/engine-peers/qwen2.5-0.5b";

const HIDDEN: usize = 896;
const INTERMEDIATE: usize = 4864;
const VOCABULARY: usize = 151_936;
const LAYERS: usize = 24;
const KEYS: usize = 128;
const SHARDS: usize = 3;
/// Numbers that are drawn once and written again and again.
const DRAWN: usize = 1 << 16;

/// Writes it unless it is there. Its files are in the page cache then, as after a first load.
///
/// # Errors
/// If it cannot be written.
pub(super) fn written(root: &Path) -> anyhow::Result<()> {
    let folder = root.join(FOLDER);
    if folder.join("config.json").exists() {
        return Ok(());
    }
    let write = || -> anyhow::Result<()> {
        fs::create_dir_all(&folder)?;
        let all = tensors();
        let mut map = Map::new();
        for (idx, tensors) in all.chunks(all.len().div_ceil(SHARDS)).enumerate() {
            let name = format!("model-{:05}-of-{SHARDS:05}.safetensors", idx + 1);
            shard(&folder.join(&name), tensors)?;
            map.extend(tensors.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
        }
        let index = json!({ "metadata": {}, "weight_map": map });
        fs::write(folder.join("model.safetensors.index.json"), index.to_string())?;
        fs::copy(root.join("crates/kelvin/base/tokenizer.json"), folder.join("tokenizer.json"))?;
        // Last: it says that the rest is there. From https://huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/config.json
        let config = json!({
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "torch_dtype": "bfloat16", "hidden_act": "silu",
            "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS,
            "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
            "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "tie_word_embeddings": true,
        });
        Ok(fs::write(folder.join("config.json"), config.to_string())?)
    };
    write().with_context(|| format!("writing {}", folder.display()))
}

/// Names and shapes, in order.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let of_layer = |layer: usize| {
        let tensors = [
            ("input_layernorm.weight", vec![HIDDEN]),
            ("self_attn.q_proj.weight", vec![HIDDEN, HIDDEN]),
            ("self_attn.q_proj.bias", vec![HIDDEN]),
            ("self_attn.k_proj.weight", vec![KEYS, HIDDEN]),
            ("self_attn.k_proj.bias", vec![KEYS]),
            ("self_attn.v_proj.weight", vec![KEYS, HIDDEN]),
            ("self_attn.v_proj.bias", vec![KEYS]),
            ("self_attn.o_proj.weight", vec![HIDDEN, HIDDEN]),
            ("post_attention_layernorm.weight", vec![HIDDEN]),
            ("mlp.gate_proj.weight", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.up_proj.weight", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.down_proj.weight", vec![HIDDEN, INTERMEDIATE]),
        ];
        tensors.map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape))
    };
    let ends = [
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
    ];
    ends.into_iter().chain((0..LAYERS).flat_map(of_layer)).collect()
}

fn shard(path: &Path, tensors: &[(String, Vec<usize>)]) -> anyhow::Result<()> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, end] }));
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    // Of either sign, 0.008 to 0.031 in size.
    let mut draws = Seed::new(0).fork("engine-peers").draws();
    let drawn: Vec<u8> =
        (0..DRAWN).flat_map(|_| (0x3c00 | (draws.below(1 << 16) as u16 & 0x80ff)).to_le_bytes()).collect();
    let mut left = end;
    while 0 < left {
        let now = left.min(drawn.len());
        file.write_all(&drawn[..now])?;
        left -= now;
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_has_as_many_weights_as_the_model() {
        let n_weights: usize =
            super::tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(n_weights, 494_032_768);
    }
}
