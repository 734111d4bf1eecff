//! Every row of azr.md Appendix A, by its words there, through the environment and a real CPython: what the original does
//! with it stands in that table, what is required stands here.

use std::sync::Arc;

use kelvin_core::{
    environment::{Environment, Given},
    executor::Limits,
    task::{
        Grade, Miss, Reason, Task,
        TaskType::{self, Abduction, Deduction, Error, Induction},
    },
};
use kelvin_env::python_triplet::{Problem, PromptSet, PythonTriplet, Settings};
use kelvin_exec::{ExecutorOptions, Level, PythonExecutor};

/// The environment of the preset `kelvin` with error tasks, a limit that is worth waiting for, and one worker, which has
/// to live through all that it runs.
fn environment() -> PythonTriplet {
    let options = ExecutorOptions { workers: 1, least: Level::None, ..ExecutorOptions::default() };
    let executor = PythonExecutor::start(options).expect("Python is installed");
    let settings = Settings {
        task_types: vec![Deduction, Abduction, Induction, Error],
        limits: Limits { cpu_s: 0.5, wall_s: 60.0, memory_bytes: 64 << 20, ..Limits::default() },
        ..Settings::default()
    };
    PythonTriplet::new(Arc::new(executor), settings).unwrap()
}

fn fenced(tag: &str, text: &str) -> String {
    format!("```{tag}\n{text}\n```\n")
}

fn answered(blocks: &str) -> String {
    format!("</think>\n<answer>\n{blocks}</answer>")
}

fn task(task_type: TaskType, payload: Problem) -> Task<Problem> {
    Task { task_type, born: 0, label: None, payload }
}

/// What is required of a proposal.
#[derive(Clone, Copy)]
enum Required<'a> {
    /// It is a task with this input and this output.
    Valid(&'a str, &'a str),
    /// It is none.
    Rejected(Reason),
}

use Required::{Rejected, Valid};

fn check(env: &PythonTriplet, row: &str, task_type: TaskType, text: &str, required: Required<'_>) {
    let verdict = env.validate(task_type, Given::references(&[]), text).unwrap();
    match (verdict, required) {
        (Ok(problem), Valid(input, output)) => assert_eq!(problem.pairs(), [(input, output)], "{row}"),
        (Err(rejection), Rejected(reason)) => assert_eq!(rejection.reason, reason, "{row}: {rejection:?}"),
        (Ok(problem), Rejected(_)) => panic!("{row}: it is a task, {problem:?}"),
        (Err(rejection), Valid(..)) => panic!("{row}: {rejection:?}"),
    }
}

/// A row with a program, its input and what is required of both.
type Row<'a> = (&'a str, String, &'a str, Required<'a>);

