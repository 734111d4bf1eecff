//! Error tasks: which exception does a program end with (`code_e` of the original, azr.md sections 1.5 and 3). Only what
//! the program itself raises can be an answer: what a limit, a crash or the sandbox ends is no task.

use kelvin_core::{
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    task::{Reason, Rejection},
};
use kelvin_python::{
    arguments::parse_arguments,
    program::{ErrorKeyword, Policy, Program, banned_keyword, is_identifier, prepare},
};

use super::check::{INCONCLUSIVE, Valid, literal, refused, run};

/// The answer where the program returns.
pub const NO_ERROR: &str = "NoError";

/// The longest name of an exception that can be an answer, in characters.
const NAME_CHARS_MAX: usize = 100;

/// Checks that `program` on `input` always ends with the same exception, or always without one; the output of what is
/// valid is the name of its class, or [`NO_ERROR`]. Results need not be literals. Programs keep to [`Policy::Kelvin`]
/// whatever the run's policy: past it the import guard would raise an `ImportError` that is not the program's.
///
/// # Errors
/// If the executor is broken; a bad program is a rejection.
pub fn validate_error(
    executor: &dyn Executor,
    limits: &Limits,
    banned: &[ErrorKeyword],
    program: &str,
    input: &str,
) -> anyhow::Result<Result<Valid, Rejection>> {
    let Program { source: program, company, .. } = match prepare(program, &Policy::Kelvin) {
        Ok(program) => program,
        Err(refusal) => return Ok(Err(refused(&refusal))),
    };
    if let Some(keyword) = banned_keyword(&program, banned) {
        return Ok(Err(Rejection::new(Reason::BannedKeyword, keyword.as_str())));
    }
    let input = match parse_arguments(input) {
        Ok(arguments) => arguments.canonical(),
        Err(error) => return Ok(Err(Rejection::new(Reason::InputNotLiteral, error.detail()))),
    };
    let mut job = Job {
        program,
        inputs: vec![input],
        company,
        names: Names::Literals,
        hash_seed: HashSeed::A,
        calls: Calls::Twice,
        limits: *limits,
    };
    let mut ends = Vec::with_capacity(2);
    for hash_seed in [HashSeed::A, HashSeed::B] {
        job.hash_seed = hash_seed;
        let outcome = run(executor, &job)?.pop().expect("one input, one outcome");
        match (exception(outcome, limits), ends.first()) {
            (Ok(name), _) => ends.push(name),
            (Err(rejection), None) => return Ok(Err(rejection)),
            (Err(rejection), Some(_)) if INCONCLUSIVE.contains(&rejection.reason) => {
                return Ok(Err(rejection));
            }
            (Err(rejection), Some(first)) => return Ok(Err(differs(first, &rejection.detail))),
        }
    }
    let [first, second] = <[String; 2]>::try_from(ends).expect("one end for each hash seed");
    if first != second {
        return Ok(Err(differs(&first, &second)));
    }
    Ok(Ok(Valid { program: job.program, inputs: job.inputs, outputs: vec![first] }))
}

fn differs(first: &str, second: &str) -> Rejection {
    Rejection::new(Reason::HashOrderDependent, format!("{first} and, under another hash seed, {second}"))
}

/// What a call ended with.
fn exception(outcome: Outcome, limits: &Limits) -> Result<String, Rejection> {
    match outcome {
        Outcome::Value { .. } | Outcome::NotLiteral { .. } | Outcome::TooLarge { .. } => {
            Ok(NO_ERROR.to_owned())
        }
        Outcome::Raised { exception, .. } => class_name(&exception),
        other @ (Outcome::CompileError { .. }
        | Outcome::Nondeterministic
        | Outcome::TimedOut
        | Outcome::OutOfMemory
        | Outcome::Crashed { .. }) => match literal(other, limits) {
            Err(rejection) => Err(rejection),
            Ok(_) => unreachable!("none of these has a value"),
        },
    }
}

/// The name of a class as an answer gives it, without what it is nested in. A program can call its class anything, also
/// by a text that is no name, and also like the absence of an error.
fn class_name(reported: &str) -> Result<String, Rejection> {
    let name = reported.rsplit('.').next().unwrap_or(reported);
    let is_plain = name.chars().count() <= NAME_CHARS_MAX && is_identifier(name);
    if is_plain && name.to_lowercase() != NO_ERROR.to_lowercase() {
        Ok(name.to_owned())
    } else {
        Err(Rejection::new(Reason::UnnamedError, reported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_last_name_of_a_class() {
        for (reported, name) in [
            ("ValueError", Some("ValueError")),
            ("a.b.Boom", Some("Boom")),
            ("Größe", Some("Größe")),
            ("NoError", None),
            ("noerror", None),
            ("two words", None),
            ("a.", None),
            ("", None),
            ("None", None),
            ("f(x)", None),
            (" Boom", None),
        ] {
            assert_eq!(class_name(reported).ok().as_deref(), name, "{reported:?}");
        }
        assert_eq!(class_name(&"E".repeat(100)).map(|it| it.len()), Ok(100));
        assert_eq!(class_name(&"E".repeat(101)).unwrap_err().reason, Reason::UnnamedError);
    }
}
