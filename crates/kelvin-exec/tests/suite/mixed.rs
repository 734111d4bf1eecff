//! Appendix C 5 of azr.md: ten thousand jobs of every kind, those that reach for files and the network included, come to
//! the same with one worker and with many, and leave nothing on the host.

use std::fs;

use kelvin_core::executor::{Executor, Job};
use kelvin_exec::Layer;

use super::{attacks::ESCAPE, executor, job, soak, words};

const N_JOBS: usize = 10_000;

#[test]
fn mixed_jobs_come_to_the_same_with_one_worker_and_with_many() {
    if !executor(1).isolation().layers.contains(&Layer::Seccomp) {
        return eprintln!("skipped: without a filter of system calls these jobs do what they try");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let reaches = |n: usize, body: &str| Job {
        limits: soak::SHORT,
        ..job(&format!("{ESCAPE}def f(x):\n    {body}"), &[&n.to_string()])
    };
    let jobs: Vec<Job> = (0..N_JOBS)
        .map(|n| match n % 500 {
            101 => reaches(n, &format!("return posix.open(f'{path}/made-{{x}}', 65)")),
            201 => reaches(n, &format!("posix.mkdir('{path}/folder-' + str(x))")),
            301 => reaches(n, "return errno(41, 2, 1, 0)"),
            401 => reaches(n, "return [posix.fork() for _ in range(1000)]"),
            _ => soak::job_and_outcome(n).0,
        })
        .collect();
    let mut seen: Vec<Vec<String>> = Vec::new();
    for n_workers in [1, 3] {
        let executor = executor(n_workers);
        let outcomes = executor.run_many(&jobs).expect("the sandbox holds");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a program reached the host's files");
        seen.push(outcomes.iter().flatten().map(words).collect());
    }
    let [one, many] = &seen[..] else { unreachable!("two executors") };
    assert_eq!(one.len(), N_JOBS);
    for (n, (one, many)) in one.iter().zip(many).enumerate() {
        assert_eq!(one, many, "job {n}");
    }
}
