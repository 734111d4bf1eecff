//! The spellings of `config.json`, read and written.

use std::fs;

use serde_json::{Value, json};

use super::{super::*, edit_json, message, saved, tiny};
use crate::{
    config::{
        Family,
        tests::{FAMILIES, SCALED},
    },
    kernels::{Llama3Scaling, Rope},
};

#[test]
fn what_the_engine_does_not_compute_is_refused_by_name() {
    type Edit = (fn(&mut Value), &'static str);
    let edits: [Edit; 18] = [
        (|c| c["architectures"] = json!(["MistralForCausalLM"]), "MistralForCausalLM is not supported"),
        (|c| c["architectures"] = json!(["LlamaForCausalLM"]), "LlamaForCausalLM of model_type qwen2"),
        (|c| c["model_type"] = json!("qwen3_moe"), "Qwen2ForCausalLM of model_type qwen3_moe"),
        (|c| c["hidden_act"] = json!("gelu"), "hidden_act gelu"),
        (|c| c["mlp_bias"] = json!(true), "mlp_bias"),
        (|c| c["layer_types"] = json!(["full_attention", "sliding_attention"]), "sliding_attention"),
        (|c| c["rope_scaling"] = json!({"type": "yarn", "factor": 4.0}), "rope_scaling of kind yarn"),
        (|c| c["rope_parameters"]["rope_type"] = json!("linear"), "rope_parameters of kind linear"),
        (|c| c["rope_parameters"]["rope_type"] = json!("llama3"), "rope_parameters has no number factor"),
        (|c| c["rope_parameters"] = json!({"full_attention": {}}), "for full_attention"),
        (|c| c["partial_rotary_factor"] = json!(0.5), "partial_rotary_factor 0.5"),
        (|c| c["quantization_config"] = json!({"quant_method": "awq"}), "awq"),
        (|c| c["vocab_size"] = json!(200), "the tokenizer does not fit the model"),
        (|c| c["num_key_value_heads"] = json!(3), "num_key_value_heads (3)"),
        (|c| c["hidden_size"] = json!(4_000_000_000u32), "more than the engine takes"),
        (|c| c["num_hidden_layers"] = json!("two"), "a field is missing or of another type"),
        (|c| *c = json!([1]), "config.json is not a JSON object"),
        (
            |c| {
                c["use_sliding_window"] = json!(true);
                c["sliding_window"] = json!(64);
                c["max_window_layers"] = json!(1);
            },
            "sliding_window of 64",
        ),
    ];
    for (edit, named) in edits {
        let (_, dir) = saved(false, Dtype::F32);
        edit_json(&dir.path().join(CONFIG_JSON), edit);
        let message = message(dir.path());
        assert!(message.contains(named), "{named} is not in: {message}");
    }
}

/// As configurations of Qwen2.5 have it: a window that begins beyond the last layer.
#[test]
fn a_window_that_no_layer_uses_is_none() {
    let (written, dir) = saved(true, Dtype::F32);
    edit_json(&dir.path().join(CONFIG_JSON), |config| {
        config["use_sliding_window"] = json!(true);
        config["sliding_window"] = json!(64);
        config["max_window_layers"] = json!(2);
    });
    assert_eq!(Checkpoint::load(dir.path()).unwrap().config, written.config);
}

#[test]
fn every_family_comes_back_under_its_own_name() {
    for (family, (model_type, architecture)) in FAMILIES.into_iter().zip([
        ("qwen2", "Qwen2ForCausalLM"),
        ("qwen3", "Qwen3ForCausalLM"),
        ("qwen3", "Qwen3ForCausalLM"),
        ("llama", "LlamaForCausalLM"),
        ("llama", "LlamaForCausalLM"),
    ]) {
        let mut written = tiny(true);
        written.config = ModelConfig { family, rope: SCALED, ..written.config };
        written.params = Params::random(&written.config, kelvin_core::seed::Seed::new(5));
        let dir = tempfile::tempdir().unwrap();
        written.save(dir.path(), Dtype::F32).unwrap();
        let read = Checkpoint::load(dir.path()).unwrap();
        assert_eq!((&read.config, &read.params), (&written.config, &written.params));
        let file: Value = serde_json::from_slice(&fs::read(dir.path().join(CONFIG_JSON)).unwrap()).unwrap();
        assert_eq!(
            (&file["model_type"], &file["architectures"]),
            (&json!(model_type), &json!([architecture]))
        );
        assert_eq!(file["rope_parameters"]["rope_theta"], json!(500.0), "version 5");
        assert_eq!((&file["rope_theta"], &file["rope_scaling"]["factor"]), (&json!(500.0), &json!(8.0)));
    }
}

/// A `config.json` as version 4 wrote it for Llama 3.2.
#[test]
fn version_4_configurations_are_read() {
    let value = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false, "head_dim": 64,
        "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072,
        "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        "vocab_size": 128256,
        "rope_scaling": {
            "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3",
        },
    });
    let config = config_json::read(&value).unwrap();
    assert_eq!(config.family, Family::Llama { attention_bias: false });
    assert_eq!((config.head_dim, config.num_key_value_heads, config.vocab_size), (64, 8, 128_256));
    let scaling = Llama3Scaling {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    assert_eq!(config.rope, Rope { theta: 500_000.0, scaling: Some(scaling) });
    let mut plain = value.clone();
    plain["rope_scaling"] = Value::Null;
    assert_eq!(config_json::read(&plain).unwrap().rope, Rope::plain(500_000.0));
    plain.as_object_mut().unwrap().remove("rope_theta");
    assert_eq!(config_json::read(&plain).unwrap().rope, Rope::plain(10_000.0));
}

