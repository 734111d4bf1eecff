//! What answers earn.

use kelvin_core::{
    environment::Environment,
    executor::{Calls, Outcome},
    task::{
        Miss,
        TaskType::{Abduction, Deduction, Induction},
    },
};
use kelvin_env::python_triplet::{InductionReward, Problem, PromptSet, Settings};

use super::{
    compact, doubling, environment,
    scripted::{Scripted, raised, value},
    squares, task,
};

#[test]
fn answers_are_extracted_in_the_cascades_order() {
    let read =
        |body: &str| PromptSet::Full.parse_solution(Deduction, &format!("</think><answer>{body}</answer>"));
    for (body, expected) in [
        ("```output\n1\n```\n```Output\n2\n```", "2"),
        ("# Output: 3\n```", "3"),
        ("so output(4)", "4"),
        ("<output>5</output>", "5"),
        ("<output>6", "6"),
        ("I say the output is 7.", "7"),
        ("8", "8"),
        ("# Output: 10\n```output\n9\n```", "9"),
    ] {
        assert_eq!(read(body).as_deref(), Some(expected), "{body}");
    }
    assert_eq!(read(""), None);
    assert_eq!(PromptSet::Full.parse_solution(Deduction, "1"), None);
}

#[test]
fn deduction_answers() {
    let environment = environment(&Scripted::broken(), compact());
    let grade = |output: &str, answer: &str| {
        let problem = Problem::triplet(String::new(), String::new(), output.into());
        environment.grade(&task(Deduction, problem), answer).unwrap()
    };
    for (output, answer) in [
        ("{1, 2}", "{2,1}"),
        ("(1, 2)", "1, 2"),
        ("'a'", "\"a\""),
        ("set()", "set( )"),
        ("[1, 2]", "[1,\n2]"),
    ] {
        assert!(grade(output, answer).correct, "{answer}");
    }
    for (output, answer, miss) in [
        ("1", "True", Miss::Wrong),
        ("1", "1.0", Miss::Wrong),
        ("0.3", "0.30000000000000004", Miss::Wrong),
        ("'a'", "a", Miss::NotLiteral),
        ("1", "__import__('os').getpid()", Miss::NotLiteral),
        ("Counter({'a': 1})", "Counter({'a': 1})", Miss::NotLiteral),
        ("1", "1 2", Miss::Unparsable),
    ] {
        let grade = grade(output, answer);
        assert_eq!((grade.formatted, grade.correct, grade.miss), (true, false, Some(miss)), "{answer}");
    }
    assert!(!grade("1", " ").formatted);
}

#[test]
fn abduction_answers() {
    let executor = Scripted::new(|_, input| match input {
        "[1]" | "[True]" => value("[1, 1]"),
        "'x'" => value("'xx'"),
        "1.5" => value("nan"),
        "2" => raised("ValueError"),
        "3" => Outcome::TimedOut,
        "4" => Outcome::OutOfMemory,
        "5" => Outcome::Crashed { detail: "signal 9".into() },
        "6" => Outcome::NotLiteral { type_name: "object".into() },
        "7" => Outcome::TooLarge { bytes: 5000 },
        other => panic!("unexpected input {other}"),
    });
    let environment = environment(&executor, compact());
    let grade = |answer: &str| environment.grade(&task(Abduction, doubling()), answer).unwrap();
    assert!(grade("[ 1 ]").correct);
    for (answer, miss) in [
        ("'x'", Miss::Wrong),
        ("1.5", Miss::Wrong),
        ("2", Miss::RuntimeError),
        ("3", Miss::Timeout),
        ("4", Miss::Memory),
        ("5", Miss::Crash),
        ("6", Miss::NotLiteral),
        ("7", Miss::Wrong),
        ("0) or (1", Miss::Unparsable),
        ("type('E', (), {'__eq__': lambda s, o: True})()", Miss::NotLiteral),
    ] {
        assert_eq!(grade(answer).miss, Some(miss), "{answer}");
    }
    let jobs = executor.jobs();
    assert!(jobs.iter().all(|job| job.calls == Calls::Once && job.inputs.len() == 1));
    assert!(!format!("{jobs:?}").contains("[1, 1]"), "the right output stays here");
}

#[test]
fn induction_answers() {
    let square = |input: &str| value(&input.parse::<i64>().unwrap().pow(2).to_string());
    let executor = Scripted::new(move |job, input| match (job.program.contains("raise"), input) {
        (true, "5") => raised("Exception"),
        _ if job.program.contains("zero") => value("0"),
        _ => square(input),
    });
    let grade = |reward: InductionReward, answer: &str| {
        let settings = Settings { induction_reward: reward, ..compact() };
        environment(&executor, settings).grade(&task(Induction, squares()), answer).unwrap()
    };
    let right = "def g(a):\n    return a ** 2";
    let partly = "def f(a):\n    if a == 5: raise Exception\n    return a ** 2";
    let wrong = "def f(a):\n    return 0  # zero";
    let scores = |answer| {
        [InductionReward::Binary, InductionReward::Accuracy, InductionReward::AnyCorrect]
            .map(|reward| grade(reward, answer))
            .map(|grade| (grade.correct, grade.score, grade.miss))
    };
    assert_eq!(scores(right), [(true, 1.0, None); 3]);
    let raises = Some(Miss::RuntimeError);
    assert_eq!(scores(partly), [(false, 0.0, raises), (false, 2.0 / 3.0, raises), (false, 1.0, raises)]);
    assert_eq!(scores(wrong), [(false, 0.0, Some(Miss::Wrong)); 3]);
    assert!(executor.jobs().iter().all(|job| job.inputs == ["3", "4", "5"]), "hidden inputs, in one job");
    for (answer, miss) in [
        ("import os\ndef f(a):\n    return a", Miss::RuntimeError),
        ("def f(a", Miss::Unparsable),
        ("x = 1", Miss::Unparsable),
    ] {
        assert_eq!(grade(InductionReward::Binary, answer).miss, Some(miss), "{answer}");
    }
}
