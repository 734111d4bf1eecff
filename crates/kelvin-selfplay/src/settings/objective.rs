//! What an update minimises. docs/papers/objectives.md says which values are which paper.

use kelvin_core::objective::{Aggregation, KlEstimator, KlTerm, Objective, Surrogate};
use serde::{Deserialize, Serialize};

use super::{Misfit, require};

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

#[cfg(test)]
mod tests {
    use super::*;

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
        let keys = [
            ObjectiveSettings { clip_low: 1.1, ..objective }.check(),
            ObjectiveSettings { aggregation: Aggregation::Constant, ..objective }.check(),
            ObjectiveSettings { constant_length: 9, ..objective }.check(),
            ObjectiveSettings { kl_coefficient: -1.0, ..objective }.check(),
            ObjectiveSettings { importance_cap: f64::INFINITY, ..objective }.check(),
            ObjectiveSettings { kl_estimator: KlEstimator::K1, ..objective }.check(),
            ObjectiveSettings { loss: Loss::Gspo, dual_clip: 5.0, ..objective }.check(),
        ]
        .map(|checked| checked.unwrap_err().key);
        let expected = ["clip_low", "constant_length", "constant_length", "kl_coefficient", "importance_cap"];
        assert_eq!(keys[..5], expected);
        assert_eq!(keys[5..], ["kl_estimator", "dual_clip"]);
        assert_eq!(objective.check(), Ok(()));
    }
}
