//! AZR's domain: a program, an input and an output, any one of which can be blanked out.

mod fence;
mod parse;
mod problem;
mod prompt;

pub use parse::Proposal;
pub use problem::Problem;
pub use prompt::PromptSet;
