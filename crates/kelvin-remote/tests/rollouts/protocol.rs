//! What is asked and what is made of the answers, at one server.

use std::{fs, path::Path, sync::Arc};

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Exported, Policy, Sampler, Trainer},
    rollout::{Completion, Sample, SampleRequest, Sampling},
    seed::Seed,
    stop::{Stop, Stopped},
};
use kelvin_remote::rollouts::{Engine, RolloutSettings, Rollouts};

use crate::{
    letters::Letters,
    scripted::Server,
    toy::{Toy, World},
};

/// Every engine with every kind of weights that it takes.
pub const KINDS: [(Engine, Exported); 3] = [
    (Engine::Vllm, Exported::Adapter),
    (Engine::Sglang, Exported::Adapter),
    (Engine::Sglang, Exported::Model),
];

pub const ADAM: AdamParams =
    AdamParams { learning_rate: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weight_decay: 0.0, grad_clip: 0.0 };

/// Needs the sampler's log-probabilities.
pub const OBJECTIVE: Objective =
    Objective { importance_cap: Some(2.0), ..Objective::new(Surrogate::Likelihood, Aggregation::Token) };

/// Impatient, so that tests of faults are quick.
pub fn settings(engine: Engine, servers: &[&Server<World>], folder: &Path) -> RolloutSettings {
    RolloutSettings {
        engine,
        servers: servers.iter().map(|it| it.url()).collect(),
        folder: folder.to_owned(),
        retries: 8,
        pause_ms: 1,
        rejoin_s: 0.01,
        concurrent_max: 4,
        wait_s: 20.0,
        ..RolloutSettings::default()
    }
}

pub fn rollouts(settings: RolloutSettings, exported: Exported) -> Rollouts<Toy> {
    let trainer = Toy::new(exported);
    Rollouts::new(trainer, "policy", Arc::new(Letters), settings, Some("secret")).unwrap()
}

pub fn policy(settings: RolloutSettings, exported: Exported) -> Policy {
    Policy { name: "policy".into(), version: 0, trainer: Box::new(rollouts(settings, exported)) }
}

/// Draws of a step.
pub fn draws(sampler: &dyn Sampler, step: u64) -> Vec<Completion> {
    sampler.sample(requests(step)).unwrap()
}

pub fn requests(step: u64) -> Vec<SampleRequest> {
    let request = |row: u64| SampleRequest {
        prompt: ["ab", "b", "cd"][row as usize % 3].into(),
        seed: Seed::new(step).nth(row),
        sampling: Sampling { stop: vec!["da".into()], ..Sampling::plain(6) }.into(),
    };
    (0..12).map(request).collect()
}

pub fn samples(drawn: &[Completion]) -> Vec<Sample> {
    let sample = |it: &Completion| Sample {
        prompt: Arc::clone(&it.prompt_tokens),
        response: it.tokens.clone(),
        advantage: 1.0,
        sampler_logprobs: it.logprobs.clone(),
        ..Sample::default()
    };
    drawn.iter().map(sample).collect()
}

/// A run of draws and updates with a way back, to the bit. Sampler and trainer agree at every step.
pub fn play(policy: &mut Policy, n_steps: u64) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for step in 0..n_steps {
        let drawn = draws(policy.trainer.sampler(), step);
        let (loss, _) = policy.update(&samples(&drawn), &OBJECTIVE, &ADAM).unwrap();
        assert_eq!((loss.mismatch.kl_mean(), loss.mismatch.effective_share()), (Some(0.0), Some(1.0)));
        assert!(drawn.iter().all(|it| it.behind == 0));
        seen.push(format!("{drawn:?} {loss:?}"));
        if step == 1 {
            policy.trainer.save(dir.path()).unwrap();
        }
    }
    policy.trainer.restore(dir.path()).unwrap();
    seen.push(format!("{:?}", draws(policy.trainer.sampler(), 9)));
    seen
}

#[test]
fn servers_draw_what_the_trainer_would() {
    for (engine, exported) in KINDS {
        let (server, dir) = (Server::start(World::new(engine)), tempfile::tempdir().unwrap());
        server.with(|it| it.world.key = Some("secret".into()));
        let mut policy = policy(settings(engine, &[&server], dir.path()), exported);
        let first = draws(policy.trainer.sampler(), 0);
        let expected: Vec<_> =
            requests(0).iter().map(|it| policy.trainer.sampler().prompt_len(&it.prompt).unwrap()).collect();
        assert_eq!(first.iter().map(|it| it.prompt_tokens.len()).collect::<Vec<_>>(), expected);
        for it in &first {
            let whole = [&it.prompt_tokens[..], &it.tokens].concat();
            let scored = policy.trainer.sampler().logprobs(&[whole], 1.0).unwrap().remove(0);
            assert_eq!(scored[it.prompt_tokens.len() - 1..], it.logprobs[..], "{engine:?} {exported:?}");
        }
        assert_eq!(draws(policy.trainer.sampler(), 0), first);
        policy.update(&samples(&first), &OBJECTIVE, &ADAM).unwrap();
        assert_ne!(draws(policy.trainer.sampler(), 0), first, "new weights draw");
    }
}

