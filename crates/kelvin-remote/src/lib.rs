//! Servers elsewhere: policies whose weights are on one that is asked over HTTP, and trackers that metrics are sent to.
//!
//! The traits of kelvin-core stay threads; the runtime that requests run on lives inside. Reading order: `http` (one
//! client: deadlines, retries, keys), `drawing` (rows to completions, many at once), [`tinker`] (training and drawing over the
//! Tinker protocol), [`rollouts`] (drawing at vLLM and SGLang while another trainer learns), [`trackers`].

mod address;
mod clock;
mod drawing;
mod http;
mod range;
pub mod rollouts;
mod threads;
pub mod tinker;
pub mod trackers;

pub use drawing::check as check_draw;
