//! Log-probability and entropy of a row of logits, and the gradient of any function of the two.

use super::{
    math::{LANES, fast_exp, fold, max_body},
    simd::multiversion,
};

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
    /// Reads a row of logits.
    ///
    /// # Panics
    /// If the row has no such token.
    pub fn token_stats(logits: &[f32], token: usize, inverse_temperature: f32) -> TokenStats {
        // The scale is positive, so the largest logit stays the largest.
        let max = max_body(logits) * inverse_temperature;
        let mut sums = [0f32; LANES];
        let mut weighted = [0f32; LANES];
        let chunks = logits.chunks_exact(LANES);
        let tail = chunks.remainder();
        for chunk in chunks {
            for lane in 0..LANES {
                let shifted = chunk[lane] * inverse_temperature - max;
                let weight = fast_exp(shifted);
                sums[lane] += weight;
                weighted[lane] += weight * shifted;
            }
        }
        let (mut sum, mut weighted) = (fold(&sums), fold(&weighted));
        for &logit in tail {
            let shifted = logit * inverse_temperature - max;
            let weight = fast_exp(shifted);
            sum += weight;
            weighted += weight * shifted;
        }
        let log_sum = sum.ln();
        TokenStats {
            max,
            log_sum,
            logprob: (logits[token] * inverse_temperature - max) - log_sum,
            entropy: log_sum - weighted / sum,
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
