//! What a client does on a server that does not behave.

use kelvin_core::{
    policy::{Policy, Trainer},
    seed::Seed,
};
use kelvin_remote::tinker::TinkerSettings;

use crate::{
    scripted::{Faults, Rates, Server, world::Dialect},
    world::{ADAM, OBJECTIVE, draws, policy, policy_with, samples, server, settings},
};

const N_STEPS: u64 = 4;

/// Tries often. It waits longer than a crowded machine keeps a request unread: one that is given up and done later draws from
/// weights that were learnt on since, which no client can know.
fn insistent(server: &Server) -> TinkerSettings {
    TinkerSettings { answer_s: 4.0, retries: 60, ..settings(server) }
}

/// A run of draws, updates, saves and a way back, to the bit.
fn play(server: &Server) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    // An answer that is said twice is told from the next one only where each has a connection of its own.
    let is_doubled = server.with(|it| it.faults.as_ref().is_some_and(|it| 0.0 < it.rates.doubled));
    let trainer = Box::new(policy_with(TinkerSettings { keep_alive: !is_doubled, ..insistent(server) }));
    let mut policy = Policy { name: "p".into(), version: 0, trainer };
    let mut seen = Vec::new();
    for step in 0..N_STEPS {
        let drawn = draws(policy.trainer.sampler(), step);
        let said = policy.update(&samples(&drawn), &OBJECTIVE, &ADAM).unwrap();
        seen.push(format!("{drawn:?} {said:?}"));
        if step == 2 {
            policy.trainer.save(dir.path()).unwrap();
        }
    }
    policy.trainer.restore(dir.path()).unwrap();
    seen.push(format!("{:?}", draws(policy.trainer.sampler(), 9)));
    seen
}

fn struck(dialect: Dialect, number: u64, rates: Rates) -> (Server, Vec<String>) {
    let server = server(dialect);
    let seed = Seed::new(number).fork("faults");
    server.with(|it| it.faults = Some(Faults { seed, rates }));
    let seen = play(&server);
    (server, seen)
}

/// Whatever is lost, late, cut or said twice, the run is the one that would have been, and every step was applied once; on
/// connections that are shared, as they are by default, whatever but what is said twice.
#[test]
fn faults_change_nothing() {
    let spared = server(Dialect::Protobuf);
    let expected = play(&spared);
    for number in 0..3 {
        for (dialect, doubled) in
            [Dialect::Json, Dialect::Protobuf].into_iter().flat_map(|it| [(it, 0.0), (it, 0.02)])
        {
            let (server, seen) = struck(dialect, number, Rates { late: 0.001, doubled, ..Rates::all(0.02) });
            assert_eq!(seen, expected, "{dialect:?} {number} {doubled}");
            server.with(|it| {
                assert!(10 < it.n_struck(), "{}", it.n_struck());
                let world = &it.world;
                assert_eq!((world.n_steps, world.n_data, world.n_stale_draws), (N_STEPS, 10 * N_STEPS, 0));
            });
        }
    }
}

/// Each kind of fault alone, often.
#[test]
fn every_kind_of_fault_is_survived() {
    let expected = play(&server(Dialect::Protobuf));
    let kinds: [fn(&mut Rates) -> &mut f64; 8] = [
        |it| &mut it.refused,
        |it| &mut it.unheard,
        |it| &mut it.unsaid,
        |it| &mut it.cut,
        |it| &mut it.doubled,
        |it| &mut it.dropped,
        |it| &mut it.not_yet,
        |it| &mut it.garbled,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let mut rates = Rates::default();
        *kind(&mut rates) = 0.1;
        let (server, seen) = struck(Dialect::Protobuf, number as u64, rates);
        assert_eq!(seen, expected, "kind {number}");
        server.with(|it| assert_eq!(it.world.n_steps, N_STEPS, "kind {number}"));
    }
}

/// What is not answered in time is asked for again.
#[test]
fn late_answers_are_not_waited_for() {
    let expected = play(&server(Dialect::Protobuf));
    let (server, seen) = struck(Dialect::Json, 1, Rates { late: 0.02, ..Rates::default() });
    assert_eq!(seen, expected);
    server.with(|it| assert!(0 < it.n_struck() && it.world.n_steps == N_STEPS, "{}", it.n_struck()));
}

