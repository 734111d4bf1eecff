//! The rules of proposals that settings switch: where an answer stands, what is made of a program, which pairs decide.

use kelvin_core::{
    environment::{Environment, Given, SeedRecord},
    task::{
        Grade, Miss, Reason,
        TaskType::{Abduction, Deduction, Error, Induction},
    },
};
use kelvin_env::python_triplet::{
    AnswerPlace, CodeLocation, InductionPairs, InductionReward, MissingResult, Problem, ProgramRules,
    PromptSet, ProposalForm, SeedRules, Settings,
};
use kelvin_python::program::{Entry, Strip};
use serde_json::json;

use super::{
    compact, doubling, environment,
    scripted::{Scripted, raised, value},
    squares, task,
};

const NONE: Given<'_, Problem> = Given { references: &[], helpers: &[] };

const PROGRAM: &str = "```python\ndef f(a):\n    return a\n```";

#[test]
fn an_answer_stands_where_the_setting_says() {
    let fences = format!("{PROGRAM}\n```input\n1\n```");
    let texts = [
        format!("</think><answer>{fences}</answer>"),
        format!("so \\boxed{{{fences}}}"),
        fences.clone(),
        format!("{fences} \\boxed{{1}}"),
    ];
    // Of each text: whether it is a task and whether it has the form.
    let cases = [
        (AnswerPlace::Tags, false, [(true, true), (false, false), (false, false), (false, false)]),
        (AnswerPlace::Tags, true, [(true, true), (true, false), (true, false), (false, false)]),
        (AnswerPlace::Boxed, false, [(false, false), (true, true), (false, false), (false, true)]),
        (AnswerPlace::Plain, false, [(true, true), (true, true), (true, true), (true, true)]),
    ];
    for (answer, boxed_retry, expected) in cases {
        let settings = Settings { answer, boxed_retry, ..Settings::default() };
        let environment = environment(&Scripted::always(value("1")), settings);
        for (text, expected) in texts.iter().zip(expected) {
            let is_task = environment.validate(Deduction, NONE, text).unwrap().is_ok();
            let is_formatted = environment.proposal_is_formatted(Deduction, text);
            assert_eq!((is_task, is_formatted), expected, "{answer:?} {boxed_retry} {text}");
        }
        let solution = PromptSet::Full.solution_text(answer, Deduction, &doubling(), &[]);
        assert_eq!(environment.grade(&task(Deduction, doubling()), &solution).unwrap(), Grade::correct());
    }
}

#[test]
fn places_are_for_the_full_set() {
    let refused = |settings: Settings| settings.check_form().unwrap_err().to_string();
    assert!(refused(Settings { answer: AnswerPlace::Boxed, ..compact() }).contains("\nhint: "));
    assert!(refused(Settings { boxed_retry: true, ..compact() }).contains("\nhint: "));
    let unused = Settings { answer: AnswerPlace::Plain, boxed_retry: true, ..Settings::default() };
    assert!(refused(unused).contains("\nhint: "));
    assert!(compact().check_form().is_ok());
}

#[test]
fn without_a_format_reward_everything_has_the_form() {
    let strict = environment(&Scripted::always(value("1")), Settings::default());
    let lenient =
        environment(&Scripted::always(value("1")), Settings { format_reward: false, ..Settings::default() });
    let by_validity = environment(
        &Scripted::always(value("1")),
        Settings { proposal_form: ProposalForm::Valid, ..Settings::default() },
    );
    let form = |env: &dyn Environment<Payload = Problem>| {
        let grade = env.grade(&task(Deduction, doubling()), "[1, 1]").unwrap();
        (env.proposal_is_formatted(Deduction, "x"), grade.formatted)
    };
    assert_eq!(form(&strict), (false, false));
    assert_eq!(form(&lenient), (true, true));
    assert_eq!(form(&by_validity), (true, false), "the paper's rule is for proposals");
}

/// What becomes of a program under these rules, or why nothing.
fn ruled(program: ProgramRules, source: &str) -> Result<String, Reason> {
    let environment = environment(&Scripted::always(value("1")), Settings { program, ..compact() });
    let verdict = environment.validate(Deduction, NONE, &format!("{source}\ninput: 1")).unwrap();
    verdict.map(|problem| problem.program().to_owned()).map_err(|it| it.reason)
}

