//! Draws at scripted servers of vLLM and SGLang: the protocols, several servers, faults, staleness.

#[macro_use]
mod control;
mod faults;
mod grpc;
#[path = "../tinker/letters.rs"]
mod letters;
mod protocol;
mod refusals;
#[path = "../tinker/scripted/mod.rs"]
mod scripted;
mod servers;
mod toy;
mod world;
