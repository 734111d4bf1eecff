//! What a challenger earns for a question (r-zero.md section 4):
//!
//! r = u(share) - lambda |C| / B, where u is highest where the solver's majority has the target share, and |C| / B is
//! the share of the batch that says nearly the same (`repetition.rs`). Pure functions of settings.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// The curve over the majority's share, written for a target of one half. Another target stretches both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertainty {
    /// 1 - 2 |p - 1/2|, the paper's.
    #[default]
    Tent,
    /// min(p, 1 - p): half of the tent, the original code's.
    HalfTent,
    /// 4 p (1 - p): the variance of a solver's reward, of which the paper's bound speaks.
    Variance,
}

/// How a question's uncertainty and its repetition make a reward.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChallengeSettings {
    /// The curve. Default `tent`.
    pub uncertainty: Uncertainty,
    /// The share that earns most, inside `(0, 1)`. Default 0.5.
    pub target: f64,
    /// Lambda, the weight of repetition. Default 1.
    pub repetition_weight: f64,
    /// Whether a question earns at least 0, as in the paper. Default true.
    pub clip: bool,
    /// What a response without a valid question earns. Default -1: less than any question, so that there is something to
    /// learn where all questions earn 0.
    pub format_failure: f64,
    /// Whether repetition is subtracted from that too, as in the original's code. Default false.
    pub failures_repeat: bool,
}

impl Default for ChallengeSettings {
    fn default() -> ChallengeSettings {
        ChallengeSettings {
            uncertainty: Uncertainty::Tent,
            target: 0.5,
            repetition_weight: 1.0,
            clip: true,
            format_failure: -1.0,
            failures_repeat: false,
        }
    }
}

impl ChallengeSettings {
    /// The paper's: a response without a question earns 0.
    pub fn paper() -> ChallengeSettings {
        ChallengeSettings { format_failure: 0.0, ..ChallengeSettings::default() }
    }

    /// The original code's: half the curve, never clipped, -1 for a response without a question, and repetition
    /// subtracted from all of them.
    pub fn code() -> ChallengeSettings {
        ChallengeSettings {
            uncertainty: Uncertainty::HalfTent,
            clip: false,
            failures_repeat: true,
            ..ChallengeSettings::default()
        }
    }

    /// Refuses settings that are no reward.
    ///
    /// # Errors
    /// If the target is not inside `(0, 1)`, or a weight is not a number of the right sign.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            0.0 < self.target && self.target < 1.0,
            "a target share of {}\nhint: set target between 0 and 1, such as 0.5",
            self.target
        );
        ensure!(
            self.repetition_weight.is_finite() && 0.0 <= self.repetition_weight,
            "a repetition weight of {}\nhint: set repetition_weight to 0 or more",
            self.repetition_weight
        );
        ensure!(
            self.format_failure.is_finite(),
            "a reward of {} for a response without a question\nhint: set format_failure to a number",
            self.format_failure
        );
        Ok(())
    }

    /// u(share): 0 where all samples agree or none has an answer, highest at the target.
    ///
    /// # Panics
    /// If the share is not in `[0, 1]`.
    pub fn uncertainty(&self, share: f64) -> f64 {
        assert!((0.0..=1.0).contains(&share), "a share of {share}");
        let tent = match share <= self.target {
            true => share / self.target,
            false => (1.0 - share) / (1.0 - self.target),
        };
        match self.uncertainty {
            Uncertainty::Tent => tent,
            Uncertainty::HalfTent => tent / 2.0,
            Uncertainty::Variance => tent * (2.0 - tent),
        }
    }

    /// The reward of a question whose majority has this share of the samples, and whose cluster this share of the batch.
    ///
    /// # Panics
    /// As [`ChallengeSettings::uncertainty`].
    pub fn question(&self, share: f64, repetition: f64) -> f64 {
        let reward = self.uncertainty(share) - self.repetition_weight * repetition;
        if self.clip { reward.max(0.0) } else { reward }
    }

    /// The reward of a response without a valid question; of the batch it repeats at least itself.
    pub fn failure(&self, repetition: f64) -> f64 {
        match self.failures_repeat {
            true => self.format_failure - self.repetition_weight * repetition,
            false => self.format_failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    /// Test 1 of r-zero.md section 14.
    #[test]
    fn the_rewards_of_the_presets() {
        let of_paper = [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2, 0.0];
        for (at, expected) in of_paper.into_iter().enumerate() {
            let share = (at + 1) as f64 / 10.0;
            for (settings, scale) in [
                (ChallengeSettings::paper(), 1.0),
                (ChallengeSettings::default(), 1.0),
                (ChallengeSettings::code(), 0.5),
            ] {
                assert!(near(settings.question(share, 0.0), scale * expected), "{share} {settings:?}");
                let repeated = settings.question(share, 0.3);
                let unclipped = scale * expected - 0.3;
                let clipped = if settings.clip { unclipped.max(0.0) } else { unclipped };
                assert!(near(repeated, clipped), "{share} {settings:?} {repeated}");
            }
        }
    }

    #[test]
    fn failures_of_the_presets() {
        assert!(near(ChallengeSettings::paper().failure(0.25), 0.0));
        assert!(near(ChallengeSettings::default().failure(0.25), -1.0));
        assert!(near(ChallengeSettings::code().failure(1.0 / 2048.0), -1.0 - 1.0 / 2048.0));
        assert!(near(ChallengeSettings::code().question(1.0, 0.25), -0.25));
    }

    #[test]
    fn curves_are_highest_at_their_target() {
        for uncertainty in [Uncertainty::Tent, Uncertainty::HalfTent, Uncertainty::Variance] {
            for target in [0.2, 0.5, 0.75] {
                let settings = ChallengeSettings { uncertainty, target, ..ChallengeSettings::default() };
                let peak = if uncertainty == Uncertainty::HalfTent { 0.5 } else { 1.0 };
                assert!(near(settings.uncertainty(target), peak));
                assert!(near(settings.uncertainty(0.0), 0.0) && near(settings.uncertainty(1.0), 0.0));
                for at in 0..=100 {
                    let share = f64::from(at) / 100.0;
                    assert!(settings.uncertainty(share) <= peak + 1e-12);
                    if target == 0.5 {
                        let expected = match uncertainty {
                            Uncertainty::Tent => 1.0 - 2.0 * (share - 0.5).abs(),
                            Uncertainty::HalfTent => share.min(1.0 - share),
                            Uncertainty::Variance => 4.0 * share * (1.0 - share),
                        };
                        assert!(near(settings.uncertainty(share), expected), "{uncertainty:?} {share}");
                    }
                }
            }
        }
    }

    #[test]
    fn settings_that_are_no_reward_are_refused() {
        let default = ChallengeSettings::default();
        for settings in [default, ChallengeSettings::paper(), ChallengeSettings::code()] {
            settings.check().unwrap();
        }
        for settings in [
            ChallengeSettings { target: 0.0, ..default },
            ChallengeSettings { target: 1.0, ..default },
            ChallengeSettings { target: f64::NAN, ..default },
            ChallengeSettings { repetition_weight: -1.0, ..default },
            ChallengeSettings { repetition_weight: f64::INFINITY, ..default },
            ChallengeSettings { format_failure: f64::NAN, ..default },
        ] {
            assert!(settings.check().unwrap_err().to_string().contains("hint: "), "{settings:?}");
        }
    }
}
