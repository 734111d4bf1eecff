//! Saving, restoring and asking again change nothing.

use std::{fs, sync::Arc};

use kelvin_core::{
    objective::{Aggregation, Normalisation, Surrogate},
    rollout::{Completion, Sample, Sampling},
    seed::Seed,
};

use super::*;
use crate::checkpoint::tests::tiny;

const ADAM: AdamParams = AdamParams {
    learning_rate: 1e-2,
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-8,
    weight_decay: 0.01,
    grad_clip: 1.0,
};

fn policy() -> NativePolicy {
    NativePolicy::new(tiny(true), NativeOptions { threads: 2, ..NativeOptions::default() }).unwrap()
}

fn objective() -> Objective {
    let surrogate = Surrogate::PpoClip { low: 0.2, high: 0.2, dual: 3.0 };
    Objective { entropy_coefficient: 0.01, ..Objective::new(surrogate, Aggregation::GroupToken) }
}

fn draws(policy: &NativePolicy) -> Vec<Completion> {
    let request = |index| SampleRequest {
        prompt: "def f(a):\n    return".to_owned(),
        seed: Seed::new(3).nth(index),
        sampling: Arc::new(Sampling::plain(20)),
    };
    policy.sample((0..6).map(request).collect()).unwrap()
}

fn batch(policy: &NativePolicy) -> Vec<Sample> {
    let sample = |(index, completion): (usize, Completion)| Sample {
        prompt: completion.prompt_tokens,
        response: completion.tokens,
        advantage: index as f32 - 2.5,
        old_logprobs: completion.logprobs,
        group: format!("group {}", index % 2),
        ..Sample::default()
    };
    draws(policy).into_iter().enumerate().map(sample).collect()
}

/// One whole update; returns what it said.
fn update(policy: &mut NativePolicy, id: UpdateId) -> (LossStats, OptimStats) {
    let batch = batch(policy);
    let loss = policy.forward_backward(id, &batch, &objective()).unwrap();
    let optim = policy.optim_step(id, &ADAM).unwrap();
    policy.publish(id).unwrap();
    (loss, optim)
}

fn bits(policy: &NativePolicy) -> Vec<u32> {
    policy.core.params().flat.iter().map(|it| it.to_bits()).collect()
}

#[test]
fn what_was_saved_goes_on_bit_for_bit() {
    let mut first = policy();
    update(&mut first, 1);
    update(&mut first, 2);
    let dir = tempfile::tempdir().unwrap();
    first.save(dir.path()).unwrap();
    let mut second = policy();
    update(&mut second, 1);
    second.restore(dir.path()).unwrap();
    assert_eq!(draws(&second), draws(&first));
    assert_eq!(second.core.moments(), first.core.moments());
    assert_eq!(update(&mut second, 3), update(&mut first, 3));
    assert_eq!(bits(&second), bits(&first));
    assert_eq!(draws(&second), draws(&first));
    // A run may also start from the folder, without the optimizer.
    let third = NativePolicy::new(Checkpoint::load(dir.path()).unwrap(), NativeOptions::default()).unwrap();
    assert_eq!(third.core.moments().step, 0);
}

/// A diverged model is neither drawn from nor written over an earlier one, and a restored one goes on.
#[test]
fn what_is_not_finite_is_not_passed_on() {
    for (training, adam) in [
        (Training::default(), AdamParams { learning_rate: 1e3, weight_decay: 1e38, ..ADAM }),
        (Training::default(), AdamParams { learning_rate: 1e39, weight_decay: 0.0, ..ADAM }),
        // While B is 0, A has no gradient, and its step is 0 / 0.
        (adapters(), AdamParams { eps: 0.0, ..ADAM }),
    ] {
        let mut policy = trained(training);
        let dir = tempfile::tempdir().unwrap();
        policy.save(dir.path()).unwrap();
        let before = draws(&policy);
        let batch = batch(&policy);
        policy.forward_backward(1, &batch, &objective()).unwrap();
        let other = dir.path().join("other");
        for error in [
            policy.optim_step(1, &adam).map(drop).unwrap_err(),
            policy.publish(1).unwrap_err(),
            policy.save(&other).unwrap_err(),
        ] {
            assert!(error.to_string().contains("not finite"), "{error}");
        }
        assert!(!other.exists());
        policy.restore(dir.path()).unwrap();
        assert_eq!(draws(&policy), before);
    }
}

#[test]
fn draws_change_when_weights_are_published() {
    let mut policy = policy();
    let before = draws(&policy);
    let batch = batch(&policy);
    policy.forward_backward(1, &batch, &objective()).unwrap();
    policy.optim_step(1, &ADAM).unwrap();
    assert_eq!(draws(&policy), before);
    policy.publish(1).unwrap();
    assert_ne!(draws(&policy), before);
}