/// A server that was started again does not know the adapters: that is said, nothing is made up, and the last state goes on.
#[test]
fn a_server_that_starts_again_is_named_and_its_state_goes_on() {
    let spared = server(Dialect::Protobuf);
    let step = |policy: &mut dyn Trainer, update: u64| -> anyhow::Result<String> {
        let request = samples(&draws(policy.sampler(), update));
        policy.forward_backward(update, &request, &OBJECTIVE)?;
        let said = policy.optim_step(update, &ADAM)?;
        policy.publish(update)?;
        Ok(format!("{request:?} {said:?}"))
    };
    let mut whole = policy(&spared);
    let expected: Vec<String> = (1..4).map(|it| step(&mut whole, it).unwrap()).collect();

    let server = server(Dialect::Protobuf);
    let dir = tempfile::tempdir().unwrap();
    let mut first = policy(&server);
    let mut seen = vec![step(&mut first, 1).unwrap(), step(&mut first, 2).unwrap()];
    first.save(dir.path()).unwrap();
    // In the middle of a step: the gradient is there, the step is not.
    let batch = samples(&draws(&first, 3));
    first.forward_backward(3, &batch, &OBJECTIVE).unwrap();
    server.restart();
    let told = first.optim_step(3, &ADAM).unwrap_err().to_string();
    assert!(
        told.contains("Model not found") && told.contains("hint: ") && told.contains("kelvin resume"),
        "{told}"
    );
    first.restore(dir.path()).unwrap();
    seen.push(step(&mut first, 3).unwrap());
    assert_eq!(seen, expected);

    // A client that starts again in the middle of a step, on a server that still has the old adapters with their gradient.
    let mut second = policy(&server);
    second.restore(dir.path()).unwrap();
    second.forward_backward(3, &batch, &OBJECTIVE).unwrap();
    let mut third = policy(&server);
    third.restore(dir.path()).unwrap();
    assert_eq!(step(&mut third, 3).unwrap(), expected[2]);
}

/// Asked again for an update that it has done, it does nothing; for one whose answer it never heard, it sends the same.
#[test]
fn asking_again_applies_nothing_twice() {
    let server = server(Dialect::Json);
    let mut policy = policy_with(TinkerSettings { retries: 0, ..settings(&server) });
    let batch = samples(&draws(&policy, 0));
    let loss = policy.forward_backward(1, &batch, &OBJECTIVE).unwrap();
    assert_eq!(policy.forward_backward(1, &batch, &OBJECTIVE).unwrap(), loss);
    // The step is done, and nobody hears of it.
    let unsaid = Rates { unsaid: 1.0, ..Rates::default() };
    let faults = Faults { seed: Seed::new(0), rates: unsaid };
    server.with(|it| it.faults = Some(faults));
    policy.optim_step(1, &ADAM).unwrap_err();
    assert_eq!(server.with(|it| it.world.n_steps), 1);
    server.with(|it| it.faults = None);
    let optim = policy.optim_step(1, &ADAM).unwrap();
    assert_eq!(policy.optim_step(1, &ADAM).unwrap(), optim);
    assert_eq!(server.with(|it| (it.world.n_steps, it.world.n_data)), (1, 10));
    assert!(
        policy
            .forward_backward(1, &batch[1..], &OBJECTIVE)
            .unwrap_err()
            .to_string()
            .contains("number the next")
    );
    policy.publish(1).unwrap();

    // Gradients that were sent in three requests, of which the second is not answered.
    server.with(|it| it.faults = Some(Faults { seed: Seed::new(5), rates: Rates { unsaid: 0.5, ..unsaid } }));
    let mut n_failed = 0;
    while policy.forward_backward(2, &batch, &OBJECTIVE).is_err() {
        n_failed += 1;
    }
    server.with(|it| it.faults = None);
    assert!(0 < n_failed);
    assert_eq!(server.with(|it| it.world.n_data), 20);
    // Another update on top of a gradient that was given up would mix both.
    let told = policy.forward_backward(3, &batch, &OBJECTIVE).unwrap_err().to_string();
    assert!(told.contains("update 2 was given up"), "{told}");
}

/// A server that is gone is an error that says so, soon and once.
#[test]
fn a_server_that_is_gone_is_an_error() {
    let server = server(Dialect::Json);
    let policy = policy_with(TinkerSettings { retries: 2, ..settings(&server) });
    draws(&policy, 0);
    server.with(|it| it.is_down = true);
    let request = kelvin_core::rollout::SampleRequest {
        prompt: "ab".into(),
        seed: Seed::new(1),
        sampling: kelvin_core::rollout::Sampling::plain(3).into(),
    };
    let told = kelvin_core::policy::Sampler::sample(&policy, vec![request; 4]).unwrap_err().to_string();
    assert!(told.contains("drawing at http://127.0.0.1:") && told.contains("\nhint: "), "{told}");
}
