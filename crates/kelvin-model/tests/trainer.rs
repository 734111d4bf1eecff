//! Bits of the trainer do not depend on threads, order of work or what came before; bad batches are refused.

use std::{thread, time::Duration};

use kelvin_core::{
    objective::{Aggregation, KlEstimator, KlTerm, Normalisation, Objective, Surrogate},
    policy::{AdamParams, LossStats},
    rollout::Sample,
    seed::Seed,
    stop::{Stop, Stopped},
};
use kelvin_model::{
    Family, ModelConfig, Params, Rope,
    trainer::{Moments, TrainCore},
    transformer::forward_logprobs,
};

const ADAM: AdamParams =
    AdamParams { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, grad_clip: 1.0 };
const PPO: Surrogate = Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 };
const OBJECTIVE: Objective =
    Objective { entropy_coefficient: 0.01, temperature: 0.9, ..Objective::new(PPO, Aggregation::GroupToken) };
/// Everything at once that needs more than one token or one policy.
const COUPLED: Objective = Objective {
    surrogate: Surrogate::Gspo { low: 0.05, high: 0.05 },
    aggregation: Aggregation::Constant,
    constant_length: 110,
    kl: Some(KlTerm { estimator: KlEstimator::K3, coefficient: 0.1 }),
    importance_cap: Some(1.2),
    ..OBJECTIVE
};

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 61,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-6,
        rope: Rope::plain(10_000.0),
        max_position_embeddings: 200,
        tie_word_embeddings: true,
        family: Family::Qwen2,
    }
}

fn params() -> Params {
    Params::random(&config(), Seed::new(21))
}

/// About 60 samples and 5000 rows: more chunks than gradient slots.
fn batch(seed: u64) -> Vec<Sample> {
    let mut draws = Seed::new(seed).draws();
    (0..60)
        .map(|idx| {
            let (prompt, response) = (draws.between(1, 60) as usize, draws.between(1, 110) as usize);
            let old: Vec<f32> = (0..response).map(|_| -4.0 - draws.unit() as f32 * 0.4).collect();
            Sample {
                prompt: (0..prompt).map(|_| draws.below(61) as u32).collect(),
                response: (0..response).map(|_| draws.below(61) as u32).collect(),
                advantage: draws.unit() as f32 * 2.0 - 1.0,
                sampler_logprobs: old.iter().map(|it| it + 0.2).collect(),
                reference_logprobs: old.iter().map(|it| it - 0.2).collect(),
                old_logprobs: if idx % 3 == 0 { Vec::new() } else { old },
                group: format!("group {}", idx % 7),
            }
        })
        .collect()
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Two accumulations and a step, twice.
fn trained(threads: usize, objective: &Objective) -> (Vec<LossStats>, Vec<u32>, Vec<u32>) {
    with_threads(threads, || {
        let mut core = TrainCore::new(params());
        let mut stats = Vec::new();
        for step in 0..2 {
            stats.push(core.forward_backward(&batch(31 + step), objective).unwrap());
            stats.push(core.forward_backward(&batch(41 + step)[..7], objective).unwrap());
            core.optim_step(&ADAM).unwrap();
        }
        (stats, bits(&core.params().flat), bits(&core.moments().second))
    })
}

#[test]
fn bits_do_not_depend_on_threads() {
    for objective in [OBJECTIVE, COUPLED] {
        let one = trained(1, &objective);
        assert!(one.0.iter().all(|stats| stats.loss.is_finite() && 0.0 < stats.clipped_share));
        for threads in [2, 3, 8] {
            assert_eq!(one, trained(threads, &objective), "{threads} threads");
        }
    }
}

/// What it had added before is gone, and what comes after is as if it had not been.
#[test]
fn a_gradient_that_is_stopped_leaves_nothing() {
    with_threads(2, || {
        let batch = batch(31);
        let (mut fresh, mut stopped) = (TrainCore::new(params()), TrainCore::new(params()));
        stopped.forward_backward(&batch[..5], &OBJECTIVE).unwrap();
        let stop = Stop::default();
        stop.ask();
        stopped.listen(stop);
        assert!(stopped.forward_backward(&batch, &OBJECTIVE).unwrap_err().is::<Stopped>());
        assert!(stopped.gradient().iter().all(|it| *it == 0.0));
        assert!(stopped.optim_step(&ADAM).is_err(), "no gradient is held");
        stopped.listen(Stop::default());
        let expected = fresh.forward_backward(&batch, &OBJECTIVE).unwrap();
        assert_eq!(stopped.forward_backward(&batch, &OBJECTIVE).unwrap(), expected);
        assert_eq!(bits(stopped.gradient()), bits(fresh.gradient()));
        // Wherever it is heard.
        for micros in [0, 30, 100, 300, 1000, 3000, 10_000] {
            let (stop, mut struck) = (Stop::default(), TrainCore::new(params()));
            struck.listen(stop.clone());
            let heard = thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_micros(micros));
                    stop.ask();
                });
                struck.forward_backward(&batch, &OBJECTIVE)
            });
            match heard {
                Ok(stats) => assert_eq!((stats, bits(struck.gradient())), (expected, bits(fresh.gradient()))),
                Err(error) => assert!(error.is::<Stopped>() && struck.gradient().iter().all(|it| *it == 0.0)),
            }
        }
    });
}

