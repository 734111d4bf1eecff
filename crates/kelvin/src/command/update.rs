//! `kelvin update`: one optimizer step from a file of samples, so that others can check what an update does.

use std::path::{Path, PathBuf};

use kelvin_core::{
    objective::{Aggregation, KlEstimator, Normalisation, Objective, is_temperature},
    policy::{AdamParams, LossStats, Part, Trainer},
    rollout::Sample,
};
use kelvin_model::{Dtype, NativePolicy, Training};
use kelvin_selfplay::settings::{Loss, Misfit, ObjectiveSettings, OptimizerSettings};
use serde::{Deserialize, Serialize};

use crate::{
    config::{LoraSettings, Raw, check_threads, settings_with_lora},
    error::Usage,
    interrupt::Interrupt,
    jsonl::{Rows, Sink},
    model,
};

const EXAMPLE: &str =
    r#"{"prompt": [1, 2], "response": [3, 0], "advantage": 1.0, "old_logprobs": [-0.5, -0.1], "group": "a"}"#;

const AFTER_HELP: &str = "\
A row of the batch is
  {\"prompt\":[ids],\"response\":[ids],\"advantage\":x,\"old_logprobs\":[...],
   \"group\":name}
and may have sampler_logprobs and reference_logprobs. Without old_logprobs,
those of the model count.
Keys of the configuration:
  loss             ppo_clip, reinforce (or likelihood), gspo, cispo
  clip             a number or [low, high]; not read by reinforce
  dual_clip        of ppo_clip
  aggregation      group_token, token, sequence, constant
  constant_length  what `constant` divides by, in tokens
  kl_coefficient, kl_estimator (k1, k2, k3)
  importance_cap   of truncated importance sampling; 0 is off
  temperature, entropy_coefficient
  optimizer        adamw
  learning_rate, beta1, beta2, eps, weight_decay, gradient_clip
  dtype            f32, bf16
  micro_batch      samples at a time; 0 is all, and changes no result
                   but by rounding
  threads
  lora.rank, lora.alpha, lora.targets, lora.rslora
                   of adapters: the model is saved with them merged,
                   and they by themselves in its folder `adapter`
  lora.from        the folder of an adapter, which learns on; the keys above
                   are then taken from its file
Prints loss, grad_norm, entropy and more as one JSON object.";

/// Take one optimizer step from a file of samples and save the model
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A Hugging Face folder, a run folder, a hub name in the cache, or `embedded`
    model: String,
    /// The samples, as JSON lines; `-` is standard input
    #[arg(long, value_name = "F")]
    batch: PathBuf,
    /// Loss, clip, aggregation, temperature, optimizer and so on, as TOML
    #[arg(long, value_name = "TOML")]
    config: PathBuf,
    /// Where the model is saved, a new or empty folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What the configuration file says; each key may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateConfig {
    /// The loss of a token.
    loss: Loss,
    /// Clip of the ratio: one number for both sides, or `[low, high]`.
    clip: Clip,
    /// Dual clip for negative advantages, over 1.
    dual_clip: f64,
    /// How token losses are averaged.
    aggregation: Aggregation,
    /// What `constant` divides by, in tokens.
    constant_length: u64,
    /// How the divergence from the reference is estimated.
    kl_estimator: KlEstimator,
    /// Times it, added to the loss.
    kl_coefficient: f64,
    /// Cap of truncated importance sampling; 0 turns it off.
    importance_cap: f64,
    /// Divides the logits.
    temperature: f64,
    /// Times the entropy, subtracted from the loss.
    entropy_coefficient: f64,
    /// What takes the step.
    optimizer: Optimizer,
    /// Step size.
    learning_rate: f64,
    /// First decay.
    beta1: f64,
    /// Second decay.
    beta2: f64,
    /// Added to the root of the second moment.
    eps: f64,
    /// Decoupled weight decay, of matrices alone: neither norms nor biases.
    weight_decay: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    gradient_clip: f64,
    /// Type of the weights that are computed with and saved; the step is taken on f32 ones behind them. Adapters and
    /// sums are f32.
    dtype: Dtype,
    /// Adapters that learn instead of the weights; none with rank 0.
    lora: LoraSettings,
    /// Samples that the trainer is given at a time; 0 is all of them.
    micro_batch: usize,
    /// Threads; 0 is one per core.
    threads: usize,
}

