//! Children that are set back: what a program leaves behind is gone, and who cannot be set back is not used again.

use kelvin_core::executor::{Calls, HashSeed, Job, Names};
use kelvin_exec::PythonExecutor;

use super::attacks::ESCAPE;
use super::{executor, job, run};

/// Whether this machine can do it, asked of the kernel in another way than the executor does.
fn can_restore() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|it| it.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let lists_children = std::path::Path::new("/proc/thread-self/children").exists();
    cfg!(target_arch = "x86_64") && (6, 7) <= version && lists_children && may_trace()
}

/// Root of a container often may not, and lets children be another user.
fn may_trace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|it| it.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let capabilities = u64::from_str_radix(&field("CapEff:"), 16).unwrap_or(0);
    const SYS_PTRACE: u64 = 1 << 19;
    let is_root = field("Uid:").split_whitespace().nth(1) == Some("0");
    field("Seccomp:") == "0" && (!is_root || capabilities & SYS_PTRACE != 0)
}

/// Runs a job and says whether its child was set back.
fn is_restored(executor: &PythonExecutor, job: &Job) -> (Vec<String>, bool) {
    let before = executor.metrics().n_restored;
    let outcomes = run(executor, job);
    (outcomes, executor.metrics().n_restored == before + job.inputs.len() as u64)
}

/// Runs a job whose child must be set back where the machine can do it; some can of which that is not clear.
fn run_restored(executor: &PythonExecutor, job: &Job) -> Vec<String> {
    let (outcomes, restored) = is_restored(executor, job);
    assert!(restored || !can_restore(), "{}", job.program);
    outcomes
}

const PLAIN: &str = "def f(x):\n    return x + 1";

#[test]
fn one_child_answers_job_after_job() {
    let executor = executor(1);
    for at in 0..1500 {
        let job = job(&format!("def f(x):\n    return [x, {at}]"), &["1"]);
        assert_eq!(run_restored(&executor, &job), [format!("[1, {at}]")]);
    }
    let metrics = executor.metrics();
    assert_eq!((metrics.n_children, metrics.n_unsound, metrics.n_respawns), (1500, 0, 0));
}

#[test]
fn both_calls_both_seeds_and_all_modules() {
    let executor = executor(1);
    for round in 0..30 {
        for hash_seed in [HashSeed::A, HashSeed::B] {
            for calls in [Calls::Once, Calls::Twice] {
                let program = if round % 2 == 0 {
                    "import json\ndef f(x):\n    return json.dumps(x)"
                } else {
                    "def f(x):\n    return repr(x)"
                };
                let job = Job { hash_seed, calls, ..job(program, &["[1, 2]"]) };
                assert_eq!(run_restored(&executor, &job), ["'[1, 2]'"]);
            }
        }
    }
}

/// Each changes something that a job of the same process would see.
#[test]
fn what_a_program_leaves_behind_is_gone() {
    let executor = executor(1);
    for (name, body, probe, clean) in LEFTOVERS {
        let poison = job(&format!("{ESCAPE}def f(x):\n {body}\n return x"), &["1"]);
        let probe = job(&format!("{ESCAPE}def f(x):\n {probe}"), &["1"]);
        assert_eq!(run(&executor, &probe), [*clean], "before {name}");
        for _ in 0..3 {
            assert_eq!(run(&executor, &poison), ["1"], "{name}");
            for _ in 0..5 {
                assert_eq!(run(&executor, &probe), [*clean], "after {name}");
            }
        }
    }
    let metrics = executor.metrics();
    assert_eq!(metrics.n_unsound, 0);
    assert!(metrics.n_children / 2 < metrics.n_restored || !can_restore(), "{metrics:?}");
}

/// Name, body of the program that leaves it, body of the program that looks for it, what that finds.
const LEFTOVERS: &[(&str, &str, &str, &str)] = &[
    ("a function of the driver", "driver.judge = lambda v, l: (b'V', b'7', b'7')", "return x", "1"),
    (
        "a module's function",
        "import math; math.sqrt = lambda v: 42",
        "import math; return math.sqrt(x)",
        "1.0",
    ),
    ("a module", "sys.modules['secret'] = x", "return 'secret' in sys.modules", "False"),
    ("a builtin", "__builtins__['len'] = lambda v: 9", "return len([])", "0"),
    ("the recursion limit", "sys.setrecursionlimit(77)", "return sys.getrecursionlimit()", "1000"),
    ("a hook", "sys.settrace(lambda *a: None)", "return sys.gettrace() is None", "True"),
    (
        "the collector's state",
        "import typing; sys.modules['gc'].disable()",
        "return sys.modules['gc'].isenabled()",
        "True",
    ),
    (
        "an integer's value",
        "ctypes.c_uint32.from_address(id(200) + 24).value = 201",
        "return [int('199') + x]",
        "[200]",
    ),
    ("a rounding mode", "libc.fesetround(0x400)", "return x / 3", "0.3333333333333333"),
    (
        "memory on the heap",
        "p = ctypes.create_string_buffer(b'here I was', 99); driver.kept = p",
        "return hasattr(driver, 'kept')",
        "False",
    ),
    ("a deep stack", "g = lambda n: n and g(n - 1); g(900)", "return x", "1"),
    ("what it had counted", "driver.heard.value = 1 << 62", "return driver.heard.value < 1 << 40", "True"),
    (
        "an exception",
        "try: raise ValueError\n except ValueError as e: driver.error = e",
        "return sys.exc_info()[0] is None",
        "True",
    ),
];

