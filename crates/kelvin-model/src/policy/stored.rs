//! A policy on disk: a model folder or an adapter folder, with the optimizer's state beside it.

use std::{ops::Range, path::Path};

use anyhow::{Context, ensure};

use super::NativePolicy;
use crate::{
    checkpoint::{Checkpoint, Dtype, read_tensors, write_tensors},
    lora::{Lora, fingerprint, fnv},
    params::{Params, Tensor, WeightSource},
    trainer::{Moments, TrainCore},
};

pub(super) const OPTIMIZER_SAFETENSORS: &str = "optimizer.safetensors";
/// Parts of that file, before the names of what learns: moments as in PyTorch's Adam, and where the model's weights
/// are rounded, those behind them.
const PARTS: [&str; 3] = ["exp_avg", "exp_avg_sq", "master"];
/// Steps taken; for adapters followed by [`ON`] and a fingerprint of the model that they were learnt on. One entry,
/// because the library writes several in any order.
const STEP: &str = "step";
const ON: &str = " on ";

pub(super) fn save(policy: &NativePolicy, dir: &Path) -> anyhow::Result<()> {
    let core = &policy.core;
    let Moments { first, second, step } = core.moments();
    let mut parts: Vec<&[f32]> = vec![first, second];
    let mut step = step.to_string();
    let (learnt, tensors) = core.learnt();
    match core.lora() {
        Some(_) => {
            policy.export_adapter(dir)?;
            step = format!("{step}{ON}{}", policy.base_fingerprint());
        }
        None => {
            policy.export(dir, policy.training.dtype)?;
            if policy.training.dtype == Dtype::Bf16 {
                parts.push(learnt);
            }
        }
    }
    let stored = part_tensors(&tensors, learnt.len(), parts.len());
    write_tensors(&dir.join(OPTIMIZER_SAFETENSORS), &stored, &Parts(parts), Dtype::F32, &[(STEP, &step)])
}

/// Vectors of one length, read as if they lay one after another.
struct Parts<'it>(Vec<&'it [f32]>);

impl WeightSource for Parts<'_> {
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()> {
        let (len, row_len) = (self.0[0].len(), tensor.row_len());
        let (part, start) = (tensor.range.start / len, tensor.range.start % len);
        out.copy_from_slice(&self.0[part][start..][rows.start * row_len..rows.end * row_len]);
        Ok(())
    }
}

/// What [`save`] wrote, as the state of a policy of the same model and training as `policy`, which stays as it is.
pub(super) fn restore(policy: &NativePolicy, dir: &Path) -> anyhow::Result<TrainCore> {
    let (learnt, tensors) = policy.core.learnt();
    let len = learnt.len();
    let (n_parts, model) = match policy.core.lora() {
        Some(lora) => {
            let stored = Lora::load(dir, policy.config())?;
            ensure!(
                stored.config().difference(lora.config()).is_none(),
                "the adapter in {} has other settings than this run's: {:?} and {:?}\n\
                 hint: resume the run with the settings it was started with",
                dir.display(),
                stored.config(),
                lora.config()
            );
            (2, Model::Adapters(stored))
        }
        None => {
            let checkpoint = Checkpoint::load(dir)?;
            require_same(policy, &checkpoint, dir)?;
            (if policy.training.dtype == Dtype::Bf16 { 3 } else { 2 }, Model::Weights(checkpoint.params))
        }
    };
    let mut first = vec![0.0; n_parts * len];
    let stored = part_tensors(&tensors, len, n_parts);
    let metadata = read_tensors(dir, OPTIMIZER_SAFETENSORS, &stored, &mut first)?;
    let step = metadata.get(STEP).map_or("", String::as_str);
    let (step, base) = step.split_once(ON).unwrap_or((step, ""));
    let step = step.parse().ok().with_context(|| {
        format!("{OPTIMIZER_SAFETENSORS} does not say its step\nhint: the file was not written by kelvin")
    })?;
    let master = first.split_off(2 * len);
    let second = first.split_off(len);
    let core = match model {
        Model::Weights(params) => match policy.training.dtype {
            Dtype::F32 => TrainCore::new(params),
            Dtype::Bf16 => {
                let Params { layout, flat } = params;
                let core = TrainCore::rounding(Params { layout, flat: master });
                ensure!(
                    core.params().flat == flat,
                    "the weights in {} are not those behind them, rounded\nhint: both come from one checkpoint; take \
                     an earlier one",
                    dir.display()
                );
                core
            }
        },
        Model::Adapters(lora) => {
            ensure!(
                base == policy.base_fingerprint(),
                "the adapter in {} was learnt on another model (its weights, tokenizer or end tokens differ)\n\
                 hint: resume the run with the model it was started with",
                dir.display()
            );
            TrainCore::adapting(policy.core.params().clone(), lora)
        }
    };
    core.with_recompute(policy.options.recompute).with_moments(Moments { first, second, step })
}

/// What a folder holds.
enum Model {
    Weights(Params),
    Adapters(Lora),
}

fn require_same(policy: &NativePolicy, stored: &Checkpoint, dir: &Path) -> anyhow::Result<()> {
    let same = stored.config == *policy.config()
        && stored.tokenizer.json() == policy.tokenizer.json()
        && stored.end_tokens == policy.end_tokens;
    ensure!(
        same,
        "the checkpoint {} is of another model (its shape, tokenizer or end tokens differ)\n\
         hint: resume the run with the model it was started with",
        dir.display()
    );
    Ok(())
}

impl NativePolicy {
    /// Of all of the model that adapters leave as it is: weights, tokenizer, end tokens.
    fn base_fingerprint(&self) -> String {
        let weights = self.pool.install(|| fingerprint(&self.core.params().flat));
        let words = self.tokenizer.json().iter().copied().map(u64::from);
        let ends = self.end_tokens.iter().map(|it| u64::from(*it));
        format!("{:016x}", words.chain(ends).fold(weights, fnv))
    }
}

/// The first `n_parts` of [`PARTS`], one after another, each laid out as what learns.
fn part_tensors(learnt: &[Tensor], len: usize, n_parts: usize) -> Vec<Tensor> {
    let named = |(index, part): (usize, &'static str)| {
        let shift = index * len;
        learnt.iter().map(move |tensor| Tensor {
            name: format!("{part}.{}", tensor.name),
            shape: tensor.shape.clone(),
            range: tensor.range.start + shift..tensor.range.end + shift,
        })
    };
    PARTS.into_iter().take(n_parts).enumerate().flat_map(named).collect()
}
