//! Benchmarks against their publishers: every solution of theirs passes, no broken one passes that their tests fail, and
//! verdicts that they published come out the same: over data that is not in this repository, see `KELVIN_DATA`. And what
//! LiveCodeBench's grader lets a program do, over problems of our own.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use kelvin_core::{
    benchmark::{Benchmark, Profile, PromptMode, Verdict},
    executor::Executor,
    seed::Seed,
    statistics::pass_at,
    task::Miss,
};
use kelvin_env::benchmarks::{DataFolder, named};
use kelvin_exec::{ExecutorOptions, Level, PythonExecutor};
use serde_json::Value;

/// The folder of public data, or nothing where nobody asks for the long suites.
fn data() -> Option<DataFolder> {
    if env::var_os("KELVIN_SLOW").is_none() && env::var_os("KELVIN_DATA").is_none() {
        eprintln!("skipped: asks for KELVIN_DATA, a folder of public data sets");
        return None;
    }
    let folder = PathBuf::from(env::var_os("KELVIN_DATA").expect("the long suites need KELVIN_DATA"));
    Some(DataFolder::at(&folder).expect("KELVIN_DATA is a folder"))
}

fn open(data: &DataFolder, name: &str, profile: Profile) -> Box<dyn Benchmark> {
    let entry = named(name).expect("the name is known");
    entry.open(data, profile, || Ok(executor())).expect("the files are the publisher's")
}

fn executor() -> Arc<dyn Executor> {
    let options = ExecutorOptions { least: Level::None, ..ExecutorOptions::default() };
    Arc::new(PythonExecutor::start(options).expect("Python is installed"))
}

/// The verdict on each of some responses to items of a benchmark, in their order.
fn verdicts(benchmark: &dyn Benchmark, responses: &[(usize, String)]) -> Vec<Verdict> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let judge = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((item_idx, response)) = responses.get(place) else { return };
            let verdict = benchmark.grade(*item_idx, PromptMode::Plain, response).expect("the sandbox holds");
            done.lock().unwrap().push((place, verdict));
        }
    };
    thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(judge))));
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|it| it.0);
    done.into_iter().map(|it| it.1).collect()
}

/// Every gold response of a benchmark is right.
fn golds_pass(name: &str, n: usize) {
    let Some(data) = data() else { return };
    let benchmark = open(&data, name, Profile::Clean);
    assert_eq!(benchmark.items().len(), n, "{name}");
    let golds: Vec<(usize, String)> =
        (0..n).map(|it| (it, benchmark.gold(it).expect("the publisher gives answers"))).collect();
    let failed: Vec<String> = verdicts(&*benchmark, &golds)
        .iter()
        .zip(benchmark.items())
        .filter(|(verdict, _)| !verdict.is_correct())
        .map(|(verdict, item)| format!("{}: {:?}", item.id, verdict.miss))
        .collect();
    assert!(failed.is_empty(), "{name}: {} of {n} fail: {failed:?}", failed.len());
}

#[test]
fn solutions_of_humaneval_pass() {
    golds_pass("humaneval", 164);
}

#[test]
fn solutions_of_humaneval_plus_pass() {
    golds_pass("humaneval-plus", 164);
}

#[test]
fn solutions_of_mbpp_pass() {
    golds_pass("mbpp", 427);
}

#[test]
fn answers_of_cruxeval_pass() {
    golds_pass("cruxeval-i", 800);
    golds_pass("cruxeval-o", 800);
}

/// The samples of CodeLlama 7B at temperature 0.2 that CRUXEval published with their verdicts.
#[test]
fn published_verdicts_of_cruxeval_come_out_the_same() {
    let Some(data) = data() else { return };
    for (name, task, pass_at_1, pass_at_5) in
        [("cruxeval-i", "input", 35.95, 44.991_071), ("cruxeval-o", "output", 34.2125, 40.286_707)]
    {
        let path = PathBuf::from(env::var_os("KELVIN_DATA").unwrap())
            .join(format!("cruxeval/graded_samples/codellama-7b_temp0.2_{task}.scored.json"));
        let published: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let benchmark = open(&data, name, Profile::Clean);
        let (mut responses, mut official) = (Vec::new(), Vec::new());
        for (item_idx, item) in benchmark.items().iter().enumerate() {
            let texts = published["raw_generations"][&item.id].as_array().expect("ten samples");
            let verdicts = published["raw_scored_generations"][&item.id].as_array().expect("ten verdicts");
            for (text, verdict) in texts.iter().zip(verdicts) {
                let text = text.as_str().unwrap();
                // They were cut out of their assertions already.
                let response = if task == "output" { format!("== {text}") } else { text.to_owned() };
                responses.push((item_idx, response));
                official.push(verdict.as_bool().unwrap());
            }
        }
        assert_eq!(responses.len(), 8000);
        let ours: Vec<bool> = verdicts(&*benchmark, &responses).iter().map(Verdict::is_correct).collect();
        let differ: Vec<&(usize, String)> = responses
            .iter()
            .zip(ours.iter().zip(&official))
            .filter(|(_, (a, b))| a != b)
            .map(|it| it.0)
            .collect();
        assert!(differ.is_empty(), "{name}: {} of 8000 differ: {differ:?}", differ.len());
        for (k, expected) in [(1, pass_at_1), (5, pass_at_5)] {
            let of_item = |it: &[bool]| pass_at(k, it.iter().filter(|it| **it).count(), it.len());
            let mean = ours.chunks(10).map(of_item).sum::<f64>() / 8.0;
            assert!((mean - expected).abs() < 1e-4, "{name}: pass@{k} is {mean}, published as {expected}");
        }
    }
}

