//! Adapters against PyTorch, finite differences and themselves merged; `xtask/py/lora_goldens.py` writes
//! `goldens/lora`, `xtask/py/peft_goldens.py` has PEFT write `goldens/peft`.

use std::{fs, path::Path};

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Trainer},
    rollout::Sample,
    seed::Seed,
};
use kelvin_model::{
    Checkpoint, Lora, LoraConfig, LoraTarget, ModelConfig, NativeOptions, NativePolicy, Params, Training,
    trainer::TrainCore, transformer::forward_logprobs,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    objective: Objective,
    samples: Vec<Sample>,
    adam: AdamParams,
    logprobs: Vec<Vec<f64>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    entropy: f64,
    kl_old_new: f64,
    grad_norm: f64,
}

/// What PEFT computes with the adapter that it wrote.
#[derive(Deserialize)]
struct Computed {
    tokens: Vec<u32>,
    logprobs: Vec<f64>,
}

fn goldens() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/goldens"))
}

/// The model that the adapter is for, with a tokenizer that reads `t7` as token 7.
fn base() -> Checkpoint {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(goldens().join("tied").join(file), dir.path().join(file)).unwrap();
    }
    let vocab: Vec<String> = (0..48).map(|id| format!("\"t{id}\": {id}")).collect();
    let tokenizer = format!(
        r#"{{"version": "1.0", "added_tokens": [], "pre_tokenizer": {{"type": "WhitespaceSplit"}},
            "model": {{"type": "WordLevel", "vocab": {{{}}}, "unk_token": "t0"}}}}"#,
        vocab.join(", ")
    );
    fs::write(dir.path().join("tokenizer.json"), tokenizer).unwrap();
    Checkpoint::load(dir.path()).unwrap()
}

fn golden() -> (Checkpoint, Lora, Expected) {
    let base = base();
    let lora = Lora::load(&goldens().join("lora"), &base.config).unwrap();
    let expected = fs::read_to_string(goldens().join("lora/expected.json")).unwrap();
    (base, lora, serde_json::from_str(&expected).unwrap())
}

/// Values that PyTorch wrote for every A and B.
fn stored(lora: &Lora, file: &str) -> Vec<f32> {
    let bytes = fs::read(goldens().join("lora").join(file)).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut flat = vec![0.0; lora.flat.len()];
    for tensor in lora.tensors() {
        let view = stored.tensor(&tensor.name).unwrap();
        assert_eq!(view.shape(), tensor.shape, "{}", tensor.name);
        for (value, bytes) in flat[tensor.range].iter_mut().zip(view.data().chunks_exact(4)) {
            *value = f32::from_le_bytes(bytes.try_into().unwrap());
        }
    }
    flat
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|it| it * it).sum::<f64>().sqrt()
}

/// Tensor by tensor, the norm of the difference with that of the expected.
fn compare(lora: &Lora, got: &[f32], expected: &[f32]) {
    for tensor in lora.tensors() {
        let pairs = got[tensor.range.clone()].iter().zip(&expected[tensor.range.clone()]);
        let difference = norm(pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let size = norm(expected[tensor.range].iter().map(|&it| f64::from(it)));
        assert!(0.0 < size && difference < 5e-5 * size, "{}: off by {difference} of {size}", tensor.name);
    }
}

fn close(what: &str, got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() < tolerance, "{what}: {got}, PyTorch {expected}");
}

fn merged(lora: &Lora, base: &Checkpoint) -> Params {
    let mut params = base.params.clone();
    lora.merge_into(&mut params);
    params
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|it| it.to_bits()).collect()
}

