//! Which responses become tasks, which are rejected and why, and the format score.

use kelvin_core::{
    environment::{Environment, Given},
    executor::{Calls, HashSeed, Outcome},
    task::{
        Reason,
        TaskType::{Abduction, Deduction, Induction},
    },
};
use kelvin_env::python_triplet::{Problem, PromptSet, Settings};

use super::{
    compact, doubling, environment,
    scripted::{Scripted, raised, value},
    task,
};

/// The reason for which the compact proposal is rejected when every call comes to `outcome`.
fn reason(response: &str, outcome: Outcome) -> Option<Reason> {
    let environment = environment(&Scripted::always(outcome), compact());
    let verdict = environment.validate(Deduction, Given::references(&[]), response).unwrap();
    verdict.err().map(|rejection| rejection.reason)
}

#[test]
fn what_a_program_does_decides_whether_it_becomes_a_task() {
    let response = "def f(a):\n    return a\ninput: 1";
    let cases = [
        (value("1"), None),
        (value("None"), None),
        (value("{'b', 'a'}"), None),
        (raised("Exception"), Some(Reason::RuntimeError)),
        (raised("StopIteration"), Some(Reason::RuntimeError)),
        (raised("Boom"), Some(Reason::RuntimeError)),
        (Outcome::CompileError { message: "'break' outside loop".into() }, Some(Reason::CompileError)),
        (Outcome::Nondeterministic, Some(Reason::Nondeterministic)),
        (Outcome::TimedOut, Some(Reason::Timeout)),
        (Outcome::OutOfMemory, Some(Reason::Memory)),
        (Outcome::TooLarge { bytes: 4097 }, Some(Reason::OutputTooLarge)),
        (value(&format!("'{}'", "x".repeat(4095))), Some(Reason::OutputTooLarge)),
        (value(&format!("'{}'", "x".repeat(4094))), None),
        (Outcome::NotLiteral { type_name: "function".into() }, Some(Reason::NonLiteralOutput)),
        (value("nan"), Some(Reason::NonLiteralOutput)),
        (value("Counter({'a': 1})"), Some(Reason::NonLiteralOutput)),
        (Outcome::Crashed { detail: "signal 11".into() }, Some(Reason::Crash)),
    ];
    for (outcome, expected) in cases {
        assert_eq!(reason(response, outcome.clone()), expected, "{outcome:?}");
    }
}

#[test]
fn what_a_program_says_decides_too() {
    let cases = [
        ("", Reason::NoAnswer),
        ("input: 1", Reason::NoCode),
        ("def f(a):\n    return a", Reason::NoInput),
        ("def f(a):\n    return a\ninput:", Reason::NoInput),
        ("x = 1\ninput: 1", Reason::NoEntry),
        ("def f(a:\n    return a\ninput: 1", Reason::ParseError),
        ("import os\ndef f(a):\n    return a\ninput: 1", Reason::BannedImport),
        ("def f(a):\n    return open(a)\ninput: 'x'", Reason::BannedCall),
        ("def f(a):\n    return a\ninput: a", Reason::InputNotLiteral),
        ("def f(a):\n    return a\ninput: 0) or (1", Reason::InputNotLiteral),
    ];
    for (response, expected) in cases {
        assert_eq!(reason(response, value("1")), Some(expected), "{response}");
    }
    assert_eq!(reason("def my_input(a):\n    return a\ninput: 1", value("1")), None);
    assert_eq!(
        reason("class T:\n    def g(self):\n        return 1\ndef f(a):\n    return a\ninput: 1", value("1")),
        None
    );
}

#[test]
fn a_program_that_returns_none_is_a_task_unless_told_otherwise() {
    let settings = Settings { returns_none_allowed: false, ..compact() };
    let environment = environment(&Scripted::always(value("None")), settings);
    let verdict =
        environment.validate(Deduction, Given::references(&[]), "def f(a):\n    pass\ninput: 1").unwrap();
    assert_eq!(verdict.unwrap_err().reason, Reason::ReturnsNone);
}

