//! Composite proposals: which tasks can lend their programs, and what a proposal that got some has to be.

use kelvin_core::task::{Reason, Rejection, Task};
use kelvin_python::program::{Composite, Helper, Policy, compose, prepare};

use super::{Problem, check::refused, problem::Composition};

/// Whether the task's program can be called by another: one that calls no helpers itself.
pub(super) fn can_help(problem: &Problem) -> bool {
    match problem {
        Problem::Triplet { program, composition, .. } => {
            composition.is_none() && Helper::new(program, 0).is_some()
        }
        Problem::Induction { .. } => false,
    }
}

/// The programs of `tasks` as `g_0`, `g_1` and so on, without those that do not go with one before them. Prompt and
/// validation both number them here.
pub(super) fn helpers(tasks: &[Task<Problem>]) -> Vec<Helper> {
    let mut helpers: Vec<Helper> = Vec::with_capacity(tasks.len());
    for task in tasks {
        if let Some(helper) = Helper::new(task.payload.program(), helpers.len())
            && helpers.iter().all(|it| it.goes_with(&helper))
        {
            helpers.push(helper);
        }
    }
    helpers
}

/// A proposed program with what it is to call in front of it, and what it is made of.
///
/// # Errors
/// If it may not run, does not use its helpers as it has to, or is a mere wrapper where those are not allowed.
pub(super) fn composed(
    helpers: &[Helper],
    program: &str,
    policy: &Policy,
    wrappers: Wrappers,
) -> Result<(String, Composition), Rejection> {
    let original_snippet = prepare(program, policy).map_err(|it| refused(&it))?.source;
    let Composite { source, is_wrapper } = compose(helpers, &original_snippet)
        .map_err(|misuse| Rejection::new(Reason::HelperMisused, misuse.to_string()))?;
    if is_wrapper && wrappers == Wrappers::Rejected {
        return Err(Rejection::new(Reason::OnlyWrapsHelper, "`f` returns what a helper returns"));
    }
    let composite_functions = helpers.iter().map(Helper::source).collect();
    Ok((source, Composition { original_snippet, composite_functions }))
}

/// What becomes of a program that does nothing but call a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrappers {
    Allowed,
    Rejected,
}
