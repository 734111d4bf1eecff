//! Low-rank adapters (Hu et al. 2021): `y = x W^T + s (x A^T) B^T` with `W` frozen and `s = alpha / rank`.
//!
//! Names, initial values and files are those of PEFT. `W + s B A` is formed row by row where weights are published or
//! exported, never while learning.

mod merged;
mod peft;

use std::ops::Range;

use anyhow::ensure;
use kelvin_core::seed::Seed;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{config::ModelConfig, params::Tensor};
pub use merged::Merged;
pub use peft::adapter_base;

/// Rank, scale and places of adapters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoraConfig {
    /// Rows of A and columns of B; 0 for no adapters.
    pub rank: usize,
    /// The branch is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// Which matrices have one.
    pub targets: Vec<LoraTarget>,
    /// Divides by the root of the rank instead (Kalajdzievski 2023).
    pub rslora: bool,
}

impl Default for LoraConfig {
    /// No adapters; with a rank, alpha as in PEFT's examples and every matrix of a layer.
    fn default() -> LoraConfig {
        LoraConfig { rank: 0, alpha: 16.0, targets: LoraTarget::ALL.to_vec(), rslora: false }
    }
}

/// The most rows of A: more than any layer of a model of this size is wide.
const RANK_MAX: usize = 4096;

impl LoraConfig {
    /// What the branch is multiplied by.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rslora { rank.sqrt() } else { rank }) as f32
    }

    /// Numbers in the adapters of a model of this shape.
    pub fn n_weights(&self, model: &ModelConfig) -> usize {
        let of = |target: &LoraTarget| {
            let (_, outputs, inputs) = target.place(model);
            self.rank * (outputs.len() + inputs)
        };
        model.num_hidden_layers * self.targets.iter().map(of).sum::<usize>()
    }

    /// Checks that adapters can be made.
    ///
    /// # Errors
    /// If the rank is 0 or over 4096, alpha is not a positive number, or no matrix or one twice is named.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            (1..=RANK_MAX).contains(&self.rank),
            "the rank of adapters is {}\nhint: it is from 1 to {RANK_MAX}, usually 8 to 64",
            self.rank
        );
        ensure!(
            self.alpha.is_finite() && 0.0 < self.alpha,
            "alpha of adapters is {}\nhint: it is a positive number, usually the rank or twice the rank",
            self.alpha
        );
        ensure!(
            !self.targets.is_empty(),
            "adapters have no targets\nhint: name q_proj and v_proj, or all seven"
        );
        for (idx, target) in self.targets.iter().enumerate() {
            ensure!(
                !self.targets[..idx].contains(target),
                "{} is a target twice\nhint: name each matrix once",
                target.as_str()
            );
        }
        Ok(())
    }

    /// The first key that means something else in `other`, with what it is here and there. The order of targets means
    /// nothing.
    pub(crate) fn difference(&self, other: &LoraConfig) -> Option<(&'static str, [String; 2])> {
        let values = |it: &LoraConfig| {
            let targets: Vec<&str> = LoraTarget::ALL
                .into_iter()
                .filter(|target| it.targets.contains(target))
                .map(LoraTarget::as_str)
                .collect();
            [
                ("rank", it.rank.to_string()),
                ("alpha", it.alpha.to_string()),
                ("targets", format!("{targets:?}")),
                ("rslora", it.rslora.to_string()),
            ]
        };
        let mut pairs = values(self).into_iter().zip(values(other));
        pairs.find(|(here, there)| here != there).map(|((key, here), (_, there))| (key, [here, there]))
    }
}

/// A matrix of a layer, by its name in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the checkpoint")]
pub enum LoraTarget {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl LoraTarget {
    /// All, in the order of a layer.
    pub const ALL: [LoraTarget; 7] = [
        LoraTarget::QProj,
        LoraTarget::KProj,
        LoraTarget::VProj,
        LoraTarget::OProj,
        LoraTarget::GateProj,
        LoraTarget::UpProj,
        LoraTarget::DownProj,
    ];

    /// The name in checkpoints.
    pub fn as_str(self) -> &'static str {
        match self {
            LoraTarget::QProj => "q_proj",
            LoraTarget::KProj => "k_proj",
            LoraTarget::VProj => "v_proj",
            LoraTarget::OProj => "o_proj",
            LoraTarget::GateProj => "gate_proj",
            LoraTarget::UpProj => "up_proj",
            LoraTarget::DownProj => "down_proj",
        }
    }

    fn module(self) -> &'static str {
        match self {
            LoraTarget::QProj | LoraTarget::KProj | LoraTarget::VProj | LoraTarget::OProj => "self_attn",
            LoraTarget::GateProj | LoraTarget::UpProj | LoraTarget::DownProj => "mlp",
        }
    }

    /// The matrix of the engine that holds it, which of its rows, and its columns.
    fn place(self, config: &ModelConfig) -> (Matrix, Range<usize>, usize) {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let (query, kv) = (config.query_width(), config.kv_width());
        match self {
            LoraTarget::QProj => (Matrix::Qkv, 0..query, hidden),
            LoraTarget::KProj => (Matrix::Qkv, query..query + kv, hidden),
            LoraTarget::VProj => (Matrix::Qkv, query + kv..query + 2 * kv, hidden),
            LoraTarget::OProj => (Matrix::Output, 0..hidden, query),
            LoraTarget::GateProj => (Matrix::GateUp, 0..ffn, hidden),
            LoraTarget::UpProj => (Matrix::GateUp, ffn..2 * ffn, hidden),
            LoraTarget::DownProj => (Matrix::Down, 0..hidden, ffn),
        }
    }
}

