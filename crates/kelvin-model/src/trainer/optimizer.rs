//! The global norm of a gradient, and one step of AdamW on all that learns.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use half::bf16;
use kelvin_core::policy::{AdamParams, OptimStats};
use rayon::prelude::*;

use super::Moments;
use crate::{
    kernels::{AdamStep, adamw, sum_of_squares},
    params::Tensor,
};

/// Elements that a thread takes at a time. It fixes the order of the norm's sum.
const BLOCK: usize = 1 << 16;

/// Zeroes a gradient.
pub(super) fn clear(gradient: &mut [f32]) {
    gradient.par_chunks_mut(BLOCK).for_each(|block| block.fill(0.0));
}

/// One step on `weights`, in which `tensors` lie; they and the moments stay as they are if the gradient's norm is
/// not finite. `None` if it left a number behind that is not finite: then weights and moments are lost.
pub(super) fn step(
    weights: &mut [f32],
    tensors: Vec<Tensor>,
    gradient: &[f32],
    moments: &mut Moments,
    adam: &AdamParams,
) -> Result<Option<OptimStats>> {
    // The blocks' sums are collected, then added in order.
    let squares: Vec<f64> = gradient.par_chunks(BLOCK).map(sum_of_squares).collect();
    let grad_norm = squares.iter().sum::<f64>().sqrt();
    ensure!(
        grad_norm.is_finite(),
        "the gradient's norm is {grad_norm}; the weights stay as they were\nhint: lower the learning rate, or \
         look for extreme advantages in this batch"
    );
    let step = moments.step + 1;
    let is_clipped = 0.0 < adam.grad_clip && adam.grad_clip < grad_norm;
    let correction = |beta: f64| (1.0 / (1.0 - beta.powf(step as f64))) as f32;
    let plain = AdamStep {
        learning_rate: adam.learning_rate as f32,
        beta1: (adam.beta1 as f32, (1.0 - adam.beta1) as f32),
        beta2: (adam.beta2 as f32, (1.0 - adam.beta2) as f32),
        eps: adam.eps as f32,
        keep: 1.0,
        correction1: correction(adam.beta1),
        correction2: correction(adam.beta2),
        grad_scale: if is_clipped { (adam.grad_clip / grad_norm) as f32 } else { 1.0 },
    };
    let is_lost = AtomicBool::new(false);
    for tensor in tensors {
        let weight_decay = if tensor.decays() { adam.weight_decay } else { 0.0 };
        let step = AdamStep { keep: (1.0 - adam.learning_rate * weight_decay) as f32, ..plain };
        let range = tensor.range;
        let weights = weights[range.clone()].par_chunks_mut(BLOCK);
        let gradients = gradient[range.clone()].par_chunks(BLOCK);
        let first = moments.first[range.clone()].par_chunks_mut(BLOCK);
        let second = moments.second[range].par_chunks_mut(BLOCK);
        weights.zip(gradients).zip(first.zip(second)).for_each(|((weights, gradients), (first, second))| {
            adamw(weights, gradients, first, second, step);
            if !(are_finite(weights) && are_finite(first) && are_finite(second)) {
                is_lost.store(true, Ordering::Relaxed);
            }
        });
    }
    moments.step = step;
    Ok((!is_lost.into_inner()).then_some(OptimStats { grad_norm }))
}

/// Whether all numbers are finite, also in bf16, in which weights may be computed with and saved.
fn are_finite(values: &[f32]) -> bool {
    // Not `all`, which would stop at the first and so compare one by one.
    values.iter().fold(true, |fine, value| fine & (value.abs() <= bf16::MAX.to_f32()))
}
