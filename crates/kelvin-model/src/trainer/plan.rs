//! How a model of some size is trained: how many gradients, who computes, how much is kept. The one place that decides
//! it, from sizes alone.

use serde::{Deserialize, Serialize};

use crate::{
    config::ModelConfig,
    transformer::{CHUNK_ROWS, Keep, Threads},
};

/// The most gradient slots, and so the most threads that a batch on a small model keeps busy.
const SLOTS_MAX: usize = 8;

/// Weights of a small model, at most: all its slots take 2 GiB beyond the first.
const SMALL_MAX: usize = (1 << 29) / (SLOTS_MAX - 1);

/// Rows of a chunk of a large model. Its weights are read once for each chunk, and must not be most of the work; its
/// activations are 0.4 GiB for 24 layers of width 896, computed again.
const LARGE_CHUNK_ROWS: usize = 2048;

/// Activations of a chunk that are kept without being asked to, in floats (512 MiB).
const KEPT_FLOATS_MAX: usize = 1 << 27;

/// Whether activations are computed again in the backward pass instead of kept. Gradients are the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// Where those of a chunk would take over 512 MiB.
    #[default]
    Auto,
    /// Only each layer's input is kept: a third more arithmetic.
    PerLayer,
    /// All are kept.
    Off,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) slots_max: usize,
    pub(crate) threads: Threads,
    pub(crate) chunk_rows: usize,
    pub(crate) recompute: Recompute,
}

impl Plan {
    /// The plan for a model of `n_weights`, whether they or adapters on them learn.
    pub(crate) fn new(n_weights: usize) -> Plan {
        let recompute = Recompute::default();
        if n_weights <= SMALL_MAX {
            Plan { slots_max: SLOTS_MAX, threads: Threads::One, chunk_rows: CHUNK_ROWS, recompute }
        } else {
            Plan { slots_max: 1, threads: Threads::All, chunk_rows: LARGE_CHUNK_ROWS, recompute }
        }
    }

    /// What the forward pass over a chunk of `rows` keeps.
    pub(crate) fn keep(&self, config: &ModelConfig, rows: usize) -> Keep {
        match self.recompute {
            Recompute::Off => Keep::All,
            Recompute::PerLayer => Keep::Inputs,
            Recompute::Auto if KEPT_FLOATS_MAX < rows * floats_of_row(config) => Keep::Inputs,
            Recompute::Auto => Keep::All,
        }
    }
}

/// Activations that the layers keep of one row.
fn floats_of_row(config: &ModelConfig) -> usize {
    let streams = 2 * config.hidden_size + 2 * config.intermediate_size;
    config.num_hidden_layers * (streams + config.qkv_width() + config.query_width())
}