#[test]
fn programs_are_ruled_before_they_run() {
    let rules = ProgramRules::default();
    let two = "def g(a):\n    return a\ndef f(a):\n    return g(a)";
    assert_eq!(ruled(rules, two), Ok(two.to_owned()));
    let single = ProgramRules { reject_multiple_functions: true, ..rules };
    assert_eq!(ruled(single, two), Err(Reason::MultipleFunctions));
    assert_eq!(ruled(single, "def"), Err(Reason::ParseError));
    let first = ProgramRules { entry: Entry::NotFirst, ..rules };
    assert_eq!(ruled(first, two).unwrap(), "def f(a):\n    return a\ndef f_0(a):\n    return f(a)");
    let screened = ProgramRules { reject_test_input_in_code: true, ..rules };
    assert_eq!(ruled(screened, "def f(a):\n    return a\nf(1)"), Err(Reason::TestInput));
    let all = Strip { remove_comments: true, remove_after_return: true, remove_print: true };
    let stripped = ProgramRules { strip: all, ..rules };
    let littered = "K = 1  # one\ndef f(a):\n    'doc'\n    print(a)\n    return a";
    assert_eq!(ruled(rules, littered), Ok(littered.to_owned()));
    assert_eq!(ruled(stripped, littered).unwrap(), "def f(a):\n    return a");
    assert_eq!(ruled(stripped, "f = lambda a: a"), Err(Reason::NoEntry), "nothing is left");
}

#[test]
fn proposers_are_told_that_globals_go() {
    let prompt = |remove_after_return: bool| {
        let strip = Strip { remove_after_return, ..Strip::default() };
        let program = ProgramRules { strip, ..ProgramRules::default() };
        let settings = Settings { program, ..Settings::default() };
        environment(&Scripted::always(value("1")), settings).propose_prompt(Deduction, NONE)
    };
    let (kept, removed) = (prompt(false), prompt(true));
    let told: Vec<&str> = removed.lines().filter(|line| !kept.lines().any(|it| it == *line)).collect();
    assert!(told.concat().contains("Global variables"), "{told:?}");
}

#[test]
fn seeds_have_rules_of_their_own() {
    let strip = Strip { remove_comments: true, ..Strip::default() };
    let seeds = SeedRules { whole_response: true, strip };
    let environment = environment(&Scripted::always(value("1")), Settings { seeds, ..Settings::default() });
    let text = "```python\ndef f(a):\n    return a  # c\n```\n```input\n1\n```";
    let seed = environment.validate_seed(Deduction, NONE, text).unwrap().unwrap();
    assert_eq!(seed.program(), "def f(a):\n    return a");
    let rejection = environment.validate(Deduction, NONE, text).unwrap().unwrap_err();
    assert_eq!(rejection.reason, Reason::NoAnswer);
    let tagged = format!("<answer>{text}</answer>");
    let played = environment.validate(Deduction, NONE, &tagged).unwrap().unwrap();
    assert_eq!(played.program(), "def f(a):\n    return a  # c");
}

#[test]
fn the_last_of_several_programs() {
    let text =
        format!("<answer>{PROGRAM}\n```python\ndef f(b):\n    return b\n```\n```input\n1\n```</answer>");
    for (code_location, expected) in [(CodeLocation::First, "def f(a)"), (CodeLocation::Last, "def f(b)")] {
        let settings = Settings { code_location, ..Settings::default() };
        let environment = environment(&Scripted::always(value("1")), settings);
        let problem = environment.validate(Deduction, NONE, &text).unwrap().unwrap();
        assert!(problem.program().starts_with(expected), "{}", problem.program());
    }
}

#[test]
fn which_pairs_decide_and_what_no_result_counts() {
    // Right on the shown pairs 0 and 1, nothing on 3, wrong on 2 if asked to be.
    let grade = |wrong_on: &'static str, exception: &'static str, settings: Settings| {
        let executor = Scripted::new(move |_, input| match input {
            "3" => raised(exception),
            input if input == wrong_on => value("-1"),
            input => value(&input.parse::<i64>().unwrap().pow(2).to_string()),
        });
        let environment = environment(&executor, settings);
        environment.grade(&task(Induction, squares()), "def f(a):\n    return a ** 2").unwrap()
    };
    let partial = Settings { induction_reward: InductionReward::Accuracy, ..compact() };
    let all = |settings: &Settings| Settings { induction_pairs: InductionPairs::All, ..settings.clone() };
    let skip = |settings: &Settings| Settings { missing_result: MissingResult::Skip, ..settings.clone() };
    let score = |wrong_on, exception, settings: &Settings| grade(wrong_on, exception, settings.clone()).score;
    assert_eq!(score("none", "Boom", &partial), 2.0 / 3.0, "3 is hidden and has no result");
    assert_eq!(score("none", "Boom", &skip(&partial)), 1.0);
    assert_eq!(score("none", "KeyError", &skip(&partial)), 2.0 / 3.0, "an error is a result");
    assert_eq!(score("1", "Boom", &skip(&partial)), 1.0, "1 is shown");
    assert_eq!(score("1", "Boom", &skip(&all(&partial))), 4.0 / 5.0);
    assert_eq!(score("1", "Boom", &all(&partial)), 4.0 / 6.0);
    assert_eq!(grade("4", "Boom", skip(&compact())).miss, Some(Miss::Wrong));
    assert!(grade("none", "Boom", skip(&compact())).correct);
    let executor = Scripted::always(raised("StopIteration"));
    let nothing = environment(&executor, skip(&compact()));
    let grade = nothing.grade(&task(Induction, squares()), "def f(a):\n    return a").unwrap();
    assert_eq!((grade.correct, grade.score, grade.miss), (false, 0.0, Some(Miss::RuntimeError)));
}

