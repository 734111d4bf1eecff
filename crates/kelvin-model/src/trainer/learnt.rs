//! What learns: all weights, weights behind rounded ones, or adapters.

use half::bf16;
use rayon::prelude::*;

use crate::{
    lora::Lora,
    params::{Params, Tensor},
};

/// Elements that a thread rounds at a time.
const BLOCK: usize = 1 << 16;

/// What the optimizer moves.
#[derive(Debug)]
pub(super) enum Learnt {
    /// The weights themselves.
    Weights,
    /// All weights in f32; those that passes compute with are these in bf16.
    Rounded(Vec<f32>),
    /// Adapters; the weights stay as they are.
    Adapters(Lora),
}

impl Learnt {
    pub(super) fn lora(&self) -> Option<&Lora> {
        match self {
            Learnt::Weights | Learnt::Rounded(_) => None,
            Learnt::Adapters(lora) => Some(lora),
        }
    }

    pub(super) fn len(&self, params: &Params) -> usize {
        self.flat(params).len()
    }

    pub(super) fn flat<'it>(&'it self, params: &'it Params) -> &'it [f32] {
        match self {
            Learnt::Weights => &params.flat,
            Learnt::Rounded(master) => master,
            Learnt::Adapters(lora) => &lora.flat,
        }
    }

    pub(super) fn flat_mut<'it>(&'it mut self, params: &'it mut Params) -> &'it mut [f32] {
        match self {
            Learnt::Weights => &mut params.flat,
            Learnt::Rounded(master) => master,
            Learnt::Adapters(lora) => &mut lora.flat,
        }
    }

    /// Where each tensor lies in the flat vector.
    pub(super) fn tensors(&self, params: &Params) -> Vec<Tensor> {
        match self {
            Learnt::Weights | Learnt::Rounded(_) => params.layout.tensors(),
            Learnt::Adapters(lora) => lora.tensors(),
        }
    }

    /// Brings the weights that passes compute with up to what was learnt.
    pub(super) fn settle(&self, weights: &mut [f32]) {
        match self {
            Learnt::Weights | Learnt::Adapters(_) => {}
            Learnt::Rounded(master) => {
                weights.par_chunks_mut(BLOCK).zip(master.par_chunks(BLOCK)).for_each(|(weights, master)| {
                    for (weight, &master) in weights.iter_mut().zip(master) {
                        *weight = bf16::from_f32(master).to_f32();
                    }
                });
            }
        }
    }
}
