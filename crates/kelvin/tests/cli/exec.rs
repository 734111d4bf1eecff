//! `exec` against golden rows with a real CPython: every reason and every miss, in order, whatever the threads.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{Ran, command, feed};

const COMMON: &[&str] = &["--isolation", "weak", "--timeout", "0.3", "--memory", "64"];

fn exec(verb: &str, options: &[&str], rows: &[Value]) -> Vec<Value> {
    let input: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let Ran { code, out, err } = feed(command(&[&["exec", verb], COMMON, options].concat()), &input);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let results: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<Value>>();
    assert_eq!(ids(&results), ids(rows), "results keep the order of rows");
    results
}

fn proposal(id: &str, program: &str, input: &str) -> Value {
    json!({"id": id, "program": program, "input": input, "note": "unknown fields are ignored"})
}

#[test]
fn every_reason_of_validate() {
    let one = "def f(x):\n    return x";
    let rows = [
        proposal("no_entry", "x = 1", "1"),
        proposal("parse_error", "def f(x:\n    return x", "1"),
        proposal("banned_import", "import random\ndef f(x):\n    return random.random()", "1"),
        proposal("banned_call", "def f(x):\n    return open('/etc/passwd').read()", "1"),
        proposal("input_not_literal", one, "len('a')"),
        proposal("compile_error", "def f(x):\n    return x\nreturn 1", "1"),
        proposal("runtime_error", "def f(x):\n    return 1 // x", "0"),
        proposal("timeout", "def f(x):\n    while True:\n        pass", "0"),
        proposal("memory", "def f(x):\n    return len('a' * (1 << 30))", "0"),
        proposal("output_too_large", "def f(x):\n    return 'a' * x", "5000"),
        proposal("non_literal_output", "def f(x):\n    return lambda: x", "1"),
        proposal("nondeterministic", "n = [0]\ndef f(x):\n    n[0] += 1\n    return n[0]", "1"),
        proposal(
            "hash_order_dependent",
            "def f(x):\n    return list(set(x))",
            "['ab', 'cd', 'ef', 'gh', 'ij']",
        ),
    ];
    for (row, result) in rows.iter().zip(exec("validate", &[], &rows)) {
        assert_eq!(result["status"], "rejected", "{result}");
        assert_eq!(result["reason"], row["id"], "{result}");
        assert!(result["detail"].is_string(), "{result}");
        assert_eq!(result.as_object().unwrap().len(), 4, "{result}");
    }
}

#[test]
fn valid_rows_are_written_in_canonical_form() {
    let rows = [
        proposal("set", "def f(x):\n    return {x, 1, 3}", " 2 "),
        proposal(
            "entry",
            "def helper(a):\n    return a\n\ndef main(a, b=1):\n    return (helper(a), b)",
            "5,b = 2",
        ),
        proposal("none", "def f(x):\n    return None", "[1,\n2]"),
        json!({"id": {"nested": [1, 2.5]}, "program": "def f(a):\n    return a * 2", "inputs": ["1", "'x'"]}),
    ];
    let results = exec("validate", &["--workers", "2"], &rows);
    assert_eq!(results[0]["output"], "{1, 2, 3}");
    assert_eq!(results[0]["input"], "2");
    assert!(results[1]["program"].as_str().unwrap().contains("def f(a, b=1):"), "{}", results[1]);
    assert_eq!((&results[1]["input"], &results[1]["output"]), (&json!("5, b=2"), &json!("(5, 2)")));
    assert_eq!((&results[2]["input"], &results[2]["output"]), (&json!("[1, 2]"), &json!("None")));
    assert_eq!(
        (&results[3]["inputs"], &results[3]["outputs"]),
        (&json!(["1", "'x'"]), &json!(["2", "'xx'"]))
    );
}

#[test]
fn fields_come_in_the_order_of_the_contract() {
    let rows = format!(
        "{}\n{}\n",
        proposal("a", "def f(x):\n    return x", "1"),
        json!({"id": 2, "program": "x", "inputs": ["1"]})
    );
    let ran = feed(command(&[&["exec", "validate"], COMMON].concat()), &rows);
    let starts: Vec<&str> = ran.out.lines().map(|line| line.split("\"program\"").next().unwrap()).collect();
    assert_eq!(starts[0], "{\"id\":\"a\",\"status\":\"valid\",");
    assert!(
        starts[1].starts_with("{\"id\":2,\"status\":\"rejected\",\"reason\":\"no_entry\",\"detail\":"),
        "{starts:?}"
    );
    let row = json!({"id": 3, "task": "deduction", "output": "1", "answer": "2"}).to_string();
    let ran = feed(command(&[&["exec", "grade"], COMMON].concat()), &row);
    assert_eq!(ran.out, "{\"id\":3,\"correct\":false,\"score\":0.0,\"reason\":\"wrong\"}\n");
}

