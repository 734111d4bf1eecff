//! Programs of our own making: what the embedded base model reads and what a held-out set is drawn from. No
//! text of a person is in it, and every output comes from the executor.

pub(crate) mod arithmetic;
mod draft;
mod errors;
mod label;
mod loops;
mod mix;
mod program;
mod rules;
mod shapes;
mod types;
mod working;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use anyhow::ensure;
use kelvin_core::{
    executor::Executor,
    seed::Seed,
    task::{Task, TaskType},
};

use crate::python_triplet::{Problem, Settings};
use label::{Draw, Labelled, label};
use program::Program;

pub use mix::{Corpus, CorpusConfig, Example, Kind, Shares, generate};

/// `n` problems of one type with different programs, drawn below `seed`. The corpus draws elsewhere in the tree,
/// which does not keep short programs apart: [`held_out_programs`] does.
///
/// # Errors
/// If the executor is broken, or the type is not one that is made of programs.
pub fn fresh_problems(
    task_type: TaskType,
    n: usize,
    seed: Seed,
    executor: &dyn Executor,
    settings: &Settings,
) -> anyhow::Result<Vec<Problem>> {
    let root = seed.fork("held-out").fork(task_type.as_str());
    ensure!(
        task_type != TaskType::Question,
        "no programs are drawn for {task_type} tasks\nhint: choose deduction, abduction, induction or error"
    );
    if task_type == TaskType::Error {
        return errors::fresh_errors(n, root, executor, settings);
    }
    let n_inputs = settings.prompt_set.n_induction_inputs();
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    let mut n_drawn = 0;
    while problems.len() < n {
        ensure!(
            n_drawn < 1000 + 100 * n as u64,
            "of {n_drawn} generated programs only {} run\nhint: `kelvin doctor` checks the executor",
            problems.len()
        );
        // As many as are missing: most run.
        let mut batch: Vec<Draw> = Vec::new();
        while batch.len() < n - problems.len() {
            let at = root.nth(n_drawn);
            n_drawn += 1;
            let program = Program::draw(at.fork("program"));
            if seen.insert(program.text.clone()) {
                let (seed, withheld) = (at.fork("inputs"), HashSet::new());
                batch.push(Draw { program, seed, n_inputs, is_worked: false, withheld });
            }
        }
        let labelled = label(&batch, n_inputs, executor, settings.limits)?;
        for (draw, labelled) in batch.iter().zip(labelled) {
            let Some(Labelled { program, pairs, .. }) = labelled else { continue };
            problems.push(match task_type {
                TaskType::Induction => {
                    mix::induction_problem(&program, &pairs, n_inputs, draw.seed.fork("message"))
                }
                TaskType::Deduction | TaskType::Abduction | TaskType::Error | TaskType::Question => {
                    mix::triplet(&program, &pairs[draw.seed.fork("pair").below(pairs.len())])
                }
            });
        }
    }
    Ok(problems)
}

/// The programs of a held-out set and the inputs that its tasks use of each. A program of more than one step is
/// kept out of the corpus; of a program of one step, such as `x[::-1]`, only these inputs are, since single steps
/// are the vocabulary of all other programs. The generator writes equal programs equally.
pub type HeldOutPrograms = HashMap<String, HashSet<String>>;

/// What [`generate`] has to leave out so that `tasks` stay fresh.
///
/// # Errors
/// If a task is not one of programs.
pub fn held_out_programs(tasks: &[Task]) -> anyhow::Result<HeldOutPrograms> {
    let mut programs = HeldOutPrograms::new();
    for task in tasks {
        let problem = task.typed::<Problem>()?.payload;
        let inputs = problem.pairs().into_iter().map(|(input, _)| input.to_owned());
        programs.entry(problem.program().to_owned()).or_default().extend(inputs);
    }
    Ok(programs)
}
