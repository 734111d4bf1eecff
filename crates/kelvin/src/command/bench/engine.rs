//! Tokens per second of the native engine, decoding and training, and what share of a matrix product's speed
//! that is.

use std::sync::Arc;

use clap::ValueEnum;
use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::{AdamParams, Trainer},
    rollout::{Completion, Sample, SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_model::{
    Checkpoint, Family, KeptFields, ModelConfig, NativePolicy, Params, Rope, Tokenizer,
    kernels::gemm_peak_gflops,
};
use kelvin_selfplay::clock::Stopwatch;
use serde::Serialize;
use serde_json::{Map, json};

use super::median;
use crate::{
    config::threads_or_cores, error::Usage, interrupt::Interrupt, jsonl::Sink, machine::peak_memory, model,
};

/// Which model is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// A Hugging Face folder, a run folder, a hub name in the cache, or `embedded`
    #[arg(long, value_name = "DIR", conflicts_with = "shape")]
    model: Option<String>,
    /// A model of this shape with random weights
    #[arg(long, value_enum, default_value = "tiny")]
    shape: Shape,
    /// Rows at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Type of the arithmetic; the engine has f32
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    dtype: String,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Times the whole is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    Tiny,
    #[value(name = "qwen2.5-0.5b")]
    Qwen05b,
}

/// Measure how many tokens are drawn per second
#[derive(Debug, clap::Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of each prompt
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    prompt: u32,
    /// Tokens of each completion
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..))]
    new: u32,
}

/// Measure how many tokens are trained on per second
#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of each row
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..))]
    seq: u32,
}

#[derive(Serialize)]
struct Decoded {
    name: &'static str,
    threads: usize,
    seconds: f64,
    repeats: u32,
    decode_tokens_per_s: f64,
    prefill_tokens_per_s: f64,
    gflops: f64,
    fraction_of_gemm_peak: f64,
    rss_bytes: Option<u64>,
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

/// Decodes twice, one token and many: the difference is decoding, the rest is prefill.
///
/// # Errors
/// If the model cannot be used or has no room for the rows.
pub(crate) fn decode(args: &DecodeArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let (policy, threads) = policy(&args.model, args.prompt as usize + args.new as usize)?;
    let (batch, new) = (f64::from(args.model.batch), f64::from(args.new));
    let prompts = prompts(&policy, args)?;
    check_room(&policy, &prompts, args)?;
    let mut n_prompt = 0;
    let mut draw = |max_new: u32| -> anyhow::Result<f64> {
        interrupt.check()?;
        let requests = requests(&prompts, max_new);
        let watch = Stopwatch::start();
        let completions = policy.sampler().sample(requests)?;
        let seconds = watch.seconds();
        assert!(completions.iter().all(|it| it.tokens.len() == max_new as usize), "no token ends a row");
        n_prompt = n_prompt_tokens(&completions);
        Ok(seconds)
    };
    draw(args.new)?;
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for _ in 0..args.model.repeats {
        first.push(draw(1)?);
        all.push(draw(args.new)?);
    }
    let decoding = median(first.iter().zip(&all).map(|(first, all)| all - first));
    let n_decoded = batch * (new - 1.0);
    let context = n_prompt as f64 / batch + new / 2.0;
    let gflops = 1e-9 * n_decoded * forward_flops(policy.config(), context) / decoding;
    let mut out = Sink::stdout();
    out.row(&Decoded {
        name: "decode",
        threads,
        seconds: median(all),
        repeats: args.model.repeats,
        decode_tokens_per_s: n_decoded / decoding,
        prefill_tokens_per_s: n_prompt as f64 / median(first),
        gflops,
        fraction_of_gemm_peak: gflops / gemm_peak(threads),
        rss_bytes: peak_memory(),
    })?;
    out.flush()
}

/// Takes optimizer steps on rows of random tokens, all of them but the first learnt.
///
/// # Errors
/// If the model cannot be used or has no room for the rows.
pub(crate) fn train(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let (mut policy, threads) = policy(&args.model, args.seq as usize)?;
    let batch = random_batch(policy.config(), args);
    let objective = Objective {
        surrogate: Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 },
        aggregation: Aggregation::Token,
        entropy_coefficient: 0.001,
        temperature: 1.0,
    };
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
    // The backward pass is two products for each of the forward pass.
    let gflops = 1e-9 * 3.0 * n_tokens * forward_flops(policy.config(), f64::from(args.seq) / 2.0) / seconds;
    let mut out = Sink::stdout();
    out.row(&Trained {
        name: "train",
        threads,
        seconds,
        repeats: args.model.repeats,
        tokens_per_s: n_tokens / seconds,
        gflops,
        fraction_of_gemm_peak: gflops / gemm_peak(threads),
        rss_bytes: peak_memory(),
    })?;
    out.flush()
}

/// The rate of a matrix product on as many threads, in GFLOP/s.
fn gemm_peak(threads: usize) -> f64 {
    let watch = Stopwatch::start();
    gemm_peak_gflops(threads, || watch.seconds())
}

/// Floating-point operations of one token that sees `context` others: two for each weight of a matrix, and the
/// two products of attention.
fn forward_flops(config: &ModelConfig, context: f64) -> f64 {
    let (hidden, query) = (config.hidden_size, config.query_width());
    let layer = hidden * config.qkv_width() + query * hidden + 3 * hidden * config.intermediate_size;
    let weights = config.num_hidden_layers * layer + hidden * config.vocab_size;
    2.0 * weights as f64 + 4.0 * (config.num_hidden_layers * query) as f64 * context
}

