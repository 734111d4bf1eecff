//! From a row of logits to one token and its log-probability.
//!
//! Weights are f32, their sums f64 in a fixed order: a draw is a function of the logits and one uniform
//! number.

use std::cmp::Ordering;

use anyhow::{bail, ensure};
use kelvin_core::rollout::{STOP_BYTES_MAX, STOPS_MAX, Sampling, is_drawing_temperature};

use crate::kernels::{WEIGHED, logprob_of, row_max, weigh};

/// Scratch for drawing.
#[derive(Default)]
pub(super) struct Draw {
    /// Of each token, relative to the most likely one.
    weights: Vec<f32>,
    sums: Vec<f64>,
    /// Tokens that survive the truncations.
    kept: Vec<u32>,
}

/// One token, and what it was drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drawn {
    pub(super) token: u32,
    /// Under the distribution it was drawn from, after temperature and truncations.
    pub(super) logprob: f32,
    /// Under the softmax of the logits as they are.
    pub(super) plain_logprob: f32,
}

/// What log-probabilities need to know of a row.
#[derive(Clone, Copy)]
struct Weighed {
    inverse_temperature: f32,
    /// Largest scaled logit.
    max: f32,
    /// Sum of the weights that a token is drawn from.
    total: f64,
}

impl Weighed {
    fn logprob(&self, logit: f32) -> f32 {
        logprob_of(logit * self.inverse_temperature - self.max, self.total)
    }
}

/// Checks what a request asks for.
pub(super) fn check(sampling: &Sampling) -> anyhow::Result<()> {
    let Sampling { temperature, top_p, min_p, ref stop, .. } = *sampling;
    ensure!(
        is_drawing_temperature(temperature),
        "temperature is {temperature}\nhint: it is 0 for the most likely token, else from 1e-6 to 1e6"
    );
    ensure!(
        0.0 < top_p && top_p <= 1.0,
        "top_p is {top_p}\nhint: it lies above 0 and at most at 1, which keeps all"
    );
    ensure!(
        (0.0..=1.0).contains(&min_p),
        "min_p is {min_p}\nhint: it lies between 0, which keeps all, and 1"
    );
    ensure!(
        stop.iter().all(|it| (1..=STOP_BYTES_MAX).contains(&it.len())) && stop.len() <= STOPS_MAX,
        "`stop` has {} sequences, the longest of {} bytes, the shortest of {}\n\
         hint: there are at most {STOPS_MAX}, each of 1 to {STOP_BYTES_MAX} bytes",
        stop.len(),
        stop.iter().map(String::len).max().unwrap_or(0),
        stop.iter().map(String::len).min().unwrap_or(0)
    );
    Ok(())
}

impl Draw {
    /// The token that the uniform number `unit` in `[0, 1)` falls on. At temperature 0 the distribution drawn from is
    /// one token, the smallest id among the most likely.
    ///
    /// # Errors
    /// If the logits are not finite.
    pub(super) fn draw(&mut self, logits: &[f32], sampling: &Sampling, unit: f64) -> anyhow::Result<Drawn> {
        if sampling.temperature == 0.0 {
            let max = row_max(logits);
            let Some(token) = logits.iter().position(|&logit| logit == max) else { return not_finite() };
            let plain_logprob = self.logprob(logits, token as u32, 1.0)?;
            return Ok(Drawn { token: token as u32, logprob: 0.0, plain_logprob });
        }
        let whole = self.weigh(logits, sampling.temperature)?;
        let (token, total) = self.choose(logits, sampling, unit, whole.total);
        let logit = logits[token as usize];
        let plain = if sampling.temperature == 1.0 { whole } else { self.weigh(logits, 1.0)? };
        let logprob = Weighed { total, ..whole }.logprob(logit);
        Ok(Drawn { token, logprob, plain_logprob: plain.logprob(logit) })
    }

    /// The token that `unit` falls on, by the weights at hand whose sum is `total`, and the sum of those that survive
    /// the truncations.
    fn choose(&mut self, logits: &[f32], sampling: &Sampling, unit: f64, total: f64) -> (u32, f64) {
        let truncates = (1..logits.len()).contains(&sampling.top_k) || sampling.top_p < 1.0;
        if truncates || 0.0 < sampling.min_p {
            self.truncate(logits, sampling, total);
            let weights = self.kept.iter().map(|&token| f64::from(self.weights[token as usize]));
            let mass = weights.clone().sum();
            let token = self.kept[pick(weights, unit * mass)];
            (token, mass)
        } else {
            // First the chunk, then the token in it.
            let mut left = unit * total;
            let chunk = pick(self.sums.iter().copied(), left);
            left -= self.sums[..chunk].iter().sum::<f64>();
            let weights = &self.weights[chunk * WEIGHED..];
            let within = pick(weights.iter().take(WEIGHED).map(|&weight| f64::from(weight)), left);
            ((chunk * WEIGHED + within) as u32, total)
        }
    }

