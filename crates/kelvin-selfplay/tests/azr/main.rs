//! Whole runs of the recipe on a toy domain with a policy that has no model: the page closes, resumes exactly, and
//! pays what the paper says.

mod partly;
mod resume;
mod seeds;
mod steps;
mod sums;
