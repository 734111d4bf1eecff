//! `kelvin update`: one optimizer step from a file of samples, so that others can check what an update does.

use std::path::PathBuf;

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Trainer},
    rollout::Sample,
};
use kelvin_model::{Dtype, LoraConfig, NativePolicy, Training};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Raw, settings},
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
Without old_logprobs, those of the model count. Keys of the configuration: loss
(ppo_clip, likelihood), clip (a number or [low, high]), dual_clip, aggregation
(group_token, token, sequence), temperature, entropy_coefficient, optimizer
(adamw), learning_rate, beta1, beta2, eps, weight_decay, gradient_clip, dtype
(f32, bf16), threads, and for adapters (LoRA) lora.rank, lora.alpha,
lora.targets, lora.rslora: the model is saved with them merged, and they by
themselves in its folder `adapter`.
Prints loss, grad_norm, entropy and more as one JSON object.";

/// A learning rate or weight decay over this leaves no model behind.
const RATE_MAX: f64 = 1e3;

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
    /// Decoupled weight decay.
    weight_decay: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    gradient_clip: f64,
    /// Type of the weights that are computed with and saved; the step is taken on f32 ones behind them. Adapters and
    /// sums are f32.
    dtype: Dtype,
    /// Adapters that learn instead of the weights; none with rank 0.
    lora: LoraConfig,
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
            lora: LoraConfig::default(),
            threads: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Loss {
    PpoClip,
    Likelihood,
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
    fn objective(&self) -> anyhow::Result<Objective> {
        let [low, high] = match self.clip {
            Clip::Both(clip) => [clip, clip],
            Clip::Each(clips) => clips,
        };
        let surrogate = match self.loss {
            Loss::PpoClip => Surrogate::PpoClip { low, high, dual: self.dual_clip },
            Loss::Likelihood => Surrogate::Likelihood,
        };
        for (key, fits) in [
            ("clip", (0.0..1.0).contains(&low) && 0.0 <= high),
            ("dual_clip", 1.0 < self.dual_clip),
            ("temperature", self.temperature.is_finite() && 0.0 < self.temperature),
            ("learning_rate", (0.0..=RATE_MAX).contains(&self.learning_rate)),
            ("beta1", (0.0..1.0).contains(&self.beta1)),
            ("beta2", (0.0..1.0).contains(&self.beta2)),
            ("eps", self.eps.is_finite() && 0.0 <= self.eps),
            ("weight_decay", (0.0..=RATE_MAX).contains(&self.weight_decay)),
            ("gradient_clip", self.gradient_clip.is_finite() && 0.0 <= self.gradient_clip),
        ] {
            if !fits {
                return Err(Usage::error(format!(
                    "{key} is out of range\nhint: rates, clips and decays are not negative, learning rate and weight decay are at most 1000, betas and the lower clip \
                     are under 1, the dual clip is over 1, the temperature over 0"
                )));
            }
        }
        crate::config::check_lora(&self.lora)?;
        Ok(Objective {
            surrogate,
            aggregation: self.aggregation,
            entropy_coefficient: self.entropy_coefficient,
            temperature: self.temperature,
        })
    }

    fn adam(&self) -> AdamParams {
        let Optimizer::Adamw = self.optimizer;
        AdamParams {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            grad_clip: self.gradient_clip,
        }
    }
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
    n_tokens: u64,
    n_samples: usize,
}

/// Takes the step.
///
/// # Errors
/// If the configuration, a row or the model is bad, or the folder cannot be written.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let (config, _) = settings(&UpdateConfig::default(), &[&Raw::read(&args.config)?])?;
    let (objective, adam) = (config.objective()?, config.adam());
    let batch = Rows::<Row>::open(&args.batch, EXAMPLE)?
        .map(|row| row.map(Row::sample))
        .collect::<anyhow::Result<Vec<Sample>>>()?;
    if batch.is_empty() {
        anyhow::bail!("{} holds no samples\nhint: a row is {EXAMPLE}", args.batch.display());
    }
    model::require_new(&args.out)?;
    let base = model::lasting_name(&args.model)?;
    let training = Training { dtype: config.dtype, lora: config.lora.clone(), base, ..Training::default() };
    let mut policy =
        NativePolicy::training(model::load(&args.model)?, model::on_threads(config.threads), training)?;
    interrupt.check()?;
    let loss = policy.forward_backward(1, &batch, &objective)?;
    interrupt.check()?;
    let optim = policy.optim_step(1, &adam)?;
    policy.publish(1)?;
    model::write_new(&args.out, |dir| {
        policy.export(dir, config.dtype)?;
        if 0 < config.lora.rank { policy.export_adapter(&dir.join("adapter")) } else { Ok(()) }
    })?;
    let mut out = Sink::stdout();
    out.row(&Report {
        loss: loss.loss,
        grad_norm: optim.grad_norm,
        entropy: loss.entropy,
        kl_old_new: loss.kl_old_new,
        clipped_share: loss.clipped_share,
        n_tokens: loss.n_tokens,
        n_samples: batch.len(),
    })?;
    out.flush()
}

impl Row {
    fn sample(self) -> Sample {
        let Row { prompt, response, advantage, old_logprobs, group } = self;
        Sample { prompt: prompt.into(), response, advantage, old_logprobs, group }
    }
}
