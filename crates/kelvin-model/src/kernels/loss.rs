//! Log-probability and entropy of a row of logits, and the gradient of any function of the two.

use super::{
    math::{LANES, fast_exp, fold, max_body},
    simd::multiversion,
};

/// Weights that are summed before the sum is looked at.
pub const WEIGHED: usize = 64;

/// `weights = exp(logits * inverse_temperature - max)`, up to 64 of them; returns their sum.
#[inline(always)]
fn weigh_body(logits: &[f32], inverse_temperature: f32, max: f32, weights: &mut [f32]) -> f64 {
    for (weight, logit) in weights.iter_mut().zip(logits) {
        *weight = fast_exp(logit * inverse_temperature - max);
    }
    let mut lanes = [0f64; 8];
    for weights in weights.chunks(8) {
        for (lane, &weight) in lanes.iter_mut().zip(weights) {
            *lane += f64::from(weight);
        }
    }
    lanes.iter().sum()
}

/// Natural logarithm of `exp(shifted) / total`: the log-probability of a token whose scaled logit is so far from the
/// largest, where `total` is the sum of all weights.
pub fn logprob_of(shifted: f32, total: f64) -> f32 {
    (f64::from(shifted) - total.ln()) as f32
}

/// What a row of logits says of one token. Probabilities are `softmax(logits * inverse_temperature)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenStats {
    /// Largest scaled logit.
    pub max: f32,
    /// `log(sum(exp(logit - max)))` over scaled logits.
    pub log_sum: f32,
    /// Natural log-probability of the token.
    pub logprob: f32,
    /// Entropy of the distribution, in nats.
    pub entropy: f32,
}

multiversion! {
    /// `weights = exp(logits * inverse_temperature - max)`, and the sum of each 64 of them.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn weigh(
        logits: &[f32],
        inverse_temperature: f32,
        max: f32,
        weights: &mut [f32],
        sums: &mut [f64],
    ) {
        assert!(logits.len() == weights.len() && logits.len().div_ceil(WEIGHED) == sums.len());
        let chunks = logits.chunks(WEIGHED).zip(weights.chunks_mut(WEIGHED));
        for ((logits, weights), sum) in chunks.zip(sums) {
            *sum = weigh_body(logits, inverse_temperature, max, weights);
        }
    }

    /// Reads a row of logits. Weights are summed as by [`weigh`], so that a token that is scored has the
    /// log-probability with which it was drawn, to the bit.
    ///
    /// # Panics
    /// If the row has no such token.
    pub fn token_stats(logits: &[f32], token: usize, inverse_temperature: f32) -> TokenStats {
        // The scale is positive, so the largest logit stays the largest.
        let max = max_body(logits) * inverse_temperature;
        let (mut sum, mut weighted) = (0f64, 0f64);
        let mut weights = [0f32; WEIGHED];
        for logits in logits.chunks(WEIGHED) {
            let weights = &mut weights[..logits.len()];
            sum += weigh_body(logits, inverse_temperature, max, weights);
            let mut lanes = [0f32; LANES];
            for (logits, weights) in logits.chunks(LANES).zip(weights.chunks(LANES)) {
                for ((lane, logit), weight) in lanes.iter_mut().zip(logits).zip(weights) {
                    *lane += weight * (logit * inverse_temperature - max);
                }
            }
            weighted += f64::from(fold(&lanes));
        }
        TokenStats {
            max,
            log_sum: sum.ln() as f32,
            logprob: logprob_of(logits[token] * inverse_temperature - max, sum),
            entropy: (sum.ln() - weighted / sum) as f32,
        }
    }

    /// Overwrites a row of logits with the gradient of `by_logprob * logprob + by_entropy * entropy` by the
    /// unscaled logits, given what [`token_stats`] said of the row.
    ///
    /// # Panics
    /// If the row has no such token.
    pub fn logits_gradient(
        logits: &mut [f32],
        token: usize,
        inverse_temperature: f32,
        stats: TokenStats,
        by_logprob: f32,
        by_entropy: f32,
    ) {
        let (lp, ent) = (by_logprob * inverse_temperature, by_entropy * inverse_temperature);
        assert!(token < logits.len());
        for logit in logits.iter_mut() {
            let logprob = (*logit * inverse_temperature - stats.max) - stats.log_sum;
            let probability = fast_exp(logprob);
            *logit = -probability * (lp + ent * (logprob + stats.entropy));
        }
        logits[token] += lp;
    }
}