    /// The log-probability of `token` under the distribution without truncations: what [`Draw::draw`] says of
    /// it.
    ///
    /// # Errors
    /// If the logits are not finite.
    pub(super) fn logprob(&mut self, logits: &[f32], token: u32, temperature: f32) -> anyhow::Result<f32> {
        Ok(self.weigh(logits, temperature)?.logprob(logits[token as usize]))
    }

    /// Fills the weights.
    fn weigh(&mut self, logits: &[f32], temperature: f32) -> anyhow::Result<Weighed> {
        let inverse_temperature = 1.0 / temperature;
        self.weights.resize(logits.len(), 0.0);
        self.sums.resize(logits.len().div_ceil(WEIGHED), 0.0);
        let max = row_max(logits) * inverse_temperature;
        weigh(logits, inverse_temperature, max, &mut self.weights, &mut self.sums);
        let total: f64 = self.sums.iter().sum();
        if max.is_finite() && total.is_finite() {
            Ok(Weighed { inverse_temperature, max, total })
        } else {
            not_finite()
        }
    }

    /// Keeps the tokens that survive top-k, top-p and min-p, in this order; at least the most likely one.
    fn truncate(&mut self, logits: &[f32], sampling: &Sampling, total: f64) {
        let Draw { weights, kept, .. } = self;
        let weight = |token: u32| weights[token as usize];
        kept.clear();
        kept.extend(0..logits.len() as u32);
        let top_k = if sampling.top_k == 0 { logits.len() } else { sampling.top_k.min(logits.len()) };
        if top_k < logits.len() || sampling.top_p < 1.0 {
            let order = |&a: &u32, &b: &u32| -> Ordering {
                logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b))
            };
            let mut mass = total;
            if top_k < logits.len() {
                kept.select_nth_unstable_by(top_k, order);
                kept.truncate(top_k);
                kept.sort_unstable_by(order);
                mass = kept.iter().map(|&token| f64::from(weight(token))).sum();
            }
            if sampling.top_p < 1.0 {
                let n = nucleus(kept, weight, f64::from(sampling.top_p) * mass, order);
                kept.truncate(n);
            }
        }
        // The most likely token weighs 1.
        kept.retain(|&token| sampling.min_p <= weight(token));
    }
}

/// Puts the most likely tokens first until their weights reach `mass`; returns their number. Only as many are
/// sorted as it takes.
fn nucleus(
    tokens: &mut [u32],
    weight: impl Fn(u32) -> f32,
    mass: f64,
    order: impl Fn(&u32, &u32) -> Ordering,
) -> usize {
    let mut sorted = 0;
    let mut sum = 0.0;
    while sorted < tokens.len() {
        let rest = &mut tokens[sorted..];
        let n = rest.len().min(256.max(3 * sorted));
        if n < rest.len() {
            rest.select_nth_unstable_by(n, &order);
        }
        rest[..n].sort_unstable_by(&order);
        for (index, &token) in rest[..n].iter().enumerate() {
            sum += f64::from(weight(token));
            if mass <= sum {
                return sorted + index + 1;
            }
        }
        sorted += n;
    }
    tokens.len()
}

/// The index at which the running sum of `weights` exceeds `target`; the last if rounding keeps it below.
fn pick(weights: impl ExactSizeIterator<Item = f64>, target: f64) -> usize {
    let last = weights.len() - 1;
    let mut sum = 0.0;
    for (index, weight) in weights.enumerate() {
        sum += weight;
        if target < sum {
            return index;
        }
    }
    last
}