/// The model to be measured, in which no token ends a row, and its threads.
fn policy(args: &ModelArgs, longest: usize) -> anyhow::Result<(NativePolicy, usize)> {
    if args.dtype != "f32" {
        return Err(Usage::error(
            "the native engine computes in f32\nhint: leave out --dtype; models stored in bf16 are read as f32",
        ));
    }
    let mut checkpoint = match &args.model {
        Some(name) => model::load(name)?,
        None => random(args.shape)?,
    };
    let room = checkpoint.config.max_position_embeddings;
    if room < longest {
        return Err(Usage::error(format!(
            "rows of {longest} tokens do not fit into the model, which takes {room}\nhint: ask for shorter ones"
        )));
    }
    checkpoint.end_tokens.clear();
    let threads = threads_or_cores(args.threads);
    Ok((NativePolicy::new(checkpoint, model::on_threads(threads))?, threads))
}

/// A model with random weights, and a tokenizer that reads `t7` as token 7.
fn random(shape: Shape) -> anyhow::Result<Checkpoint> {
    let config = match shape {
        Shape::Tiny => ModelConfig {
            vocab_size: 512,
            hidden_size: 192,
            intermediate_size: 512,
            num_hidden_layers: 4,
            num_attention_heads: 6,
            num_key_value_heads: 2,
            head_dim: 32,
            rms_norm_eps: 1e-6,
            rope: Rope::plain(10_000.0),
            max_position_embeddings: 4096,
            tie_word_embeddings: true,
            family: Family::Qwen2,
        },
        // https://huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/config.json
        Shape::Qwen05b => ModelConfig {
            vocab_size: 151_936,
            hidden_size: 896,
            intermediate_size: 4864,
            num_hidden_layers: 24,
            num_attention_heads: 14,
            num_key_value_heads: 2,
            head_dim: 64,
            rms_norm_eps: 1e-6,
            rope: Rope::plain(1_000_000.0),
            max_position_embeddings: 32_768,
            tie_word_embeddings: true,
            family: Family::Qwen2,
        },
    };
    let vocab: Map<String, serde_json::Value> =
        (0..config.vocab_size).map(|id| (format!("t{id}"), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "t0"},
    });
    let tokenizer = Tokenizer::from_bytes(&serde_json::to_vec(&tokenizer).expect("it is plain data"))?;
    let params = Params::random(&config, Seed::new(0).fork("bench"));
    Ok(Checkpoint { config, params, tokenizer, end_tokens: Vec::new(), kept: KeptFields::default() })
}

/// Prompts that differ from the first token on, so that none shares work with another.
fn prompts(policy: &NativePolicy, args: &DecodeArgs) -> anyhow::Result<Vec<String>> {
    (0..args.model.batch)
        .map(|row| {
            let mut prompt = format!("t{row}");
            // A word is a token of a random model, and one or a few of another's.
            while policy.tokenize(&prompt)?.len() < args.prompt as usize {
                let n_more = (args.prompt as usize - policy.tokenize(&prompt)?.len()).div_ceil(4);
                prompt.push_str(&" t1".repeat(n_more));
            }
            Ok(prompt)
        })
        .collect()
}

/// Words of some models are several tokens, so that a prompt comes out longer than was asked for.
fn check_room(policy: &NativePolicy, prompts: &[String], args: &DecodeArgs) -> anyhow::Result<()> {
    let room = policy.config().max_position_embeddings;
    let lens = prompts.iter().map(|it| policy.tokenize(it).map(|tokens| tokens.len()));
    let longest = lens.collect::<anyhow::Result<Vec<usize>>>()?.into_iter().max().unwrap_or(0);
    if longest + args.new as usize <= room {
        return Ok(());
    }
    Err(Usage::error(format!(
        "prompts of {longest} tokens and {} new ones do not fit {room} positions\nhint: lower --prompt or --new",
        args.new
    )))
}

fn requests(prompts: &[String], max_new: u32) -> Vec<SampleRequest> {
    let sampling = Arc::new(Sampling::plain(max_new as usize));
    let request = |(row, prompt): (u64, &String)| SampleRequest {
        prompt: prompt.clone(),
        seed: Seed::new(0).nth(row),
        sampling: Arc::clone(&sampling),
    };
    (0..).zip(prompts).map(request).collect()
}

fn n_prompt_tokens(completions: &[Completion]) -> usize {
    completions.iter().map(|it| it.prompt_tokens.len()).sum()
}

fn random_batch(config: &ModelConfig, args: &TrainArgs) -> Vec<Sample> {
    let sample = |row: u32| {
        let mut draws = Seed::new(0).fork("batch").nth(u64::from(row)).draws();
        let mut token = || draws.below(config.vocab_size) as u32;
        Sample {
            prompt: [token()].into(),
            response: (1..args.seq).map(|_| token()).collect(),
            advantage: if row.is_multiple_of(2) { 1.0 } else { -1.0 },
            old_logprobs: Vec::new(),
            group: String::new(),
        }
    };
    (0..args.model.batch).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_two_for_each_weight_and_attention() {
        let Checkpoint { config, .. } = random(Shape::Tiny).unwrap();
        // qkv 192 x (192 + 128), output 192 x 192, gated 3 x 192 x 512, head 192 x 512.
        let weights = 4 * (192 * 320 + 192 * 192 + 3 * 192 * 512) + 192 * 512;
        assert_eq!(forward_flops(&config, 0.0), 2.0 * f64::from(weights));
        assert_eq!(forward_flops(&config, 10.0) - forward_flops(&config, 0.0), 4.0 * 4.0 * 192.0 * 10.0);
    }

    #[test]
    fn the_random_model_reads_its_own_tokens() {
        let Checkpoint { tokenizer, .. } = random(Shape::Tiny).unwrap();
        assert_eq!(tokenizer.encode("t511 t3 t0").unwrap(), [511, 3, 0]);
    }
}
