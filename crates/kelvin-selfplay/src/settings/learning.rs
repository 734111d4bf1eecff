//! What an update minimises and how large its step is. docs/papers/objectives.md says which values are which paper.

use std::f64::consts::PI;

use kelvin_core::{
    objective::{Aggregation, KlEstimator, KlTerm, Objective, Surrogate},
    policy::AdamParams,
    task::Step,
};
use serde::{Deserialize, Serialize};

/// The objective of an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveSettings {
    /// The loss of a token.
    pub loss: Loss,
    /// Lower clip of the ratio; 1 turns it off.
    pub clip_low: f64,
    /// Upper clip.
    pub clip_high: f64,
    /// Dual clip for negative advantages, `ppo_clip` only.
    pub dual_clip: f64,
    /// How token losses are averaged.
    pub aggregation: Aggregation,
    /// What `constant` divides the sum over a response by, in tokens; 0 with every other aggregation.
    pub constant_length: u64,
    /// How the divergence from the reference is estimated.
    pub kl_estimator: KlEstimator,
    /// Times that divergence, added to the loss; 0 does without a reference.
    pub kl_coefficient: f64,
    /// Cap of the weight that mends a mismatch between sampler and trainer; 0 takes no weight.
    pub importance_cap: f64,
    /// Times the entropy, subtracted from the loss.
    pub entropy_coefficient: f64,
}

/// The loss of a token, by the names of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "snake_case")]
pub enum Loss {
    /// PPO's clipped ratio.
    PpoClip,
    /// REINFORCE; with advantages of 1, maximum likelihood, by which name it is read too.
    Reinforce,
    /// Group sequence policy optimization: the clipped ratio of the whole response.
    Gspo,
    /// Clipped importance weights that stop no gradient.
    Cispo,
}

impl TryFrom<String> for Loss {
    type Error = String;
    fn try_from(name: String) -> Result<Loss, String> {
        match name.as_str() {
            "ppo_clip" => Ok(Loss::PpoClip),
            "reinforce" | "likelihood" => Ok(Loss::Reinforce),
            "gspo" => Ok(Loss::Gspo),
            "cispo" => Ok(Loss::Cispo),
            "grpo" | "dr_grpo" | "dapo" | "rloo" => Err(format!(
                "{name} is no loss but a combination of an estimator, the loss `ppo_clip` or `reinforce`, and an \
                 aggregation, see docs/papers/objectives.md"
            )),
            other => {
                Err(format!("unknown loss `{other}`, expected `ppo_clip`, `reinforce`, `gspo` or `cispo`"))
            }
        }
    }
}

impl Default for ObjectiveSettings {
    fn default() -> ObjectiveSettings {
        ObjectiveSettings {
            loss: Loss::PpoClip,
            clip_low: 0.2,
            clip_high: 0.28,
            dual_clip: 3.0,
            aggregation: Aggregation::GroupToken,
            constant_length: 0,
            kl_estimator: KlEstimator::K3,
            kl_coefficient: 0.0,
            importance_cap: 0.0,
            entropy_coefficient: 0.001,
        }
    }
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The field.
    pub key: &'static str,
    /// What it is.
    pub value: String,
    /// What it could be.
    pub range: &'static str,
}

fn require(fits: bool, key: &'static str, value: impl ToString, range: &'static str) -> Result<(), Misfit> {
    if fits { Ok(()) } else { Err(Misfit { key, value: value.to_string(), range }) }
}

impl ObjectiveSettings {
    /// The objective for rollouts drawn at `temperature`.
    pub fn objective(&self, temperature: f32) -> Objective {
        let (low, high) = (self.clip_low, self.clip_high);
        let on = |coefficient: f64| Some(coefficient).filter(|&it| it != 0.0);
        Objective {
            surrogate: match self.loss {
                Loss::PpoClip => Surrogate::PpoClip { low, high, dual: self.dual_clip },
                Loss::Reinforce => Surrogate::Likelihood,
                Loss::Gspo => Surrogate::Gspo { low, high },
                Loss::Cispo => Surrogate::Cispo { low, high },
            },
            aggregation: self.aggregation,
            constant_length: self.constant_length,
            kl: on(self.kl_coefficient)
                .map(|coefficient| KlTerm { estimator: self.kl_estimator, coefficient }),
            importance_cap: on(self.importance_cap),
            entropy_coefficient: self.entropy_coefficient,
            temperature: f64::from(temperature),
        }
    }

