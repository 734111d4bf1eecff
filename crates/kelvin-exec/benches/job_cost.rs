//! What a job costs: wall and CPU time (host, worker and children) of jobs of one and of ten inputs, one after the
//! other on one worker. Prints one line each; compare lines of one run, since other load shows in all of them.

use std::fs;
use std::time::Instant;

use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Limits, Outcome};
use kelvin_exec::{ExecutorOptions, PythonExecutor};

const N_JOBS: usize = 300;
const N_ROUNDS: usize = 5;

const SMALL: &str = "def f(x):\n    out = []\n    for i, v in enumerate(x):\n        if v % 2:\n            \
    out.append(v * i)\n    return sorted(out)[::-1]";
const IMPORTS: &str = "from typing import List\nimport math\nfrom collections import Counter\n\
    def f(x: List[int]):\n    return [math.gcd(a, 6) for a in Counter(x)]";
const UNCOMMON: &str = "from fractions import Fraction\ndef f(x):\n    return str(sum(map(Fraction, x)))";

fn main() {
    let options = ExecutorOptions { workers: 1, cache_entries: 0, ..ExecutorOptions::default() };
    let executor = PythonExecutor::start(options).expect("Python is installed");
    println!("{:?}", executor.python());
    for (name, program, n_inputs, calls, company) in [
        ("one input, once", SMALL, 1, Calls::Once, None),
        ("one input, twice", SMALL, 1, Calls::Twice, None),
        ("ten inputs, once", SMALL, 10, Calls::Once, Some("")),
        ("common imports", IMPORTS, 1, Calls::Once, None),
        ("uncommon import", UNCOMMON, 1, Calls::Once, None),
    ] {
        let inputs = (0..n_inputs).map(|i| format!("[3, 1, {i}, 8, 5]")).collect();
        let job = Job {
            program: program.into(),
            inputs,
            company: company.map(str::to_owned),
            hash_seed: HashSeed::A,
            calls,
            limits: Limits::default(),
        };
        let mut rounds: Vec<(f64, f64)> = (0..N_ROUNDS).map(|_| round(&executor, &job)).collect();
        rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (wall_us, cpu_us) = rounds[N_ROUNDS / 2];
        println!(
            "{name:<18} {wall_us:6.0} us wall  {cpu_us:6.0} us CPU per job  (CPU {:.0} to {:.0})",
            rounds[0].1,
            rounds[N_ROUNDS - 1].1
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn round(executor: &PythonExecutor, job: &Job) -> (f64, f64) {
    let (wall, cpu_us) = (Instant::now(), spent_cpu_us());
    for _ in 0..N_JOBS {
        let outcomes = executor.run(job).expect("the sandbox holds");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Value { .. })), "{outcomes:?}");
    }
    let wall_us = wall.elapsed().as_secs_f64() * 1e6 / N_JOBS as f64;
    (wall_us, (spent_cpu_us() - cpu_us) / N_JOBS as f64)
}

/// CPU time of this process, its workers and their children, from `/proc`, which counts in 10 ms.
fn spent_cpu_us() -> f64 {
    let me = std::process::id().to_string();
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").expect("Linux").flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, rest)) = text.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let is_self = head.starts_with(&format!("{me} "));
        if is_self || fields[1] == me {
            // A worker's ended children count with it; ours are other benches' and do not matter here.
            let of_children = if is_self { 11..13 } else { 11..15 };
            ticks += fields[of_children].iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum::<u64>();
        }
    }
    ticks as f64 * 1e4
}