/// A matrix of a layer as the engine multiplies by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    /// Queries, keys and values.
    Qkv,
    /// What attention writes through.
    Output,
    /// Gate and up.
    GateUp,
    /// What the gated layer writes through.
    Down,
}

/// One adapter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Branch {
    target: LoraTarget,
    matrix: Matrix,
    /// Rows of the matrix that it is added to.
    pub(crate) outputs: Range<usize>,
    /// Columns of the matrix.
    pub(crate) inputs: usize,
    /// `[rank, inputs]` in the flat vector.
    pub(crate) a: Range<usize>,
    /// `[outputs, rank]`.
    pub(crate) b: Range<usize>,
}

/// The adapters of a model: one flat vector, and where each lies in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    config: LoraConfig,
    branches_by_layer: Vec<Vec<Branch>>,
    /// All values of A and B.
    pub flat: Vec<f32>,
}

impl Lora {
    /// Adapters that change nothing yet: A uniform below `1 / sqrt(inputs)` (PEFT's Kaiming initialisation with
    /// `a = sqrt(5)`), B zero. `config` is valid.
    pub fn new(model: &ModelConfig, config: &LoraConfig, seed: Seed) -> Lora {
        let mut lora = Lora::zeros(model, config);
        for tensor in lora.tensors() {
            if tensor.name.ends_with("lora_A.weight") {
                let bound = 1.0 / (tensor.shape[1] as f64).sqrt();
                let seed = seed.fork(&tensor.name);
                for (idx, value) in lora.flat[tensor.range].iter_mut().enumerate() {
                    *value = ((2.0 * seed.nth(idx as u64).unit() - 1.0) * bound) as f32;
                }
            }
        }
        lora
    }

    /// All values zero, to be filled from a file.
    fn zeros(model: &ModelConfig, config: &LoraConfig) -> Lora {
        let mut len = 0;
        let mut take = |size: usize| {
            len += size;
            len - size..len
        };
        let mut layer = || {
            let targets = LoraTarget::ALL.into_iter().filter(|it| config.targets.contains(it));
            let branch = |target: LoraTarget| {
                let (matrix, outputs, inputs) = target.place(model);
                let (a, b) = (take(config.rank * inputs), take(outputs.len() * config.rank));
                Branch { target, matrix, outputs, inputs, a, b }
            };
            targets.map(branch).collect()
        };
        let branches_by_layer = (0..model.num_hidden_layers).map(|_| layer()).collect();
        Lora { config: config.clone(), branches_by_layer, flat: vec![0.0; len] }
    }

    /// Rank, scale and places.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Every A and B once, in the order of the flat vector, under PEFT's names.
    pub fn tensors(&self) -> Vec<Tensor> {
        let rank = self.config.rank;
        let layers = self.branches_by_layer.iter().enumerate();
        layers
            .flat_map(|(idx, branches)| {
                branches.iter().flat_map(move |branch| {
                    let module = format!(
                        "base_model.model.model.layers.{idx}.{}.{}",
                        branch.target.module(),
                        branch.target.as_str()
                    );
                    let tensor = |part: &str, shape: [usize; 2], range: &Range<usize>| Tensor {
                        name: format!("{module}.{part}.weight"),
                        shape: shape.to_vec(),
                        range: range.clone(),
                    };
                    [
                        tensor("lora_A", [rank, branch.inputs], &branch.a),
                        tensor("lora_B", [branch.outputs.len(), rank], &branch.b),
                    ]
                })
            })
            .collect()
    }

    /// The adapters on a matrix of layer `layer_idx`.
    pub(crate) fn branches(&self, layer_idx: usize, matrix: Matrix) -> &[Branch] {
        // The branches of one matrix lie side by side, in the order of targets.
        let branches = &self.branches_by_layer[layer_idx];
        let start = branches.iter().position(|it| it.matrix == matrix).unwrap_or(0);
        let n = branches[start..].iter().take_while(|it| it.matrix == matrix).count();
        &branches[start..start + n]
    }
}

/// A step of FNV-1a over words instead of bytes.
pub(crate) fn fnv(hash: u64, bits: u64) -> u64 {
    (hash ^ bits).wrapping_mul(0x0000_0100_0000_01b3)
}

/// A number that tells the weights of two models apart: FNV-1a over blocks, then over the blocks' numbers.
pub(crate) fn fingerprint(flat: &[f32]) -> u64 {
    const BLOCK: usize = 1 << 16;
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    let blocks: Vec<u64> = flat
        .par_chunks(BLOCK)
        .map(|block| block.iter().fold(START, |hash, it| fnv(hash, u64::from(it.to_bits()))))
        .collect();
    blocks.into_iter().fold(START, fnv)
}