fn check_rows(rows: &[Row<'_>]) {
    let env = environment();
    for (row, program, input, required) in rows {
        let blocks = [fenced("python", program), fenced("input", input)];
        check(&env, row, Deduction, &answered(&blocks.concat()), *required);
    }
}

fn returns(value: &str) -> String {
    format!("def f(x):\n    return {value}")
}

#[test]
fn what_programs_do() {
    let raises = |value: &str| format!("class Boom(Exception):\n    pass\ndef f(x):\n    raise {value}");
    let spins = "def f(x):\n    while True:\n        pass";
    let swallows = "def f(x):\n    while True:\n        try:\n            while True:\n                pass\n        \
                    except BaseException:\n            pass";
    let memo =
        "memo = {}\ndef f(x):\n    if x in memo:\n        return 'seen'\n    memo[x] = x\n    return x";
    let counter = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n";
    let (changes, raised) = (Rejected(Reason::Nondeterministic), Rejected(Reason::RuntimeError));
    check_rows(&[
        ("counter in module scope, result changes on 2nd call", counter.into(), "1", changes),
        ("memo dict makes 2nd call differ", memo.into(), "1", changes),
        ("raise Exception(\"x\")", raises("Exception('x')"), "1", raised),
        ("raise StopIteration", raises("StopIteration"), "1", raised),
        ("raise SystemExit", raises("SystemExit"), "1", raised),
        ("raise custom Boom", raises("Boom"), "1", raised),
        ("infinite loop", spins.into(), "1", Rejected(Reason::Timeout)),
        ("loop swallowing BaseException", swallows.into(), "1", Rejected(Reason::Timeout)),
        ("infinite loop: the worker goes on", returns("x"), "1", Valid("1", "1")),
    ]);
}

#[test]
fn what_programs_return() {
    let ints = format!("[{}]", (0..300).map(|it| it.to_string()).collect::<Vec<_>>().join(", "));
    let words = "['pear', 'apple', 'fig', 'plum', 'kiwi', 'lime', 'date']";
    let sorted_words = "{'apple', 'date', 'fig', 'kiwi', 'lime', 'pear', 'plum'}";
    let counter = "from collections import Counter\ndef f(x):\n    return Counter(x)";
    let not_literal = Rejected(Reason::NonLiteralOutput);
    check_rows(&[
        ("returns None", returns("None"), "1", Valid("1", "None")),
        ("list of 300 ints", returns("list(range(x))"), "300", Valid("300", &ints)),
        ("returns NaN", returns("float('nan')"), "1", not_literal),
        ("list(set(words))", returns("list(set(x))"), words, Rejected(Reason::HashOrderDependent)),
        ("set of words", returns("set(x)"), words, Valid(words, sorted_words)),
        ("lambda returned", returns("lambda: x"), "1", not_literal),
        ("generator returned", returns("(i for i in x)"), "[1]", not_literal),
        ("object() returned", returns("object()"), "1", not_literal),
        ("Counter({...}) exact: task never admitted", counter.into(), "'aab'", not_literal),
    ]);
}

#[test]
fn what_programs_and_inputs_say() {
    let plain = returns("x");
    let own_input = "def my_input(x):\n    return x\ndef f(x):\n    return my_input(x)";
    let nested = "def f(x):\n    def h(y):\n        return y + 1\n    return h(x)";
    let class = "class A:\n    def h(self):\n        return 1\ndef f(x):\n    return A().h() + x";
    let keywords = "def f(a, b):\n    return a - b";
    let (import, call) = (Rejected(Reason::BannedImport), Rejected(Reason::BannedCall));
    check_rows(&[
        ("input [1,\\n2]", plain.clone(), "[1,\n2]", Valid("[1, 2]", "[1, 2]")),
        ("input b=1, a=5", keywords.into(), "b=1, a=5", Valid("b=1, a=5", "4")),
        ("import os", format!("import os\n{plain}"), "1", import),
        ("import os.path", format!("import os.path\n{plain}"), "1", import),
        ("import sys", format!("import sys\n{plain}"), "1", import),
        ("open(...)", returns("open(x).read()"), "'a'", call),
        ("__import__", returns("__import__('os').sep"), "1", call),
        ("function named my_input", own_input.into(), "1", Valid("1", "1")),
        ("nested def", nested.into(), "1", Valid("1", "2")),
        ("class with methods", class.into(), "1", Valid("1", "2")),
    ]);
    let blocks = [fenced("input", "1"), fenced("python", &plain)].concat();
    let row = "proposer answer with input fence before program";
    check(&environment(), row, Deduction, &answered(&blocks), Valid("1", "1"));
}

/// The static policy refuses these by name; this is that the sandbox holds where it does not look.
#[test]
fn what_is_banned_is_also_blocked() {
    use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Names, Outcome};
    let options = ExecutorOptions { workers: 1, least: Level::None, ..ExecutorOptions::default() };
    let executor = PythonExecutor::start(options).expect("Python is installed");
    for (row, body, expected) in [
        ("import os", "import os\n    return os.sep", "ImportError"),
        ("os.path", "import os.path\n    return os.sep", "ImportError"),
        ("sys", "import sys\n    return sys.path", "ImportError"),
        ("open(...)", "return open('/etc/hostname').read()", "NameError"),
        ("__import__", "return __import__('os').sep", "ImportError"),
    ] {
        let job = Job {
            program: format!("def f(x):\n    {body}"),
            inputs: vec!["1".into()],
            names: Names::Literals,
            company: None,
            hash_seed: HashSeed::A,
            calls: Calls::Once,
            limits: Limits { wall_s: 60.0, ..Limits::default() },
        };
        let outcome = executor.run(&job).unwrap().remove(0);
        assert!(
            matches!(&outcome, Outcome::Raised { exception, .. } if exception == expected),
            "{row}: {outcome:?}"
        );
    }
}

#[test]
fn what_answers_earn() {
    let env = environment();
    let grade = |task_type, problem: Problem, tag: &str, answer: &str| -> Grade {
        env.grade(&task(task_type, problem), &answered(&fenced(tag, answer))).unwrap()
    };
    let deduction = |gold: &str, answer: &str| {
        let problem = Problem::triplet("def f(x):\n    return x".into(), gold.into(), gold.into());
        grade(Deduction, problem, "output", answer)
    };
    for (row, gold, answer) in [
        ("{2,1} vs {1,2}", "{1, 2}", "{2,1}"),
        ("1, 2 vs (1, 2)", "(1, 2)", "1, 2"),
        ("input [1,\\n2] as a solver's answer", "[1, 2]", "[1,\n2]"),
    ] {
        assert_eq!(deduction(gold, answer), Grade::correct(), "{row}");
    }
    for (row, gold, answer, miss) in [
        ("True vs 1", "1", "True", Miss::Wrong),
        ("1.0 vs 1", "1", "1.0", Miss::Wrong),
        ("unquoted string vs quoted", "'hello'", "hello", Miss::NotLiteral),
        ("Counter({...}) exact", "{'a': 2}", "Counter({'a': 2})", Miss::NotLiteral),
        ("0.3 vs 0.30000000000000004", "0.30000000000000004", "0.3", Miss::Wrong),
    ] {
        assert_eq!(deduction(gold, answer), Grade::missed(miss), "{row}");
    }
    let abduction = |answer: &str| {
        let problem = Problem::triplet(
            "def f(x):\n    return [x, x]".into(),
            "[1, 2]".into(),
            "[[1, 2], [1, 2]]".into(),
        );
        grade(Abduction, problem, "input", answer)
    };
    assert_eq!(abduction("[1,\n2]"), Grade::correct(), "input [1,\\n2] as a solver's answer");
    let equal = "type('Equal', (), {'__eq__': lambda self, other: True})()";
    assert_eq!(abduction(equal), Grade::missed(Miss::NotLiteral), "answer defining always-equal object");
    assert_eq!(abduction("0) or (1"), Grade::missed(Miss::Unparsable), "0) or (1");
}

