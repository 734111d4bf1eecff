//! What holds of a model whose weights all threads read together: of any family, and held in either type.

use std::sync::Arc;

use kelvin_core::{
    rollout::{Completion, Sampling},
    seed::Seed,
};

use super::{
    tests::{assert_same, options},
    weights::threads_for,
    *,
};
use crate::{
    checkpoint::tests::tiny,
    config::{Family, tests::small},
    params::Params,
    transformer::{Threads, forward_logprobs},
};

/// Just too large for a core's cache in bf16.
fn large(family: Family) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: 26_000,
        hidden_size: 512,
        intermediate_size: 1536,
        num_hidden_layers: 4,
        num_attention_heads: 8,
        head_dim: 64,
        ..small(true, true)
    }
}

/// Weights that bf16 holds as they are.
fn rounded(config: &ModelConfig) -> Params {
    let mut params = Params::random(config, Seed::new(4));
    params.flat.iter_mut().for_each(|it| *it = half::bf16::from_f32(*it).to_f32());
    params
}

/// Also where weights are held in bf16; and the trainer, whose weights those are, scores a row as it was drawn.
#[test]
fn a_row_is_the_same_where_threads_share_a_pass() {
    let settings = [
        Sampling::plain(7),
        Sampling { temperature: 0.7, top_k: 50, ..Sampling::plain(4) },
        Sampling::greedy(6),
    ]
    .map(Arc::new);
    let requests: Vec<SampleRequest> = (0..6)
        .map(|idx| SampleRequest {
            prompt: "def f(a):\n".to_owned() + &"x".repeat(3 * (idx / 2)),
            seed: Seed::new(78).nth(idx as u64),
            sampling: settings[idx % settings.len()].clone(),
        })
        .collect();
    let llama = Family::Llama { attention_bias: false };
    for family in [Family::Qwen2, Family::Qwen3 { attention_bias: false }, llama] {
        let params = rounded(&large(family));
        for storage in [Storage::F32, Storage::Bf16] {
            assert_eq!(threads_for(params.flat.len() * storage.bytes()), Threads::All);
            let sampler = |options| {
                let (config, tokenizer) = (&params.layout.config, tiny(true).tokenizer);
                NativeSampler::new(config, &params, storage, tokenizer, Vec::new(), options).unwrap()
            };
            let single = sampler(NativeOptions { share_prompts: false, ..options() });
            let expected: Vec<Completion> =
                requests.iter().map(|it| single.sample(vec![it.clone()]).unwrap().remove(0)).collect();
            let variants = [
                ("two threads", NativeOptions { threads: 2, ..options() }),
                ("five threads, two rows", NativeOptions { threads: 5, max_rows: 2, ..options() }),
                (
                    "three threads, five prompt tokens",
                    NativeOptions { threads: 3, prefill_chunk: 5, ..options() },
                ),
            ];
            for (how, options) in variants {
                let drawn = sampler(options).sample(requests.clone()).unwrap();
                assert_same(&drawn, &expected, &format!("{family:?}, {storage:?}, {how}"));
            }
            let sequence = |it: &Completion| [&it.prompt_tokens[..], &it.tokens].concat();
            let sequences: Vec<Vec<u32>> = expected.iter().map(sequence).collect();
            let scored = forward_logprobs(&params, &sequences, 1.0).unwrap();
            for (drawn, scored) in expected.iter().zip(scored) {
                let first = drawn.prompt_tokens.len() - 1;
                assert_eq!(drawn.plain_logprobs, scored[first..], "{family:?}, {storage:?}, by the trainer");
            }
        }
    }
}
