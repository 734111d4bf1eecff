//! What a client does on a server that behaves.

use std::{fs, sync::Arc};

use kelvin_core::{
    objective::{Aggregation, KlEstimator, KlTerm, Objective, Surrogate},
    policy::{Exported, Exports, Policy, Sampler, Trainer},
    rollout::{Finish, Sampling},
    seed::Seed,
    stop::{Stop, Stopped},
    vocabulary::Vocabulary,
};
use kelvin_remote::tinker::{BaseModel, Engine, Losses, SamplerWeights, Spoken, TinkerSettings};

use crate::{
    letters::Letters,
    scripted::{Faults, Rates, Server, table::Table, world::Dialect},
    world::{ADAM, OBJECTIVE, draws, policy, policy_with, samples, server, settings},
};

/// Steps of drawing and learning; gives what was drawn and said, to the bit.
fn play(server: &Server, settings: TinkerSettings, objective: &Objective, n_steps: u64) -> Vec<String> {
    let mut policy = Policy { name: "p".into(), version: 0, trainer: Box::new(policy_with(settings)) };
    let mut seen = Vec::new();
    for step in 0..n_steps {
        let drawn = draws(policy.trainer.sampler(), step);
        let said = policy.update(&samples(&drawn), objective, &ADAM).unwrap();
        seen.push(format!("{drawn:?} {said:?}"));
    }
    assert_eq!(server.with(|it| it.world.n_stale_draws), 0);
    seen
}

#[test]
fn both_dialects_play_the_same_run() {
    let [json, protobuf] = [Dialect::Json, Dialect::Protobuf].map(server);
    let seen = [&json, &protobuf].map(|it| play(it, settings(it), &OBJECTIVE, 4));
    assert_eq!(seen[0], seen[1]);
    assert_eq!(json.with(|it| it.world.n_steps), 4);
    for (server, spoken) in [(&json, Spoken::Json), (&protobuf, Spoken::Protobuf)] {
        let examined = Engine::new(settings(server), None).unwrap().examine().unwrap();
        assert_eq!(
            (examined.spoken, examined.clips, &examined.models[..]),
            (spoken, Some(true), &["letters".to_owned()][..])
        );
    }
}