/// The original runs an answer after the imports of the program that it is to find.
#[test]
fn imports_are_lent_where_the_settings_say_so() {
    let Problem::Induction { inputs, outputs, message, .. } = squares() else { unreachable!() };
    let program = "import math\nfrom math import floor\ndef f(a):\n    return math.floor(a * a)".to_owned();
    let problem = Problem::Induction { program, inputs, outputs, message };
    for (lend_imports, begins) in
        [(false, "def f(a)"), (true, "import math\nfrom math import floor\ndef f(a)")]
    {
        let executor = Scripted::always(value("9"));
        let environment = environment(&executor, Settings { lend_imports, ..compact() });
        let answer = "def f(a):\n    return math.floor(a ** 2)";
        environment.grade(&task(Induction, problem.clone()), answer).unwrap();
        assert!(executor.jobs().iter().all(|it| it.program.starts_with(begins)), "{lend_imports}");
    }
}

#[test]
fn an_answer_is_looked_for_or_taken_whole() {
    let answer = "<think>x</think> <answer># Output: [1, 1]</answer>";
    for (whole_answer, is_right) in [(false, true), (true, false)] {
        let settings = Settings { whole_answer, ..Settings::default() };
        let environment = environment(&Scripted::broken(), settings);
        let grade = |text: &str| environment.grade(&task(Deduction, doubling()), text).unwrap().correct;
        assert_eq!(grade(answer), is_right, "{whole_answer}");
        assert!(grade("<think>x</think> <answer>[1, 1]</answer>"));
    }
}

#[test]
fn a_tolerance_forgives_rounding() {
    let sum = Problem::triplet("def f(a):\n    return a".into(), "0.1".into(), "0.30000000000000004".into());
    for (float_tolerance, is_right) in [(0.0, false), (1e-9, true)] {
        let settings = Settings { float_tolerance, ..compact() };
        let environment = environment(&Scripted::always(value("0.3")), settings);
        assert_eq!(environment.grade(&task(Deduction, sum.clone()), "0.3").unwrap().correct, is_right);
        assert_eq!(environment.grade(&task(Abduction, sum.clone()), "0.1").unwrap().correct, is_right);
    }
}

#[test]
fn records_of_seed_files_are_proposals() {
    let environment = environment(&Scripted::new(|_, input| value(input)), compact());
    let read = |task_type, record| environment.read_seed(task_type, &record).unwrap();
    let refused = |task_type, record| match read(task_type, record) {
        SeedRecord::Refused(rejection) => rejection.reason,
        other => panic!("not refused: {other:?}"),
    };
    let snippet = "def g(a):\n    return a";
    let triplet = json!({"snippet": snippet, "input": "[1,2]", "output": "wrong", "imports": [],
                         "original_snippet": "x", "composite_functions": [], "_input_type": "list"});
    let SeedRecord::Valid(problem) = read(Abduction, triplet.clone()) else { panic!("a valid record") };
    let Problem::Triplet { program, input, output, .. } = problem else { panic!("a triplet") };
    assert_eq!((program.as_str(), input.as_str()), ("def f(a):\n    return a", "[1, 2]"));
    assert_eq!(output, "[1, 2]", "what a file says of an output is not believed");
    let SeedRecord::Valid(problem) = read(Error, triplet.clone()) else { panic!("a valid record") };
    assert_eq!(problem.pairs(), [("[1, 2]", "NoError")]);
    let induction = json!({"snippet": snippet, "inputs": ["1", "2"], "outputs": [], "message": "echo"});
    let SeedRecord::Valid(problem) = read(Induction, induction.clone()) else { panic!("a valid record") };
    assert_eq!(problem.pairs(), [("1", "1"), ("2", "2")]);
    assert_eq!(read(Deduction, induction), SeedRecord::OtherType);
    assert_eq!(read(Induction, triplet), SeedRecord::OtherType);
    assert_eq!(refused(Deduction, json!({"input": "1"})), Reason::NoCode);
    assert_eq!(refused(Deduction, json!({"snippet": snippet})), Reason::NoInput);
    assert_eq!(refused(Deduction, json!({"snippet": snippet, "input": "x"})), Reason::InputNotLiteral);
    assert_eq!(refused(Induction, json!({"snippet": snippet, "inputs": ["1", 2]})), Reason::TooFewInputs);
    assert_eq!(refused(Induction, json!({"snippet": snippet, "inputs": ["1", "2"]})), Reason::NoMessage);
    let leak = json!({"snippet": snippet, "inputs": ["1", "2"], "message": snippet});
    assert_eq!(refused(Induction, leak), Reason::Leak);
    assert!(environment.read_seed(kelvin_core::task::TaskType::Question, &json!({})).is_err());
}