#[test]
fn globals_go_where_the_settings_say_so() {
    let response = "n = 3\ndef f(a):\n    return a\nm = f(n)\ninput: 1";
    let program = |remove_after_return: bool| {
        let settings = Settings { remove_after_return, ..compact() };
        let environment = environment(&Scripted::always(value("1")), settings);
        let verdict = environment.validate(Deduction, Given::references(&[]), response).unwrap();
        verdict.unwrap().program().to_owned()
    };
    assert_eq!(program(true), "def f(a):\n    return a");
    assert_eq!(program(false), "n = 3\ndef f(a):\n    return a\nm = f(n)");
}

#[test]
fn hash_seeds_must_agree_on_the_canonical_result() {
    let response = "def f(a):\n    return a\ninput: 1";
    let under = |a: Outcome, b: Outcome| {
        let executor = Scripted::new(move |job, _| match job.hash_seed {
            HashSeed::A => a.clone(),
            HashSeed::B => b.clone(),
        });
        let verdict =
            environment(&executor, compact()).validate(Abduction, Given::references(&[]), response).unwrap();
        verdict.err().map(|rejection| rejection.reason)
    };
    assert_eq!(under(value("{'a', 'b'}"), value("{'b', 'a'}")), None);
    assert_eq!(under(value("['a', 'b']"), value("['b', 'a']")), Some(Reason::HashOrderDependent));
    assert_eq!(under(value("1"), raised("KeyError")), Some(Reason::HashOrderDependent));
    assert_eq!(under(value("1"), Outcome::TimedOut), Some(Reason::Timeout));
    assert_eq!(under(value("1"), Outcome::Nondeterministic), Some(Reason::Nondeterministic));
}

#[test]
fn a_task_is_stored_in_canonical_form_and_its_jobs_hold_no_result() {
    let executor = Scripted::always(value("{3, 1}"));
    let environment = environment(&executor, compact());
    let response = "def g(a, b):\n    return {a, b}\ninput: b=[1,\t2 ],a = 'x'";
    let problem = environment.validate(Deduction, Given::references(&[]), response).unwrap().unwrap();
    let Problem::Triplet { program, input, output, .. } = problem else { panic!("not a triplet") };
    assert!(program.starts_with("def f(a, b)"), "{program}");
    assert_eq!((input.as_str(), output.as_str()), ("b=[1, 2], a='x'", "{1, 3}"));
    let jobs = executor.jobs();
    assert_eq!(jobs.iter().map(|job| job.hash_seed).collect::<Vec<_>>(), [HashSeed::A, HashSeed::B]);
    assert!(jobs.iter().all(|job| job.calls == Calls::Twice && job.inputs == [input.clone()]));
}