/// What the kernel remembers ends the child, and the next job has another one.
#[test]
fn who_asks_the_kernel_for_what_lasts_is_not_set_back() {
    let executor = executor(1);
    for body in [
        "libc.mmap(0, 1 << 20, 3, 0x22, -1, 0)",
        "driver.kept = bytearray(20 << 20)",
        "libc.sbrk(4096)",
        "posix.close(2)",
        "libc.madvise(driver.filter_text, 1, 4)",
        "posix.write(1, b'more')",
    ] {
        let (outcomes, restored) =
            is_restored(&executor, &job(&format!("{ESCAPE}def f(x):\n {body}\n return x"), &["1"]));
        assert!(!restored, "{body}");
        if !body.contains("write") {
            assert_eq!(outcomes, ["1"], "{body}");
        }
        for _ in 0..3 {
            assert_eq!(run_restored(&executor, &job(PLAIN, &["1"])), ["2"], "after {body}");
        }
    }
}

/// What small programs take of the C library's heap was taken beforehand, with every set of modules.
#[test]
fn memory_of_small_programs_is_not_asked_for() {
    let executor = executor(1);
    let takes = "def f(x):\n    return sum(map(len, [str(i) * 4096 for i in range(x)]))";
    for names in [Names::Literals, Names::Library] {
        for _ in 0..20 {
            let job = Job { names, ..job(takes, &["200"]) };
            assert_eq!(run_restored(&executor, &job), [(4096 * 490).to_string()]);
        }
    }
    assert_eq!(executor.metrics().n_unsound, 0);
}

#[test]
fn long_jobs_and_other_limits() {
    let executor = executor(1);
    let long = format!("def f(x):\n    return len('{}') + x", "x".repeat(100_000));
    assert_eq!(is_restored(&executor, &job(&long, &["1"])), (vec!["100001".into()], false));
    for memory_bytes in [64 << 20, 32 << 20, 64 << 20] {
        let mut job = job("def f(n):\n    return len(bytearray(n << 20))", &["1", "40"]);
        job.limits.memory_bytes = memory_bytes;
        let forty = if memory_bytes == 64 << 20 { "41943040" } else { "out of memory" };
        assert_eq!(run(&executor, &job), ["1048576", forty]);
    }
}

/// Jobs that end their child one way or another, mixed with such that do not.
#[test]
fn a_child_that_ends_is_replaced() {
    let executor = executor(1);
    for (body, expected) in [
        ("while x: pass", "timed out"),
        ("posix._exit(9)", "crashed: exit status: 9"),
        ("libc.abort()", "crashed: "),
        ("ctypes.string_at(0)", "crashed: "),
        ("bytearray(1 << 32)", "out of memory"),
    ] {
        for _ in 0..2 {
            let seen = run(&executor, &job(&format!("{ESCAPE}def f(x):\n {body}\n return x"), &["1"]));
            assert!(seen[0].starts_with(expected), "{body}: {seen:?}");
            assert_eq!(run_restored(&executor, &job(PLAIN, &["1"])), ["2"], "after {body}");
        }
    }
}

/// A child that is stopped when its host goes: what dies while it is stopped waits for who stopped it.
#[test]
fn nothing_remains_of_children_that_were_set_back() {
    let n_descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    if std::env::var_os("KELVIN_TEST_ALONE").is_none() {
        let me = std::env::current_exe().unwrap();
        #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
        let status = std::process::Command::new(me)
            .args(["--exact", "restored::nothing_remains_of_children_that_were_set_back"])
            .env("KELVIN_TEST_ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let before = n_descriptors();
    let executor = executor(1);
    let bodies = ["return x", "posix._exit(1)", "driver.kept = bytearray(20 << 20)\n return x"];
    let jobs = bodies.map(|body| job(&format!("{ESCAPE}def f(x):\n {body}"), &["1"]));
    let round = || {
        (0..100)
            .for_each(|at| drop(run(&executor, &jobs[usize::from(at % 9 == 0) + usize::from(at % 18 == 0)])))
    };
    round();
    let warm = n_descriptors();
    (0..4).for_each(|_| round());
    assert!(n_descriptors() <= warm + 4, "{} descriptors, {warm} before", n_descriptors());
    drop(executor);
    assert_eq!(n_descriptors(), before);
    assert!(super::pool::leaks::children_of(std::process::id()).is_empty());
}