    /// Checks that every value is in its range, and that none was changed that nothing reads.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Misfit> {
        let unread = ObjectiveSettings::default();
        require(
            (0.0..=1.0).contains(&self.clip_low),
            "clip_low",
            self.clip_low,
            "from 0 to 1, which turns it off",
        )?;
        require(0.0 <= self.clip_high, "clip_high", self.clip_high, "0 or more")?;
        require(1.0 < self.dual_clip, "dual_clip", self.dual_clip, "over 1")?;
        require(
            self.loss == Loss::PpoClip || self.dual_clip == unread.dual_clip,
            "dual_clip",
            self.dual_clip,
            "read by the loss \"ppo_clip\" alone: leave it at its default of 3 with others",
        )?;
        require(
            (self.aggregation == Aggregation::Constant) == (0 < self.constant_length),
            "constant_length",
            self.constant_length,
            "1 or more where the aggregation is \"constant\", usually the longest response, and 0 elsewhere",
        )?;
        require(
            (0.0..=1e3).contains(&self.kl_coefficient),
            "kl_coefficient",
            self.kl_coefficient,
            "from 0, which turns it off, to 1000",
        )?;
        require(
            self.kl_coefficient != 0.0 || self.kl_estimator == unread.kl_estimator,
            "kl_estimator",
            format!("{:?}", self.kl_estimator).to_lowercase(),
            "not read without a kl_coefficient, such as 0.01: set that, or leave it at its default of \"k3\"",
        )?;
        require(
            self.importance_cap.is_finite() && 0.0 <= self.importance_cap,
            "importance_cap",
            self.importance_cap,
            "0, which turns it off, or more; usually 2",
        )?;
        require(
            self.entropy_coefficient.is_finite(),
            "entropy_coefficient",
            self.entropy_coefficient,
            "a number",
        )
    }
}

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
    /// Decoupled weight decay.
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
    fn losses_read_as_they_are_written() {
        for loss in [Loss::PpoClip, Loss::Reinforce, Loss::Gspo, Loss::Cispo] {
            let text = serde_json::to_string(&loss).unwrap();
            assert_eq!(serde_json::from_str::<Loss>(&text).unwrap(), loss, "{text}");
        }
        assert_eq!(serde_json::from_str::<Loss>("\"likelihood\"").unwrap(), Loss::Reinforce);
    }

    #[test]
    fn names_become_objectives() {
        let settings = ObjectiveSettings {
            loss: Loss::Gspo,
            clip_low: 3e-4,
            clip_high: 4e-4,
            aggregation: Aggregation::Sequence,
            kl_coefficient: 0.04,
            importance_cap: 2.0,
            ..ObjectiveSettings::default()
        };
        let objective = settings.objective(0.5);
        assert_eq!(objective.surrogate, Surrogate::Gspo { low: 3e-4, high: 4e-4 });
        assert_eq!(objective.kl, Some(KlTerm { estimator: KlEstimator::K3, coefficient: 0.04 }));
        assert_eq!((objective.importance_cap, objective.temperature), (Some(2.0), 0.5));
        let plain = ObjectiveSettings::default().objective(1.0);
        assert_eq!((plain.kl, plain.importance_cap), (None, None));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let objective = ObjectiveSettings::default();
        let optimizer = OptimizerSettings::default();
        let keys = [
            ObjectiveSettings { clip_low: 1.1, ..objective }.check(),
            ObjectiveSettings { aggregation: Aggregation::Constant, ..objective }.check(),
            ObjectiveSettings { constant_length: 9, ..objective }.check(),
            ObjectiveSettings { kl_coefficient: -1.0, ..objective }.check(),
            ObjectiveSettings { importance_cap: f64::INFINITY, ..objective }.check(),
            OptimizerSettings { schedule: Schedule::Cosine, ..optimizer }.check(),
            OptimizerSettings { decay_steps: 9, ..optimizer }.check(),
            ObjectiveSettings { kl_estimator: KlEstimator::K1, ..objective }.check(),
            ObjectiveSettings { loss: Loss::Gspo, dual_clip: 5.0, ..objective }.check(),
            OptimizerSettings { floor: 1.5, ..optimizer }.check(),
            OptimizerSettings { floor: 0.1, ..optimizer }.check(),
            OptimizerSettings { eps: 0.0, ..optimizer }.check(),
            OptimizerSettings { eps: 1e-60, ..optimizer }.check(),
            OptimizerSettings { beta2: 1.0, ..optimizer }.check(),
        ]
        .map(|checked| checked.unwrap_err().key);
        assert_eq!(
            keys,
            [
                "clip_low",
                "constant_length",
                "constant_length",
                "kl_coefficient",
                "importance_cap",
                "decay_steps",
                "decay_steps",
                "kl_estimator",
                "dual_clip",
                "floor",
                "floor",
                "eps",
                "eps",
                "beta2"
            ]
        );
        assert_eq!((objective.check(), optimizer.check()), (Ok(()), Ok(())));
    }
}
