//! What a proposal is worth by how often it is solved (AZR Eq. 4): a curve over the solve rate, which is either the share
//! of right solves or, with a prior, all that the task's own rate may be.

use kelvin_core::task::Grade;

use crate::{
    reward::solve_rate,
    settings::{AzrSettings, Learnability},
};

/// The learnability of a task from its Monte-Carlo solves, as the settings define it.
pub fn learnability(grades: &[Grade], azr: &AzrSettings) -> f32 {
    let plain = at(solve_rate(grades), azr.learnability);
    // What was never or always solved is no evidence of anything to learn, whatever the prior says.
    if azr.prior_strength == 0.0 || plain == 0.0 {
        return plain;
    }
    let right: f64 = grades.iter().map(|it| f64::from(it.score)).sum();
    let half = azr.prior_strength / 2.0;
    let posterior = Beta { right: right + half, wrong: grades.len() as f64 - right + half };
    expected(posterior, azr.learnability) as f32
}

/// A curve at a solve rate.
pub fn at(solve_rate: f32, curve: Learnability) -> f32 {
    match curve {
        Learnability::OneMinus if solve_rate == 0.0 => 0.0,
        Learnability::OneMinus | Learnability::Inverse => 1.0 - solve_rate,
        Learnability::Symmetric => 4.0 * solve_rate * (1.0 - solve_rate),
        Learnability::Tent => 1.0 - (2.0 * solve_rate - 1.0).abs(),
        Learnability::Gate => f32::from(u8::from(0.0 < solve_rate && solve_rate < 1.0)),
    }
}

/// What is known of a solve rate: a Beta distribution.
#[derive(Clone, Copy)]
struct Beta {
    right: f64,
    wrong: f64,
}

/// The mean of a curve, where single rates weigh nothing.
fn expected(Beta { right, wrong }: Beta, curve: Learnability) -> f64 {
    let n = right + wrong;
    match curve {
        Learnability::OneMinus | Learnability::Inverse => wrong / n,
        Learnability::Symmetric => 4.0 * right * wrong / (n * (n + 1.0)),
        // Twice the mean of the smaller of rate and rest: each half of the distribution by itself.
        Learnability::Tent => {
            let whole = lower_half(right, wrong) + lower_half(wrong, right);
            2.0 * (lower_half(right + 1.0, wrong) + lower_half(wrong + 1.0, right)) / whole
        }
        Learnability::Gate => 1.0,
    }
}

/// The integral of p^(a-1) (1-p)^(b-1) from 0 to 1/2, by the series of its terms (DLMF 8.17.8 at 1/2), all positive.
fn lower_half(a: f64, b: f64) -> f64 {
    let mut term = (-(a + b)).exp2() / a;
    let mut sum = 0.0;
    let mut n = 0.0;
    while sum + term != sum {
        sum += term;
        term *= (a + b + n) / (2.0 * (a + 1.0 + n));
        n += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::Miss;

    use super::*;

    const CURVES: [Learnability; 5] = [
        Learnability::OneMinus,
        Learnability::Inverse,
        Learnability::Symmetric,
        Learnability::Tent,
        Learnability::Gate,
    ];

    fn of(n_right: usize, n: usize, learnability: Learnability, prior_strength: f64) -> f64 {
        let grade = |at| if at < n_right { Grade::correct() } else { Grade::missed(Miss::Wrong) };
        let grades: Vec<Grade> = (0..n).map(grade).collect();
        let azr = AzrSettings { learnability, prior_strength, ..AzrSettings::default() };
        f64::from(super::learnability(&grades, &azr))
    }

    #[test]
    fn curves_at_quarters() {
        let expected = [
            (Learnability::OneMinus, [0.0, 0.75, 0.5, 0.25, 0.0]),
            (Learnability::Inverse, [1.0, 0.75, 0.5, 0.25, 0.0]),
            (Learnability::Symmetric, [0.0, 0.75, 1.0, 0.75, 0.0]),
            (Learnability::Tent, [0.0, 0.5, 1.0, 0.5, 0.0]),
            (Learnability::Gate, [0.0, 1.0, 1.0, 1.0, 0.0]),
        ];
        for (curve, values) in expected {
            assert_eq!([0, 1, 2, 3, 4].map(|k| of(k, 4, curve, 0.0)), values, "{curve:?}");
        }
    }

    #[test]
    fn every_learnability_is_a_share() {
        for curve in CURVES {
            for n in 1..=32 {
                for k in 0..=n {
                    for strength in [0.0, 0.1, 1.0, 2.0, 30.0] {
                        let value = of(k, n, curve, strength);
                        assert!((0.0..=1.0).contains(&value), "{curve:?} {k}/{n} {strength}: {value}");
                        let plain = of(k, n, curve, 0.0);
                        assert!(plain != 0.0 || value == 0.0, "what is worth nothing stays so");
                    }
                }
            }
        }
    }

    /// More right solves are worth less with the falling curves; with the others, up to half of them more, then less,
    /// the same on both sides.
    #[test]
    fn means_rise_and_fall_with_their_curve() {
        for strength in [0.5, 2.0, 8.0] {
            for k in 1..15 {
                for curve in [Learnability::OneMinus, Learnability::Inverse] {
                    assert!(of(k + 1, 16, curve, strength) < of(k, 16, curve, strength), "{curve:?} {k}");
                }
                for curve in [Learnability::Symmetric, Learnability::Tent] {
                    let (here, next) = (of(k, 16, curve, strength), of(k + 1, 16, curve, strength));
                    assert_eq!(here < next, k < 8, "{curve:?} {k}");
                    assert!((here - of(16 - k, 16, curve, strength)).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn many_solves_leave_nothing_to_a_prior() {
        for curve in CURVES {
            for eighths in 0..=8 {
                let error = |n: usize| {
                    (of(eighths * n / 8, n, curve, 2.0) - of(eighths * n / 8, n, curve, 0.0)).abs()
                };
                assert!(error(480) < 0.05 && error(480) <= error(8) + 1e-6, "{curve:?} {eighths}/8");
            }
        }
    }

    /// Against the sum over a fine grid of rates.
    #[test]
    fn means_are_those_of_the_distribution() {
        for curve in [Learnability::Inverse, Learnability::Symmetric, Learnability::Tent] {
            for (k, n, strength) in [(1, 8, 2.0), (5, 8, 4.0), (1, 4, 10.0), (60, 200, 2.0)] {
                let (right, wrong) = (k as f64 + strength / 2.0, (n - k) as f64 + strength / 2.0);
                let (mut sum, mut whole) = (0.0, 0.0);
                for point in 0..20_000 {
                    let rate = (f64::from(point) + 0.5) / 20_000.0;
                    let density = ((right - 1.0) * rate.ln() + (wrong - 1.0) * (1.0 - rate).ln()).exp();
                    whole += density;
                    sum += density * f64::from(at(rate as f32, curve));
                }
                let value = of(k, n, curve, strength);
                assert!((value - sum / whole).abs() < 1e-4, "{curve:?} {k}/{n}: {value} {}", sum / whole);
            }
        }
    }

    /// The reason for a prior: what is solved once in eight is worth 0.875 without, and less than 2 in 16 with.
    #[test]
    fn a_lucky_guess_is_worth_less_than_the_same_rate_of_many() {
        let lucky = of(1, 8, Learnability::OneMinus, 2.0);
        assert!((lucky - 0.8).abs() < 1e-6);
        assert!(lucky < of(2, 16, Learnability::OneMinus, 2.0));
    }
}
