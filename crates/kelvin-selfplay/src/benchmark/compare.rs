//! Two models on the same questions.

use std::collections::BTreeMap;

use kelvin_core::{
    seed::Seed,
    statistics::{Paired, mean, paired},
};
use serde::{Deserialize, Serialize};

use super::Score;

/// What the second model gains over the first on one benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first model's accuracy on the common items.
    pub first: f64,
    /// The second's.
    pub second: f64,
    /// Second less first.
    #[serde(flatten)]
    pub paired: Paired,
}

/// Compares two scores of one benchmark on the items that both have; `None` if there is none.
pub fn compare(first: &Score, second: &Score, seed: Seed) -> Option<Comparison> {
    let both: BTreeMap<&String, (f64, f64)> =
        first.by_item.iter().filter_map(|(id, &it)| Some((id, (it, *second.by_item.get(id)?)))).collect();
    if both.is_empty() {
        return None;
    }
    let (firsts, seconds): (Vec<f64>, Vec<f64>) = both.into_values().unzip();
    Some(Comparison { first: mean(&firsts), second: mean(&seconds), paired: paired(&seconds, &firsts, seed) })
}
