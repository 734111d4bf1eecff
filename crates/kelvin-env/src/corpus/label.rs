//! Outputs for generated programs, from the executor. Programs that raise, run over a limit, say too much or say
//! the same of everything are dropped.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kelvin_core::{
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    seed::Seed,
};

use kelvin_python::{Policy, Value, parse_literal, prepare, with_working};

use super::Program;

/// Longest output of a generated program, in bytes.
pub(crate) const MAX_OUTPUT_LEN: usize = 32;
/// Longest working, in bytes, and most lines of it.
const MAX_WORKING: (usize, usize) = (160, 10);
/// Most digits in a row that an output holds.
const MAX_DIGITS: usize = 5;
/// A program with distinct inputs and what it makes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    /// The program.
    pub(crate) program: Program,
    /// Argument lists and canonical outputs.
    pub(crate) pairs: Vec<(String, String)>,
    /// For each pair the lines that lead from input to output, where they are short; none where nobody asked.
    pub(crate) workings: Vec<Vec<String>>,
}

/// Runs every program on up to `n_inputs` inputs drawn below its seed, in as many threads as the executor takes.
/// The result is in the order of `drawn`; `None` where a program is dropped, also for want of `n_pairs_min`
/// distinct inputs.
///
/// One hash seed is enough: no rule of the generator lets the order of a set out.
pub(crate) fn label(
    drawn: &[Draw],
    n_pairs_min: usize,
    executor: &dyn Executor,
    limits: Limits,
) -> anyhow::Result<Vec<Option<Labelled>>> {
    let next = AtomicUsize::new(0);
    let labelled = Mutex::new(vec![None; drawn.len()]);
    let work = || -> anyhow::Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(draw) = drawn.get(at) else { return Ok(()) };
            let one = label_one(draw, n_pairs_min, executor, limits)?;
            labelled.lock().expect("no thread panics while it holds the list")[at] = one;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..executor.parallelism().max(1)).map(|_| scope.spawn(work)).collect();
        let ends = threads.into_iter().map(|it| it.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
        ends.collect::<anyhow::Result<()>>()
    })?;
    Ok(labelled.into_inner().expect("all threads have ended"))
}

/// A program to label.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub(crate) program: Program,
    /// Where its inputs are drawn.
    pub(crate) seed: Seed,
    pub(crate) n_inputs: usize,
    /// Whether the lines that lead to its outputs are wanted.
    pub(crate) is_worked: bool,
    /// Inputs that it must not run on.
    pub(crate) withheld: HashSet<String>,
}

fn label_one(
    draw: &Draw,
    n_pairs_min: usize,
    executor: &dyn Executor,
    limits: Limits,
) -> anyhow::Result<Option<Labelled>> {
    let mut seen = HashSet::new();
    // Small domains run dry: after four draws for each input asked for, what came is all.
    let inputs: Vec<String> = (0..4 * draw.n_inputs as u64)
        .map(|at| draw.program.input(draw.seed.nth(at)))
        .filter(|input| !draw.withheld.contains(input) && seen.insert(input.clone()))
        .take(draw.n_inputs)
        .collect();
    if inputs.len() < n_pairs_min {
        return Ok(None);
    }
    let job = Job {
        program: draw.program.text.clone(),
        inputs: inputs.clone(),
        names: Names::Literals,
        company: prepare(&draw.program.text, &Policy::Kelvin).ok().and_then(|it| it.company),
        hash_seed: HashSeed::A,
        calls: Calls::Once,
        limits,
    };
    let outcomes = executor.run(&job)?;
    let outputs: Option<Vec<String>> = outcomes.into_iter().map(plain_output).collect();
    let Some(outputs) = outputs.filter(|outputs| vary(&inputs, outputs, n_pairs_min)) else {
        return Ok(None);
    };
    let workings = if draw.is_worked { workings(&job, &outputs, executor)? } else { Vec::new() };
    let pairs = inputs.into_iter().zip(outputs).collect();
    Ok(Some(Labelled { program: draw.program.clone(), pairs, workings }))
}

/// The lines that lead to each output, from a run of the program that writes them; none where they are too long.
fn workings(job: &Job, outputs: &[String], executor: &dyn Executor) -> anyhow::Result<Vec<Vec<String>>> {
    let program = with_working(&job.program).expect("generated programs parse");
    let company = prepare(&program, &Policy::Kelvin).ok().and_then(|it| it.company);
    let outcomes = executor.run(&Job { program, company, ..job.clone() })?;
    let lines = |(outcome, output): (Outcome, &String)| {
        let Outcome::Value { repr } = outcome else { return Vec::new() };
        match parse_literal(&repr) {
            Ok(Value::Tuple(parts)) => match parts.as_slice() {
                [result, Value::List(lines)] if result.canonical() == *output => texts(lines),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    };
    Ok(outcomes.into_iter().zip(outputs).map(lines).collect())
}

fn texts(lines: &[Value]) -> Vec<String> {
    let text = |it: &Value| match it {
        Value::Str(text) => text.to_string(),
        other => other.canonical(),
    };
    let lines: Vec<String> = lines.iter().map(text).collect();
    let (n_bytes, n_lines) = (lines.iter().map(|it| it.len() + 1).sum::<usize>(), lines.len());
    if MAX_WORKING.0 < n_bytes || MAX_WORKING.1 < n_lines { Vec::new() } else { lines }
}

/// The output, if it is short.
fn plain_output(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Value { repr } => {
            let digits = repr.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
            (repr.len() <= MAX_OUTPUT_LEN && digits <= MAX_DIGITS && repr != "None").then_some(repr)
        }
        Outcome::NotLiteral { .. }
        | Outcome::Raised { .. }
        | Outcome::CompileError { .. }
        | Outcome::Nondeterministic
        | Outcome::TimedOut
        | Outcome::OutOfMemory
        | Outcome::TooLarge { .. }
        | Outcome::Crashed { .. } => None,
    }
}

/// Whether the outputs are neither alike over the fewest inputs that count, nor the inputs themselves.
fn vary(inputs: &[String], outputs: &[String], n_pairs_min: usize) -> bool {
    let first = &outputs[..n_pairs_min];
    first.iter().any(|output| *output != first[0]) && outputs != inputs
}
