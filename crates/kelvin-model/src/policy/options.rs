//! Settings of the native engine that bound time and memory and change no number.

use std::sync::Arc;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::trainer::Recompute;

/// The most threads that are started; more would only take turns.
pub const THREADS_MAX: usize = 1024;

/// How the native engine works. No result depends on any of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NativeOptions {
    /// Threads that decode or train; 0 takes as many as the machine has.
    pub threads: usize,
    /// Rows that one thread decodes together, at most; at least 1.
    pub max_rows: usize,
    /// Memory for keys and values of all rows and remembered prompts together, in bytes. A row enters when its prompt
    /// fits; when memory runs out, the youngest row is dropped and computed again later. Only a row that is alone may
    /// pass the bound.
    pub kv_bytes_max: usize,
    /// Prompt tokens that one thread feeds between two tokens of its decoding rows; at least 1.
    pub prefill_chunk: usize,
    /// Whether prompts that begin alike share the keys and values that were computed for their beginning.
    pub share_prompts: bool,
    /// Whether training keeps activations or computes them again.
    pub recompute: Recompute,
    /// How long the copy of the weights that draws read lasts.
    pub pack: Pack,
}

/// Lifetime of the weights packed for decoding, which take about as much memory as the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pack {
    /// From the first draw on.
    #[default]
    Always,
    /// From the first draw after an update to the next update: draws and training share the memory.
    ForDraws,
}

impl Default for NativeOptions {
    fn default() -> NativeOptions {
        NativeOptions {
            threads: 0,
            max_rows: 64,
            kv_bytes_max: 2 << 30,
            prefill_chunk: 256,
            share_prompts: true,
            recompute: Recompute::default(),
            pack: Pack::default(),
        }
    }
}

impl NativeOptions {
    /// So many threads for work that is shared.
    ///
    /// # Errors
    /// If there are over 1024 threads or they cannot be started, or another limit is 0.
    pub(crate) fn pool(&self) -> anyhow::Result<Arc<rayon::ThreadPool>> {
        ensure!(
            self.threads <= THREADS_MAX,
            "{} threads are too many\nhint: at most {THREADS_MAX}, or 0 for one on each core",
            self.threads
        );
        ensure!(
            1 <= self.max_rows && 1 <= self.prefill_chunk,
            "max_rows is {} and prefill_chunk {}\nhint: each is at least 1",
            self.max_rows,
            self.prefill_chunk
        );
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.n_threads())
            .thread_name(|index| format!("engine-{index}"))
            .build()
            .context("starting threads\nhint: set fewer threads")?;
        Ok(Arc::new(pool))
    }

    /// [`NativeOptions::threads`], or what the machine has.
    pub fn n_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}
