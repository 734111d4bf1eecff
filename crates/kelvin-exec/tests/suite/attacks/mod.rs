//! Hostile programs by name: what each comes to at every level of isolation, and that the next job is right. They get
//! past the import guard first, because the guard is no boundary.

mod answers;
mod computing;
mod files;
mod processes;

use kelvin_core::executor::{Job, Limits, Names};
use kelvin_exec::{ExecutorOptions, Layer, Level, PythonExecutor};

use super::{LIMITS, executor, forking, job, options, run};

/// A backstop short enough to wait for.
const ATTACK_LIMITS: Limits = Limits { wall_s: 2.0, ..LIMITS };

/// Ways around the guard. `errno` makes a system call by its number and gives what it fails with, 0 if it does not.
pub(super) const ESCAPE: &str = "import typing
sys = typing.sys
posix = sys.modules['posix']
ctypes = sys.modules['ctypes']
signal = sys.modules['_signal']
resource = sys.modules['resource']
driver = sys.modules['__main__']
sleep = sys.modules['time'].sleep
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def errno(*call):
    ctypes.set_errno(0)
    return ctypes.get_errno() if libc.syscall(*call) < 0 else 0
";

struct Attack {
    name: &'static str,
    /// The body of `f`, without indentation in its first line.
    body: &'static str,
    /// Any of these begins the outcome's words where the system call filter holds.
    expected: &'static [&'static str],
    /// Where it does not; empty if that is the same. `""` is the beginning of anything: the program does what it
    /// tries, and only its process is lost.
    weak: &'static [&'static str],
}

const fn attack(name: &'static str, body: &'static str, expected: &'static [&'static str]) -> Attack {
    Attack { name, body, expected, weak: &[] }
}

impl Attack {
    /// What it comes to without a system call filter.
    const fn else_(self, weak: &'static [&'static str]) -> Attack {
        Attack { weak, ..self }
    }
}

/// What a refused system call is to a program.
const REFUSED: &[&str] = &["PermissionError: "];
/// EPERM.
const EPERM: &[&str] = &["1"];
const ANYTHING: &[&str] = &[""];

fn attacks() -> impl Iterator<Item = &'static Attack> {
    [computing::ATTACKS, files::ATTACKS, processes::ATTACKS, answers::ATTACKS].into_iter().flatten()
}

#[test]
fn there_are_attacks_of_every_kind_and_no_name_stands_for_two() {
    let names: std::collections::HashSet<&str> = attacks().map(|it| it.name).collect();
    assert_eq!(names.len(), attacks().count());
    assert!(80 <= names.len(), "{}", names.len());
}

#[test]
fn attacks_on_all_layers() {
    hold(&executor(1), Level::Strict, Names::Literals);
}

/// What may import the standard library is confined no less.
#[test]
fn attacks_of_solutions_to_benchmarks() {
    hold(&executor(1), Level::Strict, Names::Library);
}

#[test]
fn attacks_in_children_that_are_forked() {
    hold(&forking(1), Level::Strict, Names::Literals);
}

#[test]
fn attacks_without_namespaces() {
    hold(&without(vec![Layer::Namespaces], Level::Standard), Level::Standard, Names::Literals);
}

#[test]
fn attacks_on_the_system_call_filter_alone() {
    // Root's children are another user, which keeps files from them as well.
    hold(&without(vec![Layer::Namespaces, Layer::Landlock], Level::Weak), Level::Weak, Names::Literals);
}

#[test]
fn attacks_on_processes_and_limits_alone() {
    hold(
        &without(vec![Layer::Namespaces, Layer::Landlock, Layer::Seccomp], Level::Weak),
        Level::Weak,
        Names::Literals,
    );
}

fn without(left_out: Vec<Layer>, least: Level) -> PythonExecutor {
    PythonExecutor::start(ExecutorOptions { least, left_out, ..options(1) }).expect("Python is installed")
}

/// What may import the standard library does not attack by importing from it.
fn is_one(attack: &str, names: Names) -> bool {
    names != Names::Library || attack != "import past the guard"
}

/// Every attack comes to what it should, and the job after it is right. A machine that lacks a layer that the level
/// needs cannot run the test, and says so.
fn hold(executor: &PythonExecutor, level: Level, names: Names) {
    let isolation = executor.isolation();
    if isolation.level < level {
        eprintln!("not tested: this machine has {} isolation, not {level}", isolation.level);
        return;
    }
    let filtered = isolation.layers.contains(&Layer::Seccomp);
    let mut failures = Vec::new();
    for Attack { name, body, expected, weak } in attacks().filter(|it| is_one(it.name, names)) {
        let program = format!("{ESCAPE}def f():\n {body}\n");
        let seen = &run(executor, &Job { limits: ATTACK_LIMITS, names, ..job(&program, &[""]) })[0];
        let expected = if filtered || weak.is_empty() { expected } else { weak };
        if !expected.iter().any(|beginning| seen.starts_with(beginning)) {
            failures.push(format!("{name}: {seen}"));
        }
        let next = run(executor, &job("def f(x):\n    return sum([len(repr(x)), 1])", &["12", "345"]));
        if next != ["3", "4"] {
            failures.push(format!("after {name}: {next:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_attack_costs_the_other_inputs_of_its_job_nothing() {
    let executor = executor(1);
    for (body, expected) in [
        ("while x == 2: pass", "timed out"),
        ("posix._exit(9) if x == 2 else 0", "crashed: exit status: 9"),
        ("bytearray((x == 2) << 32)", "out of memory"),
    ] {
        let program = format!("{ESCAPE}def f(x):\n {body}\n return x");
        assert_eq!(
            run(&executor, &job(&program, &["1", "2", "3", "4"])),
            ["1", expected, "3", "4"],
            "{body}"
        );
    }
}

/// A program that loses its worker is settled, and a worker that is lost is replaced.
#[test]
fn a_lost_worker_is_replaced() {
    let executor = forking(1);
    let program =
        format!("{ESCAPE}def f(x):\n if x == 2: posix.kill(posix.getppid(), 9); sleep(1)\n return x");
    let seen = run(&executor, &job(&program, &["1", "2", "3"]));
    assert_eq!((seen[0].as_str(), seen[2].as_str()), ("1", "3"));
    let metrics = executor.metrics();
    // Root's children run as nobody and cannot kill their worker.
    let refused = seen[1].starts_with("PermissionError");
    assert_eq!(metrics.n_respawns, if refused { 0 } else { 3 });
    assert_eq!(metrics.n_starts, 1 + metrics.n_respawns);
}