/// In one call, and in three that share neither groups nor lengths: the same loss, statistics and gradient.
#[test]
fn the_split_of_a_batch_does_not_matter() {
    let batch = batch(33);
    let whole = Normalisation::of(&batch);
    for aggregation in
        [Aggregation::GroupToken, Aggregation::Token, Aggregation::Sequence, Aggregation::Constant]
    {
        for surrogate in [PPO, COUPLED.surrogate, Surrogate::Cispo { low: 1.0, high: 0.1 }] {
            let objective = Objective { surrogate, aggregation, ..COUPLED };
            let mut once = TrainCore::new(params());
            let expected = once.forward_backward(&batch, &objective).unwrap();
            let mut parts = TrainCore::new(params());
            let said = [&batch[..1], &batch[1..20], &batch[20..]]
                .map(|part| parts.forward_backward_part(part, &objective, &whole).unwrap());
            let said = said.into_iter().reduce(LossStats::join).unwrap();
            assert_eq!(said.n_tokens, expected.n_tokens);
            for (said, expected) in [
                (said.loss, expected.loss),
                (said.entropy, expected.entropy),
                (said.kl_old_new, expected.kl_old_new),
                (said.kl_reference, expected.kl_reference),
                (said.clipped_low_share + said.clipped_high_share, expected.clipped_share),
                (said.ratio_mean, expected.ratio_mean),
                (said.ratio_max, expected.ratio_max),
                (said.importance_mean, expected.importance_mean),
                (said.importance_max, expected.importance_max),
            ] {
                assert!((said - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{said}, {expected}");
            }
            let largest = once.gradient().iter().fold(0f32, |most, g| most.max(g.abs()));
            let pairs = once.gradient().iter().zip(parts.gradient());
            let off = pairs.map(|(once, parts)| (once - parts).abs()).fold(0.0, f32::max);
            assert!(off < 1e-5 * largest, "{off} of {largest} for {objective:?}");
        }
    }
}

#[test]
fn statistics_tell_the_sides_of_the_clip() {
    let mut core = TrainCore::new(params());
    let mut batch = batch(34);
    batch.truncate(2);
    for sample in &mut batch {
        sample.old_logprobs.clear();
    }
    let on_policy = core.forward_backward(&batch, &OBJECTIVE).unwrap();
    assert_eq!((on_policy.ratio_mean, on_policy.ratio_max, on_policy.clipped_share), (1.0, 1.0, 0.0));
    assert_eq!((on_policy.importance_mean, on_policy.importance_max), (1.0, 1.0));
    // Log-probabilities are about -4.1: the first sample's ratios are about 0.4, the second's about 3.
    for (sample, (old, advantage)) in batch.iter_mut().zip([(-3.2, -1.0), (-5.2, 1.0)]) {
        sample.old_logprobs = vec![old; sample.response.len()];
        sample.advantage = advantage;
    }
    let stats = core.forward_backward(&batch, &OBJECTIVE).unwrap();
    let n = stats.n_tokens as f64;
    assert_eq!(stats.clipped_low_share, batch[0].response.len() as f64 / n);
    assert_eq!(stats.clipped_high_share, batch[1].response.len() as f64 / n);
    assert_eq!(stats.clipped_share, 1.0);
    assert!(2.0 < stats.ratio_max && 0.3 < stats.ratio_mean && stats.ratio_mean < stats.ratio_max);
}

#[test]
fn used_memory_leaves_no_trace() {
    let mut fresh = TrainCore::new(params());
    fresh.forward_backward(&batch(51), &OBJECTIVE).unwrap();
    let mut used = TrainCore::new(params());
    used.forward_backward(&batch(52), &OBJECTIVE).unwrap();
    used.optim_step(&AdamParams { learning_rate: 0.0, ..ADAM }).unwrap();
    used.forward_backward(&batch(53)[..1], &OBJECTIVE).unwrap();
    used.optim_step(&AdamParams { learning_rate: 0.0, ..ADAM }).unwrap();
    assert_eq!(used.params(), &params());
    used.forward_backward(&batch(51), &OBJECTIVE).unwrap();
    assert_eq!(bits(fresh.gradient()), bits(used.gradient()));
}

#[test]
fn a_resumed_trainer_goes_on_bit_for_bit() {
    let step = |core: &mut TrainCore, seed| {
        core.forward_backward(&batch(seed)[..9], &OBJECTIVE).unwrap();
        core.optim_step(&ADAM).unwrap();
    };
    let mut through = TrainCore::new(params());
    step(&mut through, 61);
    let mut resumed =
        TrainCore::new(through.params().clone()).with_moments(through.moments().clone()).unwrap();
    step(&mut through, 62);
    step(&mut resumed, 62);
    assert_eq!(bits(&through.params().flat), bits(&resumed.params().flat));
    assert_eq!(through.moments(), resumed.moments());
    assert_eq!(through.moments().step, 2);

    let short = Moments { first: vec![0.0; 3], second: vec![0.0; 3], step: 1 };
    let error = TrainCore::new(params()).with_moments(short).unwrap_err().to_string();
    assert!(error.contains("moments for 3 and 3 weights"), "{error}");
}

#[test]
fn gradients_add_up_until_a_step() {
    let (batch, mut core) = (batch(71), TrainCore::new(params()));
    core.forward_backward(&batch[..5], &OBJECTIVE).unwrap();
    let first = core.gradient().to_vec();
    core.forward_backward(&batch[..5], &OBJECTIVE).unwrap();
    let off =
        core.gradient().iter().zip(&first).map(|(both, one)| (both - 2.0 * one).abs()).fold(0.0, f32::max);
    assert!(off < 1e-7, "{off}");
    core.optim_step(&ADAM).unwrap();
    assert!(core.gradient().iter().all(|&g| g == 0.0));
    let error = core.optim_step(&ADAM).unwrap_err().to_string();
    assert!(error.contains("no gradient is held"), "{error}");
}

#[test]
fn descending_lowers_the_loss() {
    let objective = Objective::new(Surrogate::Likelihood, Aggregation::Token);
    let mut batch = batch(81);
    batch.truncate(4);
    batch.iter_mut().for_each(|sample| sample.advantage = 1.0);
    let mut core = TrainCore::new(params());
    let mut losses = Vec::new();
    for _ in 0..60 {
        losses.push(core.forward_backward(&batch, &objective).unwrap().loss);
        core.optim_step(&ADAM).unwrap();
    }
    // Uniform guessing costs ln 61 = 4.11 nats; random tokens have to be learnt by heart.
    assert!((losses[0] - 61f64.ln()).abs() < 0.2 && losses[59] < 2.0, "{losses:?}");
}

#[test]
fn a_gradient_that_is_not_finite_moves_nothing() {
    let mut damaged = params();
    damaged.flat[3] = f32::NAN;
    let mut core = TrainCore::new(damaged.clone());
    core.forward_backward(&batch(91)[..3], &OBJECTIVE).unwrap();
    let error = core.optim_step(&ADAM).unwrap_err().to_string();
    assert!(error.contains("norm is NaN") && error.contains("\nhint: "), "{error}");
    assert_eq!(bits(&core.params().flat), bits(&damaged.flat));
    assert_eq!((core.moments().step, core.moments().first.iter().any(|&m| m != 0.0)), (0, false));
    assert!(core.gradient().iter().all(|&g| g == 0.0));
}

#[test]
fn what_cannot_be_learnt_from_is_named() {
    type Breakage = (fn(&mut Sample), &'static str);
    let breakages: [Breakage; 8] = [
        (|sample| sample.prompt = [].into(), "sample 2 has an empty prompt"),
        (|sample| sample.response.clear(), "sample 2 has an empty response"),
        (|sample| sample.response[0] = 61, "sample 2 has token 61"),
        (|sample| sample.prompt = [1; 200].into(), "sample 2 has "),
        (|sample| sample.advantage = f32::INFINITY, "sample 2 has the advantage inf"),
        (|sample| sample.old_logprobs = vec![0.0; 500], "sample 2 has 500 log-probabilities in old_logprobs"),
        (|sample| sample.sampler_logprobs.clear(), "sample 2 has no sampler_logprobs"),
        (|sample| sample.reference_logprobs.clear(), "sample 2 has no reference_logprobs"),
    ];
    let mut core = TrainCore::new(params());
    for (break_it, named) in breakages {
        let mut batch = batch(95);
        break_it(&mut batch[2]);
        let error = core.forward_backward(&batch, &COUPLED).unwrap_err().to_string();
        assert!(error.starts_with(named) && error.contains("\nhint: "), "{error}");
        assert!(core.gradient().iter().all(|&g| g == 0.0));
    }
    assert!(core.forward_backward(&[], &OBJECTIVE).is_err());
    let frozen = Objective { temperature: 0.0, ..OBJECTIVE };
    assert!(core.forward_backward(&batch(95), &frozen).is_err());
}

#[test]
fn a_sequence_scores_the_same_in_any_company() {
    let params = params();
    let sequences: Vec<Vec<u32>> = batch(97)
        .iter()
        .map(|sample| sample.prompt.iter().chain(&sample.response).copied().collect())
        .chain([vec![5], vec![]])
        .collect();
    let error = forward_logprobs(&params, &sequences, 1.0).unwrap_err().to_string();
    assert!(error.starts_with("sequence 61 is empty"), "{error}");
    let sequences = &sequences[..61];
    let together = with_threads(3, || forward_logprobs(&params, sequences, 0.8).unwrap());
    for (idx, (sequence, together)) in sequences.iter().zip(&together).enumerate() {
        let alone = with_threads(1, || forward_logprobs(&params, &[sequence], 0.8).unwrap());
        assert_eq!(bits(&alone[0]), bits(together), "sequence {idx}");
        // What follows does not change what came before.
        let half = sequence.len().div_ceil(2);
        let cut = forward_logprobs(&params, &[&sequence[..half]], 0.8).unwrap();
        assert_eq!(bits(&cut[0]), bits(&together[..half - 1]), "half of sequence {idx}");
    }
    assert_eq!(together[60], [0f32; 0]);
}

/// Samples of one prompt, more of them than a chunk has room for, alone and together.
#[test]
fn samples_that_share_a_prompt_learn_what_they_would_alone() {
    let prompts: Vec<_> = batch(91).into_iter().map(|sample| sample.prompt).take(3).collect();
    let mut batch = batch(92);
    batch.iter_mut().enumerate().for_each(|(idx, sample)| sample.prompt = prompts[idx % 3].clone());
    batch[7].response.truncate(1);
    batch[7].old_logprobs.truncate(1);
    batch[7].sampler_logprobs.truncate(1);
    batch[7].reference_logprobs.truncate(1);
    for objective in [OBJECTIVE, COUPLED] {
        let objective = Objective { aggregation: Aggregation::Sequence, ..objective };
        let (mut together, mut alone) = (TrainCore::new(params()), TrainCore::new(params()));
        let stats = together.forward_backward(&batch, &objective).unwrap();
        let mut loss = 0.0;
        for sample in &batch {
            loss += alone.forward_backward(std::slice::from_ref(sample), &objective).unwrap().loss / 60.0;
        }
        assert!((stats.loss - loss).abs() < 1e-9, "{} and {loss}", stats.loss);
        let largest = alone.gradient().iter().fold(0f32, |most, g| most.max(g.abs() / 60.0));
        let off = alone
            .gradient()
            .iter()
            .zip(together.gradient())
            .map(|(alone, together)| (alone / 60.0 - together).abs())
            .fold(0.0, f32::max);
        assert!(off < 1e-5 * largest, "{off} of {largest}");
    }
}
