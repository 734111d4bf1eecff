//! Rewards for what a proposal shows beside its learnability (azr.md section 4.3). All are off: the published runs had
//! none, and the paper found no gain (appendix D.4).

use kelvin_core::measures::{Distance, Extent};
use serde::{Deserialize, Serialize};

use super::{Misfit, require};

/// What a learnable proposal earns beside its learnability, and how that is put together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntrinsicSettings {
    /// How the terms meet the reward (`intrinsic_combine_method`).
    pub combine: Combine,
    /// Cognitive complexity over 15; not for induction, whose program is given.
    pub complexity: Term,
    /// Halstead's effort and volume with cyclomatic complexity; not for induction.
    pub halstead: Term,
    /// How far the program is from well maintainable (1 less the maintainability index over 100); not for induction. Of the
    /// paper's appendix alone.
    pub maintainability: Term,
    /// Mean distance to the references that were shown; not for induction.
    pub mean_edit_distance: Term,
    /// How rare an abduction task's input is, or the output of a deduction or error task.
    pub answer_diversity: Term,
    /// Mean rarity of an induction task's inputs (`f_input_answer_diversity_reward`).
    pub input_diversity: Term,
    /// Mean rarity of an induction task's outputs (`f_output_answer_diversity_reward`).
    pub output_diversity: Term,
    /// What rare means to the three.
    pub diversity: Diversity,
    /// Which distance [`IntrinsicSettings::mean_edit_distance`] means, also where it is only recorded.
    pub distance: Distance,
    /// Look at what the proposer wrote, without helper programs that it was given; true in the original's scripts.
    pub use_original_code_as_ref: bool,
}

impl Default for IntrinsicSettings {
    fn default() -> IntrinsicSettings {
        IntrinsicSettings {
            combine: Combine::Sum,
            complexity: Term::OFF,
            halstead: Term::OFF,
            maintainability: Term::OFF,
            mean_edit_distance: Term::OFF,
            answer_diversity: Term::OFF,
            input_diversity: Term::OFF,
            output_diversity: Term::OFF,
            diversity: Diversity::Flat,
            distance: Distance::Tokens,
            use_original_code_as_ref: true,
        }
    }
}

impl IntrinsicSettings {
    /// How much of a program is looked at.
    pub fn extent(&self) -> Extent {
        if self.use_original_code_as_ref { Extent::Own } else { Extent::Whole }
    }

    /// # Errors
    /// If a value is no number, or a bound is below 0.
    pub fn check(&self) -> Result<(), Misfit> {
        for (key, bound, term) in [
            ("complexity.coefficient", "complexity.max", self.complexity),
            ("halstead.coefficient", "halstead.max", self.halstead),
            ("maintainability.coefficient", "maintainability.max", self.maintainability),
            ("mean_edit_distance.coefficient", "mean_edit_distance.max", self.mean_edit_distance),
            ("answer_diversity.coefficient", "answer_diversity.max", self.answer_diversity),
            ("input_diversity.coefficient", "input_diversity.max", self.input_diversity),
            ("output_diversity.coefficient", "output_diversity.max", self.output_diversity),
        ] {
            require(term.coefficient.is_finite(), key, term.coefficient, "a number; 0 turns the term off")?;
            require(0.0 <= term.max && term.max.is_finite(), bound, term.max, "a number, at least 0")?;
        }
        Ok(())
    }
}

/// One term: `min(coefficient * value, max)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Term {
    /// Weight of the value; 0 turns the term off.
    pub coefficient: f64,
    /// The most that it adds. Default 0.5, what a well-formed wrong answer costs.
    pub max: f64,
}

impl Term {
    const OFF: Term = Term { coefficient: 0.0, max: 0.5 };

    /// Whether it counts.
    pub fn is_on(&self) -> bool {
        self.coefficient != 0.0
    }

    /// What `value` is worth.
    pub fn of(&self, value: f64) -> f64 {
        (self.coefficient * value).min(self.max)
    }
}

impl Default for Term {
    fn default() -> Term {
        Term::OFF
    }
}

/// From a reward r and terms x to what is paid; without terms r.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// r + Σx, the most stable one by the paper's account.
    Sum,
    /// r · Πx.
    Multiply,
    /// r + Πx.
    SumMultiply,
    /// r · Σx.
    MultiplySum,
}

/// How rare a value is among all of its kind that ever entered the buffer; 1 where it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diversity {
    /// 1 less its share of all values.
    Flat,
    /// The mean of 1 less its type's share of all, and 1 less its share of its type.
    Hierarchical,
}