/// A folder as PEFT writes it means here what it means there.
#[test]
fn an_adapter_of_peft_computes_what_it_does_there() {
    let dir = goldens().join("peft");
    let expected: Computed =
        serde_json::from_str(&fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let base = base();
    let merged = merged(&Lora::load(&dir, &base.config).unwrap(), &base);
    let got = forward_logprobs(&merged, &[&expected.tokens], 1.0).unwrap().remove(0);
    assert_eq!(got.len(), expected.logprobs.len());
    for (got, &expected) in got.iter().zip(&expected.logprobs) {
        close("log-probability", f64::from(*got), expected, 2e-5);
    }
}

/// What PEFT does with `PeftModel.from_pretrained(..., is_trainable=True)`.
#[test]
fn learning_goes_on_from_an_adapter_of_peft() {
    let dir = goldens().join("peft");
    let told = fs::read_to_string(dir.join("expected.json")).unwrap();
    let told: Computed = serde_json::from_str(&told).unwrap();
    let (base, _, expected) = golden();
    let training = Training {
        lora: LoraConfig::load(&dir).unwrap(),
        from: Some(dir.clone()),
        base: "tied".to_owned(),
        ..Training::default()
    };
    let begun = || NativePolicy::training(base.clone(), NativeOptions::default(), training.clone()).unwrap();
    let mut policy = begun();
    let lora = Lora::load(&dir, &base.config).unwrap();
    let drawn = |policy: &NativePolicy| {
        policy.sampler().logprobs(std::slice::from_ref(&told.tokens), 1.0).unwrap().remove(0)
    };
    for (got, &expected) in drawn(&policy).iter().zip(&told.logprobs) {
        close("log-probability", f64::from(*got), expected, 2e-5);
    }
    let whole = Checkpoint { params: merged(&lora, &base), ..base.clone() };
    let whole = NativePolicy::new(whole, NativeOptions::default()).unwrap();
    assert_eq!(bits(&drawn(&policy)), bits(&drawn(&whole)));

    let mut core = TrainCore::adapting(base.params.clone(), lora);
    let saved = tempfile::tempdir().unwrap();
    for update in 1..3 {
        policy.forward_backward(update, &expected.samples, &expected.objective).unwrap();
        policy.optim_step(update, &expected.adam).unwrap();
        policy.publish(update).unwrap();
        core.forward_backward(&expected.samples, &expected.objective).unwrap();
        core.optim_step(&expected.adam).unwrap();
        assert_eq!(bits(policy.core().learnt().0), bits(core.learnt().0), "after step {update}");
        if update == 1 {
            policy.save(saved.path()).unwrap();
        }
    }
    // Who goes on from a checkpoint needs the adapter no more, and names its targets in any order.
    let mut lora = training.lora.clone();
    lora.targets.reverse();
    let resumed = Training { lora, from: None, ..training.clone() };
    let mut resumed = NativePolicy::training(base.clone(), NativeOptions::default(), resumed).unwrap();
    resumed.restore(saved.path()).unwrap();
    resumed.forward_backward(2, &expected.samples, &expected.objective).unwrap();
    resumed.optim_step(2, &expected.adam).unwrap();
    assert_eq!(bits(resumed.core().learnt().0), bits(policy.core().learnt().0));
    assert_ne!(bits(&drawn(&policy)), bits(&drawn(&begun())), "it has learnt something");
}

#[test]
fn an_adapter_that_cannot_be_gone_on_from_is_refused() {
    let dir = goldens().join("peft");
    let refused = |base: Checkpoint, lora: LoraConfig| {
        let training = Training { lora, from: Some(dir.clone()), ..Training::default() };
        let error = NativePolicy::training(base, NativeOptions::default(), training).err();
        format!("{:#}", error.expect("it is refused"))
    };
    let stored = LoraConfig::load(&dir).unwrap();
    let all = LoraTarget::ALL.to_vec();
    for (lora, named) in [
        (LoraConfig { rank: 8, ..stored.clone() }, "lora.rank is 8"),
        (LoraConfig { alpha: 4.0, ..stored.clone() }, "lora.alpha is 4"),
        (
            LoraConfig { targets: all, ..stored.clone() },
            "lora.targets is [\"q_proj\", \"k_proj\", \"v_proj\"",
        ),
        (LoraConfig { rslora: true, ..stored.clone() }, "lora.rslora is true"),
    ] {
        let error = refused(base(), lora);
        assert!(error.contains(named) && error.contains("hint: leave out lora."), "{error}");
    }
    let config = ModelConfig { intermediate_size: 40, ..base().config };
    let params = Params::random(&config, Seed::new(1));
    let error = refused(Checkpoint { config, params, ..base() }, stored);
    assert!(error.contains("mlp.up_proj.lora_B.weight has shape") && error.contains("hint: "), "{error}");
    let error = Lora::check(&dir, &ModelConfig { num_hidden_layers: 1, ..base().config }).unwrap_err();
    assert!(format!("{error:#}").contains("layers.1.mlp.down_proj.lora_A.weight is unexpected"), "{error:#}");
    Lora::check(&dir, &base().config).unwrap();
}

#[test]
fn gradient_and_two_steps_are_those_of_pytorch() {
    let (base, lora, expected) = golden();
    let mut core = TrainCore::adapting(base.params.clone(), lora.clone());
    for (idx, step) in expected.steps.iter().enumerate() {
        let loss = core.forward_backward(&expected.samples, &expected.objective).unwrap();
        close("loss", loss.loss, step.loss, 1e-5);
        close("entropy", loss.entropy, step.entropy, 1e-5);
        close("kl", loss.kl_old_new, step.kl_old_new, 1e-5);
        if idx == 0 {
            compare(&lora, core.gradient(), &stored(&lora, "gradient.safetensors"));
        }
        let optim = core.optim_step(&expected.adam).unwrap();
        close("gradient norm", optim.grad_norm, step.grad_norm, 5e-5 * step.grad_norm);
    }
    compare(&lora, core.learnt().0, &stored(&lora, "stepped.safetensors"));
    assert_eq!(bits(&core.params().flat), bits(&base.params.flat), "the base is frozen");
}

#[test]
fn merged_weights_score_as_pytorch_does_unmerged() {
    let (base, lora, expected) = golden();
    let whole = |sample: &Sample| sample.prompt.iter().chain(&sample.response).copied().collect();
    let sequences: Vec<Vec<u32>> = expected.samples.iter().map(whole).collect();
    let temperature = expected.objective.temperature as f32;
    let got = forward_logprobs(&merged(&lora, &base), &sequences, temperature).unwrap();
    for (got, expected) in got.iter().flatten().zip(expected.logprobs.iter().flatten()) {
        close("log-probability", f64::from(*got), *expected, 3e-5);
    }
    // A branch that is zero leaves every bit.
    let fresh = Lora::new(&base.config, lora.config(), Seed::new(1));
    assert_eq!(bits(&merged(&fresh, &base).flat), bits(&base.params.flat));
}

const LIKELIHOOD: Objective = Objective::new(Surrogate::Likelihood, Aggregation::Token);

/// Every A and B, along itself and along a random direction.
#[test]
fn gradients_are_those_of_finite_differences() {
    let (base, _, expected) = golden();
    let config = LoraConfig { rank: 2, alpha: 3.0, targets: LoraTarget::ALL.to_vec(), rslora: false };
    let mut lora = Lora::new(&base.config, &config, Seed::new(2));
    for (idx, value) in lora.flat.iter_mut().enumerate() {
        *value += 0.3 * (Seed::new(3).nth(idx as u64).unit() as f32 - 0.5);
    }
    let batch = &expected.samples[..3];
    let loss = |flat: Vec<f32>| {
        let mut moved = lora.clone();
        moved.flat = flat;
        TrainCore::adapting(base.params.clone(), moved).forward_backward(batch, &LIKELIHOOD).unwrap().loss
    };
    let mut core = TrainCore::adapting(base.params.clone(), lora.clone());
    core.forward_backward(batch, &LIKELIHOOD).unwrap();
    for tensor in lora.tensors() {
        let part = &core.gradient()[tensor.range.clone()];
        let size = norm(part.iter().map(|&it| f64::from(it)));
        assert!(1e-3 < size, "{}: a gradient of norm {size} tests nothing", tensor.name);
        let random = |idx: usize| Seed::new(4).nth(idx as u64).unit() - 0.5;
        let length = norm((0..part.len()).map(random));
        for direction in [0, 1] {
            let along = |idx: usize| match direction {
                0 => f64::from(part[idx]) / size,
                _ => random(idx) / length,
            };
            // As in gradients.rs: a loss near 1 is known to 1e-7, divided by a step of 3e-3.
            let at = |scale: f64| {
                let mut flat = lora.flat.clone();
                let moved = flat[tensor.range.clone()].iter_mut().enumerate();
                moved.for_each(|(idx, value)| *value += (scale * 3e-3 * along(idx)) as f32);
                loss(flat)
            };
            let numeric = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * 3e-3);
            let analytic: f64 = part.iter().enumerate().map(|(idx, &it)| f64::from(it) * along(idx)).sum();
            let tolerance = 3e-4 + 0.01 * size;
            assert!((numeric - analytic).abs() < tolerance, "{}: {numeric} {analytic}", tensor.name);
        }
    }
}

