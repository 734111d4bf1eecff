//! Servers that have lost a run: gone for a while, or full of what others left behind.

use std::{thread, time::Duration};

use kelvin_core::{
    policy::{Sampler, Trainer},
    seed::Seed,
    stop::{Stop, Stopped},
};
use kelvin_remote::tinker::{Adapters, Engine, Lost, TinkerSettings};

use crate::{
    scripted::{Server, world::Dialect},
    world::{draws, policy_with, server, settings},
};

/// Soon at the end of its tries, and then waiting for as long as it takes.
fn patient(server: &Server) -> TinkerSettings {
    TinkerSettings { retries: 1, wait_s: 1e6, heartbeat_s: 900.0, ..settings(server) }
}

fn adapters() -> Adapters {
    Adapters { base_model: "letters".into(), rank: 4, seed: Seed::new(9) }
}

fn engine(settings: TinkerSettings) -> std::sync::Arc<Engine> {
    Engine::new(settings, Some("tml-key".into())).unwrap()
}

fn lost<T>(ended: anyhow::Result<T>) -> Lost {
    let error = ended.err().expect("the server is no help");
    error.downcast_ref::<Lost>().unwrap_or_else(|| panic!("{error:#}")).clone()
}

/// A server that nobody reaches is waited for, whatever was asked when it went.
#[test]
fn a_server_that_is_away_is_waited_for() {
    let server = server(Dialect::Protobuf);
    let dir = tempfile::tempdir().unwrap();
    let mut policy = policy_with(patient(&server));
    let drawn = draws(&policy, 1);
    policy.save(dir.path()).unwrap();
    let engine = engine(patient(&server));
    server.leave();
    let away = lost(policy.logprobs(&[vec![1, 2, 3]], 1.0));
    assert!(matches!(&away, Lost::Away(told) if told.contains("is it running there?")), "{away:?}");
    assert!(matches!(lost(engine.examine()), Lost::Away(_)));
    assert!(matches!(lost(policy.restore(dir.path())), Lost::Away(_)));
    thread::scope(|scope| {
        let waits = scope.spawn(|| engine.await_back(&away, &adapters(), 1, Stop::default()));
        server.come_back();
        waits.join().unwrap().unwrap();
    });
    policy.restore(dir.path()).unwrap();
    assert_eq!(draws(&policy, 1), drawn);
}

/// A server whose places are taken by what a killed client left behind has one when their session ends.
#[test]
fn a_server_that_is_full_is_waited_for() {
    let server = server(Dialect::Json);
    server.with(|it| it.world.n_models_max = 2);
    let killed = [0, 1].map(|_| policy_with(patient(&server)));
    killed.iter().for_each(|it| drop(draws(it, 1)));
    let policy = policy_with(patient(&server));
    let full = lost(policy.logprobs(&[vec![1, 2, 3]], 1.0));
    assert!(matches!(&full, Lost::Full(told) if told.contains("Maximum number")), "{full:?}");
    let engine = engine(patient(&server));
    thread::scope(|scope| {
        let waits = scope.spawn(|| engine.await_back(&full, &adapters(), 1, Stop::default()));
        // Of each session it was heard that it began, and nothing after.
        while !waits.is_finished() {
            thread::sleep(Duration::from_millis(5));
            server.with(|it| it.world.end_silent());
        }
        waits.join().unwrap().unwrap();
    });
    // What the wait took is given back.
    assert_eq!(server.with(|it| it.world.n_models()), 0);
    draws(&policy, 1);
}

/// Neither is waited for when the run is to end, or beyond the time that the settings give.
#[test]
fn waiting_ends() {
    let server = server(Dialect::Protobuf);
    server.with(|it| it.world.n_models_max = 0);
    let full = lost(policy_with(patient(&server)).logprobs(&[vec![1, 2, 3]], 1.0));
    server.leave();
    let away = lost(engine(patient(&server)).examine());
    let insistent = engine(TinkerSettings { retries: 1000, pause_ms: 20_000, ..patient(&server) });
    let stop = Stop::default();
    insistent.listen(stop.clone());
    stop.ask();
    assert!(insistent.examine().unwrap_err().is::<Stopped>());
    for (lost, is_there) in [(away, false), (full, true)] {
        if is_there {
            server.come_back();
        }
        let stop = Stop::default();
        thread::scope(|scope| {
            let waits =
                scope.spawn(|| engine(patient(&server)).await_back(&lost, &adapters(), 1, stop.clone()));
            stop.ask();
            assert!(waits.join().unwrap().unwrap_err().is::<Stopped>(), "{lost:?}");
        });
        let hasty = engine(TinkerSettings { wait_s: 0.01, ..patient(&server) });
        let told = hasty.await_back(&lost, &adapters(), 1, Stop::default()).unwrap_err().to_string();
        assert!(told.contains("did not change in 0.01 s") && told.contains("policy.remote.wait_s"), "{told}");
    }
}
