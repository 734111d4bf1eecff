//! One thread's rows: admitted as there is room, prefilled in chunks, decoded together, sent when they end.

use std::sync::{Arc, mpsc::Sender};

use kelvin_core::{
    policy::Indexed,
    rollout::{Completion, Finish},
};

use super::{
    NativeSampler,
    cache::{Cache, Shape},
    decoder::{Decoder, Feed},
    draw::Draw,
    queue::{Pending, Queue, Taken},
};

/// Prompts that a worker remembers after it computed them.
const PROMPTS_KEPT: usize = 16;

/// One row in flight.
struct Row {
    request: Pending,
    phase: Phase,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    finish: Option<Finish>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first `done` tokens of the prompt are in the cache.
    Prefill { done: usize },
    /// Another row is prefilling the same prompt.
    Follow,
    /// All but the last token are in the cache.
    Decode,
}

/// A prompt that was computed, for rows that come later.
struct Known {
    prompt: Arc<[u32]>,
    cache: Cache,
    /// After its last token.
    logits: Vec<f32>,
}

/// What one thread holds while it serves.
pub(super) struct Worker<'serve> {
    sampler: &'serve NativeSampler,
    queue: &'serve Queue,
    completions: Sender<Indexed<Completion>>,
    shape: Shape,
    /// Bound on the blocks that rows may come to hold.
    blocks_max: usize,
    decoder: Decoder,
    draw: Draw,
    rows: Vec<Row>,
    /// One for each row.
    caches: Vec<Cache>,
    /// Oldest first.
    known: Vec<Known>,
    feeds: Vec<Feed>,
    /// Indices of feeds whose logits are needed, and of their rows.
    asked: Vec<usize>,
    asked_rows: Vec<usize>,
    n_finished: usize,
}

/// Nobody listens any more.
struct NobodyListens;

