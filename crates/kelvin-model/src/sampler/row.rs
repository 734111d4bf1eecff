//! One row in flight: what was asked, what has been drawn, and what of it lies in memory.

use std::sync::Arc;

use kelvin_core::{
    policy::SamplerStats,
    rollout::{Completion, Finish, Sampling},
    seed::Seed,
};

use super::{
    NativeSampler,
    cache::{BLOCK, Cache},
    decoder::Feed,
    draw::{Draw, Drawn},
    prefix::{Node, ROOT},
    stop::Spoken,
};

/// Counts rows in the order in which they came. Older rows have memory before younger ones.
pub(super) type Ticket = u64;

/// What a row is a function of.
pub(super) struct Request {
    /// Comes back with the completion.
    pub(super) index: usize,
    pub(super) prompt: Arc<[u32]>,
    pub(super) seed: Seed,
    pub(super) sampling: Arc<Sampling>,
    /// The longest the row can become, in tokens.
    pub(super) longest: usize,
}

/// Why a row has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Its last token is an end token.
    Token,
    /// A stop sequence begins at this byte of its text.
    Text(usize),
    Length,
}

/// One row.
pub(super) struct Row {
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    plain_logprobs: Vec<f32>,
    /// Its text, where stop sequences are looked for.
    spoken: Spoken,
    ended: Option<Ended>,
    /// Keys and values of its first `done` positions.
    pub(super) cache: Cache,
    pub(super) done: usize,
    /// Positions of the prompt that other rows may share: all but the last, whose logits each row needs.
    pub(super) shareable: usize,
    /// Positions up to which the row knows whether it shares or computes.
    pub(super) known: usize,
    /// The node of these positions.
    pub(super) node: Node,
    /// Nodes that it computes, each with the position behind it.
    pub(super) claims: Vec<(Node, usize)>,
}

impl Row {
    /// A row of which nothing is computed.
    pub(super) fn new(ticket: Ticket, request: Request, shares: bool) -> Row {
        let ended = (request.sampling.max_new_tokens == 0).then_some(Ended::Length);
        Row {
            ticket,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            plain_logprobs: Vec::new(),
            spoken: Spoken::default(),
            ended,
            cache: Cache::default(),
            done: 0,
            shareable: if shares { request.prompt.len() - 1 } else { 0 },
            known: 0,
            node: ROOT,
            claims: Vec::new(),
            request,
        }
    }

    /// Tokens that are there, those of the prompt included.
    pub(super) fn len(&self) -> usize {
        self.request.prompt.len() + self.tokens.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether the row lacks only its last token.
    pub(super) fn decodes(&self) -> bool {
        self.done + 1 == self.len()
    }

    /// The tokens of the next block that others may share.
    pub(super) fn next_key(&self) -> &[u32] {
        &self.request.prompt[self.known..self.shareable.min(self.known + BLOCK)]
    }

    /// What to feed at the positions from `done` to `end`, to the cache of that index.
    pub(super) fn feeds(&self, end: usize, cache: usize) -> impl Iterator<Item = Feed> {
        let prompt = &self.request.prompt;
        let token = |position: usize| match prompt.get(position) {
            Some(&token) => token,
            None => self.tokens[position - prompt.len()],
        };
        (self.done..end).map(move |position| Feed { cache, position, token: token(position) })
    }

    /// Counts what is fed up to `end`.
    pub(super) fn count(&self, end: usize, stats: &mut SamplerStats) {
        let n_prompt = self.request.prompt.len();
        stats.rows_stepped += 1;
        stats.prompt_tokens_computed += (end.min(n_prompt) - self.done.min(n_prompt)) as u64;
        // All drawn tokens but the last one were fed before.
        let drawn = self.done.max(n_prompt)..end.min(self.len() - 1);
        stats.tokens_recomputed += drawn.len() as u64;
    }

    /// Forgets what was computed; the caller has given the blocks back.
    pub(super) fn restart(&mut self) {
        debug_assert!(self.cache.blocks.is_empty() && self.claims.is_empty());
        (self.done, self.known, self.node) = (0, 0, ROOT);
    }

    /// Draws the next token from the logits after the last one, and notes whether that ends the row.
    ///
    /// # Errors
    /// If the logits are not finite.
    pub(super) fn extend(
        &mut self,
        sampler: &NativeSampler,
        draw: &mut Draw,
        logits: &[f32],
    ) -> anyhow::Result<()> {
        let Request { prompt, seed, sampling, longest, .. } = &self.request;
        let unit = seed.nth(self.tokens.len() as u64).unit();
        let Drawn { token, logprob, plain_logprob } = draw.draw(logits, sampling, unit)?;
        self.tokens.push(token);
        self.logprobs.push(logprob);
        self.plain_logprobs.push(plain_logprob);
        self.ended = if sampler.end_tokens.contains(&token) {
            Some(Ended::Token)
        } else if let Some(start) = (!sampling.stop.is_empty())
            .then(|| sampler.say(&mut self.spoken, token, &sampling.stop))
            .flatten()
        {
            Some(Ended::Text(start))
        } else {
            (prompt.len() + self.tokens.len() == *longest).then_some(Ended::Length)
        };
        Ok(())
    }

    /// # Errors
    /// If the tokens cannot be turned into text.
    ///
    /// # Panics
    /// If the row goes on.
    pub(super) fn into_completion(self, sampler: &NativeSampler) -> anyhow::Result<(usize, Completion)> {
        let Row { request, tokens, logprobs, plain_logprobs, spoken, ended, .. } = self;
        let (text, finish) = match ended.expect("the row has ended") {
            Ended::Token => (sampler.tokenizer.decode(&tokens[..tokens.len() - 1])?, Finish::Stop),
            Ended::Text(start) => (spoken.text_before(start), Finish::Stop),
            Ended::Length => (sampler.tokenizer.decode(&tokens)?, Finish::Length),
        };
        let prompt_tokens = request.prompt;
        let completion =
            Completion { prompt_tokens, tokens, logprobs, plain_logprobs, text, finish, behind: 0 };
        Ok((request.index, completion))
    }
}