/// The sampler draws from merged weights, the trainer computes with the branches.
#[test]
fn sampler_and_trainer_agree() {
    let (base, lora, expected) = golden();
    let training = Training { lora: lora.config().clone(), base: "tied".to_owned(), ..Training::default() };
    let mut policy = NativePolicy::training(base.clone(), NativeOptions::default(), training).unwrap();
    for update in 1..6 {
        policy.forward_backward(update, &expected.samples, &LIKELIHOOD).unwrap();
        policy.optim_step(update, &AdamParams { learning_rate: 3e-2, ..expected.adam }).unwrap();
        policy.publish(update).unwrap();
    }
    let sample = &expected.samples[1];
    let tokens: Vec<u32> = sample.prompt.iter().chain(&sample.response).copied().collect();
    let plain = forward_logprobs(&base.params, &[&tokens], 1.0).unwrap();
    let sampler = policy.sampler().logprobs(std::slice::from_ref(&tokens), 1.0).unwrap();
    let mut core = TrainCore::adapting(base.params, policy.core().lora().unwrap().clone());
    let mut moved = 0.0f32;
    for (idx, &by_sampler) in sampler[0].iter().enumerate() {
        let one = Sample {
            prompt: tokens[..=idx].into(),
            response: vec![tokens[idx + 1]],
            advantage: 1.0,
            ..Sample::default()
        };
        let by_trainer = -core.forward_backward(&[one], &LIKELIHOOD).unwrap().loss;
        assert!((by_trainer - f64::from(by_sampler)).abs() < 1e-5, "{by_trainer} and {by_sampler}");
        moved = moved.max((plain[0][idx] - by_sampler).abs());
    }
    assert!(0.1 < moved, "the adapter has learnt something: {moved}");
}

