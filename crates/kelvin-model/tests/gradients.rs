//! The gradient of the whole model against finite differences of its loss.

use kelvin_core::{
    objective::{Aggregation, KlEstimator, KlTerm, Objective, Scored, Surrogate, evaluate},
    rollout::Sample,
    seed::Seed,
};
use kelvin_model::{Family, ModelConfig, Params, Rope, trainer::TrainCore};

const PPO: Surrogate = Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 };
const GSPO: Surrogate = Surrogate::Gspo { low: 0.2, high: 0.28 };
const CISPO: Surrogate = Surrogate::Cispo { low: 0.3, high: 0.28 };

fn config(family: Family, tied: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 37,
        hidden_size: 20,
        intermediate_size: 28,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 6,
        rms_norm_eps: 1e-6,
        rope: Rope::plain(10_000.0),
        max_position_embeddings: 64,
        tie_word_embeddings: tied,
        family,
    }
}

/// Weights large enough for every part of the model to matter, biases and norms too.
fn params(family: Family, tied: bool) -> Params {
    let mut params = Params::random(&config(family, tied), Seed::new(11));
    for (idx, weight) in params.flat.iter_mut().enumerate() {
        let noise = (Seed::new(12).nth(idx as u64).unit() - 0.5) as f32;
        *weight = *weight * 4.0 + 0.3 * noise - if *weight == 1.0 { 3.0 } else { 0.0 };
    }
    params
}

/// Samples of several lengths and groups, one beyond a block of 32 rows. The log-ratios lie about `shift`.
fn batch(params: &Params, shift: f32) -> Vec<Sample> {
    let shapes =
        [(2, 3, 1.3, "a"), (9, 31, -0.8, "a"), (1, 1, 0.6, "b"), (4, 9, 2.0, "c"), (6, 2, -1.1, "c")];
    let mut draws = Seed::new(13).draws();
    let mut tokens = |n: usize| (0..n).map(|_| draws.below(37) as u32).collect::<Vec<u32>>();
    let samples: Vec<Sample> = shapes
        .iter()
        .map(|&(prompt, response, advantage, group)| Sample {
            prompt: tokens(prompt).into(),
            response: tokens(response),
            advantage,
            old_logprobs: Vec::new(),
            group: group.to_owned(),
            ..Sample::default()
        })
        .collect();
    with_old_logprobs(params, samples, shift)
}

/// Log-probabilities of a sample's response.
fn logprobs(params: &Params, sample: &Sample) -> Vec<f32> {
    let sequence: Vec<u32> = sample.prompt.iter().chain(&sample.response).copied().collect();
    let logprobs = kelvin_model::transformer::forward_logprobs(params, &[sequence], 0.7).unwrap();
    logprobs[0][sample.prompt.len() - 1..].to_vec()
}

fn with_old_logprobs(params: &Params, mut samples: Vec<Sample>, shift: f32) -> Vec<Sample> {
    for sample in &mut samples {
        let response = logprobs(params, sample);
        // Alternating, so that some tokens are beyond each clip and none is near one.
        let side = |idx: usize| if idx.is_multiple_of(2) { shift } else { -shift };
        sample.old_logprobs = response.iter().enumerate().map(|(idx, logprob)| logprob - side(idx)).collect();
        // Weights of truncated importance sampling on both sides of 1, and a reference on both sides of the policy.
        let around =
            |by: f32| response.iter().enumerate().map(move |(idx, it)| it + by * (idx % 5) as f32 - 2.0 * by);
        sample.sampler_logprobs = around(0.3).collect();
        sample.reference_logprobs = around(-0.4).collect();
    }
    samples
}

fn loss(params: &Params, batch: &[Sample], objective: &Objective) -> f64 {
    TrainCore::new(params.clone()).forward_backward(batch, objective).unwrap().loss
}

/// The derivative of `loss` along `direction` by central differences of fourth order.
fn along(params: &Params, loss: &dyn Fn(&Params) -> f64, direction: &[f32], h: f32) -> f64 {
    let at = |scale: f32| {
        let mut moved = params.clone();
        moved.flat.iter_mut().zip(direction).for_each(|(weight, d)| *weight += scale * h * d);
        loss(&moved)
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * f64::from(h))
}

/// [`check_against`] the trainer's own loss, which holds nothing fixed.
fn check(params: &Params, batch: &[Sample], objective: &Objective, wanted: fn(&str) -> bool) {
    check_against(params, batch, objective, wanted, &|moved| loss(moved, batch, objective));
}

