//! `kelvin logprobs`: log-probabilities of given tokens, for comparing engines.

use std::{
    sync::{
        Arc,
        mpsc::{channel, sync_channel},
    },
    thread,
};

use anyhow::Context;
use kelvin_core::policy::Sampler;
use kelvin_model::{NativeSampler, THREADS_MAX, kernels::Storage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::up_to;
use crate::{
    error::Usage,
    interrupt::Interrupt,
    jsonl::{Rows, Sink, Streams},
    model, ordered,
};

const EXAMPLE: &str = r#"{"id": 1, "tokens": [5, 3, 9]}"#;

/// Rows that share a forward pass. A row's numbers do not depend on who shares it.
const BATCH_ROWS: usize = 64;
/// Tokens that share a forward pass, unless one row has more.
const BATCH_TOKENS: usize = 4096;

/// Compute log-probabilities of token sequences
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads {\"id\",\"tokens\":[ids]}, writes {\"id\",\"logprobs\":[one for each token after the \
                        first]}."
)]
pub(crate) struct Args {
    /// A Hugging Face folder, a run folder, a hub name in the cache, or `embedded`
    model: String,
    #[command(flatten)]
    streams: Streams,
    /// Divides the logits
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = up_to::<THREADS_MAX>)]
    threads: usize,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Value,
    tokens: Vec<u32>,
}

#[derive(Serialize)]
struct Line {
    id: Value,
    logprobs: Vec<f32>,
}

/// Reads, computes, writes.
///
/// # Errors
/// If a row is bad, a token is not in the vocabulary, or the model cannot be used.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    if !(args.temperature.is_normal() && 0.0 < args.temperature) {
        return Err(Usage::error(format!(
            "--temperature {} has no log-probabilities\nhint: a positive number, 1 for the model's own",
            args.temperature
        )));
    }
    let rows = Rows::<Row>::open(&args.streams.input, EXAMPLE)?;
    let sampler = Arc::new(model::sampler(&args.model, Storage::F32, model::on_threads(args.threads), &[])?);
    let mut sink = Sink::create(&args.streams.output, &args.streams.input)?;
    let (to_engine, read) = sync_channel(BATCH_ROWS);
    // Not joined: it may sit in a read of standard input when an error ends the command.
    thread::spawn(move || rows.map(|row| to_engine.send(row)).take_while(Result::is_ok).for_each(drop));
    let mut failure = None;
    while failure.is_none() {
        let Some(first) = ordered::wait(&read, interrupt, || sink.flush())? else { break };
        let (mut batch, mut n_tokens) = (Vec::<Row>::new(), 0);
        let mut next = Some(first);
        while let Some(row) = next {
            match row {
                Ok(row) => {
                    n_tokens += row.tokens.len();
                    batch.push(row);
                }
                Err(error) => failure = Some(error),
            }
            let is_full = batch.len() == BATCH_ROWS || BATCH_TOKENS <= n_tokens || failure.is_some();
            next = if is_full { None } else { read.try_recv().ok() };
        }
        if batch.is_empty() {
            break;
        }
        if let Err(error) = score(&sampler, batch, args.temperature, interrupt, &mut sink) {
            failure = Some(error);
        }
    }
    sink.flush()?;
    failure.map_or(Ok(()), Err)
}

/// Writes the lines of a batch, or of the rows before the first bad one.
fn score(
    sampler: &Arc<NativeSampler>,
    batch: Vec<Row>,
    temperature: f32,
    interrupt: &Interrupt,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    let (ids, sequences): (Vec<Value>, Vec<Vec<u32>>) =
        batch.into_iter().map(|row| (row.id, row.tokens)).unzip();
    let sequences = Arc::new(sequences);
    if let Ok(logprobs) = scored(sampler, Arc::clone(&sequences), temperature, interrupt)? {
        return ids.into_iter().zip(logprobs).try_for_each(|(id, logprobs)| sink.row(&Line { id, logprobs }));
    }
    for (id, sequence) in ids.into_iter().zip(&*sequences) {
        let mut logprobs = scored(sampler, Arc::new(vec![sequence.clone()]), temperature, interrupt)?
            .with_context(|| format!("the row with id {id}"))?;
        sink.row(&Line { id, logprobs: logprobs.remove(0) })?;
    }
    Ok(())
}

/// Scores on a thread of its own, so that an interrupt need not wait for it: a long row of a large model takes minutes.
fn scored(
    sampler: &Arc<NativeSampler>,
    sequences: Arc<Vec<Vec<u32>>>,
    temperature: f32,
    interrupt: &Interrupt,
) -> anyhow::Result<anyhow::Result<Vec<Vec<f32>>>> {
    let (answer, answered) = channel();
    let sampler = Arc::clone(sampler);
    // Not joined: nobody needs what it would say after an interrupt.
    thread::spawn(move || drop(answer.send(sampler.logprobs(&sequences, temperature))));
    ordered::wait(&answered, interrupt, || Ok(()))?.context("the scoring thread panicked")
}