/// What is absent, and what is null, is what transformers 5 takes for it.
#[test]
fn absent_fields_have_the_defaults_of_their_family() {
    let sizes = json!({
        "vocab_size": 300, "hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 64,
    });
    let read = |model_type: &str, nulls: &[&str]| {
        let mut value = sizes.clone();
        value["model_type"] = json!(model_type);
        nulls.iter().for_each(|name| value[*name] = Value::Null);
        let config = config_json::read(&value).unwrap();
        (config.num_key_value_heads, config.head_dim, config.max_position_embeddings)
    };
    assert_eq!(read("qwen2", &[]), (32, 2, 32_768));
    assert_eq!(read("qwen3", &[]), (32, 128, 32_768));
    assert_eq!(read("llama", &[]), (64, 2, 2048));
    assert_eq!(read("qwen3", &["num_key_value_heads"]), (64, 128, 32_768));
}

/// What the engine does not read goes with the model, what it writes itself does not.
#[test]
fn fields_of_the_model_are_written_back() {
    let (_, dir) = saved(true, Dtype::F32);
    edit_json(&dir.path().join(CONFIG_JSON), |config| {
        config["bos_token_id"] = json!(3);
        config["max_window_layers"] = json!(28);
        config["rope_theta"] = json!(9.0);
        config["transformers_version"] = json!("4.51.0");
    });
    let generation = dir.path().join(GENERATION_CONFIG_JSON);
    let ours = json!({"bos_token_id": 3, "pad_token_id": 4, "eos_token_id": [5, 4], "temperature": 0.6});
    write_json(&generation, &ours).unwrap();
    let again = tempfile::tempdir().unwrap();
    Checkpoint::load(dir.path()).unwrap().save(again.path(), Dtype::Bf16).unwrap();
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(again.path().join(name)).unwrap()).unwrap()
    };
    let config = read(CONFIG_JSON);
    assert_eq!((&config["bos_token_id"], &config["max_window_layers"]), (&json!(3), &json!(28)));
    assert_eq!((&config["rope_theta"], &config["dtype"]), (&json!(10_000.0), &json!("bfloat16")));
    assert!(config.get("transformers_version").is_none());
    let expected = json!({"bos_token_id": 3, "pad_token_id": 4, "eos_token_id": [4, 5], "temperature": 0.6});
    assert_eq!(read(GENERATION_CONFIG_JSON), expected);
}