/// Checks the part of the gradient of each tensor that `wanted` names, along itself and along a random
/// direction, against differences of `loss`.
///
/// A loss near 1 is computed to about 1e-7, so a difference over steps of `h` = 3e-3 is known to about 3e-5.
/// The tolerance is ten times that plus 1 % of the part's norm, for truncation.
fn check_against(
    params: &Params,
    batch: &[Sample],
    objective: &Objective,
    wanted: fn(&str) -> bool,
    loss: &dyn Fn(&Params) -> f64,
) {
    let mut core = TrainCore::new(params.clone());
    core.forward_backward(batch, objective).unwrap();
    for tensor in params.layout.tensors().into_iter().filter(|tensor| wanted(&tensor.name)) {
        let part = &core.gradient()[tensor.range.clone()];
        let norm = part.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!(1e-3 < norm, "{}: a gradient of norm {norm} tests nothing", tensor.name);
        let own: Vec<f64> = part.iter().map(|&g| f64::from(g) / norm).collect();
        let random: Vec<f64> = (0..part.len())
            .map(|idx| (Seed::new(14).fork(&tensor.name).nth(idx as u64).unit() - 0.5) * 2.0)
            .collect();
        let length = random.iter().map(|x| x * x).sum::<f64>().sqrt();
        let random: Vec<f64> = random.iter().map(|x| x / length).collect();
        for direction in [own, random] {
            let mut whole = vec![0f32; params.flat.len()];
            for (to, from) in whole[tensor.range.clone()].iter_mut().zip(&direction) {
                *to = *from as f32;
            }
            let analytic: f64 = part.iter().zip(&direction).map(|(&g, d)| f64::from(g) * d).sum();
            let numeric = along(params, loss, &whole, 3e-3);
            let tolerance = 3e-4 + 0.01 * norm;
            assert!(
                (numeric - analytic).abs() < tolerance,
                "{} under {objective:?}: {numeric} numeric, {analytic} analytic, norm {norm}",
                tensor.name
            );
        }
    }
}

fn objective(surrogate: Surrogate, aggregation: Aggregation, entropy_coefficient: f64) -> Objective {
    Objective { entropy_coefficient, temperature: 0.7, ..Objective::new(surrogate, aggregation) }
}

#[test]
fn every_tensor_of_every_family() {
    for (family, tied) in [
        (Family::Qwen2, true),
        (Family::Qwen2, false),
        (Family::Qwen3 { attention_bias: false }, true),
        (Family::Qwen3 { attention_bias: true }, false),
        (Family::Llama { attention_bias: false }, false),
        (Family::Llama { attention_bias: true }, true),
    ] {
        let params = params(family, tied);
        let batch = batch(&params, 0.0);
        check(&params, &batch, &objective(Surrogate::Likelihood, Aggregation::Token, 0.0), |_| true);
    }
}

/// One tensor beside the head and one far from it.
fn ends(name: &str) -> bool {
    name.starts_with("model.norm") || name.contains("layers.0.self_attn.v_proj")
}

#[test]
fn every_surrogate_aggregation_and_the_entropy() {
    let params = params(Family::Qwen2, true);
    for aggregation in [Aggregation::GroupToken, Aggregation::Token, Aggregation::Sequence] {
        // Within the clips; beyond the ordinary ones; beyond the dual one. For GSPO the longer a response, the
        // nearer its ratio is to 1.
        for shift in [0.08, 0.5, 1.4] {
            let batch = batch(&params, shift);
            check(&params, &batch, &objective(PPO, aggregation, 0.0), ends);
            check(&params, &batch, &objective(PPO, aggregation, 0.3), ends);
            check(&params, &batch, &objective(GSPO, aggregation, 0.0), ends);
        }
        check(&params, &batch(&params, 0.0), &objective(Surrogate::Likelihood, aggregation, -0.2), ends);
    }
}

#[test]
fn constant_length_kl_and_truncated_importance_sampling() {
    let params = params(Family::Qwen2, true);
    let batch = batch(&params, 0.5);
    let constant = Objective { constant_length: 20, ..objective(PPO, Aggregation::Constant, 0.0) };
    check(&params, &batch, &constant, ends);
    let plain = objective(PPO, Aggregation::Token, 0.0);
    for estimator in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3] {
        let kl = Some(KlTerm { estimator, coefficient: 0.5 });
        check(&params, &batch, &Objective { kl, ..plain }, ends);
    }
    check(&params, &batch, &Objective { importance_cap: Some(1.5), ..plain }, ends);
}

/// The derivatives of the f64 reference by log-probabilities, times differences of log-probabilities: weights that
/// an objective holds fixed are, where differences of the loss would move them.
#[test]
fn weights_that_are_held_fixed() {
    let params = params(Family::Qwen2, true);
    let mut batch = batch(&params, 0.5);
    // Here the old policy is the current one, on which the weight of the sampler's mismatch depends.
    batch[1].old_logprobs.clear();
    let capped = Some(1.5);
    for objective in [
        objective(CISPO, Aggregation::Token, 0.0),
        Objective { importance_cap: capped, ..objective(CISPO, Aggregation::GroupToken, 0.0) },
        Objective { importance_cap: capped, ..objective(GSPO, Aggregation::Sequence, 0.0) },
        Objective { importance_cap: capped, ..objective(PPO, Aggregation::Sequence, 0.0) },
    ] {
        let scored = |params: &Params| -> Vec<Scored> {
            let score = |sample: &Sample| {
                let logprobs: Vec<f64> = logprobs(params, sample).into_iter().map(f64::from).collect();
                Scored { entropies: vec![0.0; logprobs.len()], logprobs }
            };
            batch.iter().map(score).collect()
        };
        let reference = evaluate(&objective, &batch, &scored(&params));
        assert!((loss(&params, &batch, &objective) - reference.loss).abs() < 1e-6);
        let linear = |moved: &Params| -> f64 {
            let scored = scored(moved);
            let pairs = reference.by.iter().zip(&scored);
            pairs.flat_map(|(by, it)| by.logprobs.iter().zip(&it.logprobs)).map(|(by, it)| by * it).sum()
        };
        check_against(&params, &batch, &objective, ends, &linear);
    }
}
