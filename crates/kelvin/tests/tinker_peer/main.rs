//! The client against a real server, and that server against the native engine: `cargo xtask tinker-peer` starts SkyRL's and
//! calls this. Without `KELVIN_TINKER_URL` it prints that it was skipped.

mod learning;

use std::{collections::BTreeMap, env, path::Path, sync::Arc};

use kelvin_core::{
    objective::{Aggregation, KlEstimator, KlTerm, Normalisation, Objective, Surrogate},
    policy::{AdamParams, Exports, Sampler, Trainer},
    rollout::{Completion, Sample, SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_model::{
    Checkpoint, Lora, Merged, ModelText, NativeOptions, NativePolicy, NativeSampler, kernels::Storage,
    trainer::TrainCore,
};
use kelvin_remote::tinker::{
    Adapters, BaseModel, Engine, Losses, SamplerWeights, TinkerPolicy, TinkerSettings,
};

const ADAM: AdamParams = AdamParams {
    learning_rate: 1e-2,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-12,
    weight_decay: 0.0,
    grad_clip: 0.0,
};
/// A step that moves nothing: what is wanted is the gradient's norm.
const STILL: AdamParams = AdamParams { learning_rate: 0.0, ..ADAM };
/// The bound of issue and engine: in nats, and relative for norms.
const BOUND: f64 = 1e-5;

struct Peer {
    url: String,
    model: String,
    text: Arc<ModelText>,
}

impl Peer {
    fn policy(&self, losses: Losses) -> TinkerPolicy {
        let settings = TinkerSettings { url: self.url.clone(), losses, ..TinkerSettings::default() };
        let settings = TinkerSettings { sampler_weights: SamplerWeights::Named, ..settings };
        let engine = Engine::new(settings, Some("tml-local".into())).unwrap();
        let adapters = Adapters { base_model: self.model.clone(), rank: 4, seed: Seed::new(5) };
        TinkerPolicy::new(engine, Arc::clone(&self.text) as _, adapters)
    }

    fn base(&self) -> BaseModel {
        let settings = TinkerSettings { url: self.url.clone(), ..TinkerSettings::default() };
        BaseModel::new(Engine::new(settings, None).unwrap(), Arc::clone(&self.text) as _, self.model.clone())
    }
}

#[test]
fn a_real_server_agrees_with_the_native_engine() {
    let Ok(url) = env::var("KELVIN_TINKER_URL") else {
        println!("skipped: KELVIN_TINKER_URL names no server; `cargo xtask tinker-peer` starts one");
        return;
    };
    let needed =
        |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is set with KELVIN_TINKER_URL"));
    let model = needed("KELVIN_TINKER_MODEL");
    let text = Arc::new(ModelText::folder(Path::new(&model)).unwrap());
    let peer = Peer { url, model, text };
    let mut measured = BTreeMap::new();
    let drawn = scores(&peer, &mut measured);
    norms(&peer, &drawn, &mut measured);
    learning::steps(&peer, &drawn, &mut measured);
    let apart = measured.clone();
    learning::bandit(&peer, &mut measured);
    let text = serde_json::to_string_pretty(&measured).unwrap() + "\n";
    println!("{text}");
    std::fs::write(needed("KELVIN_TINKER_OUT"), text).unwrap();
    for (name, value) in &apart {
        assert!(*value <= BOUND, "{name}: {value}");
    }
}

fn draws(policy: &dyn Sampler) -> Vec<Completion> {
    let request = |row: u64| SampleRequest {
        prompt: ["### task\n", "def f(x):\n", "x * 7 = 1"][row as usize % 3].into(),
        seed: Seed::new(9).nth(row),
        sampling: Sampling::plain(16).into(),
    };
    policy.sample((0..12).map(request).collect()).unwrap()
}

fn sequences(drawn: &[Completion]) -> Vec<Vec<u32>> {
    drawn.iter().map(|it| [&it.prompt_tokens[..], &it.tokens].concat()).collect()
}

/// The largest distance of two nested lists.
fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let apart = a.iter().zip(b).flat_map(|(a, b)| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()))
    });
    apart.fold(0.0, f64::max)
}

