//! The native engine: a decoder of the families of Qwen2, Qwen3 and Llama 3 on the CPU, with hand-written backward passes.
//!
//! Reading order: [`config`] and [`params`] (what a model is), [`kernels`] (arithmetic on slices),
//! [`transformer`] (forward and backward over ragged batches), [`trainer`] (objective and AdamW), then the
//! sampler, checkpoints and the policy that ties them to kelvin-core.

mod checkpoint;
pub mod config;
mod footprint;
pub mod kernels;
mod lora;
pub mod params;
mod policy;
mod sampler;
mod text;
mod tokenizer;
pub mod trainer;
pub mod transformer;

pub use checkpoint::{Checkpoint, Dtype, KeptFields, OpenCheckpoint, StoredTensor, WeightFiles};
pub use config::{Family, ModelConfig};
pub use footprint::{Footprint, Load};
pub use kernels::{Llama3Scaling, Rope};
pub use lora::{Lora, LoraConfig, LoraTarget, Merged, adapter_base};
pub use params::{Layout, Params, Tensor, WeightSource};
pub use policy::{NativeOptions, NativePolicy, Pack, THREADS_MAX, Training};
pub use sampler::NativeSampler;
pub use text::ModelText;
pub use tokenizer::{END_OF_TEXT, Tokenizer};
