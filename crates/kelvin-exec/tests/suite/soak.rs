//! A million jobs of every kind: nothing is lost, doubled or out of order, and nothing is left behind. Takes minutes and
//! asks for `KELVIN_SLOW=1`.

use std::fs;
use std::path::Path;

use kelvin_core::executor::{Executor, Job, Limits};

use super::pool::leaks::{children_of, n_descriptors};
use super::{LIMITS, executor, job, words};

const N_JOBS: usize = 1_000_000;
const N_ASKED_TOGETHER: usize = 1000;
/// A limit that an endless program reaches soon.
pub(super) const SHORT: Limits = Limits { cpu_s: 0.05, memory_bytes: 128 << 20, ..LIMITS };
/// What the host may have grown by over all jobs but the first tenth, in KiB.
const GROWTH_MAX_KIB: u64 = 32 << 10;

/// The job with a number, and what its outcome begins with. Those that could reach others run alone, as the static
/// check would have them.
pub(super) fn job_and_outcome(n: usize) -> (Job, String) {
    let shared = |body: &str| Job {
        company: Some(String::new()),
        limits: SHORT,
        ..job(&format!("def f(x):\n    {body}"), &[&n.to_string()])
    };
    let escape = "import typing\nsys = typing.sys\nposix = sys.modules['posix']\n";
    let alone = |body: &str| Job {
        limits: SHORT,
        ..job(&format!("{escape}def f(x):\n    {body}"), &[&n.to_string()])
    };
    match n % 5000 {
        17 => (shared("while True: pass"), "timed out".into()),
        1017 => (shared("return bytearray(1 << 40)"), "out of memory".into()),
        2017 => (alone("posix._exit(x % 7)"), "crashed: ".into()),
        3017 => (alone("return posix.fork()"), "PermissionError: ".into()),
        4017 => (alone("while True: posix.write(1, b'x' * 60000)"), "crashed: ".into()),
        it if it % 100 == 50 => (alone("return [x, len(posix.environ)]"), format!("[{n}, ")),
        it if it % 10 == 3 => (shared("raise ValueError(x)"), format!("ValueError: {n}")),
        it if it % 10 == 4 => (shared("return x +"), "compile error: ".into()),
        it if it % 10 == 5 => (shared("return lambda: x"), "not literal: function".into()),
        it if it % 10 == 6 => (shared("return 'x' * 100_000"), "too large".into()),
        _ => (shared("return [x, sum(range(x % 50)), str(x)[::-1]]"), format!("[{n}, ")),
    }
}

#[test]
fn a_million_jobs() {
    if std::env::var_os("KELVIN_SLOW").is_none() {
        return eprintln!("skipped: takes minutes, asks for KELVIN_SLOW=1");
    }
    if std::env::var_os("KELVIN_TEST_ALONE").is_none() {
        // In a process of its own, so that other tests' workers and descriptors are not counted.
        let me = std::env::current_exe().unwrap();
        #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
        let status = std::process::Command::new(me)
            .args(["--exact", "soak::a_million_jobs", "--nocapture"])
            .env("KELVIN_TEST_ALONE", "1")
            .status()
            .unwrap();
        return assert!(status.success());
    }
    let here = Path::new("/proc/self");
    let before = n_descriptors(here);
    let executor = executor(2);
    let mut warm_kib = 0;
    for first in (0..N_JOBS).step_by(N_ASKED_TOGETHER * 4) {
        std::thread::scope(|scope| {
            for first in (first..first + N_ASKED_TOGETHER * 4).step_by(N_ASKED_TOGETHER) {
                let executor = &executor;
                scope.spawn(move || run_together(executor, first));
            }
        });
        if first < N_JOBS / 10 {
            warm_kib = resident_kib();
        }
    }
    let grown = resident_kib().saturating_sub(warm_kib);
    assert!(grown < GROWTH_MAX_KIB, "grew by {grown} KiB");
    let metrics = executor.metrics();
    assert_eq!((metrics.n_jobs, metrics.n_mismatches), (N_JOBS as u64, 0));
    println!("{metrics:?}, {grown} KiB more");
    // One for each worker, preload and kind of child, and no more than the lasting child under them.
    assert!(children_of(std::process::id()).len() <= 8);
    drop(executor);
    assert_eq!(n_descriptors(here), before);
    assert!(children_of(std::process::id()).is_empty());
}

fn run_together(executor: &impl Executor, first: usize) {
    let (jobs, expected): (Vec<Job>, Vec<String>) =
        (first..first + N_ASKED_TOGETHER).map(job_and_outcome).unzip();
    let outcomes = executor.run_many(&jobs).expect("the sandbox holds");
    assert_eq!(outcomes.len(), jobs.len());
    for (place, (outcomes, expected)) in outcomes.iter().zip(expected).enumerate() {
        let seen: Vec<String> = outcomes.iter().map(words).collect();
        assert!(
            seen.len() == 1 && seen[0].starts_with(&expected),
            "{}: {seen:?}, not {expected}",
            first + place
        );
    }
}

/// What the kernel says this process holds in memory.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
