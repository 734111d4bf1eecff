//! Many jobs: from many threads, one after the other, and what remains of them.

use kelvin_core::executor::{Executor, HashSeed, Job, Limits};

use kelvin_exec::{Attempt, ExecutorOptions, Layer, Level, PythonExecutor, StartError};

use super::{LIMITS, executor, forking, job, options, run};

#[test]
fn threads_get_their_own_answers_whichever_worker_runs_them() {
    let executor = forking(3);
    assert_eq!(executor.parallelism(), 192);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let executor = &executor;
            scope.spawn(move || {
                for round in 0..12 {
                    let hash_seed = if round % 2 == 0 { HashSeed::A } else { HashSeed::B };
                    let program =
                        format!("def f(x):\n if x == 5: raise ValueError\n return [{thread}, {round}, x]");
                    let job = Job { hash_seed, ..job(&program, &["1", "5", "2"]) };
                    let expected = [
                        format!("[{thread}, {round}, 1]"),
                        "ValueError: ".into(),
                        format!("[{thread}, {round}, 2]"),
                    ];
                    assert_eq!(run(executor, &job), expected);
                }
            });
        }
    });
    let metrics = executor.metrics();
    assert_eq!((metrics.n_jobs, metrics.n_inputs, metrics.n_children), (96, 288, 288));
    assert!(metrics.n_starts <= 6);
    assert_eq!(metrics.n_respawns, 0);
    let timing = executor.timing();
    let names: Vec<&str> = timing.keys().map(String::as_str).collect();
    let stages = ["child_p50", "child_p99", "queue_p50", "queue_p99"];
    assert_eq!(names, stages.map(|it| format!("timing/executor_{it}_s")));
    assert_eq!(timing["timing/executor_child_p50_s"], 1e-6 * metrics.child.p50_us as f64);
}

/// A worker must outlive the thread that happened to start it.
#[test]
fn a_worker_outlives_the_thread_that_started_it() {
    let executor = forking(1);
    let b = Job { hash_seed: HashSeed::B, ..job("def f():\n return 1", &[""]) };
    std::thread::scope(|scope| {
        scope.spawn(|| run(&executor, &b));
    });
    assert_eq!(run(&executor, &b), ["1"]);
    assert_eq!((executor.metrics().n_starts, executor.metrics().n_respawns), (2, 0));
}

fn in_company(class: &str, program: &str, inputs: &[&str]) -> Job {
    Job { company: Some(class.into()), ..job(program, inputs) }
}

/// From enough threads that jobs wait together.
fn run_all(executor: &PythonExecutor, jobs: &[Job]) -> Vec<Vec<String>> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = jobs.iter().map(|job| scope.spawn(move || run(executor, job))).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[test]
fn programs_in_company_share_children_and_each_gets_its_own_answers() {
    let executor = executor(1);
    let jobs: Vec<Job> = (0..60)
        .map(|at| match at % 20 {
            7 => in_company("", "def f(x):\n    while True: pass", &["1"]),
            13 => in_company("", "def f(x):\n    return bytearray(1 << 40)", &["1"]),
            17 => in_company("", "def f(x) return x", &["1"]),
            _ => in_company("", &format!("def f(x):\n    return [{at}, x]"), &["1", "2"]),
        })
        .collect();
    for (at, outcomes) in run_all(&executor, &jobs).into_iter().enumerate() {
        match at % 20 {
            7 => assert_eq!(outcomes, ["timed out"]),
            13 => assert_eq!(outcomes, ["out of memory"]),
            17 => assert!(outcomes[0].starts_with("compile error: "), "{outcomes:?}"),
            _ => assert_eq!(outcomes, [format!("[{at}, 1]"), format!("[{at}, 2]")]),
        }
    }
    let metrics = executor.metrics();
    assert!(metrics.n_shared > 60 && metrics.n_mismatches == 0, "{metrics:?}");
    let options = ExecutorOptions { batch_max: 1, ..options(1) };
    let isolated = PythonExecutor::start(options).unwrap();
    run_all(&isolated, &jobs[..5]);
    assert_eq!((isolated.metrics().n_shared, isolated.metrics().n_children), (0, 10));
}

