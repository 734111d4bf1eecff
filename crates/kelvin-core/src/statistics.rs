//! Numbers that say how sure they are: means over seeds, pass@k, intervals by bootstrap, paired tests. All draws come from a
//! [`Seed`].

use serde::{Deserialize, Serialize};

use crate::seed::Seed;

/// What several seeds say of one quantity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean of the values.
    pub mean: f64,
    /// Half the width of the 95 % interval of the mean by Student's t; none for a single seed.
    pub half_width: Option<f64>,
    /// One value per seed, in the order in which they were given.
    pub by_seed: Vec<f64>,
}

/// 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom.
const T_975: [f64; 15] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
];

impl Estimate {
    /// The mean of `by_seed` with its interval.
    ///
    /// # Panics
    /// If there is no value.
    pub fn new(by_seed: Vec<f64>) -> Estimate {
        assert!(!by_seed.is_empty(), "an estimate of nothing");
        let n = by_seed.len() as f64;
        let mean = by_seed.iter().sum::<f64>() / n;
        let half_width = (1 < by_seed.len()).then(|| {
            let variance = by_seed.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (n - 1.0);
            // Beyond the table the quantile falls from 2.131 to 1.96; the last entry errs on the wide side.
            let t = T_975[(by_seed.len() - 2).min(T_975.len() - 1)];
            t * (variance / n).sqrt()
        });
        Estimate { mean, half_width, by_seed }
    }
}

/// Resamples behind an interval.
const N_RESAMPLES: usize = 2000;

/// The chance that `k` samples, drawn from `n` of which `n_right` are right, hold a right one: the unbiased estimate of
/// pass@k (Chen et al. 2021, eq. 1).
///
/// # Panics
/// If `k` is more than `n`, or `n_right` is.
pub fn pass_at(k: usize, n_right: usize, n: usize) -> f64 {
    assert!(k <= n && n_right <= n, "pass@{k} of {n} samples with {n_right} right");
    let n_wrong = n - n_right;
    if n_wrong < k {
        return 1.0;
    }
    1.0 - (0..k).map(|it| (n_wrong - it) as f64 / (n - it) as f64).product::<f64>()
}

/// The mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The percentile bootstrap of the mean over items (Efron 1979), with 2,000 resamples. `values` holds one number an item:
/// several samples of an item are its mean, since they are not independent. Where all values are alike, resampling sees no
/// spread; the ends are then those of Wilson's interval for that share.
pub fn bootstrap_mean(values: &[f64], seed: Seed) -> Interval {
    let Some(&first) = values.first() else { return Interval { low: 0.0, high: 1.0 } };
    if values.iter().all(|&it| it == first) && (0.0..=1.0).contains(&first) {
        return wilson(first, values.len());
    }
    let n = values.len();
    let resampled = |resample: usize| {
        let mut draws = seed.nth(resample as u64).draws();
        (0..n).map(|_| values[draws.below(n)]).sum::<f64>() / n as f64
    };
    percentiles((0..N_RESAMPLES).map(resampled).collect())
}

fn percentiles(mut means: Vec<f64>) -> Interval {
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((means.len() - 1) as f64 * share).round() as usize];
    Interval { low: at(0.025), high: at(0.975) }
}

/// Wilson's score interval for a share of `n` (Wilson 1927).
pub fn wilson(share: f64, n: usize) -> Interval {
    const Z: f64 = 1.959_963_984_540_054;
    let n = n.max(1) as f64;
    let centre = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// What two models differ by on the same items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Items that both were asked.
    pub n: usize,
    /// Items on which the first does better.
    pub wins: usize,
    /// Items on which it does worse.
    pub losses: usize,
    /// The mean of the first less that of the second.
    pub difference: f64,
    /// Its interval, by bootstrap over items.
    pub interval: Interval,
    /// The chance of a difference at least as large where neither is better, two-sided.
    pub p_value: f64,
}

