//! The payload of a task: a program with what it does to one input, or to several.

use serde::{Deserialize, Serialize};

/// A checked problem. Programs define the entry `f`; inputs are canonical argument lists without parentheses,
/// outputs canonical literals. The field names in files are those of the original's seed files, whose other
/// fields can be computed from these (azr.md section 2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Problem {
    /// Deduction and abduction: `output == program(input)`. Of an error task, the output is the name of the exception
    /// that `program(input)` raises, or `NoError`.
    Triplet {
        /// Python source.
        #[serde(rename = "snippet", alias = "program")]
        program: String,
        /// The argument list.
        input: String,
        /// What `f` returns for it.
        output: String,
        /// What the program is made of where it has to call earlier ones.
        #[serde(flatten)]
        composition: Option<Composition>,
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

/// What a composite program (azr.md section 10) is made of. The original's files have both fields in every line; without
/// helpers they say nothing and are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenComposition")]
pub struct Composition {
    /// The proposer's own source, without the helpers.
    pub original_snippet: String,
    /// The helpers, each with its imports; at least one.
    pub composite_functions: Vec<String>,
}

#[derive(Deserialize)]
struct WrittenComposition {
    original_snippet: String,
    composite_functions: Vec<String>,
}

impl TryFrom<WrittenComposition> for Composition {
    type Error = &'static str;
    fn try_from(written: WrittenComposition) -> Result<Composition, &'static str> {
        let WrittenComposition { original_snippet, composite_functions } = written;
        if composite_functions.is_empty() {
            return Err("a composite program has helpers");
        }
        Ok(Composition { original_snippet, composite_functions })
    }
}

impl Problem {
    /// A triplet whose program stands by itself.
    pub fn triplet(program: String, input: String, output: String) -> Problem {
        Problem::Triplet { program, input, output, composition: None }
    }

    /// The Python source.
    pub fn program(&self) -> &str {
        match self {
            Problem::Triplet { program, .. } | Problem::Induction { program, .. } => program,
        }
    }

    /// What its proposer wrote, without the helpers of a composite program.
    pub fn own_program(&self) -> &str {
        match self {
            Problem::Triplet { composition: Some(composition), .. } => &composition.original_snippet,
            Problem::Triplet { .. } | Problem::Induction { .. } => self.program(),
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
