//! Every number of the gradients and of a step against PyTorch's, not fingerprints of them, also of models of usual widths:
//! `cargo xtask engine-parity` has PyTorch compute them into the folder that `KELVIN_PARITY` names and reads what is written
//! here.

use std::{env, fs, path::Path};

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    rollout::Sampling,
};
use kelvin_model::{kernels::simd, trainer::TrainCore, transformer::forward_logprobs};
use safetensors::SafeTensors;
use serde::Serialize;

use super::{
    draw,
    models::{Goldens, Model, tokens},
    policy,
};

/// The largest differences of a model's numbers from PyTorch's.
#[derive(Default, Serialize)]
struct Off {
    model: String,
    /// The instruction set.
    level: &'static str,
    n_weights: usize,
    /// Of log-probabilities, in nats.
    logprob: f64,
    /// Of ours from those in f64, and of PyTorch's from them.
    logprob_from_f64: [f64; 2],
    /// Of a tensor's gradient: the norm of the difference over the norm.
    gradient: f64,
    /// Of one number of a gradient, over the largest of its tensor.
    gradient_element: f64,
    /// Of what a step of AdamW adds to a weight.
    step: f64,
    /// Greedy tokens before the first that differs.
    greedy: usize,
}

#[test]
fn every_number_is_that_of_pytorch() {
    let Some(folder) = env::var_os("KELVIN_PARITY") else {
        return eprintln!(
            "skipped: asks for KELVIN_PARITY, what `cargo xtask engine-parity` has PyTorch write"
        );
    };
    let folder = Path::new(&folder);
    let goldens = Goldens::read(folder);
    let compare = |(idx, model)| off(&goldens, model, &folder.join(format!("{idx}.safetensors")));
    let all: Vec<Off> = goldens.models.iter().enumerate().map(compare).collect();
    fs::write(folder.join("off.json"), serde_json::to_string(&all).unwrap()).unwrap();
    for (off, model) in all.iter().zip(&goldens.models) {
        let what = format!("{} on {}", off.model, off.level);
        assert!(off.logprob < 2e-4, "{what}: log-probabilities are off by {}", off.logprob);
        assert!(off.gradient < 1e-3, "{what}: gradients are off by {}", off.gradient);
        assert!(off.step < 1e-5, "{what}: a step is off by {}", off.step);
        assert_eq!(off.greedy, model.drawn.len(), "{what}: greedy tokens");
    }
}

fn off(goldens: &Goldens, model: &Model, file: &Path) -> Off {
    let checkpoint = model.load();
    let params = &checkpoint.params;
    let scored = tokens(&format!("{}/scored", model.salt), goldens.n_scored, model.vocab());
    let logprobs = forward_logprobs(params, &[scored], 1.0).unwrap();
    let policy = policy(params.clone(), &checkpoint);
    let prompt = tokens(&format!("{}/prompt", model.salt), goldens.n_prompt, model.vocab());
    let greedy = draw(&policy, &prompt, Sampling::greedy(model.drawn.len())).tokens;
    let ours = || logprobs[0].iter().map(|&it| f64::from(it));
    let (theirs, exact) = (|| model.logprobs.iter().copied(), || model.exact.iter().copied());
    assert_eq!((ours().len(), theirs().len()), (exact().len(), exact().len()));
    let mut off = Off {
        model: model.what(),
        level: simd::level().as_str(),
        n_weights: params.flat.len(),
        logprob: largest_difference(ours(), theirs()),
        logprob_from_f64: [largest_difference(ours(), exact()), largest_difference(theirs(), exact())],
        greedy: greedy.iter().zip(&model.drawn).take_while(|(ours, theirs)| ours == theirs).count(),
        ..Off::default()
    };

    let mut core = TrainCore::new(params.clone());
    let objective = Objective::new(Surrogate::Likelihood, Aggregation::Token);
    core.forward_backward(&goldens.samples(model), &objective).unwrap();
    let gradient = core.gradient().to_vec();
    core.optim_step(&goldens.adam).unwrap();
    let bytes = fs::read(file).unwrap();
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = params.layout.tensors();
    assert_eq!(theirs.len(), 2 * tensors.len());
    for tensor in tensors {
        let read = |what: &str| floats(theirs.tensor(&format!("{what}/{}", tensor.name)).unwrap().data());
        let (ours, expected) = (&gradient[tensor.range.clone()], read("gradient"));
        assert_eq!(ours.len(), expected.len());
        let ours = ours.iter().map(|&it| f64::from(it));
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|it| it * it).sum::<f64>().sqrt();
        let difference = norm(&mut ours.clone().zip(&expected).map(|(a, b)| a - b));
        off.gradient = worse(off.gradient, difference / norm(&mut expected.iter().copied()));
        let largest = expected.iter().fold(0f64, |most, it| most.max(it.abs()));
        let element = largest_difference(ours, expected.iter().copied());
        off.gradient_element = worse(off.gradient_element, element / largest);

        let (after, before) = (&core.params().flat[tensor.range.clone()], &params.flat[tensor.range.clone()]);
        let ours = after.iter().zip(before).map(|(&after, &before)| f64::from(after) - f64::from(before));
        off.step = worse(off.step, largest_difference(ours, read("step").into_iter()));
    }
    off
}

fn largest_difference(ours: impl Iterator<Item = f64>, theirs: impl Iterator<Item = f64>) -> f64 {
    ours.zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}

/// The larger one, and NaN of what is none.
fn worse(most: f64, it: f64) -> f64 {
    if most.is_nan() || it <= most { most } else { it }
}

/// Little-endian f32.
fn floats(bytes: &[u8]) -> Vec<f64> {
    let words = bytes.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap()));
    words.map(f64::from).collect()
}
