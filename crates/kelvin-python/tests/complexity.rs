//! Agreement with complexipy and radon, from programs that `xtask/py/complexity_goldens.py` measures.

use kelvin_python::{Complexity, Halstead, Refusal, complexity, program::Lines};
use serde_json::Value as Json;

fn measured(source: &str) -> Complexity {
    complexity(source).unwrap_or_else(|error| panic!("{source:?}: {error}"))
}

fn number(cell: &Json) -> u32 {
    u32::try_from(cell.as_u64().expect("a count")).expect("a small count")
}

fn is_close(ours: f64, cell: &Json) -> bool {
    let theirs = cell.as_f64().expect("a number");
    (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0)
}

#[test]
fn programs_measure_as_they_do_in_the_packages() {
    let lines: Vec<&str> = include_str!("data/complexity.jsonl").lines().collect();
    assert!(lines.len() >= 150, "{} programs", lines.len());
    for line in lines {
        let golden: Json = serde_json::from_str(line).expect("a line is JSON");
        let name = &golden["name"];
        let ours = measured(golden["source"].as_str().expect("a text"));
        assert_eq!(ours.cognitive, number(&golden["cognitive"]), "cognitive complexity of {name}");
        assert_eq!(ours.cyclomatic_max, number(&golden["cyclomatic_max"]), "cyclomatic complexity of {name}");
        let counts = &golden["counts"];
        let counts = Halstead {
            n_distinct_operators: number(&counts[0]),
            n_distinct_operands: number(&counts[1]),
            n_operators: number(&counts[2]),
            n_operands: number(&counts[3]),
        };
        assert_eq!(ours.halstead, counts, "counts of {name}");
        assert!(is_close(ours.halstead.volume(), &golden["volume"]), "volume of {name}");
        assert!(is_close(ours.halstead.difficulty(), &golden["difficulty"]), "difficulty of {name}");
        assert!(is_close(ours.halstead.effort(), &golden["effort"]), "effort of {name}");
        assert!(is_close(ours.halstead_score(), &golden["score"]), "score of {name}");
        let total = number(&golden["cyclomatic_total"]);
        assert_eq!(ours.cyclomatic_total, total, "cyclomatic complexity of the whole of {name}");
        let lines = Lines { n_code: 12, n_comments: 3, n_steps: 0 };
        let index = ours.maintainability(&lines);
        assert!(is_close(index, &golden["maintainability"]), "maintainability of {name}: {index}");
        let score = ours.maintainability_score(&lines);
        assert!((0.0..=1.0).contains(&score), "{name}: {score}");
    }
}

#[test]
fn what_does_not_parse_is_refused() {
    for source in ["def f(:", "x = 'a' b'b'", "match = = 1"] {
        assert!(matches!(complexity(source), Err(Refusal::ParseError(_))), "{source:?}");
    }
}

#[test]
fn cognitive_score_is_in_units_of_15() {
    let source = "def f(a):\n    if a:\n        if a > 1:\n            return 2\n    return 1\n";
    assert!((measured(source).cognitive_score() - 3.0 / 15.0).abs() < 1e-12);
}

#[test]
fn a_chain_of_any_length_is_measured() {
    let n_clauses = 50_000;
    let source = format!("def f(x):\n  if x: pass\n{}", "  elif x: pass\n".repeat(n_clauses));
    let ours = measured(&source);
    assert_eq!(ours.cognitive as usize, 1 + n_clauses);
    assert_eq!(ours.cyclomatic_max as usize, 2 + n_clauses);
}