#[test]
fn what_was_saved_is_read_back() {
    let base = base();
    for rslora in [false, true] {
        let config = LoraConfig {
            rank: 4,
            alpha: 8.0,
            targets: vec![LoraTarget::DownProj, LoraTarget::KProj],
            rslora,
        };
        let lora = Lora::new(&base.config, &config, Seed::new(5));
        let dir = tempfile::tempdir().unwrap();
        lora.save(dir.path(), "some/model").unwrap();
        assert_eq!(Lora::load(dir.path(), &base.config).unwrap(), lora);
        assert_eq!(kelvin_model::adapter_base(dir.path()).unwrap().as_deref(), Some("some/model"));
    }
}

/// A uniform below `1 / sqrt(inputs)`: its variance is a third of the square of that.
#[test]
fn adapters_begin_as_pefts() {
    let base = base();
    let config = LoraConfig { rank: 64, ..LoraConfig::default() };
    let lora = Lora::new(&base.config, &config, Seed::new(6));
    assert_ne!(lora, Lora::new(&base.config, &config, Seed::new(7)));
    for tensor in lora.tensors() {
        let values = &lora.flat[tensor.range];
        if tensor.name.ends_with("lora_B.weight") {
            assert!(values.iter().all(|&it| it == 0.0));
            continue;
        }
        let bound = 1.0 / (tensor.shape[1] as f64).sqrt();
        assert!(values.iter().all(|&it| f64::from(it).abs() <= bound));
        let spread = norm(values.iter().map(|&it| f64::from(it))) / (values.len() as f64).sqrt();
        // At least 1,024 values: the standard deviation of the spread is below 2 %.
        assert!((spread / (bound / 3f64.sqrt()) - 1.0).abs() < 0.1, "{}: {spread}", tensor.name);
    }
}