#[test]
fn asking_again_changes_nothing() {
    let mut once = policy();
    let expected = update(&mut once, 1);
    let mut again = policy();
    let batch = batch(&again);
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(again.forward_backward(1, &batch, &objective()).unwrap());
    }
    let optim = [again.optim_step(1, &ADAM).unwrap(), again.optim_step(1, &ADAM).unwrap()];
    answers.push(again.forward_backward(1, &batch, &objective()).unwrap());
    again.publish(1).unwrap();
    again.publish(1).unwrap();
    assert_eq!(answers, [expected.0; 3]);
    assert_eq!(optim, [expected.1; 2]);
    assert_eq!(bits(&again), bits(&once));
    let error = again.forward_backward(1, &batch[..2], &objective()).unwrap_err().to_string();
    assert!(error.contains("update 1") && error.contains("\nhint: "), "{error}");
    assert!(again.forward_backward(2, &batch, &objective()).is_ok());
}

#[test]
fn an_update_may_have_several_batches() {
    let mut policy = policy();
    let batch = batch(&policy);
    policy.forward_backward(1, &batch[..3], &objective()).unwrap();
    let half = policy.core.gradient().to_vec();
    policy.forward_backward(1, &batch[3..], &objective()).unwrap();
    let both = policy.core.gradient().to_vec();
    assert_ne!(both, half);
    // The same samples as a part of a larger batch are another request.
    let whole = Normalisation::of(&batch);
    let mut again = |idx| {
        let part = Part { idx, samples: &batch[3..], whole: &whole };
        policy.forward_backward_part(1, part, &objective()).unwrap();
        policy.core.gradient().to_vec()
    };
    let [first, second, third] = [0, 0, 1].map(&mut again);
    assert_ne!(first, both);
    // Asked again, and an equal part.
    assert_eq!(second, first);
    assert_ne!(third, first);
}

#[test]
fn a_refused_batch_can_be_given_again() {
    let mut policy = policy();
    let good = batch(&policy);
    let mut bad = good.clone();
    bad[0].advantage = f32::NAN;
    assert!(policy.forward_backward(1, &bad, &objective()).is_err());
    assert!(policy.forward_backward(1, &good, &objective()).is_ok());
    assert!(policy.optim_step(1, &ADAM).is_ok());
}

#[test]
fn what_cannot_be_restored_is_refused_and_loses_nothing() {
    let mut policy = policy();
    update(&mut policy, 1);
    let before = (bits(&policy), draws(&policy));
    let dir = tempfile::tempdir().unwrap();
    policy.save(dir.path()).unwrap();
    let optimizer = dir.path().join(stored::OPTIMIZER_SAFETENSORS);
    let whole = fs::read(&optimizer).unwrap();
    let mut refused = |named: &str| {
        let error = format!("{:#}", policy.restore(dir.path()).unwrap_err());
        assert!(error.contains(named) && error.contains("hint: "), "{error}");
        assert_eq!((bits(&policy), draws(&policy)), before);
    };
    fs::write(&optimizer, &whole[..whole.len() - 1]).unwrap();
    refused("cut off");
    fs::remove_file(&optimizer).unwrap();
    refused("there is no optimizer.safetensors");
    fs::copy(dir.path().join("model.safetensors"), &optimizer).unwrap();
    refused("exp_avg.model.embed_tokens.weight is missing");
    tiny(false).save(dir.path(), Dtype::F32).unwrap();
    refused("of another model");
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    let options = NativeOptions { threads: 1025, ..NativeOptions::default() };
    let error = NativePolicy::new(tiny(true), options).err().expect("it is refused").to_string();
    assert!(error.contains("1025 threads"), "{error}");
}

fn trained(training: Training) -> NativePolicy {
    let options = NativeOptions { threads: 2, ..NativeOptions::default() };
    NativePolicy::training(tiny(true), options, training).unwrap()
}

fn adapters() -> Training {
    let lora = LoraConfig { rank: 3, ..LoraConfig::default() };
    Training { lora, base: "tiny".to_owned(), ..Training::default() }
}

fn learnt(policy: &NativePolicy) -> Vec<u32> {
    policy.core.learnt().0.iter().map(|it| it.to_bits()).collect()
}

#[test]
fn adapters_and_rounded_weights_go_on_bit_for_bit() {
    for training in [adapters(), Training { dtype: Dtype::Bf16, ..Training::default() }] {
        let mut first = trained(training.clone());
        update(&mut first, 1);
        update(&mut first, 2);
        let dir = tempfile::tempdir().unwrap();
        first.save(dir.path()).unwrap();
        let mut second = trained(training.clone());
        second.restore(dir.path()).unwrap();
        let again = tempfile::tempdir().unwrap();
        second.save(again.path()).unwrap();
        for file in fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()) {
            let read = |dir: &tempfile::TempDir| fs::read(dir.path().join(&file)).unwrap();
            assert!(read(&dir) == read(&again), "{file:?}");
        }
        assert_eq!((bits(&second), learnt(&second)), (bits(&first), learnt(&first)));
        assert_eq!((draws(&second), second.core.moments()), (draws(&first), first.core.moments()));
        assert_eq!(update(&mut second, 3), update(&mut first, 3));
        assert_eq!(learnt(&second), learnt(&first));
        assert!(policy().restore(dir.path()).is_err(), "a policy of f32 weights is another: {training:?}");
    }
}