/// A program that has no business in company changes what the next one sees; the runs alone find it out.
#[test]
fn a_class_that_does_not_keep_to_itself_runs_alone_from_then_on() {
    let executor = executor(1);
    let poison =
        in_company("bad", "import math\ndef f(x):\n    math.sqrt = lambda v: 42\n    return x", &["1"]);
    let victim = in_company("bad", "import math\ndef f(x):\n    return math.sqrt(x)", &["4"]);
    let jobs: Vec<Job> =
        (0..40).map(|at| if at % 8 == 0 { poison.clone() } else { victim.clone() }).collect();
    // One result in a hundred is looked at, and not every one of them comes after the poison.
    let found = (0..100).any(|_| {
        run_all(&executor, &jobs);
        executor.metrics().n_mismatches > 0
    });
    assert!(found, "{:?}", executor.metrics());
    for outcomes in run_all(&executor, &jobs) {
        assert!(outcomes.iter().all(|it| it == "1" || it == "2.0"), "{outcomes:?}");
    }
}

#[test]
fn what_was_asked_before_is_not_run_again() {
    let executor = PythonExecutor::start(ExecutorOptions { cache_entries: 100, ..options(1) }).unwrap();
    let first = job("def f(x):\n    return x + 1", &["1", "2"]);
    assert_eq!(run(&executor, &first), ["2", "3"]);
    let more = job("def f(x):\n    return x + 1", &["2", "5", "1"]);
    assert_eq!(run(&executor, &more), ["3", "6", "2"]);
    let metrics = executor.metrics();
    assert_eq!((metrics.n_inputs, metrics.n_cache_hits, metrics.n_children), (5, 2, 3));
}

#[test]
fn less_isolation_than_asked_for_is_refused() {
    let options = ExecutorOptions {
        least: Level::Strict,
        left_out: vec![Layer::Namespaces, Layer::Landlock, Layer::Seccomp],
        ..options(1)
    };
    let Err(error) = PythonExecutor::start(options) else { panic!("no layer is there to prove it") };
    let StartError::TooWeak { isolation, .. } = &error else { panic!("{error}") };
    assert!(isolation.level <= Level::Weak && isolation.layers.is_empty(), "{isolation:?}");
    assert!(isolation.open.contains(&Attempt::Disarm), "{isolation:?}");
    assert!(error.to_string().contains("\nhint: "), "{error}");
}

#[test]
fn a_call_near_its_limit_runs_again_alone() {
    let executor = executor(1);
    // Spins until it has used 1.1 of its limit of 0.5 s: over it, and under where the timer ends it.
    let program = "import typing\nclock = typing.sys.modules['time'].process_time\n\
        def f(x):\n end = clock() + x\n while clock() < end: pass\n return x";
    assert_eq!(run(&executor, &job(program, &["0.1", "0.55"])), ["0.1", "timed out"]);
    let metrics = executor.metrics();
    assert_eq!((metrics.n_near_limit_reruns, metrics.n_timeouts, metrics.n_children), (1, 1, 3));
}

#[cfg(target_os = "linux")]
pub(super) mod leaks {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    pub(crate) fn n_descriptors(process: &Path) -> usize {
        fs::read_dir(process.join("fd")).expect("the process runs").count()
    }

