//! The client against a scripted server: the protocol in both dialects, learning, faults, restarts.

mod faults;
mod kept;
mod letters;
mod lost;
mod protocol;
mod scripted;
mod sessions;
mod world;
