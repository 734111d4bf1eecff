//! What is done to a proposed program before it is validated (azr.md section 1.2, steps 5 to 9).

use kelvin_core::task::{Reason, Rejection};
use kelvin_python::program::{Entry, Refusal, Strip, n_functions, name_entry, strip, test_input_sign};
use serde::{Deserialize, Serialize};

/// Which programs a proposer may write, and what is made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramRules {
    /// Which function becomes `f` (`f_replace_location`). Default `any_last`; `not_first` in the original.
    pub entry: Entry,
    /// Reject programs with more than one `def`, methods and nested ones included. Default false, as the prompts say;
    /// true in the original's first scripts.
    pub reject_multiple_functions: bool,
    /// Reject programs that seem to hold their test input; [`test_input_sign`] has the list of signs. Default false.
    pub reject_test_input_in_code: bool,
    /// What a program is stripped of; proposers are told where globals go. Default nothing.
    #[serde(flatten)]
    pub strip: Strip,
}

/// What differs in the seed stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedRules {
    /// Read a proposal from the whole response, with or without the place where its answer should stand. Default false;
    /// the original's code does.
    pub whole_response: bool,
    /// What a seed's program is stripped of, instead of what any other is. Default nothing; the original removes
    /// comments and globals.
    #[serde(flatten)]
    pub strip: Strip,
}

impl ProgramRules {
    /// The program that is validated in place of a proposed one.
    ///
    /// # Errors
    /// Why it may not be a task, or why nothing is left of it that could.
    pub(super) fn apply(&self, program: &str) -> Result<String, Rejection> {
        if self.reject_multiple_functions {
            let n = n_functions(program).map_err(refused)?;
            if 1 < n {
                return Err(Rejection::new(Reason::MultipleFunctions, format!("{n} functions")));
            }
        }
        if self.reject_test_input_in_code
            && let Some(sign) = test_input_sign(program).map_err(refused)?
        {
            return Err(Rejection::new(Reason::TestInput, sign));
        }
        let stripped = strip(program, self.strip).map_err(refused)?;
        name_entry(&stripped, self.entry).map_err(refused)
    }
}

/// Why the program cannot be a task.
pub(super) fn refused(refusal: Refusal) -> Rejection {
    let reason = match refusal {
        Refusal::NoEntry => Reason::NoEntry,
        Refusal::ParseError(_) => Reason::ParseError,
        Refusal::BannedImport(_) => Reason::BannedImport,
        Refusal::BannedCall(_) => Reason::BannedCall,
    };
    Rejection::new(reason, refusal.detail())
}
