//! Final norm and head, for the rows that predict something; logits exist for a block of rows at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    Backbone,
    linear::{Learnt, Linear},
    sized,
    threads::Threads,
};
use crate::kernels::{TokenStats, add_into, logits_gradient, rms_norm_backward, token_stats};

/// Logits held at once, in floats (128 MiB): 220 rows of a vocabulary of 151,936. Fewer rows would spend their time
/// on reading the head.
const LOGITS_MAX: usize = 1 << 25;

/// Predictions: the row in the chunk, and the token.
#[derive(Debug, Default)]
pub(crate) struct PredictedRows {
    /// A row counts once for each token that it predicts: samples of one prompt share its last row.
    pub(crate) rows: Vec<usize>,
    /// One for each row.
    pub(crate) tokens: Vec<u32>,
}

/// Memory of the head, for one thread.
#[derive(Debug, Default)]
pub(crate) struct Head {
    gathered: Vec<f32>,
    factors: Vec<f32>,
    normed: Vec<f32>,
    dnormed: Vec<f32>,
    dgathered: Vec<f32>,
    logits: Vec<f32>,
}

impl Head {
    fn gather(&mut self, backbone: Backbone, x: &[f32], predicted: &PredictedRows) {
        let params = backbone.params;
        let config = &params.layout.config;
        let hidden = config.hidden_size;
        let len = predicted.rows.len() * hidden;
        let gathered = sized(&mut self.gathered, len);
        for (to, &row) in gathered.chunks_exact_mut(hidden).zip(&predicted.rows) {
            to.copy_from_slice(&x[row * hidden..][..hidden]);
        }
        let gain = &params.flat[params.layout.final_norm.clone()];
        let factors = sized(&mut self.factors, predicted.rows.len());
        let normed = sized(&mut self.normed, len);
        backbone.threads.rms_norm(gathered, gain, config.rms_norm_eps, normed, factors);
    }

    /// Log-probability and entropy of each predicted token, given the last residual stream.
    pub(crate) fn forward(
        &mut self,
        backbone: Backbone,
        x: &[f32],
        predicted: &PredictedRows,
        temperature: f32,
        mut each: impl FnMut(usize, TokenStats),
    ) {
        let config = &backbone.params.layout.config;
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let weight = matrix(&backbone);
        self.gather(backbone, x, predicted);
        for block in blocks(predicted.rows.len(), vocab).take_while(|_| !backbone.is_stopped()) {
            let logits = sized(&mut self.logits, block.len() * vocab);
            let normed = &self.normed[block.start * hidden..block.end * hidden];
            weight.forward(normed, block.len(), logits, false);
            for (logits, idx) in logits.chunks_exact(vocab).zip(block) {
                each(idx, token_stats(logits, predicted.tokens[idx] as usize, 1.0 / temperature));
            }
        }
    }

    /// [`Head::forward`], and back: `each` is given a predicted row's index and stats and answers with the
    /// derivatives of the loss by log-probability and entropy. Adds to `gradient` those by head and final
    /// norm unless only adapters learn, and writes `dx[rows, hidden]`.
    pub(crate) fn forward_backward(
        &mut self,
        backbone: Backbone,
        x: &[f32],
        predicted: &PredictedRows,
        temperature: f32,
        mut each: impl FnMut(usize, TokenStats) -> (f32, f32),
        gradient: &mut [f32],
        dx: &mut [f32],
    ) {
        let layout = &backbone.params.layout;
        let (hidden, vocab) = (layout.config.hidden_size, layout.config.vocab_size);
        let weight = matrix(&backbone);
        self.gather(backbone, x, predicted);
        let n = predicted.rows.len();
        let dnormed = sized(&mut self.dnormed, n * hidden);
        for block in blocks(n, vocab).take_while(|_| !backbone.is_stopped()) {
            let logits = sized(&mut self.logits, block.len() * vocab);
            let floats = block.start * hidden..block.end * hidden;
            let normed = &self.normed[floats.clone()];
            weight.forward(normed, block.len(), logits, false);
            let tokens = &predicted.tokens[block.clone()];
            let each = |idx: usize, stats| each(block.start + idx, stats);
            differentiate(backbone.threads, logits, tokens, 1.0 / temperature, each);
            weight.backward_input(logits, block.len(), &mut dnormed[floats]);
            weight.backward_weight(logits, normed, block.len(), gradient);
        }
        let dgathered = sized(&mut self.dgathered, n * hidden);
        dgathered.fill(0.0);
        let gain = &backbone.params.flat[layout.final_norm.clone()];
        let mut unused = Vec::new();
        let dgain = match backbone.lora {
            None => &mut gradient[layout.final_norm.clone()],
            Some(_) => sized(&mut unused, hidden),
        };
        rms_norm_backward(&self.gathered, gain, &self.factors, dnormed, dgathered, dgain);
        dx.fill(0.0);
        for (from, &row) in dgathered.chunks_exact(hidden).zip(&predicted.rows) {
            add_into(&mut dx[row * hidden..][..hidden], from);
        }
    }
}

/// The head's matrix, which has no adapter.
fn matrix<'model>(backbone: &Backbone<'model>) -> Linear<'model> {
    let at = backbone.params.layout.head.clone();
    let learnt = match backbone.lora {
        None => Learnt::Weight(at.clone()),
        Some(lora) => Learnt::Branches(lora, &[]),
    };
    Linear { weight: &backbone.params.flat[at], learnt, threads: backbone.threads }
}

/// Overwrites rows of logits, one for each of `tokens`, with the gradient of the loss by them. `each` is asked in
/// the order of rows.
fn differentiate(
    threads: Threads,
    logits: &mut [f32],
    tokens: &[u32],
    inverse_temperature: f32,
    mut each: impl FnMut(usize, TokenStats) -> (f32, f32),
) {
    let vocab = logits.len() / tokens.len();
    match threads {
        Threads::One => {
            for (idx, (logits, &token)) in logits.chunks_exact_mut(vocab).zip(tokens).enumerate() {
                let stats = token_stats(logits, token as usize, inverse_temperature);
                let (by_logprob, by_entropy) = each(idx, stats);
                logits_gradient(logits, token as usize, inverse_temperature, stats, by_logprob, by_entropy);
            }
        }
        Threads::All => {
            let rows = logits.par_chunks_exact(vocab).zip(tokens);
            let stats: Vec<TokenStats> = rows
                .map(|(logits, &token)| token_stats(logits, token as usize, inverse_temperature))
                .collect();
            let by: Vec<(f32, f32)> =
                stats.iter().enumerate().map(|(idx, &stats)| each(idx, stats)).collect();
            let rows = logits.par_chunks_exact_mut(vocab).zip(tokens).zip(stats.into_par_iter().zip(by));
            rows.for_each(|((logits, &token), (stats, (by_logprob, by_entropy)))| {
                logits_gradient(logits, token as usize, inverse_temperature, stats, by_logprob, by_entropy);
            });
        }
    }
}

/// Rows whose logits are held at once.
pub(crate) fn logits_rows(vocab: usize) -> usize {
    (LOGITS_MAX / vocab).clamp(1, 512)
}

/// Blocks of predicted rows whose logits fit in [`LOGITS_MAX`]. Their size depends on the vocabulary alone.
fn blocks(n: usize, vocab: usize) -> impl Iterator<Item = Range<usize>> {
    let size = logits_rows(vocab);
    (0..n).step_by(size).map(move |start| start..(start + size).min(n))
}
