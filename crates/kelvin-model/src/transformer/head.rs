//! Final norm and head, for the rows that predict something; logits exist for a block of rows at a time.

use super::{linear, sized};
use crate::{
    kernels::{TokenStats, add_into, logits_gradient, rms_norm, rms_norm_backward, token_stats},
    params::Params,
};

/// Logits held at once, in floats (64 MiB).
const LOGITS_MAX: usize = 1 << 24;

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
    fn gather(&mut self, params: &Params, x: &[f32], predicted: &PredictedRows) {
        let config = &params.layout.config;
        let hidden = config.hidden_size;
        let len = predicted.rows.len() * hidden;
        let gathered = sized(&mut self.gathered, len);
        for (to, &row) in gathered.chunks_exact_mut(hidden).zip(&predicted.rows) {
            to.copy_from_slice(&x[row * hidden..][..hidden]);
        }
        let gain = &params.flat[params.layout.final_norm.clone()];
        let factors = sized(&mut self.factors, predicted.rows.len());
        rms_norm(gathered, gain, config.rms_norm_eps, sized(&mut self.normed, len), factors);
    }

    /// Log-probability and entropy of each predicted token, given the last residual stream.
    pub(crate) fn forward(
        &mut self,
        params: &Params,
        x: &[f32],
        predicted: &PredictedRows,
        temperature: f32,
        mut each: impl FnMut(usize, TokenStats),
    ) {
        let (hidden, vocab) = (params.layout.config.hidden_size, params.layout.config.vocab_size);
        let weight = &params.flat[params.layout.head.clone()];
        self.gather(params, x, predicted);
        for block in blocks(predicted.rows.len(), vocab) {
            let logits = sized(&mut self.logits, block.len() * vocab);
            let normed = &self.normed[block.start * hidden..block.end * hidden];
            linear::forward(normed, weight, block.len(), logits, false);
            for (logits, idx) in logits.chunks_exact(vocab).zip(block) {
                each(idx, token_stats(logits, predicted.tokens[idx] as usize, 1.0 / temperature));
            }
        }
    }

    /// [`Head::forward`], and back: `each` is given a predicted row's index and stats and answers with the
    /// derivatives of the loss by log-probability and entropy. Adds to `gradient` those by head and final
    /// norm, and writes `dx[rows, hidden]`.
    pub(crate) fn forward_backward(
        &mut self,
        params: &Params,
        x: &[f32],
        predicted: &PredictedRows,
        temperature: f32,
        mut each: impl FnMut(usize, TokenStats) -> (f32, f32),
        gradient: &mut [f32],
        dx: &mut [f32],
    ) {
        let layout = &params.layout;
        let (hidden, vocab) = (layout.config.hidden_size, layout.config.vocab_size);
        let weight = &params.flat[layout.head.clone()];
        self.gather(params, x, predicted);
        let n = predicted.rows.len();
        let dnormed = sized(&mut self.dnormed, n * hidden);
        for block in blocks(n, vocab) {
            let logits = sized(&mut self.logits, block.len() * vocab);
            let floats = block.start * hidden..block.end * hidden;
            let normed = &self.normed[floats.clone()];
            linear::forward(normed, weight, block.len(), logits, false);
            for (logits, idx) in logits.chunks_exact_mut(vocab).zip(block.clone()) {
                let token = predicted.tokens[idx] as usize;
                let stats = token_stats(logits, token, 1.0 / temperature);
                let (by_logprob, by_entropy) = each(idx, stats);
                logits_gradient(logits, token, 1.0 / temperature, stats, by_logprob, by_entropy);
            }
            linear::backward_input(logits, weight, block.len(), &mut dnormed[floats]);
            linear::backward_weight(logits, normed, block.len(), &mut gradient[layout.head.clone()]);
        }
        let dgathered = sized(&mut self.dgathered, n * hidden);
        dgathered.fill(0.0);
        let gain = &params.flat[layout.final_norm.clone()];
        let dgain = &mut gradient[layout.final_norm.clone()];
        rms_norm_backward(&self.gathered, gain, &self.factors, dnormed, dgathered, dgain);
        dx.fill(0.0);
        for (from, &row) in dgathered.chunks_exact(hidden).zip(&predicted.rows) {
            add_into(&mut dx[row * hidden..][..hidden], from);
        }
    }
}

/// Blocks of predicted rows whose logits fit in [`LOGITS_MAX`]. Their size depends on the vocabulary alone.
fn blocks(n: usize, vocab: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = (LOGITS_MAX / vocab).clamp(1, 512);
    (0..n).step_by(size).map(move |start| start..(start + size).min(n))
}
