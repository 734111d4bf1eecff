//! Benchmarks that are put to a run's solver as it learns.

use std::path::PathBuf;

use kelvin_core::{
    benchmark::{Profile, PromptMode},
    task::Step,
};
use serde::{Deserialize, Serialize};

/// Which benchmarks, when, and how much of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BenchmarkSettings {
    /// Benchmarks and groups of them, as `kelvin eval --list` has them; none turns them off.
    pub names: Vec<String>,
    /// The folder with the publishers' files.
    pub data: PathBuf,
    /// Steps between; they are asked before the first step and after step `steps` in any case.
    pub every: Step,
    /// Whose rules.
    pub profile: Profile,
    /// How questions reach the model.
    pub prompt_mode: PromptMode,
    /// Items of each, the first ones; 0 is all.
    pub limit: usize,
    /// Responses to each item.
    pub n_samples: usize,
    /// The budget: responses of all benchmarks at one time, each as long as it may become, in tokens. Benchmarks share it
    /// evenly, and each asks as many items as its share pays for.
    pub tokens_max: usize,
    /// Seed of the draws. It is not the run's, and the same at every step: steps and runs are compared on the same draws.
    pub seed: u64,
}

impl Default for BenchmarkSettings {
    fn default() -> BenchmarkSettings {
        BenchmarkSettings {
            names: Vec::new(),
            data: PathBuf::new(),
            every: 50,
            profile: Profile::Clean,
            prompt_mode: PromptMode::Plain,
            limit: 0,
            n_samples: 1,
            tokens_max: 1_000_000,
            seed: 0,
        }
    }
}

impl BenchmarkSettings {
    /// Items that one of `n_benchmarks` asks whose responses are at most `max_new_tokens` long: what its share of the
    /// budget pays for, within the limit.
    pub fn n_items(&self, n_benchmarks: usize, max_new_tokens: usize) -> usize {
        let of_item = self.n_samples.saturating_mul(max_new_tokens).max(1);
        let paid = self.tokens_max / n_benchmarks.max(1) / of_item;
        if self.limit == 0 { paid } else { paid.min(self.limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared() {
        let settings = BenchmarkSettings { tokens_max: 10_000, n_samples: 2, ..BenchmarkSettings::default() };
        assert_eq!(settings.n_items(1, 100), 50);
        assert_eq!(settings.n_items(2, 100), 25);
        assert_eq!(settings.n_items(2, 5001), 0);
        assert_eq!(BenchmarkSettings { limit: 7, ..settings }.n_items(2, 100), 7);
    }
}
