//! What steps make of the adapters, whether some of them learn what pays, and whether tokens are drawn as often as their
//! probabilities say.

use std::{collections::BTreeMap, path::Path};

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Sampler, Trainer},
    rollout::{Completion, Sample, SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_model::{Checkpoint, trainer::TrainCore};
use kelvin_remote::tinker::{Losses, TinkerPolicy};

use crate::{ADAM, Peer, batch, downloaded, gradient_of_shared, merged, place_of_shared};

/// What first tokens are drawn behind.
const PROMPT: &str = "x * 7 = 1";
/// Draws of a step of the bandit, and its steps.
const N_TRIES: usize = 256;
const N_STEPS: u64 = 5;
/// Draws of a chi-square.
const N_DRAWS: usize = 8192;
/// Classes of fewer expected draws are one class (Cochran 1954).
const EXPECTED_MIN: f64 = 5.0;
/// Standard deviations beyond which chance is no explanation: one in thirty thousand.
const DEVIATIONS_MAX: f64 = 4.0;

/// The adapters after two AdamW steps, beside those that the native engine's gradient makes of the ones before: in the first step by
/// the engine's own AdamW, since matrices A, of which the server shares some, have no gradient yet; in the second by its formula.
pub(super) fn steps(peer: &Peer, drawn: &[Completion], measured: &mut BTreeMap<String, f64>) {
    let checkpoint = Checkpoint::load(Path::new(&peer.model)).unwrap();
    let mut policy = peer.policy(Losses::Ours);
    let (samples, objective) = (batch(drawn), Objective::new(Surrogate::Likelihood, Aggregation::Token));
    let mut moments = Vec::new();
    for step in 1..=2 {
        let before = downloaded(&policy, &checkpoint);
        let mut native = TrainCore::adapting(checkpoint.params.clone(), before.clone());
        native.forward_backward(&samples, &objective).unwrap();
        let by_formula = adamw(&before.flat, &flat_gradient(&native), &mut moments, step);
        native.optim_step(&ADAM).unwrap();
        policy.forward_backward(step, &samples, &objective).unwrap();
        policy.optim_step(step, &ADAM).unwrap();
        policy.publish(step).unwrap();
        let found = downloaded(&policy, &checkpoint).flat;
        let apart = |other: &[f32]| {
            let apart = found.iter().zip(other).map(|(a, b)| f64::from((a - b).abs()));
            apart.fold(0.0, f64::max)
        };
        let moved = before.flat.iter().zip(&found).filter(|(a, b)| a != b).count();
        println!("step {step}: {moved} of {} weights move", found.len());
        if step == 1 {
            let by_engine = &native.lora().expect("adapters learn").flat;
            measured.insert("adapter/after one step and native engine".into(), apart(by_engine));
        }
        measured.insert(
            format!("adapter/after step {step} and AdamW on the native gradient"),
            apart(&by_formula),
        );
    }
}

/// The gradient of every weight, where copies of what is shared have all of it.
fn flat_gradient(native: &TrainCore) -> Vec<f64> {
    let shared = gradient_of_shared(native);
    native.learnt().1.iter().flat_map(|it| shared[&place_of_shared(&it.name)].clone()).collect()
}

/// [`ADAM`] in f64, with the moments of each weight.
fn adamw(weights: &[f32], gradient: &[f64], moments: &mut Vec<[f64; 2]>, step: u64) -> Vec<f32> {
    moments.resize(weights.len(), [0.0; 2]);
    let AdamParams { learning_rate, beta1, beta2, eps, .. } = ADAM;
    let correction = |beta: f64| 1.0 - beta.powi(step as i32);
    let moved = weights.iter().zip(gradient).zip(moments).map(|((weight, g), [first, second])| {
        *first = beta1 * *first + (1.0 - beta1) * g;
        *second = beta2 * *second + (1.0 - beta2) * g * g;
        let by = *first / correction(beta1) / ((*second / correction(beta2)).sqrt() + eps);
        (f64::from(*weight) - learning_rate * by) as f32
    });
    moved.collect()
}

/// A bandit whose first token pays if its id is even, with losses of the server; before and after it, the frequencies of first
/// tokens beside the native engine's probabilities.
pub(super) fn bandit(peer: &Peer, measured: &mut BTreeMap<String, f64>) {
    let checkpoint = Checkpoint::load(Path::new(&peer.model)).unwrap();
    let mut policy = peer.policy(Losses::Server);
    let mut note = |name: String, value: f64| measured.insert(name, value);
    for (name, value) in chi_square(&policy, &checkpoint, Seed::new(31)) {
        note(format!("first tokens/before the bandit/{name}"), value);
    }
    let mut chance = paying(&probabilities(&policy, &checkpoint));
    note("bandit/exact chance of what pays, after step 0".into(), chance);
    for step in 1..=N_STEPS {
        let surrogate = match step % 2 {
            1 => Surrogate::Likelihood,
            _ => Surrogate::PpoClip { low: 0.2, high: 0.2, dual: f64::INFINITY },
        };
        let samples = tries(&first_tokens(&policy, N_TRIES, Seed::new(17).nth(step)));
        policy.forward_backward(step, &samples, &Objective::new(surrogate, Aggregation::Sequence)).unwrap();
        policy.optim_step(step, &AdamParams { learning_rate: 2e-3, ..ADAM }).unwrap();
        policy.publish(step).unwrap();
        let now = paying(&probabilities(&policy, &checkpoint));
        note(format!("bandit/exact chance of what pays, after step {step}"), now);
        assert!(chance < now, "step {step} of the bandit makes what pays rarer: {chance}, then {now}");
        chance = now;
    }
    for (name, value) in chi_square(&policy, &checkpoint, Seed::new(32)) {
        note(format!("first tokens/after the bandit/{name}"), value);
    }
}

fn pays(token: u32) -> bool {
    token.is_multiple_of(2)
}

fn paying(probabilities: &[f64]) -> f64 {
    (0..).zip(probabilities).filter(|(token, _)| pays(*token)).map(|(_, it)| it).sum()
}

fn first_tokens(policy: &TinkerPolicy, n: usize, seed: Seed) -> Vec<Completion> {
    let request = |row: usize| SampleRequest {
        prompt: PROMPT.into(),
        seed: seed.nth(row as u64),
        sampling: Sampling::plain(1).into(),
    };
    policy.sample((0..n).map(request).collect()).unwrap()
}

/// What is learnt from, with what pays over its mean for an advantage.
fn tries(drawn: &[Completion]) -> Vec<Sample> {
    let reward = |it: &Completion| f32::from(u8::from(pays(it.tokens[0])));
    let mean = drawn.iter().map(reward).sum::<f32>() / drawn.len() as f32;
    let of = |(sample, it): (Sample, &Completion)| Sample {
        advantage: reward(it) - mean,
        old_logprobs: it.plain_logprobs.clone(),
        ..sample
    };
    batch(drawn).into_iter().zip(drawn).map(of).collect()
}

/// Of every first token, by the native engine with the adapters as they are.
fn probabilities(policy: &TinkerPolicy, checkpoint: &Checkpoint) -> Vec<f64> {
    let prompt = first_tokens(policy, 1, Seed::new(1))[0].prompt_tokens.to_vec();
    let sequences: Vec<Vec<u32>> =
        (0..checkpoint.config.vocab_size as u32).map(|token| [&prompt[..], &[token]].concat()).collect();
    let scored = merged(policy, checkpoint).logprobs(&sequences, 1.0).unwrap();
    let all: Vec<f64> =
        scored.iter().map(|it| f64::from(*it.last().expect("a token is scored")).exp()).collect();
    let sum: f64 = all.iter().sum();
    assert!((sum - 1.0).abs() < 1e-4, "probabilities of all tokens sum to {sum}");
    all
}

/// Pearson's statistic of drawn first tokens, its degrees of freedom, and how many standard deviations it is above what chance gives
/// (Wilson and Hilferty 1931), which is not many.
fn chi_square(policy: &TinkerPolicy, checkpoint: &Checkpoint, seed: Seed) -> [(&'static str, f64); 3] {
    let expected = probabilities(policy, checkpoint).into_iter().map(|it| it * N_DRAWS as f64);
    let mut found = vec![0.0; checkpoint.config.vocab_size];
    for it in first_tokens(policy, N_DRAWS, seed) {
        found[it.tokens[0] as usize] += 1.0;
    }
    let (common, rare): (Vec<_>, Vec<_>) =
        expected.zip(found).partition(|(expected, _)| EXPECTED_MIN <= *expected);
    let rest = rare.iter().fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let classes: Vec<(f64, f64)> = common.into_iter().chain([rest]).collect();
    let sum: f64 = classes.iter().map(|(expected, found)| (found - expected).powi(2) / expected).sum();
    let freedom = classes.len() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    let deviations = ((sum / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    assert!(1.0 < freedom, "first tokens that are always the same show nothing");
    assert!(
        deviations < DEVIATIONS_MAX,
        "first tokens are not drawn by their probabilities: {sum} at {freedom} degrees of freedom"
    );
    [("chi-square", sum), ("degrees of freedom", freedom), ("standard deviations over chance", deviations)]
}
