//! Models of every family against transformers and PyTorch; `xtask/py/family_goldens.py` writes
//! `goldens/families.json` and records versions. Weights and tokens are computed from names on both sides.

mod models;
mod parity;

use std::{path::Path, sync::Arc};

use half::f16;
use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::Sampler,
    rollout::{Completion, SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_model::{
    Checkpoint, Dtype, NativeOptions, NativePolicy, Params, trainer::TrainCore, transformer::forward_logprobs,
};

use models::{Goldens, tokens, uniform};

fn goldens() -> Goldens {
    Goldens::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens"))
}

/// The norm, the inner products with four vectors of random signs, and four elements.
///
/// An inner product of a difference with random signs has the difference's norm as its standard deviation. So a
/// tensor that is off by `d` passes a bound of `d / 4` on all four with a chance of about 1 in 600, wherever the
/// error is; the elements catch a tensor that is turned or shifted besides.
fn fingerprint(name: &str, values: &[f64]) -> [f64; 9] {
    let along = |k: usize| -> f64 {
        let signs = uniform(&format!("signs {k}/{name}")).map(|u| if u < 0.5 { -1.0 } else { 1.0 });
        values.iter().zip(signs).map(|(value, sign)| value * sign).sum()
    };
    let mut elements =
        uniform(&format!("elements/{name}")).map(|u| values[(u * values.len() as f64) as usize]);
    let norm = values.iter().map(|it| it * it).sum::<f64>().sqrt();
    let [e0, e1, e2, e3] = std::array::from_fn(|_| elements.next().unwrap());
    [norm, along(0), along(1), along(2), along(3), e0, e1, e2, e3]
}

#[test]
fn logprobs_are_those_of_transformers() {
    let goldens = goldens();
    for model in &goldens.models {
        let scored = tokens(&format!("{}/scored", model.salt), goldens.n_scored, model.vocab());
        let got = forward_logprobs(&model.load().params, &[scored], 1.0).unwrap();
        assert_eq!(got[0].len(), model.logprobs.len());
        for (idx, (&got, &expected)) in got[0].iter().zip(&model.logprobs).enumerate() {
            let off = (f64::from(got) - expected).abs();
            assert!(off < 2e-4, "{}, token {idx}: {got}, transformers {expected}", model.what());
        }
    }
}

#[test]
fn gradients_and_a_step_are_those_of_pytorch() {
    let goldens = goldens();
    for model in &goldens.models {
        let objective = Objective::new(Surrogate::Likelihood, Aggregation::Token);
        let params = model.load().params;
        let mut core = TrainCore::new(params.clone());
        let loss = core.forward_backward(&goldens.samples(model), &objective).unwrap().loss;
        assert!((loss - model.loss).abs() < 1e-4, "{}: loss {loss}, PyTorch {}", model.what(), model.loss);
        let gradient = core.gradient().to_vec();
        let grad_norm = core.optim_step(&goldens.adam).unwrap().grad_norm;
        assert!((grad_norm / model.grad_norm - 1.0).abs() < 1e-4, "{}: {grad_norm}", model.what());
        let ours = params.layout.tensors();
        assert_eq!(ours.len(), model.tensors.len(), "{}", model.what());
        for tensor in ours {
            let expected = model.tensors.iter().find(|it| it.name == tensor.name).unwrap();
            let what = format!("{} {}", model.what(), tensor.name);
            let part: Vec<f64> = gradient[tensor.range.clone()].iter().map(|&it| it.into()).collect();
            let norm = expected.gradient[0];
            compare(&what, fingerprint(&tensor.name, &part), expected.gradient, 2.5e-4 * norm, 1e-3 * norm);
            let moved =
                core.params().flat[tensor.range.clone()].iter().zip(&params.flat[tensor.range.clone()]);
            let moved: Vec<f64> = moved.map(|(&to, &from)| f64::from(to) - f64::from(from)).collect();
            // An error of 1e-5 in each weight has the norm 1e-5 times the root of their number.
            let bound = 2.5e-6 * (moved.len() as f64).sqrt();
            compare(&what, fingerprint(&tensor.name, &moved), expected.step, bound, 1e-5);
        }
    }
}

fn compare(what: &str, got: [f64; 9], expected: [f64; 9], bound: f64, bound_of_elements: f64) {
    for (idx, (got, expected)) in got.into_iter().zip(expected).enumerate() {
        let bound = if idx < 5 { bound } else { bound_of_elements };
        assert!((got - expected).abs() < bound, "{what}, number {idx}: {got}, PyTorch {expected}");
    }
}

fn draw(policy: &NativePolicy, prompt: &[u32], sampling: Sampling) -> Completion {
    let prompt = prompt.iter().map(|id| format!("t{id}")).collect::<Vec<_>>().join(" ");
    let request = SampleRequest { prompt, seed: Seed::new(8), sampling: Arc::new(sampling) };
    policy.sample(vec![request]).unwrap().pop().unwrap()
}

fn policy(params: Params, checkpoint: &Checkpoint) -> NativePolicy {
    let checkpoint = Checkpoint { params, end_tokens: Vec::new(), ..checkpoint.clone() };
    NativePolicy::new(checkpoint, NativeOptions { threads: 1, ..NativeOptions::default() }).unwrap()
}

#[test]
fn greedy_text_is_that_of_transformers() {
    let goldens = goldens();
    for model in &goldens.models {
        let checkpoint = model.load();
        let policy = policy(checkpoint.params.clone(), &checkpoint);
        let prompt = tokens(&format!("{}/prompt", model.salt), goldens.n_prompt, model.vocab());
        let greedy = draw(&policy, &prompt, Sampling::greedy(model.drawn.len()));
        assert_eq!(greedy.prompt_tokens[..], prompt);
        assert_eq!(greedy.tokens, model.drawn, "{}", model.what());
    }
}

/// At several temperatures and the two spreads of weights: the goldens', three times as wide as that of fresh ones so
/// that greedy text does not repeat itself, and the ordinary one. Rows are longer than what a product sums at a time.
#[test]
fn draws_are_scored_as_drawn() {
    let goldens = goldens();
    for (model, spread) in goldens.models.iter().flat_map(|model| [(model, 1.0f32), (model, 1.0 / 3.0)]) {
        let checkpoint = model.load();
        let mut params = checkpoint.params.clone();
        for tensor in params.layout.tensors().iter().filter(|tensor| tensor.decays()) {
            params.flat[tensor.range.clone()].iter_mut().for_each(|weight| *weight *= spread);
        }
        let policy = policy(params, &checkpoint);
        let prompt = tokens(&format!("{}/prompt", model.salt), goldens.n_prompt, model.vocab());
        let drawn = draw(&policy, &prompt, Sampling { temperature: 0.6, ..Sampling::plain(300) });
        let sequence = [&prompt[..], &drawn.tokens].concat();
        for (drawn, temperature) in [(drawn.logprobs, 0.6), (drawn.plain_logprobs, 1.0)] {
            let scored = forward_logprobs(policy.core().params(), &[&sequence], temperature).unwrap();
            assert_eq!(drawn, scored[0][prompt.len() - 1..], "{}, {spread}", model.what());
        }
    }
}

/// Shards in half precision, as hubs have them; and what we save is read as the same model.
#[test]
fn shards_in_f16_are_read_and_saved_again() {
    for model in goldens().models.iter().step_by(3) {
        let halves = |values: &[f32]| values.iter().map(|&it| f16::from_f32(it)).collect::<Vec<_>>();
        let bytes = |values: &[f32]| halves(values).iter().flat_map(|it| it.to_le_bytes()).collect();
        let read = Checkpoint::load(model.folder(3, safetensors::Dtype::F16, bytes).path()).unwrap();
        let mut expected = Params::zeros(&read.config);
        for tensor in &model.tensors {
            let all = expected.layout.tensors();
            let range = all.into_iter().find(|it| it.name == tensor.name).unwrap().range;
            let rounded = halves(&model.weights(tensor)).into_iter().map(f16::to_f32);
            expected.flat[range].iter_mut().zip(rounded).for_each(|(to, from)| *to = from);
        }
        assert_eq!(read.params, expected, "{}", model.what());
        let dir = tempfile::tempdir().unwrap();
        read.save(dir.path(), Dtype::F32).unwrap();
        let again = Checkpoint::load(dir.path()).unwrap();
        assert_eq!((&again.config, &again.params), (&read.config, &read.params), "{}", model.what());
    }
}
