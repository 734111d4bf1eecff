//! How long it takes to compare mathematical answers: `KELVIN_DATA=DIR cargo bench -p kelvin-env --bench math_equiv`. One
//! thread; without the folder of public data sets there is nothing to measure.

use std::{env, fs, path::PathBuf, time::Instant};

use kelvin_core::task::Grade;
use kelvin_env::grading::{
    extract, grade_math, last_boxed,
    math::{Options, equal},
};
use serde_json::Value;

fn main() {
    let Some(folder) = env::var_os("KELVIN_DATA").map(PathBuf::from) else {
        return println!("skipped: asks for KELVIN_DATA, a folder of public data sets");
    };
    let rows = |path: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.join(path)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for path in ["math_equiv/pairs.jsonl", "math_equiv/pairs_constructed.jsonl"] {
        let mut micros: Vec<u128> = rows(path)
            .iter()
            .map(|row| {
                let text = |field: &str| row[field].as_str().unwrap();
                let (gold, answer) = (text("gold"), text("answer"));
                micros_of(|| equal(gold, answer, &Options::default()))
            })
            .collect();
        micros.sort_unstable();
        let (n, median) = (micros.len(), micros[micros.len() / 2]);
        println!("{path}: {n} pairs, {median} us at the median, {} us at most", micros[n - 1]);
    }
    let solutions = rows("gsm8k/test.jsonl");
    let micros = micros_of(|| {
        for row in &solutions {
            let solution = row["answer"].as_str().unwrap();
            let gold = extract::after_hashes(solution).unwrap();
            let response = format!("{solution}\n\\boxed{{\\${gold}.00}}");
            let answer = last_boxed(extract::after_thinking(&response)).unwrap();
            assert_eq!(grade_math(gold, answer), Grade::correct(), "{gold}");
        }
    });
    println!("gsm8k: {} answers extracted and graded in {} ms", solutions.len(), micros / 1000);
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn micros_of<T>(run: impl FnOnce() -> T) -> u128 {
    let start = Instant::now();
    std::hint::black_box(run());
    start.elapsed().as_micros()
}