#[test]
fn adapters_on_another_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    trained(adapters()).save(dir.path()).unwrap();
    let changes: [fn(&mut Checkpoint); 3] = [
        |it| it.params.flat[0] += 1.0,
        |it| {
            let json = String::from_utf8(it.tokenizer.json().to_vec()).unwrap() + "\n";
            it.tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        },
        |it| it.end_tokens.push(1),
    ];
    for change in changes {
        let mut other = tiny(true);
        change(&mut other);
        let mut other = NativePolicy::training(other, NativeOptions::default(), adapters()).unwrap();
        let error = other.restore(dir.path()).unwrap_err().to_string();
        assert!(error.contains("learnt on another model"), "{error}");
    }
    trained(adapters()).restore(dir.path()).unwrap();
}

#[test]
fn an_export_holds_merged_or_rounded_weights() {
    let dir = tempfile::tempdir().unwrap();
    let mut policy = trained(adapters());
    update(&mut policy, 1);
    policy.export(dir.path(), Dtype::F32).unwrap();
    let merged = Checkpoint::load(dir.path()).unwrap().params;
    let mut expected = policy.core.params().clone();
    policy.core.lora().unwrap().merge_into(&mut expected);
    assert_eq!(merged, expected);
    assert_ne!(merged, *policy.core.params());
    let mut policy = trained(Training { dtype: Dtype::Bf16, ..Training::default() });
    update(&mut policy, 1);
    policy.export(dir.path(), Dtype::Bf16).unwrap();
    assert_eq!(Checkpoint::load(dir.path()).unwrap().params, *policy.core.params());
}

/// They are drawn from in half of the bytes, and nothing of them is lost.
#[test]
fn weights_in_bf16_are_drawn_from_as_they_are_computed_with() {
    let mut policy = trained(Training { dtype: Dtype::Bf16, ..Training::default() });
    let n_bytes = |policy: &NativePolicy| policy.packed().unwrap().bytes_of_matrices();
    assert_eq!(2 * n_bytes(&policy), n_bytes(&trained(Training::default())));
    for id in 1..3 {
        update(&mut policy, id);
        let checkpoint = Checkpoint { params: policy.core.params().clone(), ..tiny(true) };
        let as_f32 = NativePolicy::new(checkpoint, NativeOptions::default()).unwrap();
        assert_eq!(draws(&policy), draws(&as_f32), "after {id}");
    }
}

#[test]
fn training_alone_packs_nothing() {
    let batch = batch(&policy());
    let step = |policy: &mut NativePolicy, id: UpdateId| {
        policy.forward_backward(id, &batch, &objective()).unwrap();
        policy.optim_step(id, &ADAM).unwrap();
    };
    let mut eager = policy();
    draws(&eager);
    let mut lazy = policy();
    for policy in [&mut eager, &mut lazy] {
        step(policy, 1);
        policy.publish(1).unwrap();
        step(policy, 2);
    }
    assert!(lazy.sampler.get().is_none());
    let error = lazy.sample(Vec::new()).unwrap_err().to_string();
    assert!(error.contains("moved since they were published") && error.contains("\nhint: "), "{error}");
    for policy in [&mut eager, &mut lazy] {
        policy.publish(2).unwrap();
    }
    assert_eq!(draws(&lazy), draws(&eager));
    let options = NativeOptions { pack: Pack::ForDraws, ..NativeOptions::default() };
    let mut sparing = NativePolicy::new(tiny(true), options).unwrap();
    let mut keeping = policy();
    for id in 1..3 {
        assert_eq!(update(&mut sparing, id), update(&mut keeping, id));
        assert!(sparing.sampler.get().is_none() && keeping.sampler.get().is_some());
    }
    assert_eq!(draws(&sparing), draws(&keeping));
}

/// What was given before a stop is gone with it, and is given again.
#[test]
fn a_stopped_update_is_given_whole_again() {
    let (mut stopped, mut spared) = (policy(), policy());
    let batch = batch(&spared);
    let whole = Normalisation::of(&batch);
    let parts = [&batch[..3], &batch[3..]];
    let part = |idx: usize| Part { idx, samples: parts[idx], whole: &whole };
    stopped.forward_backward_part(1, part(0), &objective()).unwrap();
    let stop = Stop::default();
    Trainer::listen(&mut stopped, stop.clone());
    stop.ask();
    stopped.forward_backward_part(1, part(1), &objective()).unwrap_err();
    Trainer::listen(&mut stopped, Stop::default());
    for policy in [&mut stopped, &mut spared] {
        for idx in 0..2 {
            policy.forward_backward_part(1, part(idx), &objective()).unwrap();
        }
        policy.optim_step(1, &ADAM).unwrap();
    }
    assert_eq!(learnt(&stopped), learnt(&spared));
}