/// What the sampler, the trainer and the server's own arithmetic say of the same tokens.
#[test]
fn log_probabilities_agree() {
    let server = server(Dialect::Protobuf);
    let mut policy = policy(&server);
    for step in 0..3 {
        let drawn = draws(&policy, step);
        let sequences: Vec<Vec<u32>> =
            drawn.iter().map(|it| [&it.prompt_tokens[..], &it.tokens].concat()).collect();
        let scored = policy.logprobs(&sequences, 1.0).unwrap();
        for ((it, sequence), scored) in drawn.iter().zip(&sequences).zip(&scored) {
            let own = server.with(|it| it.world.newest_logprobs(sequence));
            assert_eq!(scored.len(), own.len());
            assert!(scored.iter().zip(&own).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
            assert_eq!(&scored[scored.len() - it.tokens.len()..], &it.plain_logprobs[..]);
            let ends = it.finish == Finish::Stop;
            assert!(
                !ends || it.tokens.last() == Some(&0) || Letters.decode(&it.tokens).unwrap().ends_with("da")
            );
        }
        policy.forward_backward(step + 1, &samples(&drawn), &OBJECTIVE).unwrap();
        policy.optim_step(step + 1, &ADAM).unwrap();
        policy.publish(step + 1).unwrap();
    }
}

/// Reward goes up where it is given, and the loss's own words are those of the objective.
#[test]
fn it_learns() {
    let server = server(Dialect::Protobuf);
    let mut policy = Policy { name: "p".into(), version: 0, trainer: Box::new(policy(&server)) };
    let mut shares = Vec::new();
    for step in 0..40 {
        let drawn = draws(policy.trainer.sampler(), step);
        shares.push(drawn.iter().filter(|it| it.text.contains('c')).count());
        let (loss, optim) = policy.update(&samples(&drawn), &OBJECTIVE, &ADAM).unwrap();
        assert!(
            0.0 < optim.grad_norm && 0.0 < loss.entropy && (loss.ratio_mean - 1.0).abs() < 1e-12,
            "{loss:?} {optim:?}"
        );
    }
    let [first, last]: [usize; 2] = [shares[..10].iter().sum(), shares[30..].iter().sum()];
    assert!(first + 10 < last, "{shares:?}");
}

/// One request or several, one part or two: the weights come out the same.
#[test]
fn how_a_batch_is_split_changes_nothing_but_rounding() {
    let tables = [(1, 10), (3, 10), (128, 4)].map(|(data_max, cut)| {
        let server = server(Dialect::Json);
        let mut policy = policy_with(TinkerSettings { data_max, ..settings(&server) });
        let batch = samples(&draws(&policy, 0));
        let whole = kelvin_core::objective::Normalisation::of(&batch);
        for (idx, samples) in batch.chunks(cut).enumerate() {
            let part = kelvin_core::policy::Part { idx, samples, whole: &whole };
            policy.forward_backward_part(1, part, &OBJECTIVE).unwrap();
        }
        let norm = policy.optim_step(1, &ADAM).unwrap().grad_norm;
        assert_eq!(server.with(|it| it.world.n_data), 10);
        norm
    });
    assert!(tables.iter().all(|it| (it - tables[0]).abs() < 1e-6), "{tables:?}");
}

/// The gradient's norm is that of kelvin's own objective over the server's model, whoever computes the loss.
#[test]
fn both_ways_to_a_loss_agree_where_both_go() {
    let cispo = Objective::new(Surrogate::Cispo { low: 1.0, high: 2.0 }, Aggregation::GroupToken);
    let norms = [Losses::Ours, Losses::Server].map(|losses| {
        let server = server(Dialect::Protobuf);
        let mut policy = policy_with(TinkerSettings { losses, ..settings(&server) });
        let batch = samples(&draws(&policy, 0));
        let loss = policy.forward_backward(1, &batch, &cispo).unwrap();
        (policy.optim_step(1, &ADAM).unwrap().grad_norm, loss.loss)
    });
    assert!((norms[0].0 - norms[1].0).abs() < 1e-5 * norms[0].0, "{norms:?}");
    assert!((norms[0].1 - norms[1].1).abs() < 1e-5, "{norms:?}");
}

#[test]
fn what_the_servers_losses_lack_is_refused_by_name() {
    let server = server(Dialect::Protobuf);
    let mut policy = policy_with(TinkerSettings { losses: Losses::Server, ..settings(&server) });
    let kl = Some(KlTerm { estimator: KlEstimator::K2, coefficient: 0.1 });
    let batch = samples(&draws(&policy, 0));
    let told = policy.forward_backward(1, &batch, &Objective { kl, ..OBJECTIVE });
    let told = told.unwrap_err().to_string();
    assert!(told.contains("sample") || told.contains("objective.kl_coefficient"), "{told}");
    let entropy = Objective { entropy_coefficient: 0.1, ..OBJECTIVE };
    let told = policy.forward_backward(1, &batch, &entropy).unwrap_err().to_string();
    assert!(told.contains("objective.entropy_coefficient") && told.contains("\nhint: "), "{told}");
    assert_eq!(server.with(|it| it.world.n_data), 0);
}

/// A state goes on as if nothing had been, in a client that knows only its file.
#[test]
fn a_saved_state_goes_on() {
    let server = server(Dialect::Json);
    let dir = tempfile::tempdir().unwrap();
    let step = |policy: &mut dyn Trainer, update: u64| {
        let drawn = draws(policy.sampler(), update);
        let loss = policy.forward_backward(update, &samples(&drawn), &OBJECTIVE).unwrap();
        let optim = policy.optim_step(update, &ADAM).unwrap();
        policy.publish(update).unwrap();
        format!("{drawn:?} {loss:?} {optim:?}")
    };
    let mut first = policy(&server);
    step(&mut first, 1);
    step(&mut first, 2);
    first.save(dir.path()).unwrap();
    assert!(dir.path().join("letters").is_file());
    // The one that goes on is another model, and neither disturbs the other.
    let mut second = policy(&server);
    second.restore(dir.path()).unwrap();
    assert_eq!(step(&mut second, 3), step(&mut first, 3));
    // Also after the server was started again, and over itself.
    server.restart();
    second.restore(dir.path()).unwrap();
    let again = step(&mut second, 3);
    second.restore(dir.path()).unwrap();
    assert_eq!(step(&mut second, 3), again);
    drop(second);
    // A model that is left is given back.
    drop(first);
    assert_eq!(server.with(|it| it.world.n_models()), 0);
    assert!(!fs::read_to_string(dir.path().join("tinker.json")).unwrap().contains("tml-key"));
}

#[test]
fn a_reset_optimizer_forgets_and_weights_stay() {
    let server = server(Dialect::Protobuf);
    let mut policy = policy(&server);
    let batch = samples(&draws(&policy, 0));
    policy.forward_backward(1, &batch, &OBJECTIVE).unwrap();
    policy.optim_step(1, &ADAM).unwrap();
    policy.publish(1).unwrap();
    let before = (draws(&policy, 1), server.with(|it| it.world.tables()[0].clone()));
    policy.reset_optimizer().unwrap();
    assert_eq!(draws(&policy, 1), before.0);
    assert_eq!(server.with(|it| it.world.tables()[0].clone()), before.1.forgetting());
    assert_ne!(before.1, before.1.forgetting());
}

/// What is frozen stays what it was while the other learns, and disturbs nothing.
#[test]
fn frozen_weights_and_the_base_stay_what_they_were() {
    let server = server(Dialect::Protobuf);
    let mut policy = policy(&server);
    let drawn = draws(&policy, 0);
    let sequences: Vec<Vec<u32>> =
        drawn.iter().map(|it| [&it.prompt_tokens[..], &it.tokens].concat()).collect();
    let engine = Engine::new(settings(&server), None).unwrap();
    let base = BaseModel::new(engine, Arc::new(Letters), "letters".into());
    let before = policy.logprobs(&sequences, 1.0).unwrap();
    assert_eq!(base.logprobs(&sequences, 1.0).unwrap(), before, "adapters that learnt nothing are the base");
    let frozen = policy.freeze().unwrap();
    policy.forward_backward(1, &samples(&drawn), &OBJECTIVE).unwrap();
    policy.optim_step(1, &ADAM).unwrap();
    assert!(policy.logprobs(&sequences, 1.0).unwrap_err().to_string().contains("publish before drawing"));
    policy.publish(1).unwrap();
    assert_ne!(policy.logprobs(&sequences, 1.0).unwrap(), before);
    assert_eq!(frozen.logprobs(&sequences, 1.0).unwrap(), before);
    assert_eq!(base.logprobs(&sequences, 1.0).unwrap(), before);
    assert!(frozen.logprobs(&sequences, 0.5).unwrap_err().to_string().contains("temperature"));
    assert!(frozen.sample(Vec::new()).is_err() && base.sample(Vec::new()).is_err());
    assert_eq!(server.with(|it| it.world.n_stale_draws), 0);
}

#[test]
fn named_weights_draw_as_those_of_the_session() {
    let [session, named] = [SamplerWeights::Ephemeral, SamplerWeights::Named].map(|sampler_weights| {
        let server = server(Dialect::Json);
        play(&server, TinkerSettings { sampler_weights, ..settings(&server) }, &OBJECTIVE, 2)
    });
    assert_eq!(session, named);
}

/// A wish to stop ends draws, scores and gradients with an error of its own kind.
#[test]
fn it_stops_when_asked() {
    let server = server(Dialect::Protobuf);
    let mut policy = policy(&server);
    let batch = samples(&draws(&policy, 0));
    let stop = Stop::default();
    Trainer::listen(&mut policy, stop.clone());
    stop.ask();
    server.with(|it| it.is_down = true);
    let request = kelvin_core::rollout::SampleRequest {
        prompt: "ab".into(),
        seed: Seed::new(1),
        sampling: Sampling::plain(3).into(),
    };
    assert!(policy.sample(vec![request]).unwrap_err().is::<Stopped>());
    assert!(policy.logprobs(&[vec![1, 2]], 1.0).unwrap_err().is::<Stopped>());
    assert!(policy.forward_backward(1, &batch, &OBJECTIVE).unwrap_err().is::<Stopped>());
}

#[test]
fn a_key_reaches_the_server_and_nobody_else() {
    let server = server(Dialect::Protobuf);
    server.with(|it| it.world.key = Some("tml-key".into()));
    draws(&policy(&server), 0);
    let engine = Engine::new(settings(&server), Some("tml-wrong".into())).unwrap();
    let told = format!("{:?}", engine.examine().unwrap_err());
    assert!(told.contains("TINKER_API_KEY") && !told.contains("tml-wrong"), "{told}");
}

/// What a server has learnt comes here as an adapter's folder, also where answers are lost, and leaves nothing behind there.
#[test]
fn learnt_weights_come_here() {
    for rates in [Rates::default(), Rates { late: 0.0, ..Rates::all(0.05) }] {
        let server = server(Dialect::Protobuf);
        let mut policy = policy(&server);
        let batch = samples(&draws(&policy, 0));
        policy.forward_backward(1, &batch, &OBJECTIVE).unwrap();
        policy.optim_step(1, &ADAM).unwrap();
        let n_before = server.with(|it| it.world.n_published());
        server.with(|it| it.faults = Some(Faults { seed: Seed::new(2), rates }));
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(policy.export_weights(dir.path()).unwrap(), Exported::Adapter);
            let read = Table::read(&fs::read(dir.path().join("adapter_model.safetensors")).unwrap());
            let learnt = server.with(|it| it.world.tables()[0].forgetting());
            assert_eq!(read, learnt);
            let config = fs::read_to_string(dir.path().join("adapter_config.json")).unwrap();
            assert!(config.contains("\"target_modules\": ["), "{config}");
        }
        server.with(|it| {
            it.faults = None;
            let is_quiet = rates.refused == 0.0;
            assert!(!is_quiet || it.world.n_published() == n_before, "{}", it.world.n_published());
        });
        // A server may send nobody elsewhere in plain text, and its key to nobody else.
        server.with(|it| it.world.archives_at = Some("http://127.0.0.1:9".into()));
        let dir = tempfile::tempdir().unwrap();
        let told = policy.export_weights(dir.path()).unwrap_err().to_string();
        assert!(told.contains("127.0.0.1, which is not asked") && told.contains("hint: "), "{told}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
