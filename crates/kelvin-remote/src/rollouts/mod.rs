//! Drawing at vLLM and SGLang while another trainer learns here.
//!
//! [`settings`] says what can be chosen; `shelf` writes weights into a folder of their own for each publication; `vllm`, `vllm_grpc` and
//! `sglang` are what goes over the wire; `server` is one server as it is asked; `fleet` keeps several at the
//! newest weights, `known` says which draws next; `trainer` puts it behind the seams of kelvin-core. docs/engines/rollouts.md has the
//! picture.

mod fleet;
mod known;
mod server;
pub mod settings;
mod sglang;
mod shelf;
mod trainer;
mod vllm;
mod vllm_grpc;

pub use settings::{Engine, RolloutSettings};
pub use trainer::Rollouts;
