//! Tokens per second of the native engine, training, and what share of a matrix product's speed that is.

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Trainer},
    rollout::Sample,
    seed::Seed,
};
use kelvin_model::{LoraConfig, ModelConfig};
use kelvin_selfplay::{clock::Stopwatch, memory::peak_bytes};
use serde::Serialize;

use super::{
    median,
    subject::{ModelArgs, gemm_peak},
};
use crate::{interrupt::Interrupt, jsonl::Sink, plan::forward_flops};

/// Measure how many tokens are trained on per second
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of each row
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..))]
    seq: u32,
    /// Adapters of this rank on every matrix of a layer learn instead of the weights; 0 for none
    #[arg(long, value_name = "R", default_value_t = 0)]
    lora: usize,
}

#[derive(Serialize)]
struct Trained {
    name: &'static str,
    threads: usize,
    seconds: f64,
    repeats: u32,
    tokens_per_s: f64,
    gflops: f64,
    fraction_of_gemm_peak: f64,
    rss_bytes: Option<u64>,
}

/// Takes optimizer steps on rows of random tokens, all of them but the first learnt.
///
/// # Errors
/// If the model cannot be used or has no room for the rows.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    let lora = LoraConfig { rank: args.lora, ..LoraConfig::default() };
    let (mut policy, threads) = (args.model.policy(args.seq as usize, lora)?, args.model.threads());
    let batch = random_batch(policy.config(), args);
    let clip = Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 };
    let objective = Objective { entropy_coefficient: 0.001, ..Objective::new(clip, Aggregation::Token) };
    let adam = AdamParams {
        learning_rate: 1e-6,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        grad_clip: 1.0,
    };
    let mut seconds = Vec::new();
    // The first step warms up.
    for update in 0..=u64::from(args.model.repeats) {
        interrupt.check()?;
        let watch = Stopwatch::start();
        policy.forward_backward(update, &batch, &objective)?;
        policy.optim_step(update, &adam)?;
        if 0 < update {
            seconds.push(watch.seconds());
        }
    }
    let seconds = median(seconds);
    let n_tokens = f64::from(args.model.batch) * f64::from(args.seq);
    // The backward pass is two products for each of the forward pass, one of them for what learns. What is computed
    // again does not count, and what adapters add is little.
    let n_passes = if args.lora == 0 { 3.0 } else { 2.0 };
    let gflops =
        1e-9 * n_passes * n_tokens * forward_flops(policy.config(), f64::from(args.seq) / 2.0) / seconds;
    // Before the yardstick takes its own memory.
    let rss_bytes = peak_bytes();
    let mut out = Sink::stdout();
    out.row(&Trained {
        name: "train",
        threads,
        seconds,
        repeats: args.model.repeats,
        tokens_per_s: n_tokens / seconds,
        gflops,
        fraction_of_gemm_peak: gflops / gemm_peak(threads),
        rss_bytes,
    })?;
    out.flush()
}

fn random_batch(config: &ModelConfig, args: &Args) -> Vec<Sample> {
    let sample = |row: u32| {
        let mut draws = Seed::new(0).fork("batch").nth(u64::from(row)).draws();
        let mut token = || draws.below(config.vocab_size) as u32;
        Sample {
            prompt: [token()].into(),
            response: (1..args.seq).map(|_| token()).collect(),
            advantage: if row.is_multiple_of(2) { 1.0 } else { -1.0 },
            ..Sample::default()
        }
    };
    (0..args.model.batch).map(sample).collect()
}
