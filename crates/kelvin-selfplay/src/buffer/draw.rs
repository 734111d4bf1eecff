//! The strategies of drawing (azr.md sections 2.3 and 2.4), over places in a pool.

use kelvin_core::{seed::Seed, task::Step};

use super::pool::{Entry, Pool};
use crate::settings::{AzrSettings, SolverFill, SolverMix};

/// What a task outside the band weighs beside one inside: it still comes up now and then, and its rate can change.
const OUTSIDE_BAND: f64 = 1.0 / 16.0;

/// Places of at most `n` problems at step `now`.
pub(super) fn problems(pool: &Pool, n: usize, now: Step, azr: &AzrSettings, seed: Seed) -> Vec<usize> {
    let weight = |index: usize| band_weight(pool.entry(index), azr);
    let n_new_max = match azr.solver_mix {
        SolverMix::MaxNew => n,
        SolverMix::HalfNew => n / 2,
        SolverMix::Uniform => return distinct(n, pool.len(), weight, azr, seed.fork("rest")),
        SolverMix::Step => return by_step(pool, n, weight, seed.fork("step")),
    };
    let first_new = pool.first_new(now, azr);
    // Being new is no reason to solve what nobody can solve yet, or what everybody can.
    let (new, outside): (Vec<usize>, Vec<usize>) =
        (first_new..pool.len()).partition(|&place| weight(place) == 1.0);
    let order = distinct(new.len(), new.len(), |_| 1.0, azr, seed.fork("new"));
    let mut drawn: Vec<usize> = order.into_iter().map(|index| new[index]).collect();
    let mut left_over = drawn.split_off(n_new_max.min(new.len()));
    left_over.extend(outside);
    let (n_rest, seed) = (n - drawn.len(), seed.fork("rest"));
    match azr.solver_fill {
        SolverFill::Repeats => drawn.extend(distinct(n_rest, pool.len(), weight, azr, seed)),
        SolverFill::Distinct => {
            let place = |index: usize| match left_over.get(index) {
                Some(&place) => place,
                None => index - left_over.len(),
            };
            let n_others = left_over.len() + first_new;
            let rest = distinct(n_rest, n_others, |index| weight(place(index)), azr, seed);
            drawn.extend(rest.into_iter().map(place));
        }
    }
    drawn
}

/// See [`AzrSettings::band`].
fn band_weight(entry: &Entry, azr: &AzrSettings) -> f64 {
    let [low, high] = azr.band;
    match entry.solve_rate {
        Some(rate) if f64::from(rate) < low || high < f64::from(rate) => OUTSIDE_BAND,
        Some(_) | None => 1.0,
    }
}

/// `n` distinct indices below `bound`: uniformly, or with a band by weight.
fn distinct(
    n: usize,
    bound: usize,
    weight: impl Fn(usize) -> f64,
    azr: &AzrSettings,
    seed: Seed,
) -> Vec<usize> {
    match azr.has_band() {
        false => seed.draws().distinct(n, bound),
        true => weighted_distinct(n, bound, weight, seed),
    }
}

/// `n` indices with replacement, by step of admission; where all that is 0, equally.
fn by_step(pool: &Pool, n: usize, weight: impl Fn(usize) -> f64, seed: Seed) -> Vec<usize> {
    if pool.len() == 0 {
        return Vec::new();
    }
    let only_seeds = pool.entry(pool.len() - 1).born == 0;
    let mut sum = 0.0;
    let sums: Vec<f64> = (0..pool.len())
        .map(|index| {
            let step = if only_seeds { 1.0 } else { f64::from(pool.entry(index).born) };
            sum += step * weight(index);
            sum
        })
        .collect();
    let mut draws = seed.draws();
    let draw = |_| {
        let at = draws.unit() * sum;
        // Rounding may lift the product to the sum itself.
        sums.partition_point(|below| *below <= at).min(pool.len() - 1)
    };
    (0..n).map(draw).collect()
}

/// `n` distinct indices below `bound`, one after the other by weight, which is over 0: those with the smallest
/// exponential keys (Efraimidis and Spirakis 2006).
pub(super) fn weighted_distinct(
    n: usize,
    bound: usize,
    weight: impl Fn(usize) -> f64,
    seed: Seed,
) -> Vec<usize> {
    let key = |index: usize| -(1.0 - seed.nth(index as u64).unit()).ln() / weight(index);
    let mut keyed: Vec<(f64, usize)> = (0..bound).map(|index| (key(index), index)).collect();
    let by_key = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    if 0 < n && n < bound {
        keyed.select_nth_unstable_by(n - 1, by_key);
    }
    keyed.truncate(n);
    keyed.sort_unstable_by(by_key);
    keyed.into_iter().map(|(_, index)| index).collect()
}