fn not_finite<T>() -> anyhow::Result<T> {
    bail!(
        "the model's logits are not finite\n\
         hint: the weights have diverged; go back to an earlier checkpoint and lower the learning rate"
    )
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;

    /// Probabilities of the logits used below at temperature 1.
    const SHARES: [f64; 6] = [0.30, 0.05, 0.30, 0.20, 0.10, 0.05];

    fn logits() -> Vec<f32> {
        SHARES.iter().map(|share| share.ln() as f32 + 3.0).collect()
    }

    fn plain() -> Sampling {
        Sampling::plain(1)
    }

    /// Draws 20,000 times and compares with `shares` at six standard deviations, log-probabilities with their
    /// logs.
    fn check_shares(logits: &[f32], sampling: &Sampling, shares: &[f64]) {
        const N: usize = 20_000;
        let (mut draw, mut counts) = (Draw::default(), vec![0usize; logits.len()]);
        for index in 0..N {
            let unit = Seed::new(8).nth(index as u64).unit();
            let Drawn { token, logprob, plain_logprob } = draw.draw(logits, sampling, unit).unwrap();
            assert!(
                (f64::from(plain_logprob) - SHARES[token as usize].ln()).abs() < 1e-5,
                "{token}: {plain_logprob}"
            );
            counts[token as usize] += 1;
            assert!((f64::from(logprob) - shares[token as usize].ln()).abs() < 1e-5, "{token}: {logprob}");
        }
        for (token, (&count, &share)) in counts.iter().zip(shares).enumerate() {
            let bound = 6.0 * (N as f64 * share * (1.0 - share)).sqrt();
            let error = (count as f64 - N as f64 * share).abs();
            assert!(error <= bound, "token {token}: {count} of {N}, expected {share}");
        }
    }

    #[test]
    fn draws_follow_the_distribution() {
        check_shares(&logits(), &plain(), &SHARES);
    }

    #[test]
    fn temperature_sharpens() {
        let squares: Vec<f64> = SHARES.iter().map(|share| share * share).collect();
        let total: f64 = squares.iter().sum();
        let shares: Vec<f64> = squares.iter().map(|it| it / total).collect();
        check_shares(&logits(), &Sampling { temperature: 0.5, ..plain() }, &shares);
    }

    #[test]
    fn truncations_keep_what_they_say_in_their_order() {
        // Equal logits tie towards small ids: of tokens 1 and 5, token 1 is the fifth.
        let five = [0.30, 0.05, 0.30, 0.20, 0.10, 0.0].map(|it| it / 0.95);
        check_shares(&logits(), &Sampling { top_k: 5, ..plain() }, &five);
        let two = [0.5, 0.0, 0.5, 0.0, 0.0, 0.0];
        check_shares(&logits(), &Sampling { top_p: 0.55, ..plain() }, &two);
        let three = [0.375, 0.0, 0.375, 0.25, 0.0, 0.0];
        check_shares(&logits(), &Sampling { top_p: 0.65, ..plain() }, &three);
        check_shares(&logits(), &Sampling { min_p: 0.5, ..plain() }, &three);
        // After top-k 3 the nucleus of 0.7 needs two tokens of 0.375, not three of 0.3, 0.3 and 0.2.
        check_shares(&logits(), &Sampling { top_k: 3, top_p: 0.7, ..plain() }, &two);
        let one = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        check_shares(&logits(), &Sampling { top_k: 1, ..plain() }, &one);
        check_shares(&logits(), &Sampling { top_p: 1e-6, ..plain() }, &one);
        let all = Sampling { top_k: 6, top_p: 1.0, min_p: 0.0, ..plain() };
        check_shares(&logits(), &all, &SHARES);
    }

    #[test]
    fn greedy_takes_the_smallest_id_among_equals() {
        let drawn = Draw::default().draw(&logits(), &Sampling::greedy(1), 0.99).unwrap();
        assert_eq!((drawn.token, drawn.logprob), (0, 0.0));
        assert!((f64::from(drawn.plain_logprob) - SHARES[0].ln()).abs() < 1e-6);
    }

    #[test]
    fn a_large_vocabulary_has_every_token() {
        let n = 1000;
        let logits: Vec<f32> = (0..n).map(|index| (index as f32).sin()).collect();
        let total: f64 = logits.iter().map(|&it| f64::from(it).exp()).sum();
        let (mut draw, mut before) = (Draw::default(), 0.0);
        for (token, &logit) in logits.iter().enumerate() {
            let share = f64::from(logit).exp() / total;
            let drawn = draw.draw(&logits, &plain(), before + share / 2.0).unwrap();
            assert_eq!((drawn.token as usize, drawn.logprob), (token, drawn.plain_logprob));
            assert_eq!(drawn.logprob, draw.logprob(&logits, drawn.token, 1.0).unwrap());
            before += share;
        }
        assert_eq!(draw.draw(&logits, &plain(), 1.0 - f64::EPSILON).unwrap().token, 999);
        // The nucleus of a large vocabulary is sorted in parts.
        let nearly_all = Sampling { top_p: 0.999_999, ..plain() };
        let least = draw.draw(&logits, &nearly_all, 1.0 - 1e-12).unwrap().token;
        let smallest = logits.iter().copied().fold(f32::INFINITY, f32::min);
        assert!(logits[least as usize] < smallest + 1e-2);
    }

    #[test]
    fn logits_that_are_not_finite_are_an_error() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut logits = logits();
            logits[4] = bad;
            let error = Draw::default().draw(&logits, &plain(), 0.5).unwrap_err().to_string();
            assert!(error.contains("not finite\nhint: "), "{error}");
        }
        assert!(Draw::default().draw(&[f32::NAN; 3], &Sampling::greedy(1), 0.5).is_err());
    }

    #[test]
    fn settings_without_meaning_are_refused() {
        for bad in [
            Sampling { temperature: -1.0, ..plain() },
            Sampling { temperature: f32::NAN, ..plain() },
            Sampling { top_p: 0.0, ..plain() },
            Sampling { top_p: f32::NAN, ..plain() },
            Sampling { min_p: 1.5, ..plain() },
            Sampling { stop: vec![String::new()], ..plain() },
            Sampling { stop: vec!["x".repeat(STOP_BYTES_MAX + 1)], ..plain() },
            Sampling { stop: vec!["x".to_owned(); STOPS_MAX + 1], ..plain() },
        ] {
            assert!(check(&bad).unwrap_err().to_string().contains("\nhint: "));
        }
        assert!(check(&plain()).is_ok() && check(&Sampling::greedy(3)).is_ok());
    }
}
