//! R-Zero on a domain of riddles, with policies without a model: what its phases do, and that it stops and goes on
//! anywhere.

mod resume;
mod riddles;
mod steps;
