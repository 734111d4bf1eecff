//! A large model's plan on a small one, and what else a test outside cannot reach.

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::AdamParams,
    rollout::Sample,
    seed::Seed,
};

use super::*;
use crate::{
    config::{ModelConfig, tests::small},
    lora::LoraConfig,
    transformer::{CHUNK_ROWS, Keep, Threads},
};

const OBJECTIVE: Objective = Objective::new(Surrogate::Likelihood, Aggregation::Token);

fn batch() -> Vec<Sample> {
    let mut draws = Seed::new(1).draws();
    let mut tokens = |n: usize| (0..n).map(|_| draws.below(37) as u32).collect::<Vec<u32>>();
    [(3, 60), (70, 50), (1, 9), (20, 99)]
        .map(|(prompt, response)| Sample {
            prompt: tokens(prompt).into(),
            response: tokens(response),
            advantage: 1.0,
            ..Sample::default()
        })
        .to_vec()
}

/// One step under `plan`, as bits of what learnt.
fn stepped(mut core: TrainCore, plan: Plan) -> Vec<u32> {
    core.plan = plan;
    core.forward_backward(&batch(), &OBJECTIVE).unwrap();
    core.optim_step(&AdamParams {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.0,
        grad_clip: 1.0,
    })
    .unwrap();
    core.learnt().0.iter().map(|it| it.to_bits()).collect()
}

/// Chunks of 100 rows, fewer than one of the sequences has.
#[test]
fn a_large_models_plan_learns_the_same_bits() {
    let params = Params::random(&small(true, true), Seed::new(2));
    let config = LoraConfig { rank: 2, ..LoraConfig::default() };
    let cores: [fn(&Params, &LoraConfig) -> TrainCore; 3] = [
        |params, _| TrainCore::new(params.clone()),
        |params, _| TrainCore::rounding(params.clone()),
        |params, config| {
            let lora = Lora::new(&params.layout.config, config, Seed::new(3));
            TrainCore::adapting(params.clone(), lora)
        },
    ];
    for core in cores {
        let plan = |threads, recompute| Plan { slots_max: 1, threads, chunk_rows: 100, recompute };
        let expected = stepped(core(&params, &config), plan(Threads::One, Recompute::Off));
        for n_threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            for recompute in [Recompute::Off, Recompute::PerLayer] {
                let got = pool.install(|| stepped(core(&params, &config), plan(Threads::All, recompute)));
                assert!(got == expected, "{n_threads} threads, {recompute:?}");
            }
        }
    }
}

#[test]
fn a_prompt_of_two_samples_is_processed_once() {
    let mut core = TrainCore::new(Params::random(&small(true, true), Seed::new(2)));
    let [first, ..] = &batch()[..] else { unreachable!("there are four") };
    let other = Sample { response: vec![5; 7], ..first.clone() };
    let n_alone = core.forward_backward(slice::from_ref(first), &OBJECTIVE).unwrap().n_processed;
    assert_eq!(n_alone, 3 + 60 - 1);
    let both = core.forward_backward(&[first.clone(), other], &OBJECTIVE).unwrap();
    assert_eq!((both.n_tokens, both.n_processed), (67, n_alone + 6));
}

#[test]
fn size_alone_decides() {
    let small_plan = Plan::new(1_700_000);
    assert_eq!(
        (small_plan.slots_max, small_plan.threads, small_plan.chunk_rows),
        (8, Threads::One, CHUNK_ROWS)
    );
    let qwen = ModelConfig {
        vocab_size: 151_936,
        hidden_size: 896,
        intermediate_size: 4864,
        num_hidden_layers: 24,
        num_attention_heads: 14,
        num_key_value_heads: 2,
        head_dim: 64,
        ..small(true, true)
    };
    let large = Plan::new(crate::params::Layout::new(&qwen).len);
    assert_eq!((large.slots_max, large.threads), (1, Threads::All));
    assert_eq!(large.keep(&qwen, large.chunk_rows), Keep::Inputs);
    assert_eq!(small_plan.keep(&small(true, true), CHUNK_ROWS), Keep::All);
    assert_eq!(Plan { recompute: Recompute::Off, ..large }.keep(&qwen, 1 << 20), Keep::All);
}

/// Steps far below what bf16 resolves add up in the weights behind it.
#[test]
fn rounded_weights_follow_those_behind_them() {
    let params = Params::random(&small(false, true), Seed::new(4));
    let rounded =
        |flat: &[f32]| flat.iter().map(|&it| half::bf16::from_f32(it).to_f32()).collect::<Vec<f32>>();
    let mut core = TrainCore::rounding(params.clone());
    assert_eq!(core.params().flat, rounded(&params.flat));
    assert_eq!(core.learnt().0, params.flat);
    let adam = AdamParams {
        learning_rate: 1e-5,
        beta1: 0.0,
        beta2: 0.0,
        eps: 1e-12,
        weight_decay: 0.0,
        grad_clip: 0.0,
    };
    for _ in 0..100 {
        core.forward_backward(&batch(), &OBJECTIVE).unwrap();
        core.optim_step(&adam).unwrap();
    }
    assert_eq!(core.params().flat, rounded(core.learnt().0));
    // A gain of 1 has steps of 2^-8 above and 2^-9 below it: rounding each step would leave it where it is.
    let gains = params.layout.final_norm.clone();
    let moved =
        core.learnt().0[gains.clone()].iter().zip(&params.flat[gains]).map(|(new, old)| (new - old).abs());
    assert!(moved.fold(0.0, f32::max) > 5e-4);
}