/// Solutions of MBPP and HumanEval with one thing changed, held to the publishers' own tests in plain CPython: what those
/// fail does not pass here. What they let pass need not: a limit here may be tighter.
#[test]
fn broken_solutions_that_official_tests_fail_do_not_pass() {
    let Some(data) = data() else { return };
    for name in ["mbpp", "humaneval", "humaneval-plus"] {
        let benchmark = open(&data, name, Profile::Clean);
        let mutants: Vec<(usize, String)> = (0..benchmark.items().len())
            .filter_map(|it| Some((it, mutated(&benchmark.gold(it)?, it)?)))
            .collect();
        let passed: Vec<(usize, String)> = verdicts(&*benchmark, &mutants)
            .iter()
            .zip(&mutants)
            .filter(|(verdict, _)| verdict.is_correct())
            .map(|(_, it)| it.clone())
            .collect();
        println!("{name}: {} of {} broken solutions pass", passed.len(), mutants.len());
        assert!(passed.len() < mutants.len() / 3, "{name}: {} of {} pass", passed.len(), mutants.len());
        for (item_idx, response) in &passed {
            let item = &benchmark.items()[*item_idx];
            assert!(official_tests_pass(name, &item.id, response), "{name} {}: {response}", item.id);
        }
    }
}

/// The program with one operator or number changed, which one by lot.
fn mutated(program: &str, item_idx: usize) -> Option<String> {
    const CHANGES: [(&str, &str); 12] = [
        (" + ", " - "),
        (" - ", " + "),
        (" * ", " + "),
        (" < ", " <= "),
        (" > ", " >= "),
        (" <= ", " < "),
        (" >= ", " > "),
        (" == ", " != "),
        ("0", "1"),
        ("1", "2"),
        ("True", "False"),
        ("min(", "max("),
    ];
    // The body, so that no docstring is changed.
    let begin = program.rfind("\"\"\"").map_or(0, |it| it + 3);
    let places: Vec<(usize, &str, &str)> = CHANGES
        .iter()
        .flat_map(|&(old, new)| {
            program[begin..].match_indices(old).map(move |(at, _)| (begin + at, old, new))
        })
        .collect();
    let &(at, old, new) = places.get(Seed::new(8).nth(item_idx as u64).below(places.len().max(1)))?;
    Some(format!("{}{new}{}", &program[..at], &program[at + old.len()..]))
}

/// Whether the benchmark's own tests pass in plain CPython.
fn official_tests_pass(name: &str, id: &str, response: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test that asks CPython")]
    let mut python = Command::new("python3");
    let script = include_str!("official_tests.py");
    let data = env::var_os("KELVIN_DATA").unwrap();
    let status =
        python.args(["-c", script]).arg(data).args([name, id, response]).status().expect("python3 starts");
    status.success()
}

/// A data folder with two problems of our own in LiveCodeBench's format: one reads and writes, one is a function.
fn live_code() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("livecodebench");
    fs::create_dir(&folder).unwrap();
    let tests = |pairs: &[(&str, &str)]| {
        let test = |(input, output): &(&str, &str)| serde_json::json!({ "input": input, "output": output, "testtype": "stdin" });
        Value::Array(pairs.iter().map(test).collect()).to_string()
    };
    let row = |id: &str, starter: &str, metadata: &str, public: String, hidden: String| {
        serde_json::json!({
            "question_title": id, "question_content": "Add.", "question_id": id, "contest_date": "2024-03-01T00:00:00",
            "starter_code": starter, "difficulty": "easy", "public_test_cases": public, "private_test_cases": hidden,
            "metadata": metadata,
        })
    };
    let rows = [
        row(
            "sum",
            "",
            "{}",
            tests(&[("2\n1 2\n", "3\n")]),
            tests(&[("3\n4 5 6\n", "15"), ("1\n7\n", "7.0")]),
        ),
        row(
            "pair",
            "class Solution:\n    def add(self, a, b):\n        ",
            "{\"func_name\": \"add\"}",
            tests(&[("1\n2", "3")]),
            tests(&[("[1]\n[2]", "[1, 2]")]),
        ),
    ];
    fs::write(folder.join("test.jsonl"), rows.map(|it| it.to_string()).join("\n")).unwrap();
    for part in 2..=5 {
        fs::write(folder.join(format!("test{part}.jsonl")), "").unwrap();
    }
    dir
}

