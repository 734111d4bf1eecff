//! Draws completions from published weights, with a KV cache and continuous batching.
//!
//! The calling thread receives requests and tokenises them; workers take rows from a [`queue`], feed them
//! through the [`decoder`] together and [`draw`] tokens. A row's tokens and log-probabilities are a function
//! of its prompt, seed and settings: every operation works on one row, and each token has its own child of
//! the row's seed. So neither what a row takes from the [`store`] of computed prompts nor how often it is
//! dropped and computed again changes it.

mod cache;
mod decoder;
mod draw;
#[cfg(test)]
mod large_tests;
mod prefix;
mod queue;
mod row;
mod stop;
mod store;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
mod weights;
mod worker;

use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{anyhow, ensure};
use kelvin_core::{
    policy::{Completions, Indexed, Sampler, SamplerStats},
    rollout::SampleRequest,
    stop::Stop,
};

use crate::{
    config::ModelConfig,
    kernels::Storage,
    lora::Merged,
    params::WeightSource,
    policy::NativeOptions,
    tokenizer::{TokenBytes, Tokenizer},
    transformer::{Threads, check_tokens},
};
use cache::Cache;
pub(crate) use cache::Shape;
use decoder::{Decoder, Feed};
use draw::Draw;
use queue::{Queue, StopUnlessDone};
use row::{Request, Row};
pub(crate) use stop::Spoken;
use store::Store;
use weights::Weights;
pub(crate) use weights::threads_for;
use worker::Worker;

/// How often a thread that waits looks for what nobody tells it.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Floats of logits that scoring holds at once, for each thread.
const SCORED_LOGITS_MAX: usize = 1 << 22;

/// Draws from a packed copy of weights.
pub struct NativeSampler {
    weights: Weights,
    /// Reads weights, and computes operations where all threads share them.
    pool: Arc<rayon::ThreadPool>,
    pub(crate) tokenizer: Tokenizer,
    /// Any of these ends a completion.
    pub(crate) end_tokens: Vec<u32>,
    options: NativeOptions,
    store: Store,
    /// Of the tokenizer, once a request has stop sequences.
    token_bytes: OnceLock<TokenBytes>,
    /// Ends draws and scores early.
    stop: Stop,
}

impl NativeSampler {
    /// Packs the weights of a model of that shape; `options.threads` do it.
    ///
    /// # Errors
    /// If weights cannot be read, or threads not be started.
    pub fn new(
        config: &ModelConfig,
        weights: &dyn WeightSource,
        storage: Storage,
        tokenizer: Tokenizer,
        end_tokens: Vec<u32>,
        options: NativeOptions,
    ) -> anyhow::Result<NativeSampler> {
        let pool = options.pool()?;
        let weights = pool.install(|| Weights::read(config, weights, storage))?;
        Ok(NativeSampler::of(weights, pool, tokenizer, end_tokens, options))
    }

    /// Packs weights that a policy publishes, and shares threads that are there.
    pub(crate) fn of_published(
        config: &ModelConfig,
        published: Merged<'_>,
        storage: Storage,
        tokenizer: Tokenizer,
        end_tokens: Vec<u32>,
        options: NativeOptions,
        pool: Arc<rayon::ThreadPool>,
    ) -> NativeSampler {
        let weights = pool.install(|| Weights::published(config, published, storage));
        NativeSampler::of(weights, pool, tokenizer, end_tokens, options)
    }

    fn of(
        weights: Weights,
        pool: Arc<rayon::ThreadPool>,
        tokenizer: Tokenizer,
        end_tokens: Vec<u32>,
        options: NativeOptions,
    ) -> NativeSampler {
        let store = Store::new(Shape::new(&weights.config), options.kv_bytes_max);
        NativeSampler {
            weights,
            pool,
            tokenizer,
            end_tokens,
            options,
            store,
            token_bytes: OnceLock::new(),
            stop: Stop::default(),
        }
    }

