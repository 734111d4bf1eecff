//! Fresh error tasks: a generated program on an input of its own, where nothing is raised, or on another program's, where
//! often something is.

use std::collections::HashSet;

use anyhow::ensure;
use kelvin_core::{executor::Executor, seed::Seed};

use super::Program;
use crate::python_triplet::{
    Problem, Settings,
    check::Valid,
    error::{NO_ERROR, validate_error},
};

/// `n` problems with different programs, drawn below `root`; every second one raises, so that always to say that nothing
/// does is right in half of them.
pub(super) fn fresh_errors(
    n: usize,
    root: Seed,
    executor: &dyn Executor,
    settings: &Settings,
) -> anyhow::Result<Vec<Problem>> {
    let mut seen = HashSet::new();
    let mut problems = Vec::with_capacity(n);
    let mut n_drawn = 0;
    while problems.len() < n {
        ensure!(
            n_drawn < 1000 + 100 * n as u64,
            "of {n_drawn} generated programs only {} do what they should\n\
             hint: `kelvin doctor` checks the executor",
            problems.len()
        );
        let at = root.nth(n_drawn);
        n_drawn += 1;
        let raises = problems.len() % 2 == 1;
        let program = Program::draw(at.fork("program"));
        let other = Program::draw(at.fork("other"));
        let input = if raises { &other } else { &program }.input(at.fork("input"));
        if seen.contains(&program.text) {
            continue;
        }
        let checked = validate_error(executor, &settings.limits, &[], &program.text, &input)?;
        let Ok(Valid { program, mut inputs, mut outputs }) = checked else { continue };
        let [input, output] =
            [&mut inputs, &mut outputs].map(|texts| texts.pop().expect("one input, one output"));
        if raises == (output != NO_ERROR) {
            seen.insert(program.clone());
            problems.push(Problem::triplet(program, input, output));
        }
    }
    Ok(problems)
}
