//! A mean over seeds with its 95 % interval.

use serde::Serialize;

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

#[cfg(test)]
mod tests {
    use super::*;

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
