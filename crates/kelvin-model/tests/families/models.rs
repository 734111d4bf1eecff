//! Models whose weights and tokens are computed from names, here and in `xtask/py/family_goldens.py`, and what PyTorch and
//! transformers compute with them.

use std::{fs, path::Path};

use kelvin_core::{policy::AdamParams, rollout::Sample};
use kelvin_model::Checkpoint;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

#[derive(Deserialize)]
pub(super) struct Goldens {
    pub(super) adam: AdamParams,
    pub(super) n_scored: usize,
    pub(super) n_prompt: usize,
    /// Lengths of prompt and response.
    pub(super) samples: Vec<(usize, usize)>,
    pub(super) models: Vec<Model>,
}

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) salt: String,
    /// As transformers 5 writes it.
    pub(super) config: Value,
    pub(super) logprobs: Vec<f64>,
    /// The same by a model in f64; only beside whole gradients.
    #[serde(default)]
    pub(super) exact: Vec<f64>,
    pub(super) drawn: Vec<u32>,
    pub(super) loss: f64,
    pub(super) grad_norm: f64,
    pub(super) tensors: Vec<Tensor>,
}

#[derive(Deserialize)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// See `fingerprint` of the tests.
    pub(super) gradient: [f64; 9],
    /// Of what one step of AdamW adds.
    pub(super) step: [f64; 9],
}

impl Goldens {
    /// Those in `folder`.
    pub(super) fn read(folder: &Path) -> Goldens {
        serde_json::from_str(&fs::read_to_string(folder.join("families.json")).unwrap()).unwrap()
    }

    /// What a model learns from.
    pub(super) fn samples(&self, model: &Model) -> Vec<Sample> {
        let sample = |(idx, &(n_prompt, n_response)): (usize, &(usize, usize))| {
            let ids = tokens(&format!("{}/sample {idx}", model.salt), n_prompt + n_response, model.vocab());
            let (prompt, response) = ids.split_at(n_prompt);
            Sample {
                prompt: prompt.to_vec().into(),
                response: response.to_vec(),
                advantage: 1.0,
                ..Sample::default()
            }
        };
        self.samples.iter().enumerate().map(sample).collect()
    }
}

/// Numbers in `[0, 1)`: FNV-1a of the name, then SplitMix64.
pub(super) fn uniform(name: &str) -> impl Iterator<Item = f64> + use<> {
    let state = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (1..).map(move |idx: u64| {
        let z = state.wrapping_add(idx.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

pub(super) fn tokens(name: &str, n: usize, vocab: usize) -> Vec<u32> {
    uniform(name).take(n).map(|u| (u * vocab as f64) as u32).collect()
}

impl Model {
    pub(super) fn vocab(&self) -> usize {
        self.config["vocab_size"].as_u64().unwrap() as usize
    }

    pub(super) fn weights(&self, tensor: &Tensor) -> Vec<f32> {
        let Tensor { name, shape, .. } = tensor;
        let signed = uniform(&format!("{}/{name}", self.salt)).map(|u| 2.0 * u - 1.0);
        let value = |u: f64| match shape[..] {
            _ if name.ends_with("norm.weight") => 1.0 + 0.5 * u,
            [_] => 0.4 * u,
            _ => u * (3.0 / (shape[1] as f64).sqrt()),
        };
        signed.take(shape.iter().product()).map(|u| value(u) as f32).collect()
    }

    /// A folder as transformers saves it, with a tokenizer that reads `t7` as token 7. Each file holds some of the
    /// tensors, of `bytes` in `dtype`.
    pub(super) fn folder(
        &self,
        n_files: usize,
        dtype: safetensors::Dtype,
        bytes: impl Fn(&[f32]) -> Vec<u8>,
    ) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, value: &Value| fs::write(dir.path().join(name), value.to_string()).unwrap();
        write("config.json", &self.config);
        let vocab: Map<String, Value> = (0..self.vocab()).map(|id| (format!("t{id}"), json!(id))).collect();
        let tokenizer = json!({
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "t0"},
        });
        write("tokenizer.json", &tokenizer);
        let mut index = Map::new();
        for (number, part) in self.tensors.chunks(self.tensors.len().div_ceil(n_files)).enumerate() {
            let file = match n_files {
                1 => "model.safetensors".to_owned(),
                n => format!("model-{:05}-of-{n:05}.safetensors", number + 1),
            };
            let data: Vec<Vec<u8>> = part.iter().map(|tensor| bytes(&self.weights(tensor))).collect();
            let views = part.iter().zip(&data).map(|(tensor, data)| {
                (tensor.name.as_str(), TensorView::new(dtype, tensor.shape.clone(), data).unwrap())
            });
            safetensors::serialize_to_file(views, None, &dir.path().join(&file)).unwrap();
            index.extend(part.iter().map(|tensor| (tensor.name.clone(), json!(file))));
        }
        if 1 < n_files {
            write("model.safetensors.index.json", &json!({ "weight_map": index }));
        }
        dir
    }

    pub(super) fn load(&self) -> Checkpoint {
        let bytes = |values: &[f32]| values.iter().flat_map(|it| it.to_le_bytes()).collect();
        Checkpoint::load(self.folder(1, safetensors::Dtype::F32, bytes).path()).unwrap()
    }

    pub(super) fn what(&self) -> String {
        format!("model {} ({})", self.salt, self.config["model_type"])
    }
}
