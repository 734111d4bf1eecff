//! Sessions on a server: they live as long as somebody tells of them, and no longer.

use std::{thread, time::Duration};

use kelvin_core::policy::{Sampler, Trainer};
use kelvin_remote::tinker::{SamplerWeights, TinkerPolicy, TinkerSettings};

use crate::{
    scripted::{Faults, Rates, Server, world::Dialect},
    world::{ADAM, OBJECTIVE, draws, policy_with, samples, server, settings},
};

/// A policy that tells of its session often, and has drawn.
fn telling(server: &Server) -> TinkerPolicy {
    let policy = policy_with(TinkerSettings { heartbeat_s: 0.01, ..settings(server) });
    draws(&policy, 0);
    policy
}

/// A policy that tells of its session once a quarter of an hour, and has drawn.
fn silent(server: &Server, sampler_weights: SamplerWeights) -> TinkerPolicy {
    let policy = policy_with(TinkerSettings { heartbeat_s: 900.0, sampler_weights, ..settings(server) });
    draws(&policy, 0);
    policy
}

/// Waits until the oldest session was heard of some times since this was done before, and ends those that were not.
fn end_silent(server: &Server) {
    const BEATS: u64 = 20;
    let oldest = || server.with(|it| it.world.heard().first().copied());
    let lives = (0..6000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        oldest().is_some_and(|it| BEATS <= it)
    });
    assert!(lives, "the oldest session is not told of: {:?}", oldest());
    server.with(|it| it.world.end_silent());
}

/// A session is told of while nothing is asked, and no more once nobody holds it.
#[test]
fn a_session_is_kept_alive_as_long_as_it_is_held() {
    let server = server(Dialect::Protobuf);
    let n_heartbeats = || server.with(|it| it.world.n_heartbeats);
    let policy = policy_with(TinkerSettings { heartbeat_s: 0.01, ..settings(&server) });
    draws(&policy, 0);
    let first = n_heartbeats();
    let lives = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        first + 3 <= n_heartbeats()
    });
    assert!(lives, "{first} and then {}", n_heartbeats());
    drop(policy);
    let ends = (0..1000).any(|_| {
        let before = n_heartbeats();
        thread::sleep(Duration::from_millis(100));
        before == n_heartbeats()
    });
    assert!(ends, "a session that nobody holds is told of");
}

/// A server that ends sessions which it does not hear of keeps those that it does, for as long as they are held.
#[test]
fn a_session_that_is_told_of_lives() {
    let server = server(Dialect::Protobuf);
    let mut policy = telling(&server);
    for update in 1..4 {
        end_silent(&server);
        let batch = samples(&draws(&policy, update));
        policy.forward_backward(update, &batch, &OBJECTIVE).unwrap();
        end_silent(&server);
        policy.optim_step(update, &ADAM).unwrap();
        policy.publish(update).unwrap();
    }
    assert_eq!(server.with(|it| (it.world.n_models(), it.world.n_steps)), (1, 3));
}

/// A client that goes without being heard leaves adapters behind, and so does one that did not hear that its session had begun.
/// Both end, and take nobody with them.
#[test]
fn a_session_that_is_left_behind_ends() {
    let server = server(Dialect::Json);
    let stays = telling(&server);
    let strike =
        |rates| server.with(|it| it.faults = Some(Faults { seed: kelvin_core::seed::Seed::new(2), rates }));
    let leaves = telling(&server);
    strike(Rates { unheard: 1.0, ..Rates::default() });
    drop(leaves);
    server.with(|it| it.faults = None);
    assert_eq!(server.with(|it| it.world.n_models()), 2, "nobody heard that it goes");

    strike(Rates { unsaid: 0.5, ..Rates::default() });
    let n_begun = || server.with(|it| it.world.heard().len());
    let mut deaf = Vec::new();
    while n_begun() == 2 + deaf.len() {
        let policy = policy_with(TinkerSettings { heartbeat_s: 0.01, retries: 60, ..settings(&server) });
        draws(&policy, 0);
        deaf.push(policy);
    }
    server.with(|it| it.faults = None);
    drop(deaf);

    // What was on its way may still come, once.
    let left = || server.with(|it| (it.world.n_models(), it.world.heard().len()));
    let ended = (0..50).any(|_| {
        end_silent(&server);
        left() == (1, 1)
    });
    assert!(ended, "{:?}", left());
    draws(&stays, 1);
}

/// A session that the server ends under a client is an error that says so and what to do; the last state goes on in another.
#[test]
fn a_session_that_the_server_ends_is_named() {
    for sampler_weights in [SamplerWeights::Ephemeral, SamplerWeights::Named] {
        let server = server(Dialect::Protobuf);
        let dir = tempfile::tempdir().unwrap();
        let mut policy = silent(&server, sampler_weights);
        let before = draws(&policy, 1);
        policy.save(dir.path()).unwrap();
        (0..2).for_each(|_| server.with(|it| it.world.end_silent()));
        assert_eq!(server.with(|it| (it.world.n_models(), it.world.heard().len())), (0, 0));
        let request = kelvin_core::rollout::SampleRequest {
            prompt: "ab".into(),
            seed: kelvin_core::seed::Seed::new(1),
            sampling: kelvin_core::rollout::Sampling::plain(3).into(),
        };
        for told in [
            policy.sample(vec![request]).unwrap_err(),
            policy.forward_backward(1, &samples(&before), &OBJECTIVE).unwrap_err(),
        ] {
            let told = told.to_string();
            let hint = told.split_once("\nhint: ").map(|it| it.1).unwrap_or_default();
            assert!(hint.contains("ended the session") && hint.contains("kelvin resume"), "{told}");
        }
        policy.restore(dir.path()).unwrap();
        assert_eq!(draws(&policy, 1), before);
    }
}