#[test]
fn what_the_engine_does_not_have_is_named() {
    let base = base();
    let dir = tempfile::tempdir().unwrap();
    let lora = Lora::new(&base.config, &LoraConfig { rank: 2, ..LoraConfig::default() }, Seed::new(8));
    lora.save(dir.path(), "some/model").unwrap();
    let file = dir.path().join("adapter_config.json");
    let whole = fs::read_to_string(&file).unwrap();
    for (from, to, named) in [
        ("\"LORA\"", "\"IA3\"", "type IA3"),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", "bias = all"),
        ("\"bias\"", "\"use_dora\": true, \"bias\"", "use_dora"),
        ("\"bias\"", "\"rank_pattern\": {\"q_proj\": 3}, \"bias\"", "rank_pattern"),
        ("\"bias\"", "\"lora_bias\": true, \"bias\"", "lora_bias"),
        ("\"bias\"", "\"use_qalora\": true, \"bias\"", "use_qalora"),
        ("\"bias\"", "\"use_bdlora\": {\"nblocks\": 2}, \"bias\"", "use_bdlora"),
        ("\"bias\"", "\"alora_invocation_tokens\": [5], \"bias\"", "alora_invocation_tokens"),
        ("\"bias\"", "\"arrow_config\": {\"top_k\": 3}, \"bias\"", "arrow_config"),
        ("\"bias\"", "\"loftq_config\": {\"loftq_bits\": 4}, \"bias\"", "loftq_config"),
        ("\"bias\"", "\"corda_config\": {\"corda_method\": \"ipm\"}, \"bias\"", "corda_config"),
        ("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", "init_lora_weights = \"pissa\""),
        ("\"init_lora_weights\": true", "\"init_lora_weights\": 1", "init_lora_weights = 1"),
        ("\"q_proj\"", "\"lm_head\"", "lm_head"),
        ("\"r\": 2", "\"r\": 3", "not [3, "),
        ("\"r\": 2", "\"r\": 0", "rank of adapters is 0"),
        ("\"k_proj\",", "", "k_proj.lora_A.weight is unexpected"),
    ] {
        assert!(whole.contains(from), "{from} in {whole}");
        fs::write(&file, whole.replace(from, to)).unwrap();
        let error = format!("{:#}", Lora::load(dir.path(), &base.config).unwrap_err());
        assert!(error.contains(named) && error.contains("hint: "), "{error}");
    }
    for initial in ["null", "false", "\"gaussian\"", "\"orthogonal\"", "\"eva\""] {
        let initial = format!("\"loftq_config\": {{}}, \"init_lora_weights\": {initial}");
        fs::write(&file, whole.replace("\"init_lora_weights\": true", &initial)).unwrap();
        assert_eq!(Lora::load(dir.path(), &base.config).unwrap(), lora);
    }
}
