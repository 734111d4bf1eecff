//! Settings of the native engine that bound time and memory and change no number.

use serde::{Deserialize, Serialize};

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
}

impl Default for NativeOptions {
    fn default() -> NativeOptions {
        NativeOptions {
            threads: 0,
            max_rows: 64,
            kv_bytes_max: 2 << 30,
            prefill_chunk: 256,
            share_prompts: true,
        }
    }
}

impl NativeOptions {
    /// [`NativeOptions::threads`], or what the machine has.
    pub fn n_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}
