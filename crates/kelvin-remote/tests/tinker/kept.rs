//! What stays on a server's disk: no more than somebody may go on from or draw from.

use kelvin_core::policy::{Exports, Trainer};
use kelvin_remote::tinker::{SamplerWeights, TinkerPolicy, TinkerSettings};

use crate::{
    scripted::{Server, world::Dialect},
    world::{ADAM, OBJECTIVE, draws, policy, policy_with, samples, server, settings},
};

fn learn(policy: &mut TinkerPolicy, update: u64) {
    let batch = samples(&draws(policy, update));
    policy.forward_backward(update, &batch, &OBJECTIVE).unwrap();
    policy.optim_step(update, &ADAM).unwrap();
    policy.publish(update).unwrap();
}

fn n_published(server: &Server) -> usize {
    server.with(|it| it.world.n_published())
}

/// Weights that were drawn from go when newer ones are there. A server that removes nothing is drawn from all the same.
#[test]
fn weights_that_are_superseded_go() {
    for sampler_weights in [SamplerWeights::Ephemeral, SamplerWeights::Named] {
        let [tidy, hoarder] = [true, false].map(|removes| {
            let server = server(Dialect::Protobuf);
            server.with(|it| it.world.removes = removes);
            let mut policy = policy_with(TinkerSettings { sampler_weights, ..settings(&server) });
            (1..4).for_each(|it| learn(&mut policy, it));
            assert_eq!(server.with(|it| it.world.n_taken), 0);
            (draws(&policy, 4), n_published(&server))
        });
        assert_eq!((tidy.1, hoarder.1), (1, 4));
        assert_eq!(tidy.0, hoarder.0);
    }
}

/// Weights that others draw from are fetched from the server, and saved there for nobody else.
#[test]
fn weights_that_nobody_draws_from_are_not_saved() {
    let [drawn, elsewhere] = [Dialect::Json, Dialect::Json].map(server);
    let batch = samples(&draws(&policy(&drawn), 1));
    let mut policy = policy(&elsewhere);
    for update in 1..4 {
        policy.forward_backward(update, &batch, &OBJECTIVE).unwrap();
        policy.optim_step(update, &ADAM).unwrap();
        policy.publish(update).unwrap();
        policy.export_weights(tempfile::tempdir().unwrap().path()).unwrap();
    }
    assert_eq!((n_published(&elsewhere), elsewhere.with(|it| it.world.n_saved_for_sampler)), (0, 3));
}

/// A state goes when its checkpoint does, and not before; those that are saved on the way to other adapters go at once.
#[test]
fn states_go_with_their_checkpoints() {
    let server = server(Dialect::Protobuf);
    let mut policy = policy(&server);
    let runs = tempfile::tempdir().unwrap();
    let folder = |run: &str, update: u64| {
        let folder = runs.path().join(format!("{run}/checkpoints/{update:06}/policy"));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    let [first, second] = [1, 2].map(|update| {
        learn(&mut policy, update);
        policy.save(&folder("run", update)).unwrap();
        folder("run", update)
    });
    let n_states = || server.with(|it| it.world.states().len());
    drop(policy.freeze().unwrap());
    policy.reset_optimizer().unwrap();
    assert_eq!(n_states(), 2);
    // A copy of the run goes on from its states, and leaves them to it.
    let copied = folder("copy", 1);
    std::fs::copy(first.join("tinker.json"), copied.join("tinker.json")).unwrap();
    policy.forget(&copied);
    assert_eq!(n_states(), 2);
    policy.forget(&first);
    assert_eq!(n_states(), 1);
    policy.forget(&first);
    let told = policy.restore(&first).unwrap_err().to_string();
    assert!(told.contains("Checkpoint not found"), "{told}");
    policy.restore(&second).unwrap();

    // Names of another server's states say nothing here.
    let path = second.join("tinker.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&server.url(), "http://127.0.0.1:9")).unwrap();
    policy.forget(&second);
    assert_eq!(n_states(), 1);
    policy.forget(tempfile::tempdir().unwrap().path());
}
