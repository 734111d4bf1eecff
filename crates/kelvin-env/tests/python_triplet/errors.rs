//! Error tasks against a scripted executor: what becomes one, what its answer is, and what answers earn.

use kelvin_core::{
    environment::{Environment, Given},
    executor::{Calls, HashSeed, Outcome},
    task::{Miss, Reason, TaskType::Error},
};
use kelvin_env::python_triplet::{Problem, PromptSet, Settings};
use kelvin_python::program::{ErrorKeyword, Policy};

use super::{
    compact, environment,
    scripted::{Scripted, raised, value},
    task,
};

const RESPONSE: &str = "def f(a):\n    return 1 // a\ninput: 0";

/// The answer of the proposed task, or why it is none, where the two hash seeds come to these.
fn proposed(a: Outcome, b: Outcome) -> Result<String, Reason> {
    let executor = Scripted::new(move |job, _| match job.hash_seed {
        HashSeed::A => a.clone(),
        HashSeed::B => b.clone(),
    });
    let verdict =
        environment(&executor, compact()).validate(Error, Given::references(&[]), RESPONSE).unwrap();
    match verdict {
        Ok(Problem::Triplet { output, .. }) => Ok(output),
        Ok(Problem::Induction { .. }) => panic!("an error task is a triplet"),
        Err(rejection) => Err(rejection.reason),
    }
}

#[test]
fn the_answer_is_what_the_program_itself_ends_with() {
    let large = Outcome::TooLarge { bytes: 5000 };
    let object = Outcome::NotLiteral { type_name: "object".into() };
    let crash = Outcome::Crashed { detail: "signal 11".into() };
    let uncompiled = Outcome::CompileError { message: "'return' outside function".into() };
    for (outcome, expected) in [
        (raised("ZeroDivisionError"), Ok("ZeroDivisionError")),
        (raised("Boom"), Ok("Boom")),
        (raised("outer.Boom"), Ok("Boom")),
        (value("1"), Ok("NoError")),
        (object, Ok("NoError")),
        (large, Ok("NoError")),
        (raised("NOERROR"), Err(Reason::UnnamedError)),
        (raised("two words"), Err(Reason::UnnamedError)),
        (uncompiled, Err(Reason::CompileError)),
        (Outcome::Nondeterministic, Err(Reason::Nondeterministic)),
        (Outcome::TimedOut, Err(Reason::Timeout)),
        (Outcome::OutOfMemory, Err(Reason::Memory)),
        (crash, Err(Reason::Crash)),
    ] {
        let expected = expected.map(str::to_owned);
        assert_eq!(proposed(outcome.clone(), outcome.clone()), expected, "{outcome:?}");
    }
}

#[test]
fn hash_seeds_must_agree_on_the_class_and_on_there_being_an_error() {
    assert_eq!(proposed(raised("KeyError"), raised("KeyError")), Ok("KeyError".into()));
    assert_eq!(proposed(raised("KeyError"), raised("IndexError")), Err(Reason::HashOrderDependent));
    assert_eq!(proposed(raised("KeyError"), value("1")), Err(Reason::HashOrderDependent));
    assert_eq!(proposed(value("1"), raised("no name")), Err(Reason::HashOrderDependent));
    assert_eq!(proposed(value("[1]"), value("[2]")), Ok("NoError".into()), "results are not the answer");
    assert_eq!(proposed(value("1"), Outcome::TimedOut), Err(Reason::Timeout));
    assert_eq!(proposed(raised("KeyError"), Outcome::Nondeterministic), Err(Reason::Nondeterministic));
}

#[test]
fn programs_keep_to_what_the_sandbox_lets_be() {
    let executor = Scripted::always(raised("ImportError"));
    let reason = |settings: Settings, response: &str| {
        let verdict = environment(&executor, settings).validate(Error, Given::references(&[]), response);
        verdict.unwrap().err().map(|it| it.reason)
    };
    let imports = "import os\ndef f(a):\n    return os.sep\ninput: 0";
    let code = Settings { policy: Policy::Code, ..compact() };
    assert_eq!(reason(code, imports), Some(Reason::BannedImport), "the guard's own error is no answer");
    let raises = "def f(a):\n    raise ValueError  # assert\ninput: 0";
    assert_eq!(reason(compact(), raises), None);
    let banned = |keyword| Settings { banned_error_keywords: vec![keyword], ..compact() };
    assert_eq!(reason(banned(ErrorKeyword::Raise), raises), Some(Reason::BannedKeyword));
    assert_eq!(reason(banned(ErrorKeyword::Assert), raises), None);
    assert_eq!(reason(compact(), "def f(a):\n    return a\ninput: len('a')"), Some(Reason::InputNotLiteral));
    let jobs = executor.jobs();
    assert!(jobs.iter().all(|job| job.calls == Calls::Twice && job.inputs == ["0"]));
}

#[test]
fn answers_are_compared_by_their_first_word() {
    let environment = environment(&Scripted::broken(), compact());
    let problem = Problem::triplet("def f(a):\n    return 1 // a".into(), "0".into(), "Boom".into());
    let grade = |answer: &str| environment.grade(&task(Error, problem.clone()), answer).unwrap();
    for answer in ["Boom", "boom: no", " BOOM it says"] {
        assert!(grade(answer).correct, "{answer}");
    }
    assert_eq!(grade("NoError").miss, Some(Miss::Wrong));
    assert!(!grade(" ").formatted);
    let full = PromptSet::Full;
    let read = |body: &str| full.parse_solution(Error, &format!("</think><answer>{body}</answer>"));
    assert_eq!(read("```output\nKeyError\n```").as_deref(), Some("KeyError"));
    assert_eq!(read("The output is KeyError.").as_deref(), Some("KeyError"));
}

#[test]
fn a_proposal_has_the_form_of_the_other_triplets() {
    for prompt_set in [PromptSet::Full, PromptSet::Compact] {
        let executor = Scripted::always(raised("ZeroDivisionError"));
        let environment = environment(&executor, Settings { prompt_set, ..Settings::default() });
        let problem =
            Problem::triplet("def f(a):\n    return 1 // a".into(), "0".into(), "ZeroDivisionError".into());
        let response = prompt_set.proposal_text(Error, &problem);
        assert!(environment.proposal_is_formatted(Error, &response));
        let validated = environment.validate(Error, Given::references(&[]), &response).unwrap();
        assert_eq!(validated.unwrap(), problem);
        let answer = prompt_set.solution_text(Error, &problem);
        assert!(environment.grade(&task(Error, problem), &answer).unwrap().correct);
    }
}
