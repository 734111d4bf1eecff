//! A policy over a scripted server of letters.

use std::sync::Arc;

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Sampler},
    rollout::{Completion, Sample, SampleRequest, Sampling},
    seed::Seed,
    vocabulary::Vocabulary,
};
use kelvin_remote::tinker::{Adapters, Engine, TinkerPolicy, TinkerSettings};

use crate::{
    letters::Letters,
    scripted::{
        Server,
        table::Base,
        world::{Dialect, World},
    },
};

pub const ADAM: AdamParams =
    AdamParams { learning_rate: 0.05, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, grad_clip: 0.0 };

pub const OBJECTIVE: Objective = Objective::new(Surrogate::Likelihood, Aggregation::Token);

pub fn server(dialect: Dialect) -> Server {
    let texts = ["abcab", "bcda", "cab"].map(|it| [Letters.encode(it).unwrap(), vec![0]].concat());
    Server::start(World::new("letters", Base::of(27, &texts), dialect))
}

/// Impatient, so that tests of faults are quick.
pub fn settings(server: &Server) -> TinkerSettings {
    TinkerSettings {
        url: server.url(),
        retries: 12,
        // Faults say things twice on connections that go on.
        keep_alive: false,
        pause_ms: 1,
        data_max: 3,
        concurrent_max: 8,
        ..TinkerSettings::default()
    }
}

pub fn policy_with(settings: TinkerSettings) -> TinkerPolicy {
    let engine = Engine::new(settings, Some("tml-key".into())).unwrap();
    let adapters = Adapters { base_model: "letters".into(), rank: 4, seed: Seed::new(3) };
    TinkerPolicy::new(engine, Arc::new(Letters), adapters)
}

pub fn policy(server: &Server) -> TinkerPolicy {
    policy_with(settings(server))
}

/// Draws of a step.
pub fn draws(sampler: &dyn Sampler, step: u64) -> Vec<Completion> {
    let request = |row: u64| SampleRequest {
        prompt: ["ab", "b", "cd"][row as usize % 3].into(),
        seed: Seed::new(step).nth(row),
        sampling: Sampling { stop: vec!["da".into()], ..Sampling::plain(6) }.into(),
    };
    sampler.sample((0..10).map(request).collect()).unwrap()
}

/// Samples of draws: who says `c` is right.
pub fn samples(drawn: &[Completion]) -> Vec<Sample> {
    let sample = |it: &Completion| Sample {
        prompt: Arc::clone(&it.prompt_tokens),
        response: it.tokens.clone(),
        advantage: if it.text.contains('c') { 1.0 } else { -0.5 },
        sampler_logprobs: it.logprobs.clone(),
        group: (it.prompt_tokens.len() % 2).to_string(),
        ..Sample::default()
    };
    drawn.iter().map(sample).collect()
}