#[test]
fn induction_proposals_of_12_and_of_9_inputs() {
    let env = environment();
    let program = "def f(x):\n    return x + 1";
    let about = [task(Deduction, Problem::triplet(program.into(), "1".into(), "2".into()))];
    let propose = |n: usize| {
        let inputs: String = (0..n).map(|it| fenced("input", &it.to_string())).collect();
        let text = answered(&(inputs + &fenced("message", "one more")));
        env.validate(Induction, Given::references(&about), &text).unwrap()
    };
    let Ok(Problem::Induction { inputs, outputs, .. }) = propose(12) else { panic!("12 input fences, N=10") };
    let numbers = |from: usize| (from..from + 10).map(|it| it.to_string()).collect::<Vec<_>>();
    assert_eq!((inputs, outputs), (numbers(2), numbers(3)), "12 input fences, N=10: the last 10");
    assert_eq!(propose(9).unwrap_err().reason, Reason::TooFewInputs, "9 input fences");
}

#[test]
fn the_format_score() {
    let is_formatted = |text: &str| PromptSet::Full.proposal_is_formatted(Deduction, text);
    assert!(!is_formatted("a </think> b <answer>c</answer>"), "</think> then text then <answer>");
    assert!(is_formatted("a </think> <answer>b</answer> c"), "text after </answer>");
}

#[test]
fn a_program_that_patches_builtins_sum_then_another_program() {
    let env = environment();
    let patch = "import builtins\ndef f(x):\n    builtins.sum = len\n    return sum(x)";
    let by_hand = "import typing\ndef f(x):\n    typing.sys.modules['builtins'].sum = len\n    return sum(x)";
    let plain = "def f(x):\n    return sum(x)";
    let propose = |program: &str| answered(&(fenced("python", program) + &fenced("input", "[5, 6]")));
    let row = "a program that patches builtins.sum, then another program";
    check(&env, row, Deduction, &propose(patch), Rejected(Reason::BannedImport));
    // Its own result is its own affair; the worker is the same.
    env.validate(Deduction, Given::references(&[]), &propose(by_hand)).unwrap().unwrap();
    check(&env, row, Deduction, &propose(plain), Valid("[5, 6]", "11"));
}

#[test]
fn code_e() {
    let env = environment();
    let divides = "def f(x):\n    return 1 // x";
    let boom =
        "class Boom(Exception):\n    pass\ndef f(x):\n    if x > 1:\n        raise Boom('no')\n    return x";
    let nested = "def f(x):\n    class Inner(ValueError):\n        pass\n    raise Inner";
    let unhashed = "def f(x):\n    raise type('_'.join(set(x)), (Exception,), {})";
    let words = "['pear', 'apple', 'fig', 'plum', 'kiwi', 'lime', 'date']";
    let forged = "def f(x):\n    raise type('NoError', (Exception,), {})";
    let spins = "def f(x):\n    while True:\n        pass";
    let hoards = "def f(x):\n    return [0] * (1 << 28)";
    let leaves = "def f(x):\n    return (i for i in x)";
    let rows = [
        ("code_e: division by zero", divides, "0", Valid("0", "ZeroDivisionError")),
        ("code_e: no error", divides, "2", Valid("2", "NoError")),
        ("code_e: no error, whatever is returned", leaves, "[1]", Valid("[1]", "NoError")),
        ("code_e: custom Boom", boom, "2", Valid("2", "Boom")),
        ("code_e: a class inside the function", nested, "1", Valid("1", "Inner")),
        ("code_e: timeout", spins, "1", Rejected(Reason::Timeout)),
        ("code_e: memory", hoards, "1", Rejected(Reason::Memory)),
        ("code_e: a name that says there was none", forged, "1", Rejected(Reason::UnnamedError)),
        ("code_e: the class depends on hash order", unhashed, words, Rejected(Reason::HashOrderDependent)),
    ];
    for (row, program, input, required) in rows {
        let text = answered(&(fenced("python", program) + &fenced("input", input)));
        check(&env, row, Error, &text, required);
    }
    let problem = Problem::triplet(divides.into(), "0".into(), "ZeroDivisionError".into());
    let grade = |answer: &str| {
        env.grade(&task(Error, problem.clone()), &answered(&fenced("output", answer))).unwrap()
    };
    assert_eq!(grade("zerodivisionerror: integer division or modulo by zero"), Grade::correct());
    assert_eq!(grade("NoError"), Grade::missed(Miss::Wrong));
}