/// Log-probabilities of sampler, trainer and base beside the native engine's, before anything is learnt and after a step.
fn scores(peer: &Peer, measured: &mut BTreeMap<String, f64>) -> Vec<Completion> {
    let checkpoint = Checkpoint::load(Path::new(&peer.model)).unwrap();
    let native = NativePolicy::new(checkpoint.clone(), NativeOptions::default()).unwrap();
    let mut policy = peer.policy(Losses::Ours);
    let first = draws(&policy);
    let again = draws(&policy);
    assert_eq!(sequences(&again), sequences(&first), "a row is a function of its seed");
    let (told, ours) = (sequences(&first), |it: &[Vec<u32>]| native.logprobs(it, 1.0).unwrap());
    let expected = ours(&told);
    let of_response = |scored: &[Vec<f32>], drawn: &[Completion]| -> Vec<Vec<f32>> {
        scored.iter().zip(drawn).map(|(it, drawn)| it[it.len() - drawn.tokens.len()..].to_vec()).collect()
    };
    let plain = |drawn: &[Completion]| drawn.iter().map(|it| it.plain_logprobs.clone()).collect::<Vec<_>>();
    let mut note = |name: &str, value: f64| {
        measured.insert(format!("logprobs/{name}"), value);
    };
    // Whatever is computed beside a row.
    note("sampler and itself", distance(&plain(&again), &plain(&first)));
    note("sampler and native engine", distance(&plain(&first), &of_response(&expected, &first)));
    note("trainer and native engine", distance(&policy.logprobs(&told, 1.0).unwrap(), &expected));
    note(
        "base model's prompts and native engine",
        distance(&peer.base().logprobs(&told, 1.0).unwrap(), &expected),
    );
    policy
        .forward_backward(1, &batch(&first), &Objective::new(Surrogate::Likelihood, Aggregation::Token))
        .unwrap();
    policy.optim_step(1, &ADAM).unwrap();
    policy.publish(1).unwrap();
    let second = draws(&policy);
    assert_ne!(second, first, "a step at this rate moves draws");
    let scored = policy.logprobs(&sequences(&second), 1.0).unwrap();
    note("sampler and trainer after a step", distance(&plain(&second), &of_response(&scored, &second)));
    let native = merged(&policy, &checkpoint).logprobs(&sequences(&second), 1.0).unwrap();
    note("trainer and native engine with the downloaded adapters after a step", distance(&scored, &native));
    // A checkpoint, in another client.
    let dir = tempfile::tempdir().unwrap();
    policy.save(dir.path()).unwrap();
    let mut again = peer.policy(Losses::Ours);
    again.restore(dir.path()).unwrap();
    note(
        "restored and saved",
        distance(&again.logprobs(&sequences(&second), 1.0).unwrap(), &scored_all(&policy, &second)),
    );
    assert_eq!(sequences(&draws(&again)), sequences(&second), "what was restored draws as what was saved");
    first
}

fn scored_all(policy: &dyn Sampler, drawn: &[Completion]) -> Vec<Vec<f32>> {
    policy.logprobs(&sequences(drawn), 1.0).unwrap()
}

fn batch(drawn: &[Completion]) -> Vec<Sample> {
    let sample = |(row, it): (usize, &Completion)| Sample {
        prompt: Arc::clone(&it.prompt_tokens),
        response: it.tokens.clone(),
        advantage: [1.0, -1.0, 0.5][row % 3] + 0.1 * row as f32,
        sampler_logprobs: it.logprobs.clone(),
        group: (row % 2).to_string(),
        ..Sample::default()
    };
    drawn.iter().enumerate().map(sample).collect()
}

/// What is compared, and which side makes the loss of it.
fn objectives() -> Vec<(&'static str, Losses, Objective)> {
    let infinite = Surrogate::PpoClip { low: 0.2, high: 0.28, dual: f64::INFINITY };
    let cispo = Surrogate::Cispo { low: 0.2, high: 0.28 };
    let plain =
        |surrogate, aggregation| Objective { constant_length: 16, ..Objective::new(surrogate, aggregation) };
    let kl = Some(KlTerm { estimator: KlEstimator::K3, coefficient: 0.3 });
    let likelihood = Surrogate::Likelihood;
    vec![
        ("ours/likelihood, token", Losses::Ours, plain(likelihood, Aggregation::Token)),
        ("ours/likelihood, sequence", Losses::Ours, plain(likelihood, Aggregation::Sequence)),
        ("ours/likelihood, group_token", Losses::Ours, plain(likelihood, Aggregation::GroupToken)),
        ("ours/likelihood, constant", Losses::Ours, plain(likelihood, Aggregation::Constant)),
        (
            "ours/ppo_clip with a dual clip",
            Losses::Ours,
            plain(Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 1.3 }, Aggregation::Token),
        ),
        ("ours/gspo", Losses::Ours, plain(Surrogate::Gspo { low: 0.01, high: 0.01 }, Aggregation::Sequence)),
        ("ours/cispo", Losses::Ours, plain(cispo, Aggregation::Token)),
        ("ours/kl", Losses::Ours, Objective { kl, ..plain(likelihood, Aggregation::Token) }),
        (
            "ours/importance cap",
            Losses::Ours,
            Objective { importance_cap: Some(1.1), ..plain(infinite, Aggregation::GroupToken) },
        ),
        ("server/ppo", Losses::Server, plain(infinite, Aggregation::GroupToken)),
        ("server/cispo", Losses::Server, plain(cispo, Aggregation::Token)),
    ]
}