/// Two versions at most are held, and at the end nothing: neither at servers nor on disk.
#[test]
fn old_weights_are_let_go() {
    for (engine, exported) in KINDS {
        let (server, dir) = (Server::start(World::new(engine)), tempfile::tempdir().unwrap());
        let n_folders = || fs::read_dir(dir.path()).unwrap().count();
        let mut policy = policy(settings(engine, &[&server], dir.path()), exported);
        for step in 0..5 {
            let drawn = draws(policy.trainer.sampler(), step);
            policy.update(&samples(&drawn), &OBJECTIVE, &ADAM).unwrap();
            assert!(server.with(|it| it.world.adapters.len()) <= 2 && n_folders() <= 2);
        }
        // Publishing again what is published asks for nothing.
        let n_loaded = server.with(|it| it.world.n_loaded);
        policy.trainer.publish(policy.version).unwrap();
        assert_eq!(server.with(|it| it.world.n_loaded), n_loaded);
        assert_eq!(n_loaded, 6);
        drop(policy);
        assert_eq!(
            (server.with(|it| it.world.adapters.len()), n_folders()),
            (0, 0),
            "{engine:?} {exported:?}"
        );
    }
}

/// Weights are named after what is in them: a name of another run is not taken for this one's.
#[test]
fn a_run_that_goes_on_draws_from_its_own_weights() {
    let (server, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
    let kind = || settings(Engine::Vllm, &[&server], dir.path());
    let mut first = policy(kind(), Exported::Adapter);
    let expected = play(&mut first, 3);
    // It was killed: nobody said goodbye.
    std::mem::forget(first);
    let mut second = policy(kind(), Exported::Adapter);
    assert_eq!(play(&mut second, 3), expected);
}

#[test]
fn what_a_server_refuses_is_told_with_a_hint() {
    let told = |world: World, exported: Exported, key: bool| {
        let (engine, dir) = (world.engine, tempfile::tempdir().unwrap());
        let server = Server::start(world);
        if key {
            server.with(|it| it.world.key = Some("other".into()));
        }
        let settings =
            RolloutSettings { retries: 1, wait_s: 0.2, ..settings(engine, &[&server], dir.path()) };
        let error = rollouts(settings, exported).sample(requests(0)).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("\nhint: ") && !text.contains("secret"), "{text}");
        text
    };
    let vllm = || World::new(Engine::Vllm);
    assert!(told(World { may_load: false, ..vllm() }, Exported::Adapter, false).contains("Not Found"));
    assert!(told(vllm(), Exported::Adapter, true).contains("401"));
    assert!(told(vllm(), Exported::Model, false).contains("adapters alone"));
    assert!(told(World { forgets: true, ..vllm() }, Exported::Adapter, false).contains("does not hold it"));
    let sglang = World { forgets: true, ..World::new(Engine::Sglang) };
    assert!(told(sglang, Exported::Model, false).contains("does not hold it"));
    let aborts = World { abort_every: Some(1), ..vllm() };
    assert!(told(aborts, Exported::Adapter, false).contains("ended with \"abort\""));
}

/// Prompts and seeds go out as tokens; a try has a name that says which row it is of.
#[test]
fn rows_are_named() {
    let (server, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
    let rollouts = rollouts(settings(Engine::Vllm, &[&server], dir.path()), Exported::Adapter);
    rollouts.sample(requests(0)).unwrap();
    let ids = server.with(|it| it.world.ids.clone());
    assert_eq!(ids.len(), 12);
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert!(distinct.len() == 12 && ids.iter().all(|it| it.starts_with("policy_v0_") && it.ends_with(".0")));
}

#[test]
fn a_run_that_is_asked_to_stop_stops_drawing() {
    let (server, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
    let mut rollouts = rollouts(settings(Engine::Vllm, &[&server], dir.path()), Exported::Adapter);
    let stop = Stop::default();
    Trainer::listen(&mut rollouts, stop.clone());
    rollouts.sample(requests(0)).unwrap();
    stop.ask();
    let error = rollouts.sample(requests(1)).unwrap_err();
    assert!(error.is::<Stopped>(), "{error:#}");
}
