//! How large the step of an update is.

use std::f64::consts::PI;

use kelvin_core::{policy::AdamParams, task::Step};
use serde::{Deserialize, Serialize};

use super::{Misfit, require};

/// AdamW and its rate: a linear warm-up, then the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Step size at its largest.
    pub learning_rate: f64,
    /// Updates over which it rises linearly from its first fraction.
    pub warmup_steps: u32,
    /// What becomes of it after the warm-up.
    pub schedule: Schedule,
    /// Updates over which it falls, counted from the end of the warm-up; 0 where it is constant. It is not the run's
    /// `steps`, so that a run that is resumed for more of them takes the same ones.
    pub decay_steps: u32,
    /// What is left of it then, as a share.
    pub floor: f64,
    /// First decay.
    pub beta1: f64,
    /// Second decay.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, of matrices alone: neither norms nor biases.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    pub grad_clip: f64,
}

/// How a rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Along a line.
    Linear,
    /// Along half a period of a cosine.
    Cosine,
}

impl Schedule {
    /// The share of the rate that is left after the share `done` of the fall to `floor`.
    pub fn share(self, done: f64, floor: f64) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => floor + (1.0 - floor) * (1.0 - done),
            Schedule::Cosine => floor + (1.0 - floor) * 0.5 * (1.0 + (PI * done).cos()),
        }
    }
}

impl Default for OptimizerSettings {
    fn default() -> OptimizerSettings {
        OptimizerSettings {
            learning_rate: 1e-6,
            warmup_steps: 0,
            schedule: Schedule::Constant,
            decay_steps: 0,
            floor: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            grad_clip: 1.0,
        }
    }
}

impl OptimizerSettings {
    /// The parameters of the update of `step`, counted from 1. The first update moves, whatever the schedule.
    pub fn at(&self, step: Step) -> AdamParams {
        let share = if step < self.warmup_steps {
            f64::from(step) / f64::from(self.warmup_steps)
        } else {
            let fallen = step.saturating_sub(self.warmup_steps.max(1)).min(self.decay_steps);
            self.schedule.share(f64::from(fallen) / f64::from(self.decay_steps.max(1)), self.floor)
        };
        AdamParams {
            learning_rate: self.learning_rate * share,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            grad_clip: self.grad_clip,
        }
    }

    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Misfit> {
        require(
            self.grad_clip.is_finite() && 0.0 <= self.grad_clip,
            "grad_clip",
            self.grad_clip,
            "0 or more",
        )?;
        // A weight without a gradient is divided by it.
        let eps = self.eps as f32;
        require(eps.is_finite() && 0.0 < eps, "eps", self.eps, "over 0, also in f32; usually 1e-8")?;
        // What is larger leaves no model behind.
        for (key, value) in [("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)] {
            require((0.0..=1e3).contains(&value), key, value, "from 0 to 1000")?;
        }
        for (key, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            require((0.0..1.0).contains(&beta), key, beta, "at least 0 and under 1")?;
        }
        require((0.0..=1.0).contains(&self.floor), "floor", self.floor, "from 0 to 1")?;
        require(
            self.schedule != Schedule::Constant || self.floor == 0.0,
            "floor",
            self.floor,
            "0 where the schedule is \"constant\"; \"linear\" and \"cosine\" fall to it",
        )?;
        require(
            (self.schedule == Schedule::Constant) == (self.decay_steps == 0),
            "decay_steps",
            self.decay_steps,
            "1 or more where the schedule is \"linear\" or \"cosine\", and 0 where it is \"constant\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_fall_and_stay_at_the_floor() {
        let settings = OptimizerSettings {
            learning_rate: 1.0,
            warmup_steps: 4,
            decay_steps: 8,
            floor: 0.2,
            ..OptimizerSettings::default()
        };
        let rates = |schedule: Schedule| {
            [1, 2, 4, 6, 8, 12, 100]
                .map(|step| OptimizerSettings { schedule, ..settings }.at(step).learning_rate)
        };
        assert_eq!(rates(Schedule::Constant), [0.25, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]);
        for (found, expected) in rates(Schedule::Linear).into_iter().zip([0.25, 0.5, 1.0, 0.8, 0.6, 0.2, 0.2])
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // Half-way cosines: 0.2 + 0.4 (1 + cos(pi / 4)).
        let quarter = 0.2 + 0.4 * (1.0 + 0.5f64.sqrt());
        for (found, expected) in
            rates(Schedule::Cosine).into_iter().zip([0.25, 0.5, 1.0, quarter, 0.6, 0.2, 0.2])
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// A schedule that starts at 0 gives the first update nothing to do (objectives.md section 7).
    #[test]
    fn the_first_update_has_the_full_rate_without_warm_up() {
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            let settings = OptimizerSettings { schedule, decay_steps: 3, ..OptimizerSettings::default() };
            assert_eq!(settings.at(1).learning_rate, 1e-6);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let optimizer = OptimizerSettings::default();
        let keys = [
            OptimizerSettings { schedule: Schedule::Cosine, ..optimizer }.check(),
            OptimizerSettings { decay_steps: 9, ..optimizer }.check(),
            OptimizerSettings { floor: 1.5, ..optimizer }.check(),
            OptimizerSettings { floor: 0.1, ..optimizer }.check(),
            OptimizerSettings { eps: 0.0, ..optimizer }.check(),
            OptimizerSettings { eps: 1e-60, ..optimizer }.check(),
            OptimizerSettings { beta2: 1.0, ..optimizer }.check(),
        ]
        .map(|checked| checked.unwrap_err().key);
        assert_eq!(keys, ["decay_steps", "decay_steps", "floor", "floor", "eps", "eps", "beta2"]);
        assert_eq!(optimizer.check(), Ok(()));
    }
}
