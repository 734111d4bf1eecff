//! The payload of a task: a program with what it does to one input, or to several.

use serde::{Deserialize, Serialize};

/// A checked problem. Programs define the entry `f`; inputs are canonical argument lists without parentheses,
/// outputs canonical literals. The field names in files are those of the original's seed files, whose other
/// fields can be computed from these (azr.md section 2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Problem {
    /// Deduction and abduction: `output == program(input)`.
    Triplet {
        /// Python source.
        #[serde(rename = "snippet", alias = "program")]
        program: String,
        /// The argument list.
        input: String,
        /// What `f` returns for it.
        output: String,
    },
    /// Induction: the first half of the pairs is shown, the second half is hidden.
    Induction {
        /// Python source that the solver never sees.
        #[serde(rename = "snippet", alias = "program")]
        program: String,
        /// Argument lists, in the proposer's order.
        inputs: Vec<String>,
        /// What `f` returns for each.
        outputs: Vec<String>,
        /// What the proposer tells the solver.
        message: String,
    },
}

impl Problem {
    /// The Python source.
    pub fn program(&self) -> &str {
        match self {
            Problem::Triplet { program, .. } | Problem::Induction { program, .. } => program,
        }
    }

    /// Input and output pairs that the solver of an induction task sees: the first half, rounded down.
    pub fn shown_pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs = self.pairs();
        pairs.truncate(pairs.len() / 2);
        pairs
    }

    /// The pairs that the solver does not see: the second half.
    pub fn hidden_pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs = self.pairs();
        pairs.split_off(pairs.len() / 2)
    }

    /// Every input with its output; one pair for a triplet.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        match self {
            Problem::Triplet { input, output, .. } => vec![(input, output)],
            Problem::Induction { inputs, outputs, .. } => {
                inputs.iter().map(String::as_str).zip(outputs.iter().map(String::as_str)).collect()
            }
        }
    }
}
