//! What a job costs: wall and CPU time (host, worker and children) of jobs of one and of ten inputs, one after the
//! other on one worker. Prints one line each; compare lines of one run, since other load shows in all of them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Limits, Names, Outcome};
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
            names: Names::Literals,
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

/// CPU time of this process, of all that run below it, and of the children that those have seen end, in
/// microseconds, from `/proc`, which counts in 10 ms.
fn spent_cpu_us() -> f64 {
    let me = std::process::id();
    let stats: BTreeMap<u32, Vec<u64>> =
        fs::read_dir("/proc").expect("Linux").flatten().filter_map(stat).collect();
    let is_below = |pid: u32| {
        let parent = |pid: &u32| stats.get(pid).map(|fields| fields[1] as u32);
        std::iter::successors(parent(&pid), parent).any(|it| it == me)
    };
    let ticks = stats.iter().map(|(&pid, fields)| match pid {
        // Its own ended children are other benches'.
        _ if pid == me => fields[11..13].iter().sum(),
        _ if is_below(pid) => fields[11..15].iter().sum(),
        _ => 0,
    });
    ticks.sum::<u64>() as f64 * 1e4
}

/// A process and the numbers of its `stat`, counted from the one after its name; what is no number is 0.
fn stat(process: fs::DirEntry) -> Option<(u32, Vec<u64>)> {
    let pid = process.file_name().to_str()?.parse().ok()?;
    let text = fs::read_to_string(process.path().join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some((pid, rest.split(' ').map(|field| field.parse().unwrap_or(0)).collect()))
}