/// Compares two models item by item. Where every item is right or wrong, the test is McNemar's exact one (1947): a
/// binomial test on the items that differ. Otherwise it is a permutation test that flips the signs of differences.
///
/// # Panics
/// If the lists are of different length.
pub fn paired(first: &[f64], second: &[f64], seed: Seed) -> Paired {
    assert_eq!(first.len(), second.len(), "both answer the same items");
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    let wins = differences.iter().filter(|&&it| 0.0 < it).count();
    let losses = differences.iter().filter(|&&it| it < 0.0).count();
    let is_binary = first.iter().chain(second).all(|&it| it == 0.0 || it == 1.0);
    let p_value = if is_binary {
        binomial_two_sided(wins.min(losses), wins + losses)
    } else {
        permutation(&differences, seed.fork("permutation"))
    };
    let interval = match wins + losses {
        // No resample differs, which does not make a difference impossible that so few items do not show.
        0 => {
            let most = wilson(0.0, differences.len()).high;
            Interval { low: -most, high: most }
        }
        _ => resampled_difference(&differences, seed.fork("bootstrap")),
    };
    Paired { n: differences.len(), wins, losses, difference: mean(&differences), interval, p_value }
}

fn resampled_difference(differences: &[f64], seed: Seed) -> Interval {
    let n = differences.len();
    if differences.iter().all(|&it| it == differences[0]) {
        // No resample differs; how sure a difference is that all items show is Wilson's for all of so many.
        let (whole, least) = (differences[0], differences[0] * wilson(1.0, n).low);
        return Interval { low: whole.min(least), high: whole.max(least) };
    }
    let resampled = |resample: usize| {
        let mut draws = seed.nth(resample as u64).draws();
        (0..n).map(|_| differences[draws.below(n)]).sum::<f64>() / n as f64
    };
    percentiles((0..N_RESAMPLES).map(resampled).collect())
}