    /// Draws from other weights of the same shape from now on.
    pub(crate) fn publish(&mut self, published: Merged<'_>) {
        self.store.forget();
        let Weights { config, storage, .. } = &self.weights;
        self.weights = self.pool.install(|| Weights::published(config, published, *storage));
    }

    /// Threads that each decode rows of their own; one if all share the operations of its rows.
    fn n_workers(&self) -> usize {
        match self.weights.threads {
            Threads::One => self.options.n_threads(),
            Threads::All => 1,
        }
    }

    /// [`Decoder::forward`], with the threads that this model takes.
    fn forward<'decoder>(
        &self,
        decoder: &'decoder mut Decoder,
        caches: &mut [Cache],
        feeds: &[Feed],
        asked: &[usize],
    ) -> &'decoder [f32] {
        match self.weights.threads {
            Threads::One => decoder.forward(&self.weights, caches, feeds, asked),
            Threads::All => self.pool.install(|| decoder.forward(&self.weights, caches, feeds, asked)),
        }
    }

    /// From now on no token ends a row.
    pub fn end_nowhere(&mut self) {
        self.end_tokens.clear();
    }

    /// Bytes of weights that a step reads, for models so large that they come from memory each time.
    pub fn bytes_read_per_step(&self) -> Option<usize> {
        (self.weights.threads == Threads::All).then(|| self.bytes_of_matrices())
    }

    /// Bytes of the matrices that rows are multiplied by.
    pub(crate) fn bytes_of_matrices(&self) -> usize {
        self.weights.bytes_read()
    }

    /// The ids of `text`, as a prompt is read.
    ///
    /// # Errors
    /// If the tokenizer fails on it.
    pub fn tokenize(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.weights.config
    }

    /// Frees the memory of prompts that were computed: the weights are about to move.
    pub fn forget_prompts(&mut self) {
        self.store.forget();
    }

    /// Adds a token to the text of a row; returns where a stop sequence begins, if one has come to its end.
    fn say(&self, spoken: &mut Spoken, token: u32, stops: &[String]) -> Option<usize> {
        let token_bytes = self.token_bytes.get().expect("a request with stop sequences was read");
        spoken.say(token_bytes.get(token), stops)
    }

    /// Reads requests until they end or the queue stops.
    fn receive(&self, requests: &Receiver<Indexed<SampleRequest>>, queue: &Queue) -> anyhow::Result<()> {
        // Rows of one prompt come together: they are tokenised once and handed over at once, so that one
        // worker gets them.
        let burst = self.options.max_rows * self.n_workers();
        let mut last: Option<(String, Arc<[u32]>)> = None;
        loop {
            let first = match requests.recv_timeout(LOOK_AROUND) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if queue.is_stopped() {
                return Ok(());
            }
            let arrived = first.into_iter().chain(requests.try_iter()).take(burst);
            queue.push(arrived.map(|request| self.read(request, &mut last)).collect::<anyhow::Result<_>>()?);
        }
    }

    fn read(
        &self,
        (index, request): Indexed<SampleRequest>,
        last: &mut Option<(String, Arc<[u32]>)>,
    ) -> anyhow::Result<Row> {
        let SampleRequest { prompt: text, seed, sampling } = request;
        draw::check(&sampling)?;
        if !sampling.stop.is_empty() && self.token_bytes.get().is_none() {
            // Another call may have been faster, with the same.
            let _ = self.token_bytes.set(self.tokenizer.token_bytes()?);
        }
        let prompt = match last {
            Some((known, tokens)) if *known == text => tokens.clone(),
            _ => last.insert((text.clone(), self.tokenizer.encode(&text)?.into())).1.clone(),
        };
        let room = self.weights.config.max_position_embeddings;
        ensure!(
            !prompt.is_empty(),
            "request {index} has an empty prompt\nhint: a completion continues at least one token"
        );
        ensure!(
            prompt.len() < room,
            "the prompt of request {index} has {} tokens, but the model takes {room} with the completion\n\
             hint: shorten the prompt, or use a model with more max_position_embeddings",
            prompt.len()
        );
        let longest = prompt.len().saturating_add(sampling.max_new_tokens).min(room);
        let ticket = self.store.ticket(prompt.len());
        let request = Request { index, prompt, seed, sampling, longest };
        Ok(Row::new(ticket, request, self.options.share_prompts))
    }

    /// Log-probabilities of one sequence, chunk by chunk, with the arithmetic of decoding.
    fn score(
        &self,
        sequence: &[u32],
        temperature: f32,
        decoder: &mut Decoder,
        draw: &mut Draw,
    ) -> anyhow::Result<Vec<f32>> {
        let vocab = self.weights.config.vocab_size;
        let chunk = (SCORED_LOGITS_MAX / vocab).clamp(1, self.options.prefill_chunk);
        let mut caches = [Cache::default()];
        let mut logprobs = Vec::with_capacity(sequence.len().saturating_sub(1));
        // The last token is scored, not fed.
        for first in (0..sequence.len().saturating_sub(1)).step_by(chunk) {
            let n = chunk.min(sequence.len() - 1 - first);
            let feed = |position: usize| Feed { cache: 0, position, token: sequence[position] };
            let feeds: Vec<Feed> = (first..first + n).map(feed).collect();
            let asked: Vec<usize> = (0..n).collect();
            let logits = self.forward(decoder, &mut caches, &feeds, &asked);
            for (logits, &token) in logits.chunks_exact(vocab).zip(&sequence[first + 1..]) {
                logprobs.push(draw.logprob(logits, token, temperature)?);
            }
        }
        let [cache] = caches;
        decoder.pool.give_back(cache.blocks);
        Ok(logprobs)
    }
}