/// Norms of gradients of many objectives, by the server and by the native engine on the same adapters.
fn norms(peer: &Peer, drawn: &[Completion], measured: &mut BTreeMap<String, f64>) {
    let checkpoint = Checkpoint::load(Path::new(&peer.model)).unwrap();
    let shifted = |it: &[f32], by: f32| {
        it.iter().enumerate().map(|(at, it)| it + by * (at as f32 * 1.7).sin()).collect::<Vec<f32>>()
    };
    let mut samples = batch(drawn);
    for (sample, it) in samples.iter_mut().zip(drawn) {
        sample.old_logprobs = shifted(&it.plain_logprobs, 0.3);
        sample.reference_logprobs = shifted(&it.plain_logprobs, 0.8);
        sample.sampler_logprobs = shifted(&it.plain_logprobs, 0.2);
    }
    for losses in [Losses::Ours, Losses::Server] {
        let mut policy = peer.policy(losses);
        let of_these: Vec<_> = objectives().into_iter().filter(|it| it.1 == losses).collect();
        let step = Objective::new(Surrogate::Likelihood, Aggregation::Token);
        let mut update = 0;
        for stage in ["", " after a step"] {
            let lora = downloaded(&policy, &checkpoint);
            let mut native = TrainCore::adapting(checkpoint.params.clone(), lora);
            for (name, _, objective) in &of_these {
                let whole = Normalisation::of(&samples);
                let expected = native.forward_backward_part(&samples, objective, &whole).unwrap();
                let norm = norm_of_shared(&native);
                native.optim_step(&STILL).unwrap();
                update += 1;
                let said = policy.forward_backward(update, &samples, objective).unwrap();
                let found = policy.optim_step(update, &STILL).unwrap().grad_norm;
                let mut note = |what: &str, value: f64| {
                    measured.insert(format!("{what}{stage}/{name}"), value);
                };
                note("gradient norm, relative", (found - norm).abs() / norm);
                note("loss", (said.loss - expected.loss).abs());
                assert!(1e-3 < norm, "{name}: a norm of {norm} shows nothing");
            }
            update += 1;
            policy.forward_backward(update, &samples, &step).unwrap();
            policy.optim_step(update, &ADAM).unwrap();
            policy.publish(update).unwrap();
        }
    }
}

/// The norm of the gradient held if, as in this server, one matrix A serves queries, keys and values of a layer, and one
/// both ways into its MLP.
fn norm_of_shared(native: &TrainCore) -> f64 {
    gradient_of_shared(native).values().flatten().map(|it| it * it).sum::<f64>().sqrt()
}

/// The gradient held by place: that of what is shared is the sum of its copies'.
fn gradient_of_shared(native: &TrainCore) -> BTreeMap<String, Vec<f64>> {
    let gradient = native.gradient();
    let mut shared: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for tensor in native.learnt().1 {
        let sum =
            shared.entry(place_of_shared(&tensor.name)).or_insert_with(|| vec![0.0; tensor.range.len()]);
        for (sum, it) in sum.iter_mut().zip(&gradient[tensor.range]) {
            *sum += f64::from(*it);
        }
    }
    shared
}

/// The name of the matrix of which a PEFT file has copies, for one that this server shares.
fn place_of_shared(name: &str) -> String {
    match name.contains("lora_A") {
        true => name.replace("k_proj", "q_proj").replace("v_proj", "q_proj").replace("up_proj", "gate_proj"),
        false => name.to_owned(),
    }
}

/// The native engine with the adapters as they are.
fn merged(policy: &TinkerPolicy, checkpoint: &Checkpoint) -> NativeSampler {
    let Checkpoint { config, params, tokenizer, end_tokens, .. } = checkpoint;
    let lora = [downloaded(policy, checkpoint)];
    let merged = Merged::new(params, &lora);
    let (tokenizer, end_tokens) = (tokenizer.clone(), end_tokens.clone());
    NativeSampler::new(config, &merged, Storage::F32, tokenizer, end_tokens, NativeOptions::default())
        .unwrap()
}

/// The adapters as they are, downloaded into a folder that the native engine reads.
fn downloaded(policy: &TinkerPolicy, checkpoint: &Checkpoint) -> Lora {
    let dir = tempfile::tempdir().unwrap();
    policy.export_weights(dir.path()).unwrap();
    Lora::load(dir.path(), &checkpoint.config).unwrap()
}