#[test]
fn every_miss_of_grade() {
    let spin = "def f(x):\n    while True:\n        pass";
    let deduction =
        |output: &str, answer: &str| json!({"task": "deduction", "output": output, "answer": answer});
    let abduction = |program: &str, output: &str, answer: &str| json!({"task": "abduction", "program": program, "output": output, "answer": answer});
    let induction =
        |answer: &str| json!({"task": "induction", "pairs": [["1", "2"], ["2", "4"]], "answer": answer});
    let abs = "def f(x):\n    return abs(x)";
    let cases = [
        (deduction("[1, 2]", "[1,2]"), json!([true, 1.0, null])),
        (deduction("{1, 2}", "{2, 1}"), json!([true, 1.0, null])),
        (deduction("(1, 2)", "1, 2"), json!([true, 1.0, null])),
        (deduction("1", "True"), json!([false, 0.0, "wrong"])),
        (deduction("1", "(1"), json!([false, 0.0, "unparsable"])),
        (deduction("1", "int('1')"), json!([false, 0.0, "not_literal"])),
        (abduction(abs, "3", "-3"), json!([true, 1.0, null])),
        (abduction(abs, "3", "4"), json!([false, 0.0, "wrong"])),
        (abduction(abs, "3", "0) or (1"), json!([false, 0.0, "unparsable"])),
        (abduction(abs, "3", "x"), json!([false, 0.0, "not_literal"])),
        (abduction(abs, "3", "'a'"), json!([false, 0.0, "runtime_error"])),
        (abduction(spin, "3", "1"), json!([false, 0.0, "timeout"])),
        (abduction("def f(x):\n    return len('a' * x)", "3", "1 << 30"), json!([false, 0.0, "not_literal"])),
        (abduction("def f(x):\n    return len('a' * x)", "3", "1073741824"), json!([false, 0.0, "memory"])),
        (induction("def f(x):\n    return 2 * x"), json!([true, 1.0, null])),
        (induction("def f(x):\n    return 2"), json!([false, 0.5, "wrong"])),
        (induction("def f(x)"), json!([false, 0.0, "unparsable"])),
        (induction("def f(x):\n    return y"), json!([false, 0.0, "runtime_error"])),
        (
            json!({"task": "error", "output": "ValueError", "answer": "ValueError: x"}),
            json!([true, 1.0, null]),
        ),
        (json!({"task": "math", "gold": "1/2", "answer": "\\boxed{0.5}"}), json!([true, 1.0, null])),
        (json!({"task": "math", "gold": "2", "answer": "3"}), json!([false, 0.0, "wrong"])),
    ];
    let rows: Vec<Value> = (0..)
        .zip(&cases)
        .map(|(id, (row, _))| {
            let mut row = row.clone();
            row["id"] = json!(id);
            row
        })
        .collect();
    for ((_, expected), result) in cases.iter().zip(exec("grade", &[], &rows)) {
        let found = json!([result["correct"], result["score"], result["reason"]]);
        assert_eq!(&found, expected, "{}", rows[result["id"].as_u64().unwrap() as usize]);
    }
    let loose = json!({"id": 0, "task": "deduction", "output": "1", "answer": "True"});
    assert_eq!(exec("grade", &["--equality", "python"], &[loose])[0]["correct"], true);
}

#[test]
fn results_do_not_depend_on_workers() {
    let rows: Vec<Value> = (0..24)
        .map(|row| {
            let program = match row % 3 {
                0 => "def f(x):\n    return sum(range(x * 3000))",
                1 => "def f(x):\n    return [x]",
                _ => "def f(x):\n    return 1 // (x - x)",
            };
            proposal(&row.to_string(), program, &row.to_string())
        })
        .collect();
    assert_eq!(exec("validate", &["--workers", "1"], &rows), exec("validate", &["--workers", "3"], &rows));
}

#[test]
fn a_row_gets_its_result_before_the_next_is_written() {
    let mut child = interactive(&["exec", "validate", "--isolation", "weak", "--in", "-", "--out", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for id in 0..3 {
        writeln!(stdin, "{}", json!({"id": id, "program": "def f(x):\n    return x", "input": "1"})).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["id"], id);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_stands_before_a_bad_line_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.jsonl");
    let good = json!({"id": 1, "task": "deduction", "output": "1", "answer": "1"}).to_string();
    for (bad, why) in [
        ("{\"id\": 2, \"task\": \"deduction\"}", "missing field"),
        ("{\"id\": 2, \"task\": \"dedction\"}", "unknown variant `dedction`"),
        ("{\"id\": 2", "EOF"),
    ] {
        let ran = feed(
            command(&["exec", "grade", "--isolation", "weak", "--out", out.to_str().unwrap()]),
            &format!("{good}\n\n{bad}\n{good}\n"),
        );
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.starts_with("error: <stdin>:3: ") && ran.err.contains(why), "{bad}: {}", ran.err);
        assert!(ran.err.contains("\nhint: every line is one JSON object"), "{}", ran.err);
        assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 1);
    }
}

#[test]
fn a_signal_ends_the_work_with_its_code() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = interactive(&["exec", "validate", "--isolation", "weak"]);
        // Held, because the end of its input would end the work too.
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{}", json!({"id": 1, "program": "def f(x):\n    return x", "input": "1"})).unwrap();
        // The first result shows that signals are caught by now.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        #[expect(clippy::disallowed_methods, reason = "these tests are about a process")]
        let mut kill = Command::new("kill");
        assert!(kill.args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        drop(stdin);
    }
}

fn interactive(args: &[&str]) -> std::process::Child {
    command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}
