//! Hostile programs by name: what each comes to, and that the next job is right. Most get past the import guard
//! first, because the guard is no boundary.

use kelvin_core::executor::{Job, Limits};

use super::{LIMITS, executor, job, run};

/// A backstop short enough to wait for.
const ATTACK_LIMITS: Limits = Limits { wall_s: 2.0, ..LIMITS };

/// Ways around the guard; `posix` and `ctypes` are then at hand.
const ESCAPE: &str = "import typing\nsys = typing.sys\nposix = sys.modules['posix']\nctypes = sys.modules['ctypes']\n\
    signal = sys.modules['_signal']\nsleep = sys.modules['time'].sleep\n";

struct Attack {
    name: &'static str,
    /// The body of `f`, without indentation in its first line.
    body: &'static str,
    /// Any of these begins the outcome's words.
    expected: &'static [&'static str],
}

const ATTACKS: &[Attack] = &[
    Attack { name: "infinite loop", body: "while True: pass", expected: &["timed out"] },
    Attack {
        name: "loop that swallows every exception",
        body: "while True:\n  try:\n   while True: pass\n  except BaseException: pass",
        expected: &["timed out"],
    },
    Attack { name: "loop inside C", body: "return sum(range(10**12))", expected: &["timed out"] },
    Attack { name: "huge power", body: "return 9**9**9", expected: &["timed out", "out of memory"] },
    Attack {
        name: "regular expression that backtracks",
        body: "import re\n return re.match(r'(a+)+$', 'a' * 40 + 'b')",
        expected: &["timed out"],
    },
    Attack { name: "sleep", body: "sleep(1000)", expected: &["timed out"] },
    Attack {
        name: "finaliser that loops",
        body: "class A:\n  def __del__(self):\n   while True: pass\n global keep\n keep = A()\n return 1",
        expected: &["timed out"],
    },
    Attack {
        name: "message that loops",
        body: "class E(Exception):\n  def __str__(self):\n   while True: pass\n raise E",
        expected: &["timed out"],
    },
    Attack {
        name: "memory bomb at once",
        body: "return len(bytearray(1 << 32))",
        expected: &["out of memory"],
    },
    Attack {
        name: "memory bomb bit by bit",
        body: "a = []\n while True: a.append(bytes(1 << 20))",
        expected: &["out of memory"],
    },
    Attack {
        name: "memory bomb that holds on",
        body: "a = []\n while True:\n  try: a.append(bytearray(1 << 16))\n  except MemoryError: pass",
        expected: &["timed out"],
    },
    Attack { name: "list of a billion", body: "return [0] * 10**9", expected: &["out of memory"] },
    Attack { name: "list over the output limit", body: "return [0] * 10**6", expected: &["too large: 4096"] },
    Attack {
        name: "exponential result",
        body: "x = [1]\n for _ in range(60): x = [x, x]\n return x",
        expected: &["too large: 4096"],
    },
    Attack { name: "huge string", body: "return 'x' * 10**7", expected: &["too large: 4096"] },
    Attack { name: "huge integer", body: "return 1 << (1 << 24)", expected: &["too large: 4096"] },
    Attack {
        name: "result that contains itself",
        body: "x = []\n x.append(x)\n return x",
        expected: &["not literal: list nested too deeply"],
    },
    Attack {
        name: "result nested deeply",
        body: "x = []\n for _ in range(10**5): x = [x]\n return x",
        expected: &["not literal: list nested too deeply"],
    },
    Attack { name: "endless recursion", body: "return f()", expected: &["RecursionError: "] },
    Attack {
        name: "endless recursion without a limit",
        body: "sys.setrecursionlimit(10**9)\n g = lambda x: sorted([x], key=g)\n return g(1)",
        expected: &["crashed: signal: 11", "RecursionError: ", "out of memory", "timed out"],
    },
    Attack { name: "_exit", body: "posix._exit(0)", expected: &["crashed: no answer"] },
    Attack { name: "_exit with a status", body: "posix._exit(3)", expected: &["crashed: exit status: 3"] },
    Attack { name: "abort", body: "posix.abort()", expected: &["crashed: signal: 6"] },
    Attack { name: "segmentation fault", body: "ctypes.string_at(1)", expected: &["crashed: signal: 11"] },
    Attack { name: "kill itself", body: "posix.kill(posix.getpid(), 9)", expected: &["crashed: signal: 9"] },
    Attack { name: "stop itself", body: "posix.kill(posix.getpid(), 19)", expected: &["timed out"] },
    Attack {
        name: "kill the worker",
        body: "posix.kill(posix.getppid(), 9)\n sleep(1)",
        expected: &["PermissionError: ", "crashed: the worker died"],
    },
    Attack { name: "fork bomb", body: "for _ in range(6): posix.fork()", expected: &["BlockingIOError: "] },
    Attack {
        name: "thread",
        body: "sys.modules['_thread'].start_new_thread(print, ())",
        expected: &["RuntimeError: "],
    },
    Attack {
        name: "other program",
        body: "posix.posix_spawn('/bin/sleep', ['sleep', '1000'], {})",
        expected: &["BlockingIOError: "],
    },
    Attack {
        name: "write a file",
        body: "d = posix.memfd_create('x')\n posix.write(d, b'x')",
        expected: &["OSError: [Errno 27]"],
    },
    Attack {
        name: "flood every descriptor",
        body: "while True:\n  for fd in range(64):\n   try: posix.write(fd, b'x' * 65536)\n   except OSError: pass",
        expected: &["crashed: wrote over", "crashed: malformed answer", "crashed: signal: 9"],
    },
    Attack {
        name: "forge an answer",
        body: "for fd in range(64):\n  try: posix.write(fd, bytes(12) + b'V' + bytes(8) + b'\\1\\0\\0\\0' + b'7')\n  \
            except OSError: pass\n posix._exit(0)",
        expected: &["crashed: malformed answer"],
    },
    Attack {
        name: "garbage before the answer",
        body: "for fd in range(64):\n  try: posix.write(fd, b'garbage' * 10)\n  except OSError: pass\n return 1",
        expected: &["crashed: malformed answer"],
    },
    Attack {
        name: "close every descriptor",
        body: "posix.closerange(0, 64)",
        expected: &["crashed: exit status: 70"],
    },
    Attack {
        name: "outlast the timer",
        body: "signal.signal(27, signal.SIG_IGN)\n signal.signal(24, signal.SIG_IGN)\n signal.setitimer(2, 0)\n \
            while True: pass",
        expected: &["timed out"],
    },
    Attack {
        name: "patch builtins",
        body: "b = sys.modules['builtins']\n for n in 'len repr type eval exec str sorted sum isinstance'.split():\n  \
            setattr(b, n, lambda *a: 42)\n return 1",
        expected: &["1"],
    },
    Attack {
        name: "string that lies",
        body: "class S(str):\n  def encode(self, *a): return b'2'\n  def __len__(self): return 0\n return S('x')",
        expected: &["not literal: S"],
    },
    Attack {
        name: "message that lies",
        body: "class S(str):\n  def __getitem__(self, i): return 7\n class E(Exception):\n  \
            def __str__(self): return S('x' * 10**6)\n raise E",
        expected: &["E: xxx"],
    },
    Attack {
        name: "message with terminal codes",
        body: "raise ValueError('\\x1b[2Jgone\\nsecond line')",
        expected: &["ValueError:  [2Jgone"],
    },
    Attack {
        name: "read the environment",
        body: "return sorted(posix.environ)",
        expected: &["[b'LC_ALL', b'MALLOC_ARENA_MAX', b'PYTHONHASHSEED']"],
    },
    Attack {
        name: "import past the guard",
        body: "import os",
        expected: &["ImportError: import of 'os' is not allowed"],
    },
    Attack { name: "open", body: "return open('/etc/passwd').read()", expected: &["NameError: name 'open'"] },
];

#[test]
fn every_attack_comes_to_an_outcome_and_the_next_job_is_right() {
    let executor = executor(1);
    let mut failures = Vec::new();
    for Attack { name, body, expected } in ATTACKS {
        let program = format!("{ESCAPE}def f():\n {body}\n");
        let seen = &run(&executor, &Job { limits: ATTACK_LIMITS, ..job(&program, &[""]) })[0];
        if !expected.iter().any(|beginning| seen.starts_with(beginning)) {
            failures.push(format!("{name}: {seen}"));
        }
        let next = run(&executor, &job("def f(x):\n    return sum([len(repr(x)), 1])", &["12", "345"]));
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
    let executor = executor(1);
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