impl<'serve> Worker<'serve> {
    pub(super) fn new(
        sampler: &'serve NativeSampler,
        queue: &'serve Queue,
        completions: Sender<Indexed<Completion>>,
    ) -> Worker<'serve> {
        let config = &sampler.weights.config;
        let shape = Shape::new(config);
        let options = &sampler.options;
        Worker {
            sampler,
            queue,
            completions,
            shape,
            blocks_max: options.kv_bytes_max / sampler.n_workers() / shape.block_bytes(),
            decoder: Decoder::new(config),
            draw: Draw::default(),
            rows: Vec::new(),
            caches: Vec::new(),
            known: Vec::new(),
            feeds: Vec::new(),
            asked: Vec::new(),
            asked_rows: Vec::new(),
            n_finished: 0,
        }
    }

    /// Works until there is nothing more to do.
    ///
    /// # Errors
    /// If logits are not finite or a text cannot be decoded.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.take() {
                Taken::Done => return Ok(()),
                Taken::Rows(requests) => {
                    for request in requests {
                        self.admit(request)?;
                    }
                }
            }
            self.step()?;
            if let Err(NobodyListens) = self.send_finished()? {
                self.queue.stop();
                return Ok(());
            }
        }
    }

    /// Asks for as many rows as fit. A row may come to hold what its longest completion needs; one row always
    /// fits.
    fn take(&mut self) -> Taken {
        let Worker { rows, known, decoder, shape, blocks_max, .. } = self;
        let n_rows_max = self.sampler.options.max_rows.max(1);
        let mut n_rows = rows.len();
        let mut n_blocks: usize = rows.iter().map(|row| shape.blocks_for(row.request.longest)).sum();
        self.queue.take(rows.len(), std::mem::take(&mut self.n_finished), |request| {
            let n_with_it = n_blocks + shape.blocks_for(request.longest);
            let known_blocks = |known: &[Known]| known.iter().map(|it| it.cache.blocks.len()).sum::<usize>();
            while !known.is_empty() && *blocks_max < n_with_it + known_blocks(known) {
                decoder.pool.give_back(known.remove(0).cache.blocks);
            }
            let fits = n_rows == 0 || (n_rows < n_rows_max && n_with_it <= *blocks_max);
            if fits {
                (n_rows, n_blocks) = (n_rows + 1, n_with_it);
            }
            fits
        })
    }

    fn admit(&mut self, request: Pending) -> anyhow::Result<()> {
        let shares = self.sampler.options.share_prompts;
        let known = self.known.iter().find(|it| shares && it.prompt == request.prompt);
        let is_prefilling = |row: &Row| {
            row.finish.is_none()
                && matches!(row.phase, Phase::Prefill { .. })
                && row.request.prompt == request.prompt
        };
        let phase = if known.is_some() {
            Phase::Decode
        } else if shares && self.rows.iter().any(is_prefilling) {
            Phase::Follow
        } else {
            Phase::Prefill { done: 0 }
        };
        let finish = (request.sampling.max_new_tokens == 0).then_some(Finish::Length);
        let mut row = Row { request, phase, tokens: Vec::new(), logprobs: Vec::new(), finish };
        let mut cache = Cache::default();
        if let Some(known) = known {
            cache = known.cache.clone();
            extend(self.sampler, &mut self.draw, &mut row, &known.logits)?;
        }
        self.rows.push(row);
        self.caches.push(cache);
        Ok(())
    }

    /// Feeds one token of each decoding row and a chunk of prompts, and draws where that ends a prompt or a
    /// token.
    fn step(&mut self) -> anyhow::Result<()> {
        self.gather();
        if self.feeds.is_empty() {
            assert!(self.rows.iter().all(|row| row.finish.is_some()), "an open row has something to feed");
            return Ok(());
        }
        let Worker { sampler, decoder, draw, rows, caches, .. } = self;
        let logits = sampler.forward(decoder, caches, &self.feeds, &self.asked);
        let logits = logits.chunks_exact(sampler.weights.config.vocab_size);
        let mut computed = Vec::new();
        for (&index, logits) in self.asked_rows.iter().zip(logits) {
            if rows[index].phase != Phase::Decode {
                rows[index].phase = Phase::Decode;
                if sampler.options.share_prompts {
                    let prompt = rows[index].request.prompt.clone();
                    computed.push(Known { prompt, cache: caches[index].clone(), logits: logits.to_vec() });
                }
            }
            extend(sampler, draw, &mut rows[index], logits)?;
        }
        for known in computed {
            self.remember(known)?;
        }
        Ok(())
    }

    /// Chooses what to feed: decoding rows first, then prompts in the order in which they came.
    fn gather(&mut self) {
        self.feeds.clear();
        self.asked.clear();
        self.asked_rows.clear();
        for (cache, row) in self.rows.iter().enumerate() {
            if row.finish.is_none() && row.phase == Phase::Decode {
                let token = *row.tokens.last().expect("a decoding row has drawn a token");
                let position = row.request.prompt.len() + row.tokens.len() - 1;
                self.asked.push(self.feeds.len());
                self.asked_rows.push(cache);
                self.feeds.push(Feed { cache, position, token });
            }
        }
        let mut left = self.sampler.options.prefill_chunk.max(1);
        for (cache, row) in self.rows.iter_mut().enumerate() {
            let Phase::Prefill { done } = row.phase else { continue };
            let prompt = &row.request.prompt;
            let n = if row.finish.is_none() { left.min(prompt.len() - done) } else { 0 };
            let part = prompt[done..done + n].iter().enumerate();
            self.feeds.extend(part.map(|(offset, &token)| Feed { cache, position: done + offset, token }));
            if 0 < n && done + n == prompt.len() {
                self.asked.push(self.feeds.len() - 1);
                self.asked_rows.push(cache);
            }
            row.phase = Phase::Prefill { done: done + n };
            left -= n;
        }
    }

    /// Starts the rows that wait for a prompt, and keeps it for rows to come.
    fn remember(&mut self, known: Known) -> anyhow::Result<()> {
        for (row, cache) in self.rows.iter_mut().zip(&mut self.caches) {
            if row.phase == Phase::Follow && row.request.prompt == known.prompt {
                row.phase = Phase::Decode;
                *cache = known.cache.clone();
                extend(self.sampler, &mut self.draw, row, &known.logits)?;
            }
        }
        if self.known.len() == PROMPTS_KEPT {
            self.decoder.pool.give_back(self.known.remove(0).cache.blocks);
        }
        self.known.push(known);
        Ok(())
    }

    fn send_finished(&mut self) -> anyhow::Result<Result<(), NobodyListens>> {
        for index in (0..self.rows.len()).rev() {
            let Some(finish) = self.rows[index].finish else { continue };
            let row = self.rows.swap_remove(index);
            self.decoder.pool.give_back(self.caches.swap_remove(index).blocks);
            self.n_finished += 1;
            let shown = match finish {
                Finish::Stop => &row.tokens[..row.tokens.len() - 1],
                Finish::Length => &row.tokens[..],
            };
            let text = self.sampler.tokenizer.decode(shown)?;
            let Row { request, tokens, logprobs, .. } = row;
            let completion = Completion { prompt_tokens: request.prompt, tokens, logprobs, text, finish };
            if self.completions.send((request.index, completion)).is_err() {
                return Ok(Err(NobodyListens));
            }
        }
        Ok(Ok(()))
    }
}

/// Draws a row's next token from the logits after its last one, and notes whether that ends it.
fn extend(sampler: &NativeSampler, draw: &mut Draw, row: &mut Row, logits: &[f32]) -> anyhow::Result<()> {
    if row.finish.is_some() {
        return Ok(());
    }
    let Pending { prompt, seed, sampling, longest, .. } = &row.request;
    let unit = seed.nth(row.tokens.len() as u64).unit();
    let (token, logprob) = draw.draw(logits, sampling, unit)?;
    row.tokens.push(token);
    row.logprobs.push(logprob);
    if sampler.end_tokens.contains(&token) {
        row.finish = Some(Finish::Stop);
    } else if prompt.len() + row.tokens.len() == *longest {
        row.finish = Some(Finish::Length);
    }
    Ok(())
}
