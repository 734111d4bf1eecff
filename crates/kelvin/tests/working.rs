//! Workings of generated programs, as CPython makes them: what they say, and that the corpus shows them as asked for.

use kelvin_core::{
    executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome},
    seed::Seed,
    task::TaskType,
};
use kelvin_env::{
    corpus::{self, CorpusConfig, Example, HeldOutPrograms, Kind},
    python_triplet::{PromptSet, Settings},
};
use kelvin_exec::{ExecutorOptions, Level, PythonExecutor};
use kelvin_python::{parse_literal, with_working};

fn executor() -> PythonExecutor {
    let options = ExecutorOptions { workers: 2, least: Level::None, ..ExecutorOptions::default() };
    PythonExecutor::start(options).expect("Python is installed")
}

/// The canonical pair of result and lines.
fn worked(executor: &PythonExecutor, program: &str, input: &str) -> String {
    let job = Job {
        program: with_working(program).expect("the program parses"),
        inputs: vec![input.into()],
        names: Names::Literals,
        company: None,
        hash_seed: HashSeed::A,
        calls: Calls::Once,
        limits: Limits { wall_s: 60.0, ..Limits::default() },
    };
    match executor.run(&job).unwrap().pop().unwrap() {
        Outcome::Value { repr } => repr,
        other => panic!("{program}\n{other:?}"),
    }
}

#[test]
fn every_operation_has_a_line() {
    let executor = executor();
    let expect = |program: &str, input: &str, lines: &str| {
        assert_eq!(worked(&executor, program, input), lines, "{program}");
    };
    expect("def f(x):\n    y = (x + 3) * 2\n    return y", "4", "(14, ['4 + 3 = 7', 'y = 7 * 2 = 14'])");
    expect(
        "def f(x):\n    n = 0\n    for c in x:\n        if c != 'a':\n            n += 1\n    return n",
        "'ab'",
        r#"(1, ["'a' != 'a' = False", "'b' != 'a' = True", 'n = 0 + 1 = 1'])"#,
    );
    expect(
        "def f(x):\n    return sum(v * 2 for v in x if v > 1)",
        "[1, 3]",
        "(6, ['1 > 1 = False', '3 > 1 = True', '3 * 2 = 6', 'sum([6]) = 6'])",
    );
    expect(
        "def f(x, y):\n    out = []\n    for v in x[y:]:\n        out.append(v // 2)\n    return out",
        "[1, 4], 1",
        "([2], ['out = []', '[1, 4][1:] = [4]', '4 // 2 = 2', 'out = [2]'])",
    );
    expect(
        "def g(v):\n    return abs(v)\n\ndef f(x):\n    return g(x) if x < 0 else [x]",
        "-7",
        "(7, ['-7 < 0 = True', 'abs(-7) = 7', 'g(-7) = 7'])",
    );
}

#[test]
fn the_corpus_shows_its_working_as_often_as_asked_for() {
    let executor = executor();
    let config = CorpusConfig { n_programs: 400, n_examples: 2000, worked: 500, ..CorpusConfig::default() };
    let generate = |config: &CorpusConfig| {
        corpus::generate(config, Seed::new(5), &executor, &HeldOutPrograms::new()).unwrap().examples
    };
    let examples = generate(&config);
    let of = |wanted: TaskType| examples.iter().filter(move |it| it.kind == Kind::Solve(wanted));
    for task_type in [TaskType::Deduction, TaskType::Abduction, TaskType::Induction] {
        let n_worked = of(task_type).filter(|it| it.response.starts_with("# ")).count();
        let share = n_worked as f64 / of(task_type).count() as f64;
        assert!((0.25..0.6).contains(&share), "{task_type}: {share}");
    }
    let form = Settings::default().form();
    for Example { response, .. } in of(TaskType::Deduction).filter(|it| it.response.starts_with("# ")) {
        let (working, answer) = response.rsplit_once('\n').unwrap();
        let parsed = PromptSet::Compact.parse_solution(form, TaskType::Deduction, response);
        assert_eq!(parsed.as_deref(), Some(answer));
        let lines: Vec<&str> = working.lines().collect();
        assert!(lines.iter().all(|it| it.starts_with("# ") && it.contains(" = ")), "{response}");
        assert!(parse_literal(answer).is_ok(), "{response}");
    }
    for Example { response, .. } in of(TaskType::Abduction).filter(|it| it.response.starts_with("# ")) {
        let (working, answer) = response.rsplit_once('\n').unwrap();
        let tries: Vec<&str> = working.lines().filter_map(|it| it.strip_prefix("# try ")).collect();
        assert!(working.starts_with("# try ") && tries.last() == Some(&answer), "{response}");
    }
    let without = generate(&CorpusConfig { worked: 0, ..config });
    assert!(without.iter().all(|it| !it.response.contains("# ")));
}