/// Twice the chance of at most `k` heads in `n` tosses of a fair coin, at most 1.
fn binomial_two_sided(k: usize, n: usize) -> f64 {
    // In logarithms: with thousands of tosses a single chance is below the smallest double.
    let mut log_chance = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for heads in 0..=k {
        tail += log_chance.exp();
        log_chance += ((n - heads) as f64 / (heads + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// The share of sign flips whose mean is at least as far from 0, the observed one counted among them.
fn permutation(differences: &[f64], seed: Seed) -> f64 {
    const N_FLIPS: usize = 10_000;
    let observed = differences.iter().sum::<f64>().abs();
    let as_far = |flip: &usize| {
        let mut draws = seed.nth(*flip as u64).draws();
        let flipped: f64 = differences.iter().map(|it| if draws.chance(0.5) { *it } else { -it }).sum();
        // Sums in another order differ in their last bits.
        observed <= flipped.abs() + 1e-9
    };
    (1 + (0..N_FLIPS).filter(as_far).count()) as f64 / (N_FLIPS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every choice of k of n samples, of which the first `n_right` are right.
    fn share_with_a_right_one(k: usize, n_right: usize, n: usize) -> f64 {
        let choices: Vec<u32> = (0..1u32 << n).filter(|it| it.count_ones() as usize == k).collect();
        let hits = choices.iter().filter(|&&it| it & ((1 << n_right) - 1) != 0).count();
        hits as f64 / choices.len() as f64
    }

    #[test]
    fn pass_at_k_is_the_share_of_choices_that_hold_a_right_sample() {
        for n in 1..=8 {
            for (k, n_right) in (1..=n).flat_map(|k| (0..=n).map(move |it| (k, it))) {
                let expected = share_with_a_right_one(k, n_right, n);
                assert!((pass_at(k, n_right, n) - expected).abs() < 1e-12, "{k} of {n}, {n_right} right");
            }
        }
    }

    /// The specification's example: 2 of 30 lies between 1.8 and 21.3 per cent.
    #[test]
    fn the_interval_of_two_of_thirty() {
        let Interval { low, high } = wilson(2.0 / 30.0, 30);
        assert!((low - 0.018).abs() < 5e-4 && (high - 0.213).abs() < 5e-4, "{low} {high}");
        assert_eq!(wilson(0.0, 30).low, 0.0);
        assert!(0.1 < wilson(0.0, 30).high);
    }

    #[test]
    fn a_bootstrap_of_a_coin_is_near_the_normal_interval() {
        let coin: Vec<f64> = (0..400).map(|it| f64::from(it % 2)).collect();
        let Interval { low, high } = bootstrap_mean(&coin, Seed::new(1));
        assert!((low - 0.451).abs() < 0.01 && (high - 0.549).abs() < 0.01, "{low} {high}");
        assert_eq!(bootstrap_mean(&coin, Seed::new(1)), Interval { low, high });
        assert_ne!(bootstrap_mean(&coin, Seed::new(2)), Interval { low, high });
        assert_eq!(bootstrap_mean(&[1.0; 30], Seed::new(1)), wilson(1.0, 30));
        assert_eq!(bootstrap_mean(&[0.5; 30], Seed::new(1)), wilson(0.5, 30));
        let Interval { low, high } = paired(&[1.0; 3], &[0.0; 3], Seed::new(1)).interval;
        assert!(low < 0.5 && high == 1.0, "{low} {high}");
    }

    /// How often an interval of this kind holds the truth, over many draws of items.
    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let n_held = (0..300).filter(|&trial| {
            let seed = Seed::new(7).nth(trial);
            let values: Vec<f64> =
                (0..60).map(|item| f64::from(u8::from(seed.fork("item").nth(item).unit() < 0.3))).collect();
            let Interval { low, high } = bootstrap_mean(&values, seed.fork("bootstrap"));
            (low..=high).contains(&0.3)
        });
        let share = n_held.count() as f64 / 300.0;
        assert!((0.88..=0.99).contains(&share), "{share}");
    }

    #[test]
    fn mcnemars_test_is_the_binomial_one() {
        // 1 of 10: 2 (1 + 10) / 1024.
        assert!((binomial_two_sided(1, 10) - 22.0 / 1024.0).abs() < 1e-12);
        assert_eq!(binomial_two_sided(5, 10), 1.0);
        assert_eq!(binomial_two_sided(0, 0), 1.0);
        let tiny = binomial_two_sided(100, 5000);
        assert!((0.0..1e-300).contains(&tiny));
        let (a, b) = ([1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]);
        let Paired { n, wins, losses, difference, p_value, .. } = paired(&a, &b, Seed::new(0));
        assert_eq!((n, wins, losses, difference, p_value), (4, 2, 1, 0.25, 1.0));
    }

    #[test]
    fn a_permutation_test_sees_what_is_there_and_no_more() {
        let seed = Seed::new(3);
        let noise = |item: u64| seed.nth(item).unit() - 0.5;
        let none: Vec<f64> = (0..100).map(noise).collect();
        let shifted: Vec<f64> = (0..100).map(|item| noise(item) + 0.5).collect();
        let zero = vec![0.0; 100];
        assert!(0.05 < paired(&none, &zero, seed).p_value);
        assert!(paired(&shifted, &zero, seed).p_value < 0.001);
        let same = paired(&none, &none, seed);
        let most = wilson(0.0, 100).high;
        assert_eq!(
            (same.difference, same.p_value, same.interval),
            (0.0, 1.0, Interval { low: -most, high: most })
        );
    }

    #[test]
    fn the_interval_is_students() {
        // Standard error 0.075719, times the quantile 4.302653 of two degrees of freedom.
        let estimate = Estimate::new(vec![0.3, 0.4, 0.56]);
        assert!((estimate.mean - 0.42).abs() < 1e-12);
        let half_width = estimate.half_width.unwrap();
        assert!((half_width - 0.325_8).abs() < 5e-4, "{half_width}");
        assert_eq!(Estimate::new(vec![0.5]).half_width, None);
    }
}