impl Default for UpdateConfig {
    /// The values of preset `kelvin`, but without an entropy bonus.
    fn default() -> UpdateConfig {
        UpdateConfig {
            loss: Loss::PpoClip,
            clip: Clip::Each([0.2, 0.28]),
            dual_clip: 3.0,
            aggregation: Aggregation::GroupToken,
            constant_length: 0,
            kl_estimator: KlEstimator::K3,
            kl_coefficient: 0.0,
            importance_cap: 0.0,
            temperature: 1.0,
            entropy_coefficient: 0.0,
            optimizer: Optimizer::Adamw,
            learning_rate: 1e-6,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            gradient_clip: 1.0,
            dtype: Dtype::F32,
            lora: LoraSettings::default(),
            micro_batch: 0,
            threads: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Optimizer {
    Adamw,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or [low, high]")]
enum Clip {
    Both(f64),
    Each([f64; 2]),
}

impl UpdateConfig {
    /// `raw` is what the file says, for a key that one loss needs written.
    fn objective(&self, raw: &Raw) -> anyhow::Result<Objective> {
        let [clip_low, clip_high] = match self.clip {
            Clip::Both(clip) => [clip, clip],
            Clip::Each(clips) => clips,
        };
        crate::config::check_lora(&self.lora, self.dtype)?;
        let settings = ObjectiveSettings {
            loss: self.loss,
            clip_low,
            clip_high,
            dual_clip: self.dual_clip,
            aggregation: self.aggregation,
            constant_length: self.constant_length,
            kl_estimator: self.kl_estimator,
            kl_coefficient: self.kl_coefficient,
            importance_cap: self.importance_cap,
            entropy_coefficient: self.entropy_coefficient,
        };
        fits(settings.check())?;
        if !is_temperature(self.temperature) {
            let (value, range) =
                (format!("{:?}", self.temperature), "the sampling temperature, over 0, also in f32");
            fits(Err(Misfit { key: "temperature", value, range }))?;
        }
        if self.loss == Loss::Gspo && raw.get("clip").is_none() {
            return Err(Usage::error(
                "the loss \"gspo\" needs a clip of its own: the ratio of a response hardly leaves 1\nhint: clip = [3e-4, \
                 4e-4] is its paper's",
            ));
        }
        Ok(Objective { temperature: self.temperature, ..settings.objective(1.0) })
    }

    fn adam(&self) -> anyhow::Result<AdamParams> {
        let Optimizer::Adamw = self.optimizer;
        let settings = OptimizerSettings {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            grad_clip: self.gradient_clip,
            ..OptimizerSettings::default()
        };
        fits(settings.check())?;
        check_threads("threads", self.threads)?;
        Ok(settings.at(1))
    }
}

/// Names the misfit as this file does.
fn fits(checked: Result<(), Misfit>) -> anyhow::Result<()> {
    let Err(Misfit { key, value, range }) = checked else { return Ok(()) };
    let key = match key {
        "clip_low" => "the lower clip",
        "clip_high" => "the upper clip",
        "grad_clip" => "gradient_clip",
        other => other,
    };
    Err(Usage::error(format!("{key} = {value} is out of range\nhint: it is {range}")))
}

/// A row of the batch.
#[derive(Debug, Deserialize)]
struct Row {
    prompt: Vec<u32>,
    response: Vec<u32>,
    advantage: f32,
    #[serde(default)]
    old_logprobs: Vec<f32>,
    #[serde(default)]
    sampler_logprobs: Vec<f32>,
    #[serde(default)]
    reference_logprobs: Vec<f32>,
    #[serde(default)]
    group: String,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    loss: f64,
    grad_norm: f64,
    entropy: f64,
    kl_old_new: f64,
    clipped_share: f64,
    clipped_low_share: f64,
    clipped_high_share: f64,
    ratio_mean: f64,
    ratio_max: f64,
    importance_mean: f64,
    importance_max: f64,
    kl_reference: f64,
    /// Of the tokens that say what the sampler computed; nothing where none does.
    mismatch_kl: Option<f64>,
    mismatch_effective_share: Option<f64>,
    n_tokens: u64,
    n_samples: usize,
}

/// Takes the step.
///
/// # Errors
/// If the configuration, a row or the model is bad, or the folder cannot be written.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let raw = Raw::read(&args.config)?;
    let (config, _) = settings_with_lora(&UpdateConfig::default(), &[&raw], "lora", |it| Some(&it.lora))?;
    let (objective, adam) = (config.objective(&raw)?, config.adam()?);
    let batch = Rows::<Row>::open(&args.batch, EXAMPLE)?
        .map(|row| row.map(Row::sample))
        .collect::<anyhow::Result<Vec<Sample>>>()?;
    if batch.is_empty() {
        anyhow::bail!("{} holds no samples\nhint: a row is {EXAMPLE}", args.batch.display());
    }
    // Before the model is read, and of the whole batch, so that a message counts its samples.
    objective.check(&batch)?;
    model::require_new(&args.out)?;
    let has_adapters = 0 < config.lora.rank;
    let base = if has_adapters { model::lasting_name(&args.model)? } else { String::new() };
    let training = Training {
        dtype: config.dtype,
        lora: config.lora.config(),
        from: config.lora.from().map(Path::to_owned),
        base,
        ..Training::default()
    };
    let mut policy =
        NativePolicy::training(model::load(&args.model)?, model::on_threads(config.threads), training)?;
    let loss = accumulate(&mut policy, &batch, &objective, config.micro_batch, interrupt)?;
    interrupt.check()?;
    let optim = policy.optim_step(1, &adam)?;
    policy.publish(1)?;
    model::write_new(&args.out, |dir| {
        policy.export(dir, config.dtype)?;
        if has_adapters { policy.export_adapter(&dir.join("adapter")) } else { Ok(()) }
    })?;
    let mut out = Sink::stdout();
    out.row(&Report {
        loss: loss.loss,
        grad_norm: optim.grad_norm,
        entropy: loss.entropy,
        kl_old_new: loss.kl_old_new,
        clipped_share: loss.clipped_share,
        clipped_low_share: loss.clipped_low_share,
        clipped_high_share: loss.clipped_high_share,
        ratio_mean: loss.ratio_mean,
        ratio_max: loss.ratio_max,
        importance_mean: loss.importance_mean,
        importance_max: loss.importance_max,
        kl_reference: loss.kl_reference,
        mismatch_kl: loss.mismatch.kl_mean(),
        mismatch_effective_share: loss.mismatch.effective_share(),
        n_tokens: loss.n_tokens,
        n_samples: batch.len(),
    })?;
    out.flush()
}

/// The gradient on the whole batch, a few samples at a time.
fn accumulate(
    policy: &mut NativePolicy,
    batch: &[Sample],
    objective: &Objective,
    micro_batch: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<LossStats> {
    let whole = Normalisation::of(batch);
    let size = if micro_batch == 0 { batch.len() } else { micro_batch };
    let mut loss = LossStats::default();
    for (idx, samples) in batch.chunks(size).enumerate() {
        interrupt.check()?;
        let part = Part { idx, samples, whole: &whole };
        loss = loss.join(policy.forward_backward_part(1, part, objective)?);
    }
    Ok(loss)
}

impl Row {
    fn sample(self) -> Sample {
        let Row { prompt, response, advantage, old_logprobs, sampler_logprobs, reference_logprobs, group } =
            self;
        let prompt = prompt.into();
        Sample { prompt, response, advantage, old_logprobs, sampler_logprobs, reference_logprobs, group }
    }
}
