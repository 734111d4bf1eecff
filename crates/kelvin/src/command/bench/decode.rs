//! Tokens per second of the native engine, decoding, and what share of a matrix product's speed and of the memory's
//! that is.

use std::sync::Arc;

use kelvin_core::{
    policy::Sampler,
    rollout::{Completion, SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_model::NativeSampler;
use kelvin_selfplay::{clock::Stopwatch, memory::peak_bytes};
use serde::Serialize;

use super::{
    median,
    subject::{ModelArgs, bandwidth, gemm_peak},
};
use crate::{error::Usage, interrupt::Interrupt, jsonl::Sink, ordered, plan::forward_flops};

/// Measure how many tokens are drawn per second
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of each prompt
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    prompt: u32,
    /// Tokens of each completion
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..))]
    new: u32,
    /// Tokens with which all prompts begin alike, of those of --prompt
    #[arg(long, value_name = "N", default_value_t = 0)]
    shared: u32,
    /// Completions of each prompt: rows are --batch times as many
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
}

#[derive(Serialize)]
struct Decoded {
    name: &'static str,
    threads: usize,
    seconds: f64,
    repeats: u32,
    /// Until the model could be drawn from.
    load_s: f64,
    decode_tokens_per_s: f64,
    prefill_tokens_per_s: f64,
    /// Prompt tokens that went through the model.
    prefill_tokens_computed: u64,
    /// Share of those asked for that did not.
    prefill_saved: f64,
    gflops: f64,
    fraction_of_gemm_peak: f64,
    /// Weights read for each token of a row; only where a step reads them from memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    fraction_of_bandwidth: Option<f64>,
    rss_bytes: Option<u64>,
}

/// Decodes twice, one token and many: the difference is decoding, the rest is prefill.
///
/// # Errors
/// If the model cannot be used or has no room for the rows.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    if args.prompt <= args.shared {
        return Err(Usage::error(format!(
            "prompts of {} tokens cannot share {} and differ\nhint: raise --prompt or lower --shared",
            args.prompt, args.shared
        )));
    }
    let watch = Stopwatch::start();
    let mut sampler = args.model.sampler()?;
    let load_s = watch.seconds();
    let prompts = prompts(&sampler, args)?;
    check_room(&sampler, &prompts, args)?;
    let (mut n_prompt, mut n_computed) = (0, 0);
    let mut draw = |max_new: u32| -> anyhow::Result<f64> {
        interrupt.check()?;
        // Each draw is measured as the first one.
        sampler.forget_prompts();
        let requests = requests(&prompts, args.samples, max_new);
        let before = sampler.stats();
        let watch = Stopwatch::start();
        let mut completions = Vec::with_capacity(requests.len());
        ordered::draw(&sampler, requests.into_iter(), interrupt, |_, completion| {
            completions.push(completion);
            Ok(())
        })?;
        let seconds = watch.seconds();
        assert!(completions.iter().all(|it| it.tokens.len() == max_new as usize), "no token ends a row");
        n_prompt = n_prompt_tokens(&completions);
        n_computed = sampler.stats().since(before).prompt_tokens_computed;
        Ok(seconds)
    };
    draw(args.new)?;
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for _ in 0..args.model.repeats {
        first.push(draw(1)?);
        all.push(draw(args.new)?);
    }
    let decoding = median(first.iter().zip(&all).map(|(first, all)| all - first));
    let (n_rows, new) = (f64::from(args.model.batch) * f64::from(args.samples), f64::from(args.new));
    let n_decoded = n_rows * (new - 1.0);
    let context = n_prompt as f64 / n_rows + new / 2.0;
    let gflops = 1e-9 * n_decoded * forward_flops(sampler.config(), context) / decoding;
    // Before the yardsticks take their own memory.
    let (threads, rss_bytes) = (args.model.threads(), peak_bytes());
    let read = sampler.bytes_read_per_step().map(|bytes| bytes as f64 * (new - 1.0) / decoding);
    let fraction_of_bandwidth = read.map(|read| anyhow::Ok(read / bandwidth(threads)?)).transpose()?;
    let mut out = Sink::stdout();
    out.row(&Decoded {
        name: "decode",
        threads,
        seconds: median(all),
        repeats: args.model.repeats,
        load_s,
        decode_tokens_per_s: n_decoded / decoding,
        prefill_tokens_per_s: n_prompt as f64 / median(first),
        prefill_tokens_computed: n_computed,
        prefill_saved: 1.0 - n_computed as f64 / n_prompt as f64,
        gflops,
        fraction_of_gemm_peak: gflops / gemm_peak(threads),
        fraction_of_bandwidth,
        rss_bytes,
    })?;
    out.flush()
}

/// Prompts that begin alike as long as was asked for and differ in the next token, so that they share no more work.
fn prompts(sampler: &NativeSampler, args: &Args) -> anyhow::Result<Vec<String>> {
    let shared = lengthen(sampler, String::new(), args.shared as usize)?;
    (0..args.model.batch)
        .map(|row| lengthen(sampler, format!("{shared} t{row}"), args.prompt as usize))
        .collect()
}

/// Adds words until there are `n_tokens`.
fn lengthen(sampler: &NativeSampler, mut prompt: String, n_tokens: usize) -> anyhow::Result<String> {
    loop {
        let n = sampler.tokenize(&prompt)?.len();
        if n_tokens <= n {
            return Ok(prompt);
        }
        // A word is a token of a random model, and one or a few of another's.
        prompt.push_str(&" t1".repeat((n_tokens - n).div_ceil(4)));
    }
}

/// Words of some models are several tokens, so that a prompt comes out longer than was asked for.
fn check_room(sampler: &NativeSampler, prompts: &[String], args: &Args) -> anyhow::Result<()> {
    let room = sampler.config().max_position_embeddings;
    let lens = prompts.iter().map(|it| sampler.tokenize(it).map(|tokens| tokens.len()));
    let longest = lens.collect::<anyhow::Result<Vec<usize>>>()?.into_iter().max().unwrap_or(0);
    if longest + args.new as usize <= room {
        return Ok(());
    }
    Err(Usage::error(format!(
        "prompts of {longest} tokens and {} new ones do not fit {room} positions\nhint: lower --prompt or --new",
        args.new
    )))
}

fn requests(prompts: &[String], samples: u32, max_new: u32) -> Vec<SampleRequest> {
    let sampling = Arc::new(Sampling::plain(max_new as usize));
    let request = |(row, prompt): (u64, &String)| SampleRequest {
        prompt: prompt.clone(),
        seed: Seed::new(0).nth(row),
        sampling: Arc::clone(&sampling),
    };
    let each = prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, samples as usize));
    (0..).zip(each).map(request).collect()
}

fn n_prompt_tokens(completions: &[Completion]) -> usize {
    completions.iter().map(|it| it.prompt_tokens.len()).sum()
}