#[test]
fn induction_proposals() {
    let reference = [task(Deduction, doubling())];
    let inputs = |n: usize| (0..n).map(|at| format!("input: {at}\n")).collect::<String>();
    let executor = Scripted::new(|_, input| value(&format!("{}", input.parse::<i64>().unwrap() * 2)));
    let environment = environment(&executor, Settings { message_chars_max: 80, ..compact() });
    let verdict =
        |response: String| environment.validate(Induction, Given::references(&reference), &response).unwrap();
    let rejected = |response: String| verdict(response).unwrap_err().reason;

    let problem = verdict(inputs(7) + "message: twice").unwrap();
    let Problem::Induction { inputs: kept, outputs, message, .. } = &problem else { panic!("not induction") };
    assert_eq!(*kept, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(*outputs, ["2", "4", "6", "8", "10", "12"]);
    assert_eq!(message, "twice");
    assert_eq!(executor.jobs().len(), 2, "one job for each hash seed");

    assert_eq!(rejected(inputs(5) + "message: twice"), Reason::TooFewInputs);
    assert_eq!(rejected(inputs(6)), Reason::NoMessage);
    assert_eq!(rejected(inputs(6) + "message: "), Reason::NoMessage);
    assert_eq!(rejected(inputs(6) + "message: def f(a): return a * 2"), Reason::Leak);
    assert_eq!(rejected(format!("{}message: {}", inputs(6), "x".repeat(81))), Reason::PromptTooLong);
    assert_eq!(rejected(inputs(5) + "input: x\nmessage: twice"), Reason::InputNotLiteral);
}

#[test]
fn full_proposals_are_read_in_any_order() {
    let environment = environment(&Scripted::always(value("1")), Settings::default());
    let program = "```python\ndef f(a):\n    return a\n```";
    let input = "```input\n[1,\n2]\n```";
    let validate = |text: String| environment.validate(Deduction, Given::references(&[]), &text).unwrap();
    let expected = Problem::triplet("def f(a):\n    return a".into(), "[1, 2]".into(), "1".into());
    for body in
        [format!("{program}\n{input}"), format!("{input}\n{program}"), format!("{program}\n# Input: [1, 2]")]
    {
        assert_eq!(validate(format!("x</think>\n<answer>{body}</answer>")).unwrap(), expected, "{body}");
        assert_eq!(
            validate(format!("<answer>{body}")).unwrap(),
            expected,
            "tags are the format score's matter"
        );
    }
    let untagged = program.replace("python", "");
    assert_eq!(validate(format!("<answer>{input}\n{untagged}</answer>")).unwrap(), expected);
    assert_eq!(validate(format!("{program}\n{input}")).unwrap_err().reason, Reason::NoAnswer);
    assert_eq!(validate(format!("<answer>{input}</answer>")).unwrap_err().reason, Reason::NoCode);
    assert_eq!(validate(format!("<answer>{program}</answer>")).unwrap_err().reason, Reason::NoInput);
    assert_eq!(
        validate(format!("<answer>{program}{input}</answer><answer></answer>")).unwrap_err().reason,
        Reason::NoAnswer
    );
}

#[test]
fn full_induction_proposals_keep_the_last_inputs() {
    let environment = environment(&Scripted::new(|_, input| value(input)), Settings::default());
    let reference = [task(Abduction, doubling())];
    let response = |n: usize, message: &str| {
        let inputs: String = (0..n).map(|at| format!("```input\n{at}\n```\n")).collect();
        format!("</think><answer>{inputs}{message}</answer>")
    };
    let validate =
        |text: String| environment.validate(Induction, Given::references(&reference), &text).unwrap();
    for message in ["```message\nhint\n```", "<message>hint</message>", "# Message: hint"] {
        let problem = validate(response(12, message)).unwrap();
        let Problem::Induction { inputs, message, .. } = problem else { panic!("not induction") };
        assert_eq!((inputs.len(), inputs[0].as_str(), message.as_str()), (10, "2", "hint"));
    }
    assert_eq!(validate(response(9, "# Message: hint")).unwrap_err().reason, Reason::TooFewInputs);
    assert_eq!(validate(response(10, "hint")).unwrap_err().reason, Reason::NoMessage);
}
#[test]
fn the_format_score() {
    let full = PromptSet::Full;
    let proposal = |text: &str| full.proposal_is_formatted(Deduction, text);
    assert!(proposal("thought </think> \n <answer>anything</answer>"));
    assert!(proposal("thought </think><answer>anything</answer> and more"));
    assert!(proposal("a </think> b </think><answer></answer>"));
    assert!(!proposal("thought </think> then <answer>anything</answer>"));
    assert!(!proposal("thought <answer>anything</answer>"));
    assert!(!proposal("thought </think><answer>anything"));
    assert!(!full.solution_is_formatted(Induction, "</think><answer>def f(a): return a</answer>"));
    assert!(full.solution_is_formatted(Induction, "</think><answer>```\ndef f(a): return a\n```</answer>"));
    let compact = PromptSet::Compact;
    assert!(compact.proposal_is_formatted(Abduction, "def f(a): return a\ninput: 1"));
    assert!(!compact.proposal_is_formatted(Abduction, "def f(a): return a"));
    assert!(!compact.solution_is_formatted(Deduction, " \n"));
}
