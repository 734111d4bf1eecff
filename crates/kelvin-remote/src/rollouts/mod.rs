//! Drawing at vLLM and SGLang while another trainer learns here.
//!
//! [`settings`] says what can be chosen; `shelf` writes weights into a folder of their own for each publication; `vllm`, `vllm_grpc` and
//! `sglang` are what goes over the wire; `server` is one server as it is asked; `roster` says which there are, `fleet` keeps them at the
//! newest weights, `known` says which draws next, `draw` asks it; `trainer` puts it behind the seams of kelvin-core.
//! docs/engines/rollouts.md has the picture.

mod draw;
mod fleet;
mod known;
mod roster;
mod server;
pub mod settings;
mod sglang;
mod shelf;
mod trainer;
mod vllm;
mod vllm_grpc;
mod waits;

pub use settings::{Engine, RolloutSettings};
pub use trainer::Rollouts;
