//! Validation of programs and grading of answers. Gold values stay on this side: the executor sees a program and
//! its inputs, and what comes back is parsed here and compared here.

use kelvin_core::{
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    task::{Grade, Miss, Reason, Rejection},
};
use kelvin_python::{
    arguments::parse_arguments,
    program::{Policy, Program, Refusal, prepare},
    value::{Equality, LiteralError, Value, parse_literal},
};
use serde::{Deserialize, Serialize};

/// A program that ran on all of its inputs, twice, under two hash seeds, with one result each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// The source with its entry named `f`.
    pub program: String,
    /// The argument lists, in canonical form where they are literals.
    pub inputs: Vec<String>,
    /// The results as canonical literals.
    pub outputs: Vec<String>,
}

/// How hidden pairs make an induction score (`code_f_reward_type` in the original).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InductionReward {
    /// 1 if all pairs pass, else 0.
    #[default]
    Binary,
    /// The fraction that passes.
    Accuracy,
    /// 1 if any pair passes.
    AnyCorrect,
}

/// Checks that `program` maps each of `inputs` to one literal (azr.md section 3). With [`Names::Program`] an input may
/// be any expression, as the original lets it be; those that are literals come back in their canonical form.
///
/// # Errors
/// If the executor is broken; a bad program is a rejection.
pub fn validate_program(
    executor: &dyn Executor,
    limits: &Limits,
    policy: &Policy,
    program: &str,
    inputs: &[String],
    names: Names,
) -> anyhow::Result<Result<Valid, Rejection>> {
    let Program { source: program, company, .. } = match prepare(program, policy) {
        Ok(program) => program,
        Err(refusal) => return Ok(Err(refused(&refusal))),
    };
    let mut canonical = Vec::with_capacity(inputs.len());
    let mut all_literals_too = true;
    for input in inputs {
        match parse_arguments(input) {
            Ok(arguments) => canonical.push(arguments.canonical()),
            Err(LiteralError::NotLiteral(_)) if names == Names::Program => {
                all_literals_too = false;
                canonical.push(input.trim().to_owned());
            }
            Err(error) => return Ok(Err(Rejection::new(Reason::InputNotLiteral, error.detail()))),
        }
    }
    let mut job = Job {
        program,
        inputs: canonical,
        // What an expression does to the process is not looked at.
        company: company.filter(|_| all_literals_too),
        names: if all_literals_too { Names::Literals } else { Names::Program },
        hash_seed: HashSeed::A,
        calls: Calls::Twice,
        limits: *limits,
    };
    let outputs = match all_literals(run(executor, &job)?, limits) {
        Ok(outputs) => outputs,
        Err(rejection) => return Ok(Err(rejection)),
    };
    job.hash_seed = HashSeed::B;
    let rejection = run(executor, &job)?
        .into_iter()
        .zip(&outputs)
        .find_map(|(outcome, output)| disagreement(outcome, output, limits));
    Ok(match rejection {
        Some(rejection) => Err(rejection),
        None => Ok(Valid { program: job.program, inputs: job.inputs, outputs }),
    })
}

/// Compares an answer with the right output. Neither is run. No answer is right where `gold` is not a literal,
/// which the outputs of validated tasks always are.
pub fn grade_deduction(gold: &str, answer: &str, equality: Equality) -> Grade {
    match parse_literal(answer) {
        Ok(answer) if is_gold(&answer, gold, equality) => Grade::correct(),
        Ok(_) => Grade::missed(Miss::Wrong),
        Err(error) => Grade::missed(unread(&error)),
    }
}

/// Runs the task's program on the answer, an argument list of literals, and compares what comes back.
///
/// # Errors
/// If the executor is broken.
pub fn grade_abduction(
    executor: &dyn Executor,
    limits: &Limits,
    policy: &Policy,
    equality: Equality,
    program: &str,
    gold: &str,
    answer: &str,
) -> anyhow::Result<Grade> {
    let program = match runnable(program, policy) {
        Ok(program) => program,
        Err(miss) => return Ok(Grade::missed(miss)),
    };
    let arguments = match parse_arguments(answer) {
        Ok(arguments) => arguments,
        Err(error) => return Ok(Grade::missed(unread(&error))),
    };
    let job = once(program, vec![arguments.canonical()], limits);
    let outcome = run(executor, &job)?.pop().expect("one input, one outcome");
    Ok(match missed(&outcome, gold, equality) {
        Some(miss) => Grade::missed(miss),
        None => Grade::correct(),
    })
}

/// Runs the answer, a program, on the hidden inputs and compares each result; a pair without a result counts as
/// wrong. `correct` means all pairs, whatever the reward.
///
/// # Errors
/// If the executor is broken.
pub fn grade_induction(
    executor: &dyn Executor,
    limits: &Limits,
    policy: &Policy,
    equality: Equality,
    reward: InductionReward,
    pairs: &[(&str, &str)],
    answer: &str,
) -> anyhow::Result<Grade> {
    let program = match runnable(answer, policy) {
        Ok(program) => program,
        Err(miss) => return Ok(Grade::missed(miss)),
    };
    let inputs = pairs.iter().map(|&(input, _)| input.to_owned()).collect();
    let outcomes = run(executor, &once(program, inputs, limits))?;
    let misses: Vec<Option<Miss>> =
        outcomes.iter().zip(pairs).map(|(outcome, &(_, gold))| missed(outcome, gold, equality)).collect();
    let n_passed = misses.iter().filter(|miss| miss.is_none()).count();
    let correct = n_passed == pairs.len();
    let score = match reward {
        InductionReward::Binary => f32::from(u8::from(correct)),
        InductionReward::Accuracy => n_passed as f32 / pairs.len() as f32,
        InductionReward::AnyCorrect => f32::from(u8::from(0 < n_passed)),
    };
    Ok(Grade { formatted: true, correct, score, miss: misses.into_iter().flatten().next() })
}

