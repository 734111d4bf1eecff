//! Engines elsewhere: policies whose weights are on a server that is asked over HTTP.
//!
//! The traits of kelvin-core stay threads; the runtime that requests run on lives inside. Reading order: [`http`] (one
//! client: deadlines, retries, keys), then [`tinker`] (training and drawing over the Tinker protocol).

mod http;
pub mod tinker;