impl Sampler for NativeSampler {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        let queue = Queue::new(self.n_workers());
        let result = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.n_workers())
                .map(|_| {
                    let (queue, completions) = (&queue, completions.clone());
                    scope.spawn(move || {
                        let mut guard = StopUnlessDone { queue, done: false };
                        let result = Worker::new(self, queue, completions).run();
                        guard.done = result.is_ok();
                        result
                    })
                })
                .collect();
            // Only workers hold it now: the caller learns of their end by its closing.
            drop(completions);
            let received = self.receive(&requests, &queue);
            match received {
                Ok(()) => queue.close(),
                Err(_) => queue.stop(),
            }
            drop(requests);
            let worked =
                workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| Err(panicked(panic))));
            worked.fold(received, |before, result| before.and(result))
        });
        for mut row in queue.into_rows() {
            self.store.leave(&mut row);
        }
        self.store.trim();
        result
    }

    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        ensure!(
            temperature.is_finite() && 0.0 < temperature,
            "temperature is {temperature}\nhint: log-probabilities need a positive one"
        );
        for (index, sequence) in sequences.iter().enumerate() {
            check_tokens(&self.weights.config, format_args!("sequence {index}"), sequence.len(), sequence)?;
        }
        let next = AtomicUsize::new(0);
        let work = || -> anyhow::Result<Vec<Indexed<Vec<f32>>>> {
            let (mut decoder, mut draw) = (Decoder::new(self.config()), Draw::default());
            let mut scored = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(sequence) = sequences.get(index) else { return Ok(scored) };
                self.stop.check()?;
                scored.push((index, self.score(sequence, temperature, &mut decoder, &mut draw)?));
            }
        };
        let mut logprobs = vec![Vec::new(); sequences.len()];
        thread::scope(|scope| {
            let n_threads = self.n_workers().min(sequences.len());
            let workers: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                for (index, scored) in worker.join().unwrap_or_else(|panic| Err(panicked(panic)))? {
                    logprobs[index] = scored;
                }
            }
            Ok(logprobs)
        })
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(self.tokenizer.encode(prompt)?.len())
    }

    fn listen(&mut self, stop: Stop) {
        self.stop = stop;
    }

    fn stats(&self) -> SamplerStats {
        self.store.stats()
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> anyhow::Error {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    anyhow!(
        "a sampling thread panicked: {}\n\
         hint: this is a defect of kelvin; please report it with the command and the model",
        text.unwrap_or("(without a message)")
    )
}
