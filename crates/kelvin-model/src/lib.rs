//! The native engine: a Qwen2-style decoder on the CPU with hand-written backward passes.
//!
//! Reading order: [`config`] and [`params`] (what a model is), [`kernels`] (arithmetic on slices),
//! [`transformer`] (forward and backward over ragged batches), [`trainer`] (objective and AdamW), then the
//! sampler, checkpoints and the policy that ties them to kelvin-core.

mod checkpoint;
pub mod config;
pub mod kernels;
mod lora;
pub mod params;
mod policy;
mod sampler;
mod tokenizer;
pub mod trainer;
pub mod transformer;

pub use checkpoint::{Checkpoint, Dtype};
pub use config::ModelConfig;
pub use lora::{Lora, LoraConfig, LoraTarget, adapter_base};
pub use params::{Layout, Params};
pub use policy::{NativeOptions, NativePolicy, Pack, Training};
pub use tokenizer::{END_OF_TEXT, Tokenizer};