/// The program as the executor takes it.
fn runnable(program: &str, policy: &Policy) -> Result<Program, Miss> {
    match prepare(program, policy) {
        Ok(program) => Ok(program),
        Err(Refusal::NoEntry | Refusal::ParseError(_)) => Err(Miss::Unparsable),
        // A solver's program is held to what a proposer's is: the guard would stop most of it where it runs.
        Err(Refusal::BannedImport(_) | Refusal::BannedCall(_)) => Err(Miss::RuntimeError),
    }
}

fn once(program: Program, inputs: Vec<String>, limits: &Limits) -> Job {
    let Program { source: program, company, .. } = program;
    let names = Names::Literals;
    Job { program, inputs, names, company, hash_seed: HashSeed::A, calls: Calls::Once, limits: *limits }
}

pub(super) fn run(executor: &dyn Executor, job: &Job) -> anyhow::Result<Vec<Outcome>> {
    let outcomes = executor.run(job)?;
    assert_eq!(outcomes.len(), job.inputs.len(), "an executor gives one outcome for each input");
    Ok(outcomes)
}

pub(super) fn refused(refusal: &Refusal) -> Rejection {
    let reason = match refusal {
        Refusal::NoEntry => Reason::NoEntry,
        Refusal::ParseError(_) => Reason::ParseError,
        Refusal::BannedImport(_) => Reason::BannedImport,
        Refusal::BannedCall(_) => Reason::BannedCall,
    };
    Rejection::new(reason, refusal.detail())
}

fn all_literals(outcomes: Vec<Outcome>, limits: &Limits) -> Result<Vec<String>, Rejection> {
    outcomes.into_iter().map(|outcome| literal(outcome, limits)).collect()
}

/// The canonical text of a result, or why there is none.
pub(super) fn literal(outcome: Outcome, limits: &Limits) -> Result<String, Rejection> {
    let (reason, detail) = match outcome {
        Outcome::Value { repr } => match parse_literal(&repr) {
            Ok(value) => {
                let canonical = value.canonical();
                if canonical.len() as u64 <= limits.output_bytes {
                    return Ok(canonical);
                }
                (Reason::OutputTooLarge, over(canonical.len() as u64, limits))
            }
            Err(error) => (Reason::NonLiteralOutput, error.detail().to_owned()),
        },
        Outcome::NotLiteral { type_name } => (Reason::NonLiteralOutput, type_name),
        Outcome::Raised { exception, message } => (Reason::RuntimeError, format!("{exception}: {message}")),
        Outcome::CompileError { message } => (Reason::CompileError, message),
        Outcome::Nondeterministic => (Reason::Nondeterministic, "two calls gave different results".into()),
        Outcome::TimedOut => (Reason::Timeout, format!("over {} s of CPU time", limits.cpu_s)),
        Outcome::OutOfMemory => (Reason::Memory, format!("over {} bytes", limits.memory_bytes)),
        Outcome::TooLarge { bytes } => (Reason::OutputTooLarge, over(bytes, limits)),
        Outcome::Crashed { detail } => (Reason::Crash, detail),
    };
    Err(Rejection::new(reason, detail))
}

fn over(bytes: u64, limits: &Limits) -> String {
    format!("{bytes} bytes, the limit is {}", limits.output_bytes)
}

/// What under the second hash seed says nothing about hash order.
pub(super) const INCONCLUSIVE: [Reason; 4] =
    [Reason::Timeout, Reason::Memory, Reason::Crash, Reason::Nondeterministic];

/// Why the outcome under the second hash seed is not the `output` of the first.
fn disagreement(outcome: Outcome, output: &str, limits: &Limits) -> Option<Rejection> {
    let differs = |other: &str| {
        Some(Rejection::new(
            Reason::HashOrderDependent,
            format!("{output} and, under another hash seed, {other}"),
        ))
    };
    match literal(outcome, limits) {
        Ok(other) if other == output => None,
        Ok(other) => differs(&other),
        // What a limit or a crash cuts off says nothing about hash order, nor do two calls that disagree.
        Err(rejection) if INCONCLUSIVE.contains(&rejection.reason) => Some(rejection),
        Err(rejection) => differs(&rejection.detail),
    }
}

/// Why an outcome is not `gold`; `None` if it is.
fn missed(outcome: &Outcome, gold: &str, equality: Equality) -> Option<Miss> {
    match outcome {
        Outcome::Value { repr } => match parse_literal(repr) {
            Ok(value) if is_gold(&value, gold, equality) => None,
            // A value that is no literal of ours, such as a nan, equals no output.
            Ok(_) | Err(_) => Some(Miss::Wrong),
        },
        Outcome::TooLarge { .. } | Outcome::Nondeterministic => Some(Miss::Wrong),
        Outcome::NotLiteral { .. } => Some(Miss::NotLiteral),
        Outcome::Raised { .. } => Some(Miss::RuntimeError),
        Outcome::CompileError { .. } => Some(Miss::Unparsable),
        Outcome::TimedOut => Some(Miss::Timeout),
        Outcome::OutOfMemory => Some(Miss::Memory),
        Outcome::Crashed { .. } => Some(Miss::Crash),
    }
}

fn is_gold(value: &Value, gold: &str, equality: Equality) -> bool {
    parse_literal(gold).is_ok_and(|gold| gold.equals(value, equality))
}

fn unread(error: &LiteralError) -> Miss {
    match error {
        LiteralError::Unparsable(_) => Miss::Unparsable,
        LiteralError::NotLiteral(_) => Miss::NotLiteral,
    }
}