/// Contestants read and write in many ways; each is a way that a process has.
#[test]
fn programs_may_read_and_write_in_any_way_of_a_process() {
    let dir = live_code();
    let bench = open(&DataFolder::at(dir.path()).unwrap(), "livecodebench", Profile::Clean);
    let whole = "\nn, *xs = map(int, text.split())\nprint(sum(xs))";
    let summed = |text: &str| format!("import io, os, sys\ntext = {text}{whole}");
    let right = [
        summed("sys.stdin.read()"),
        summed("open(0).read()"),
        summed("open('/dev/stdin').read()"),
        summed("sys.stdin.buffer.read().decode()"),
        summed("os.read(0, os.fstat(0).st_size).decode()"),
        summed("io.BytesIO(os.read(sys.stdin.fileno(), 1 << 20)).read().decode()"),
        "n = int(input())\nprint(sum(map(int, input().split())))".to_owned(),
        "import sys\nn, *xs = map(int, sys.stdin.read().split())\nsys.stdout.write(f'{sum(xs)}\\n')\nsys.exit()".to_owned(),
        "import os\nn, *xs = map(int, os.read(0, 9999).split())\nos.write(1, b'%d' % sum(xs))".to_owned(),
        "import sys\ninput()\nprint(sum(map(int, input().split())))\nsys.stdout.flush()\nsys.stdout.close()".to_owned(),
        "def main():\n    input()\n    print(sum(map(int, input().split())))\n\nif __name__ == '__main__':\n    main()"
            .to_owned(),
        "d = open(0, 'rb').read().split(b'\\n')\nprint(sum(map(int, d[1].split())))".to_owned(),
        "import os\nd = os.fdopen(0).read().split('\\n')\nprint(sum(map(int, d[1].split())))".to_owned(),
        "import sys\nsys.stdin.buffer.peek(1)\ninput()\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\n\
         print(sum(map(int, input().split())))"
            .to_owned(),
        "import atexit\nsums = []\natexit.register(lambda: print(sums[0]))\ninput()\nsums.append(sum(map(int, input().split())))"
            .to_owned(),
        "import os, sys\ninput()\nprint(sum(map(int, input().split())))\nsys.stdout.flush()\nos._exit(0)".to_owned(),
        // What LiveCodeBench imports for everybody.
        "from __future__ import annotations\ninput()\nd = deque(map(int, input().split()))\nprint(sum(d) % pow(10, 9, 10 ** 9 + 7))"
            .to_owned(),
        "import threading\ndef main():\n    input()\n    print(sum(map(int, input().split())))\n\
         t = threading.Thread(target=main)\nt.start()\nt.join()"
            .to_owned(),
    ];
    let wrong = [
        ("print(3)", Miss::Wrong),
        ("print(int(input()) // 0)", Miss::RuntimeError),
        ("import os\nos.close(1)\nos.write(1, b'3')\nprint(1 / 0)", Miss::RuntimeError),
        ("print(", Miss::Unparsable),
    ];
    let fenced = |program: &str| (0, format!("So:\n```python\n{program}\n```\n"));
    let responses: Vec<(usize, String)> =
        right.iter().map(String::as_str).chain(wrong.iter().map(|it| it.0)).map(fenced).collect();
    let expected = right.iter().map(|_| None).chain(wrong.iter().map(|it| Some(it.1)));
    for ((verdict, (_, response)), miss) in verdicts(&*bench, &responses).iter().zip(&responses).zip(expected)
    {
        assert_eq!(verdict.miss, miss, "{response}");
    }
}

#[test]
fn methods_and_functions_are_called_with_arguments_in_json() {
    let dir = live_code();
    let bench = open(&DataFolder::at(dir.path()).unwrap(), "livecodebench", Profile::Clean);
    let in_class = |body: &str| format!("class Solution:\n    def add(self, a, b):\n        {body}");
    let programs = [
        (in_class("return a + b"), None),
        (in_class("return a + b if pow(2, 3, 5) == 3 and abs(-1) == 1 else deque()"), None),
        (in_class("return tuple(a + b) if isinstance(a, list) else a + b"), None),
        ("def add(a, b):\n    return a + b".to_owned(), None),
        (in_class("return a"), Some(Miss::Wrong)),
        (in_class("raise ValueError"), Some(Miss::RuntimeError)),
        (in_class("while True:\n            pass"), Some(Miss::Timeout)),
    ];
    let responses: Vec<(usize, String)> =
        programs.iter().map(|it| (1, format!("```python\n{}\n```", it.0))).collect();
    for (verdict, (program, miss)) in verdicts(&*bench, &responses).iter().zip(&programs) {
        assert_eq!(verdict.miss, *miss, "{program}");
    }
}