    /// A field of a process's `stat`, counted from the one after its name.
    fn stat(pid: u32, field: usize) -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(") ")?.1.split(' ').nth(field)?.parse().ok()
    }

    fn session_of(pid: u32) -> Option<u32> {
        stat(pid, 3)
    }

    pub(crate) fn children_of(parent: u32) -> Vec<u32> {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|&pid| stat(pid, 1) == Some(parent)).collect()
    }

    /// The process that forks: with a process namespace, the one child of the worker that the host started.
    fn forker_of(worker: u32) -> u32 {
        match children_of(worker).as_slice() {
            [only] if session_of(*only) == session_of(worker) => *only,
            _ => worker,
        }
    }

    /// Runs in a process of its own, so that other tests' workers and descriptors are not counted.
    #[test]
    fn nothing_remains_of_five_hundred_jobs() {
        if std::env::var_os("KELVIN_TEST_ALONE").is_none() {
            assert!(alone("pool::leaks::nothing_remains_of_five_hundred_jobs").wait().unwrap().success());
            return;
        }
        let here = Path::new("/proc/self");
        let before = n_descriptors(here);
        let executor = forking(1);
        let quiet = job("def f(x):\n return x", &["1"]);
        run(&executor, &quiet);
        let worker = children_of(std::process::id());
        assert_eq!(worker.len(), 1);
        let forker = forker_of(worker[0]);
        let worker_files = || n_descriptors(Path::new(&format!("/proc/{forker}")));
        let warm = (n_descriptors(here), worker_files());
        let crash = job("import typing\ndef f(x):\n typing.sys.modules['posix']._exit(1)", &["1"]);
        for round in 0..500 {
            run(&executor, if round % 10 == 9 { &crash } else { &quiet });
        }
        assert_eq!((n_descriptors(here), worker_files()), warm);
        assert!(children_of(forker).is_empty());
        assert_eq!(children_of(std::process::id()), worker);
        drop(executor);
        assert_eq!(n_descriptors(here), before);
        assert!(children_of(std::process::id()).is_empty());
    }

    /// A worker whose host is gone ends by itself, and its child with it.
    #[test]
    fn a_worker_ends_with_its_host() {
        if std::env::var_os("KELVIN_TEST_ALONE").is_some() {
            let executor = executor(1);
            let wait = "import typing\nl = typing.sys.modules['_thread'].allocate_lock()\n\
                def f():\n l.acquire()\n l.acquire()";
            let _ = executor.run(&job(wait, &[""]));
            unreachable!("killed while the job runs");
        }
        let mut host = alone("pool::leaks::a_worker_ends_with_its_host");
        // A job leads a session of its own; whatever else a worker or the search for Python forks does not.
        let job_of = |worker: u32| {
            children_of(forker_of(worker)).into_iter().find(|&pid| session_of(pid) == Some(pid))
        };
        // Probes lead a session too, but not for long.
        let lasting_job_of = |worker: u32| {
            let first = job_of(worker)?;
            std::thread::sleep(Duration::from_millis(500));
            job_of(worker).filter(|&it| it == first)
        };
        let worker =
            wait_for(&|| children_of(host.id()).into_iter().find(|&pid| lasting_job_of(pid).is_some()))
                .expect("the job starts");
        let (forker, child) = (forker_of(worker), job_of(worker).expect("it waits for a minute"));
        host.kill().unwrap();
        host.wait().unwrap();
        for pid in [worker, forker, child] {
            let gone = wait_for(&|| (!runs(pid)).then_some(pid));
            assert_eq!(gone, Some(pid), "process {pid} outlives its host");
        }
    }

    /// As when a laptop sleeps or a virtual machine is moved: the clock has jumped past the deadline when it goes on, and
    /// the program that was at work is not blamed. In a process of its own, to find that program.
    #[test]
    fn a_machine_that_stands_still_is_no_verdict() {
        if std::env::var_os("KELVIN_TEST_ALONE").is_none() {
            assert!(
                alone("pool::leaks::a_machine_that_stands_still_is_no_verdict").wait().unwrap().success()
            );
            return;
        }
        let executor = forking(1);
        run(&executor, &job("def f(x):\n return x", &["1"]));
        let [worker] = children_of(std::process::id())[..] else { panic!("one worker") };
        let forker = forker_of(worker);
        let program = "import typing\nclock = typing.sys.modules['time'].process_time\n\
            def f(x):\n end = clock() + x\n while clock() < end: pass\n return x";
        let limits = Limits { cpu_s: 5.0, wall_s: 2.0, ..LIMITS };
        let spins = Job { limits, ..job(program, &["0.5"]) };
        let came = std::thread::scope(|scope| {
            let came = scope.spawn(|| run(&executor, &spins));
            let busy = wait_for(&|| children_of(forker).first().copied()).expect("it spins");
            signal("-STOP", &[forker, busy]);
            std::thread::sleep(Duration::from_secs(3));
            // The program first: once the worker goes on, it may have ended it.
            signal("-CONT", &[busy, forker]);
            came.join().unwrap()
        });
        assert_eq!(came, ["0.5"]);
        let metrics = executor.metrics();
        assert_eq!((metrics.n_wall_kills, metrics.n_timeouts, metrics.n_retries), (1, 0, 1));
    }

    fn signal(name: &str, processes: &[u32]) {
        #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
        let mut kill = std::process::Command::new("kill");
        assert!(kill.arg(name).args(processes.iter().map(u32::to_string)).status().unwrap().success());
    }

    /// This test alone, in a process of its own.
    fn alone(name: &str) -> std::process::Child {
        let me = std::env::current_exe().unwrap();
        #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
        let mut command = std::process::Command::new(me);
        command.args(["--exact", name]).env("KELVIN_TEST_ALONE", "1").spawn().unwrap()
    }

    fn wait_for<T>(what: &dyn Fn() -> Option<T>) -> Option<T> {
        (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            what()
        })
    }

    /// A process that has ended may stay as a zombie until whoever inherits it looks.
    fn runs(pid: u32) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|text| text.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
    }
}
