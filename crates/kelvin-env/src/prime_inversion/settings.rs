//! What can be chosen about the environment. Defaults are for real models.

use anyhow::ensure;
use kelvin_core::task::TaskType;
use serde::{Deserialize, Serialize};

use super::{
    PromptSet,
    equation::{P_CAP, is_prime, primes},
};
use crate::task_types::chosen;

const POSED: &[TaskType] = &[TaskType::Deduction, TaskType::Abduction, TaskType::Induction];

/// The named settings of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which prompts, and with them where answers stand. Default `full`.
    pub prompt_set: PromptSet,
    /// The task types in play. Default all three. Their order does not matter.
    pub task_types: Vec<TaskType>,
    /// The least prime of seeds and proposals. Default 11.
    pub p_min: u32,
    /// Their largest prime, at most 617. Default 199.
    pub p_max: u32,
    /// Which primes answer an induction task. Default `unique`.
    pub induction: InductionRule,
    /// Whether numbers may be posed that are their own inverses, 1 and p - 1. Default false.
    pub trivial_allowed: bool,
    /// Seed tasks of each type, or all that the range of primes has where it has fewer. Default 64.
    pub n_seeds: usize,
    /// The least prime of the evaluation. Default 19, as in the original.
    pub eval_p_min: u32,
    /// The largest prime of the evaluation. Default 43, as in the original.
    pub eval_p_max: u32,
}

/// Which primes answer an induction task, which gives x and y.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InductionRule {
    /// Those greater than x and y that make the equation true. There is one at most unless x = y = 1, since two would
    /// multiply to more than xy - 1, which both divide.
    #[default]
    Unique,
    /// All that make the equation true, the original's rule: 2 is right for three tasks in ten.
    AnyPrime,
}

impl InductionRule {
    /// Whether `p` answers x and y.
    pub fn fits(self, x: u32, y: u32, p: u32) -> bool {
        let is_allowed = match self {
            InductionRule::Unique => x.max(y) < p,
            InductionRule::AnyPrime => true,
        };
        is_allowed && is_prime(p) && u64::from(x) * u64::from(y) % u64::from(p) == 1
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prompt_set: PromptSet::default(),
            task_types: POSED.to_vec(),
            p_min: 11,
            p_max: 199,
            induction: InductionRule::default(),
            trivial_allowed: false,
            n_seeds: 64,
            eval_p_min: 19,
            eval_p_max: 43,
        }
    }
}

impl Settings {
    /// Pairs of the evaluation, each of which is a task of every type, but for 1 * 1 in a unique induction.
    pub fn n_evaluated(&self) -> usize {
        primes(self.eval_p_min, self.eval_p_max).map(|p| p as usize - 1).sum()
    }

    /// Checks the whole, and gives the chosen task types, in order and once each.
    ///
    /// # Errors
    /// If a type is none of this environment, or a range has no prime.
    pub fn check(&self) -> anyhow::Result<&'static [TaskType]> {
        let ranges = [("p", self.p_min, self.p_max), ("eval_p", self.eval_p_min, self.eval_p_max)];
        for (name, low, high) in ranges {
            ensure!(
                5 <= low && high <= P_CAP && primes(low, high).next().is_some(),
                "{name}_min = {low} and {name}_max = {high} give no range of primes\nhint: from 5 to {P_CAP}, with a prime \
                 in between; smaller primes have trivial pairs alone"
            );
        }
        ensure!(1 <= self.n_seeds, "n_seeds = 0 leaves nothing to begin with\nhint: at least 1, such as 64");
        chosen("prime inversion", POSED, &self.task_types)
    }
}
