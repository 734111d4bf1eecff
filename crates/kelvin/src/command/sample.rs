//! `kelvin sample`: prints completions of a prompt.

use std::{
    io::{self, Read},
    sync::Arc,
};

use anyhow::Context;
use kelvin_core::{
    rollout::{
        Completion, Finish, STOP_BYTES_MAX, STOPS_MAX, SampleRequest, Sampling, is_drawing_temperature,
    },
    seed::Seed,
};
use kelvin_model::THREADS_MAX;
use serde::Serialize;

use super::up_to;
use crate::{chat, error::Usage, interrupt::Interrupt, jsonl::Sink, model, ordered};

/// Print completions of a prompt
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Hugging Face folder, a run folder, a hub name in the cache, or `embedded`
    model: String,
    /// What is continued; `-` reads standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// How many completions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Divides the logits; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature,
          allow_negative_numbers = true)]
    temperature: f32,
    /// Keep the K most likely tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: usize,
    /// Keep the most likely tokens until their probabilities reach this sum
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = nucleus)]
    top_p: f32,
    /// Drop tokens less likely than this fraction of the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    min_p: f32,
    /// End a completion before this text; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = stop, allow_hyphen_values = true)]
    stop: Vec<String>,
    /// The longest completion, in tokens
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_new: u32,
    /// Seed of the draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Wrap the prompt in the model's chat template, as a user's message; a template that asks for the date gets that of UTC
    #[arg(long)]
    chat: bool,
    /// A setting of the chat template, such as `enable_thinking=false`; may be given again
    #[arg(long, value_name = "NAME=VALUE", requires = "chat", value_parser = chat::variable)]
    chat_set: Vec<(String, minijinja::Value)>,
    /// Tokenize the added token of this id as ordinary text; may be given again
    #[arg(long, value_name = "ID")]
    demote_token: Vec<u32>,
    /// Print JSON lines: index, text, prompt_tokens, tokens, logprobs, plain_logprobs, finish
    #[arg(long)]
    json: bool,
    /// Type in which weights are held: bf16 takes half the memory, and less time for a large model
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    dtype: String,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = up_to::<THREADS_MAX>)]
    threads: usize,
}

/// Draws and prints, in the order of the seeds.
///
/// # Errors
/// If the model cannot be used or the prompt does not fit.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    if STOPS_MAX < args.stop.len() {
        let n = args.stop.len();
        return Err(Usage::error(format!("--stop is given {n} times\nhint: at most {STOPS_MAX} times")));
    }
    let mut prompt = args.prompt.clone();
    if prompt == "-" {
        prompt.clear();
        io::stdin().read_to_string(&mut prompt).context("cannot read the prompt from standard input")?;
    }
    if args.chat {
        let at = model::resolve_tokenizer(&args.model)?;
        prompt = chat::render(&at, None, &prompt, &args.chat_set)?;
    }
    let options = model::on_threads(args.threads);
    let sampler = model::sampler(&args.model, model::storage(&args.dtype), options, &args.demote_token)?;
    let sampling = Arc::new(Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        max_new_tokens: args.max_new as usize,
        stop: args.stop.clone(),
    });
    let seed = Seed::new(args.seed).fork("sample");
    let requests = (0..args.samples).map(|index| SampleRequest {
        prompt: prompt.clone(),
        seed: seed.nth(u64::from(index)),
        sampling: Arc::clone(&sampling),
    });
    ordered::draw(&sampler, requests, interrupt, |index, completion| print(args, index, &completion))
}

fn print(args: &Args, index: usize, completion: &Completion) -> anyhow::Result<()> {
    let mut out = Sink::stdout();
    if args.json {
        out.row(&Line {
            index,
            text: &completion.text,
            prompt_tokens: &completion.prompt_tokens,
            tokens: &completion.tokens,
            logprobs: &completion.logprobs,
            plain_logprobs: &completion.plain_logprobs,
            finish: completion.finish,
        })?;
    } else {
        if 1 < args.samples {
            out.text(&format!("--- {} of {} ---\n", index + 1, args.samples))?;
        }
        out.text(&completion.text)?;
        out.text("\n")?;
    }
    out.flush()
}

#[derive(Serialize)]
struct Line<'it> {
    index: usize,
    text: &'it str,
    prompt_tokens: &'it [u32],
    tokens: &'it [u32],
    logprobs: &'it [f32],
    plain_logprobs: &'it [f32],
    finish: Finish,
}

fn stop(text: &str) -> Result<String, String> {
    match text.len() {
        1..=STOP_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("it has from 1 to {STOP_BYTES_MAX} bytes")),
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if is_drawing_temperature(value) { Ok(value) } else { Err("it is 0, or from 1e-6 to 1e6".to_owned()) }
}

fn nucleus(text: &str) -> Result<f32, String> {
    share(text).and_then(|value| if 0.0 < value { Ok(value) } else { Err("it lies above 0".to_owned()) })
}

fn share(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it lies between 0 and 1".to_owned()) }
}
