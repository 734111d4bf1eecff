//! Nouns and seams of kelvin. No I/O, no tensors, no clock, no global randomness.
//!
//! Reading order: [`task`] (what is proposed), [`rollout`] (what a policy said), [`environment`] (what makes a
//! task and checks it), [`policy`] (what draws and learns), [`executor`] (what runs functions), [`script`] (what runs
//! whole programs), [`objective`] (what is minimised), [`measures`] (what can be seen of a task without running it), [`vote`] (what
//! several answers agree on), [`seed`] (where every random choice comes from), [`benchmark`] (questions of others, which
//! nobody learns from), [`statistics`] (how sure a number is), [`stop`] (how work ends early), [`notices`] (what a watcher should
//! know), [`vocabulary`] (text to tokens and back, for engines elsewhere).

pub mod benchmark;
pub mod environment;
pub mod executor;
pub mod fake;
pub mod measures;
pub mod metrics;
pub mod notices;
pub mod objective;
pub mod policy;
pub mod rollout;
pub mod script;
pub mod seed;
pub mod statistics;
pub mod stop;
pub mod task;
pub mod vocabulary;
pub mod vote;
