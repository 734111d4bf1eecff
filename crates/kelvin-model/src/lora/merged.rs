//! `W + s B A`, of the rows that somebody reads. Nothing holds all of it: packing and writing take a few rows at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::{Branch, Lora};
use crate::{
    kernels::{MatMut, MatRef, matmul},
    params::{Params, Tensor, WeightSource},
};

/// Rows that one thread merges at a time.
const ROWS: usize = 256;

/// The weights of a model with adapters on them, as who reads them is to see them. The base stays as it is: without this
/// view it is the model as before, bit for bit.
#[derive(Clone, Copy)]
pub struct Merged<'it> {
    base: &'it dyn WeightSource,
    loras: &'it [Lora],
}

impl<'it> Merged<'it> {
    /// `loras` are added to `base` one after another; none leave it as it is.
    pub fn new(base: &'it dyn WeightSource, loras: &'it [Lora]) -> Merged<'it> {
        Merged { base, loras }
    }
}

impl WeightSource for Merged<'_> {
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()> {
        self.base.read_rows(tensor, rows.clone(), out)?;
        self.loras.iter().for_each(|it| it.add_rows(tensor, rows.clone(), out));
        Ok(())
    }
}

impl Lora {
    /// Adds `s B A` to every adapted matrix of `params`, the same bits as [`Merged`] gives: for weights that nobody wants
    /// back without it.
    pub fn merge_into(&self, params: &mut Params) {
        for tensor in params.layout.tensors() {
            self.add_rows(&tensor, 0..tensor.shape[0], &mut params.flat[tensor.range.clone()]);
        }
    }

    /// Adds what of `s B A` lies in `rows` of a tensor of the model. Each element is one chain over the rank, so the bits
    /// depend neither on which rows are asked for together nor on threads.
    fn add_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) {
        let Some(branch) = self.branch_of(&tensor.name) else { return };
        let (rank, scale, inputs) = (self.config.rank, self.config.scale(), branch.inputs);
        let a = MatRef::new(&self.flat[branch.a.clone()], rank, inputs);
        let b = &self.flat[branch.b.clone()][rows.start * rank..rows.end * rank];
        out.par_chunks_mut(ROWS * inputs).zip(b.par_chunks(ROWS * rank)).for_each(|(out, b)| {
            let scaled: Vec<f32> = b.iter().map(|b| scale * b).collect();
            let n = out.len() / inputs;
            matmul(MatRef::new(&scaled, n, rank), a, MatMut::new(out, n, inputs), true);
        });
    }

    /// The adapter on the tensor of that name; a tensor is the place of one target at most.
    fn branch_of(&self, name: &str) -> Option<&Branch> {
        let (layer, place) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let (module, target) = place.strip_suffix(".weight")?.split_once('.')?;
        let branches = self.branches_by_layer.get(layer.parse::<usize>().ok()?)?;
        branches.iter().find(|it| (it.target.module(), it.target.as_str()) == (module, target))
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;
    use crate::{
        config::tests::small,
        kernels::{matmul_parallel, simd::forced::each_level},
        lora::{LoraConfig, LoraTarget, Matrix},
    };

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|it| it.to_bits()).collect()
    }

    /// Each matrix of the engine as one product over all of its rows.
    fn by_matrices(lora: &Lora, base: &Params) -> Params {
        let mut merged = base.clone();
        for (layer, branches) in base.layout.layers.iter().zip(&lora.branches_by_layer) {
            for branch in branches {
                let matrix = match branch.matrix {
                    Matrix::Qkv => &layer.qkv_weight,
                    Matrix::Output => &layer.o_weight,
                    Matrix::GateUp => &layer.gate_up_weight,
                    Matrix::Down => &layer.down_weight,
                };
                let (outputs, inputs, rank) = (branch.outputs.len(), branch.inputs, lora.config.rank);
                let b: Vec<f32> =
                    lora.flat[branch.b.clone()].iter().map(|it| lora.config.scale() * it).collect();
                let weight = &mut merged.flat[matrix.clone()][branch.outputs.start * inputs..];
                matmul_parallel(
                    MatRef::new(&b, outputs, rank),
                    MatRef::new(&lora.flat[branch.a.clone()], rank, inputs),
                    MatMut::new(&mut weight[..outputs * inputs], outputs, inputs),
                    true,
                );
            }
        }
        merged
    }

    /// A rank over the blocks of a product, rows in pieces of every kind, two adapters one on the other.
    #[test]
    fn rows_are_those_of_the_whole_product() {
        let base = Params::random(&small(false, true), Seed::new(1));
        let moved = |rank: usize, targets: &[LoraTarget], seed: u64| {
            let config = LoraConfig { rank, targets: targets.to_vec(), ..LoraConfig::default() };
            let mut lora = Lora::new(&base.layout.config, &config, Seed::new(seed));
            for (idx, it) in lora.flat.iter_mut().enumerate() {
                *it += Seed::new(seed).nth(idx as u64).unit() as f32 - 0.5;
            }
            lora
        };
        let below = moved(3, &[LoraTarget::UpProj, LoraTarget::KProj, LoraTarget::OProj], 2);
        let loras = [below, moved(300, &LoraTarget::ALL, 3)];
        each_level(|_| {
            let whole = by_matrices(&loras[1], &by_matrices(&loras[0], &base));
            let merged = Merged::new(&base, &loras);
            let mut n_moved = 0;
            for tensor in base.layout.tensors() {
                let (n_rows, len) = (tensor.shape[0], tensor.row_len());
                n_moved += usize::from(base.flat[tensor.range.clone()] != whole.flat[tensor.range.clone()]);
                for step in [1, 7, 32, n_rows] {
                    for start in (0..n_rows).step_by(step) {
                        let rows = start..n_rows.min(start + step);
                        let mut got = vec![f32::NAN; rows.len() * len];
                        merged.read_rows(&tensor, rows.clone(), &mut got).unwrap();
                        let expected = &whole.flat[tensor.range.clone()][rows.start * len..rows.end * len];
                        assert_eq!(bits(&got), bits(expected), "{} {rows:?}", tensor.name);
                    }
                }
            }
            assert_eq!(n_moved, LoraTarget::ALL.len() * base.layout.layers.len());
            let mut into = base.clone();
            loras.iter().for_each(|it| it.merge_into(&mut into));
            assert_eq!(bits(&into.flat), bits(&whole.flat));
        });
    }
}
