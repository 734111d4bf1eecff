//! The engine against PyTorch on tiny models; `xtask/py/goldens.py` writes `goldens/` and records versions.

use std::path::{Path, PathBuf};

use kelvin_core::{objective::Objective, policy::AdamParams, rollout::Sample};
use kelvin_model::{Family, ModelConfig, Params, Rope, trainer::TrainCore, transformer::forward_logprobs};
use serde::Deserialize;

const FOLDERS: [&str; 3] = ["tied", "untied", "without_bias"];

#[derive(Deserialize)]
struct Expected {
    objective: Objective,
    samples: Vec<Sample>,
    adam: AdamParams,
    logprobs: Vec<Vec<f64>>,
    next_logprobs: Vec<f64>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    entropy: f64,
    kl_old_new: f64,
    grad_norm: f64,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read_to_string(folder(name).join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn config(name: &str) -> ModelConfig {
    let text = std::fs::read_to_string(folder(name).join("config.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let size = |key: &str| json[key].as_u64().unwrap() as usize;
    ModelConfig {
        vocab_size: size("vocab_size"),
        hidden_size: size("hidden_size"),
        intermediate_size: size("intermediate_size"),
        num_hidden_layers: size("num_hidden_layers"),
        num_attention_heads: size("num_attention_heads"),
        num_key_value_heads: size("num_key_value_heads"),
        head_dim: size("head_dim"),
        rms_norm_eps: json["rms_norm_eps"].as_f64().unwrap() as f32,
        rope: Rope::plain(json["rope_parameters"]["rope_theta"].as_f64().unwrap()),
        max_position_embeddings: size("max_position_embeddings"),
        tie_word_embeddings: json["tie_word_embeddings"].as_bool().unwrap(),
        family: match json["model_type"].as_str().unwrap() {
            "qwen2" => Family::Qwen2,
            _ => Family::Llama { attention_bias: false },
        },
    }
}

/// A file with a value for every weight of the model.
fn read(name: &str, file: &str) -> Params {
    let bytes = std::fs::read(folder(name).join(file)).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut params = Params::zeros(&config(name));
    let tensors = params.layout.tensors();
    assert_eq!(stored.len(), tensors.len(), "{name}/{file} has our tensors and no others");
    for tensor in tensors {
        let view = stored.tensor(&tensor.name).unwrap();
        assert_eq!(view.shape(), tensor.shape, "{}", tensor.name);
        for (value, bytes) in params.flat[tensor.range].iter_mut().zip(view.data().chunks_exact(4)) {
            *value = f32::from_le_bytes(bytes.try_into().unwrap());
        }
    }
    params
}

fn close(what: &str, got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() < tolerance, "{what}: {got}, PyTorch {expected}");
}

/// Compares tensor by tensor: the norm of the difference with that of the expected tensor. Both sides compute
/// in f32, which over these depths keeps five digits and more.
fn compare(name: &str, got: &[f32], expected: &Params) {
    for tensor in expected.layout.tensors() {
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let pairs = got[tensor.range.clone()].iter().zip(&expected.flat[tensor.range.clone()]);
        let difference = norm(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let size = norm(&mut expected.flat[tensor.range].iter().map(|&x| f64::from(x)));
        assert!(difference < 5e-5 * size, "{name} {}: off by {difference} of {size}", tensor.name);
    }
}

#[test]
fn logprobs_of_sequences() {
    for name in FOLDERS {
        let (params, expected) = (read(name, "model.safetensors"), expected(name));
        let sequences: Vec<Vec<u32>> = expected
            .samples
            .iter()
            .map(|sample| sample.prompt.iter().chain(&sample.response).copied().collect())
            .collect();
        let temperature = expected.objective.temperature as f32;
        let got = forward_logprobs(&params, &sequences, temperature).unwrap();
        for (got, expected) in got.iter().zip(&expected.logprobs) {
            assert_eq!(got.len(), expected.len());
            for (&got, &expected) in got.iter().zip(expected) {
                close(name, got.into(), expected, 3e-5);
            }
        }
    }
}

/// All logits of a row, up to the constant that softmax does not see.
#[test]
fn the_whole_next_token_distribution() {
    for name in FOLDERS {
        let (params, expected) = (read(name, "model.safetensors"), expected(name));
        let prompt = &expected.samples[1].prompt;
        let continued: Vec<Vec<u32>> = (0..expected.next_logprobs.len() as u32)
            .map(|token| prompt.iter().copied().chain([token]).collect())
            .collect();
        let temperature = expected.objective.temperature as f32;
        let got = forward_logprobs(&params, &continued, temperature).unwrap();
        for (got, &expected) in got.iter().zip(&expected.next_logprobs) {
            close(name, (*got.last().unwrap()).into(), expected, 3e-5);
        }
    }
}

#[test]
fn gradient_and_two_steps_of_adamw() {
    for name in FOLDERS {
        let expected = expected(name);
        let mut core = TrainCore::new(read(name, "model.safetensors"));
        for (idx, step) in expected.steps.iter().enumerate() {
            let loss = core.forward_backward(&expected.samples, &expected.objective).unwrap();
            close("loss", loss.loss, step.loss, 1e-5);
            close("entropy", loss.entropy, step.entropy, 1e-5);
            close("kl", loss.kl_old_new, step.kl_old_new, 1e-5);
            if idx == 0 {
                compare(name, core.gradient(), &read(name, "gradient.safetensors"));
            }
            let optim = core.optim_step(&expected.adam).unwrap();
            close("gradient norm", optim.grad_norm, step.grad_norm, 5e-5 * step.grad_norm);
        }
        compare(name, &core.params().flat, &read(name, "stepped.safetensors"));
    }
}
