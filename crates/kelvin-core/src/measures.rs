//! What can be seen of a task or a response without running anything. A domain says what it knows; recipes average,
//! count and reward it, and read nothing else.

use serde::{Deserialize, Serialize};

use crate::task::names;

/// What a task's program shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// Lines that hold code.
    pub program_lines: f64,
    /// Lines with a comment for each line that holds code.
    pub comment_density: f64,
    /// Cognitive complexity in the unit of the original's `complexity_reward` (azr.md section 4.3).
    pub complexity: f64,
    /// Halstead's effort and volume with cyclomatic complexity, as the original's `halstead_reward` weighs them; from
    /// 0 to 1.
    pub halstead: f64,
    /// How far it is from well maintainable: 1 less the maintainability index over 100.
    pub maintainability: f64,
}

/// A value of a task, for counts by type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedText {
    /// The domain's name of its type; `tuple` for several arguments.
    pub type_name: &'static str,
    /// Its canonical text.
    pub text: String,
}

/// The values of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// What goes in.
    pub inputs: Vec<TypedText>,
    /// What comes out.
    pub outputs: Vec<TypedText>,
}

/// How much of a composite task's program is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What the proposer wrote (`use_original_code_as_ref`).
    Own,
    /// That and the helper programs that it was given.
    Whole,
}

/// How far two programs lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The share of tokens that differ, without names and layout; under a millisecond a pair.
    Tokens,
    /// The original's, over formatted JSON of syntax trees; without a bound on its time (defect 18 in docs/divergences/azr.md).
    Compat,
}

names! {
    /// What a solver's response does beside being right or wrong (azr.md section 9). The names are the last part of a
    /// metric's name.
    Behaviour {
        /// Lines with a comment for each line of code, in a program that answers.
        CommentDensity = "comment_density",
        /// Whether a program that answers has comments that number its steps.
        StepComments = "step_comments",
        /// Different inputs that a thought tries.
        Trials = "trials",
        /// Lines of a thought that note a variable's value.
        StateLines = "state_lines",
        /// Lines of working before an answer.
        WorkingLines = "working_lines",
        /// Given pairs that a thought goes through again.
        PairsTried = "pairs_tried",
        /// Cognitive complexity of the task's program less that of a right answer, in points.
        ComplexityGap = "complexity_gap",
    }
}
