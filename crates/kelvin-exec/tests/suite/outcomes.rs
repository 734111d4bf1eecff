//! What programs come to: appendix A of the specification as far as it concerns execution, and the rest of
//! `Outcome`.

use kelvin_core::executor::{Calls, Executor, HashSeed, Limits};

use super::{executor, job, run};

/// Program, input, what it comes to. A text that ends in `Error: ` is a beginning.
const CASES: &[(&str, &str, &str)] = &[
    ("def f(a, b=2, *, k=3):\n return a + b + k", "1, k=5", "8"),
    ("def f(b, a):\n return (a, b)", "b=1, a=5", "(5, 1)"),
    ("def f():\n return None", "", "None"),
    (
        "def f():\n return [1, 2.5, -0.0, 1e300, True, 'é\\n', b'\\0', 2j, (3,), {4: {5}}]",
        "",
        "[1, 2.5, -0.0, 1e+300, True, 'é\\n', b'\\x00', 2j, (3,), {4: {5}}]",
    ),
    ("def f(s):\n return s", "frozenset({1})", "frozenset({1})"),
    ("def f(s):\n return s", "set()", "set()"),
    ("def f(x):\n global set\n set = 3\n return x", "set()", "set()"),
    ("def f():\n return '\\ud800'", "", "'\\ud800'"),
    ("def f():\n return float('nan')", "", "not literal: float nan"),
    ("def f():\n return {1: [float('-inf')]}", "", "not literal: float inf"),
    ("def f():\n return complex(0, float('inf'))", "", "not literal: complex inf"),
    ("def f():\n return lambda: 0", "", "not literal: function"),
    ("def f():\n yield 1", "", "not literal: generator"),
    ("def f():\n return [object()]", "", "not literal: object"),
    ("async def f():\n return 1", "", "not literal: coroutine"),
    ("import collections\ndef f():\n return collections.Counter('aab')", "", "not literal: Counter"),
    ("import enum\nclass C(enum.IntEnum):\n A = 1\ndef f():\n return C.A", "", "not literal: C"),
    ("def f():\n return {1: 2}.keys()", "", "not literal: dict_keys"),
    ("def f():\n return ...", "", "not literal: ellipsis"),
    ("def f():\n raise Exception('x')", "", "Exception: x"),
    ("def f():\n raise StopIteration", "", "StopIteration: "),
    ("def f():\n raise SystemExit(3)", "", "SystemExit: 3"),
    ("def f():\n raise KeyboardInterrupt", "", "KeyboardInterrupt: "),
    ("class Boom(BaseException): pass\ndef f():\n raise Boom('a\\nb')", "", "Boom: a"),
    ("def f():\n raise ValueError(object())", "", "ValueError: <object object at 0x0>"),
    ("class E(Exception):\n def __str__(self): raise self\ndef f():\n raise E", "", "E: "),
    ("def f(x):\n return 1 // x", "0", "ZeroDivisionError: integer division or modulo by zero"),
    ("def f():\n return 1", "5", "TypeError: f() takes 0 positional arguments but 1 was given"),
    ("raise KeyError('at import')", "", "KeyError: 'at import'"),
    ("def g():\n return 1", "", "NameError: name 'f' is not defined"),
    ("def f(:", "", "compile error: SyntaxError: "),
    ("return 1", "", "compile error: SyntaxError: 'return' outside function (<program>, line 1)"),
    ("def f(x):\n return x", "1, 2)", "compile error: input: SyntaxError: "),
    ("def f(x):\n return x", "__import__", "NameError: name '__import__' is not defined"),
    ("def f():\n print('noise')\n return 1", "", "1"),
    (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n x: 'int'\ndef f(x):\n return P(x).x",
        "1",
        "1",
    ),
    ("def f():\n import statistics\n return statistics.mean([1, 2])", "", "1.5"),
    ("def f(s):\n return s.encode('utf-16-le').decode('cp037')", "'A'", "'\\xa0\\x00'"),
    ("def f():\n return 'x' * 4095", "", "too large: 4096"),
    ("def f():\n return '\\xe9' * 4094", "", "too large: 8190"),
    ("def f():\n return 'x' * 4097", "", "too large: 4096"),
    ("def f():\n return 10 ** 4200", "", "too large: 4096"),
    ("if __name__ == '__main__': raise OSError\ndef f():\n return 1", "", "1"),
];

#[test]
fn programs_come_to_their_outcomes() {
    let ints: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    let ints = format!("[{}]", ints.join(", "));
    let longest = format!("'{}'", "x".repeat(4094));
    let long = [
        ("def f(n):\n return list(range(n))", "300", ints.as_str()),
        ("def f():\n return 'x' * 4094", "", longest.as_str()),
    ];
    let executor = executor(1);
    for calls in [Calls::Once, Calls::Twice] {
        for &(program, input, expected) in CASES.iter().chain(&long) {
            let job = kelvin_core::executor::Job { calls, ..job(program, &[input]) };
            let seen = &run(&executor, &job)[0];
            let prefix = expected.ends_with("Error: ");
            assert!(
                seen == expected || prefix && seen.starts_with(expected),
                "{calls:?} {program:?} with {input:?}: {seen}"
            );
        }
    }
}

#[test]
fn two_calls_that_differ_are_nondeterministic() {
    let executor = executor(1);
    let twice = |program: &str| {
        let job = kelvin_core::executor::Job { calls: Calls::Twice, ..job(program, &["[3]"]) };
        run(&executor, &job).remove(0)
    };
    for program in [
        "n = 0\ndef f(x):\n global n\n n += 1\n return n",
        "memo = {}\ndef f(x):\n if x[0] in memo: return 'hit'\n memo[x[0]] = 1\n return 'miss'",
        "seen = []\ndef f(x):\n seen.append(1)\n return seen",
        "n = 0\ndef f(x):\n global n\n n += 1\n return 1 if n == 1 else True",
        "n = 0\ndef f(x):\n global n\n n += 1\n return [0.0, -0.0][n - 1]",
        "n = 0\ndef f(x):\n global n\n n += 1\n if n == 2: raise ValueError\n return 1",
        "n = 0\ndef f(x):\n global n\n n += 1\n if n == 1: raise ValueError\n return 1",
        "it = iter([1, 2])\ndef f(x):\n return next(it)",
        "n = 0\ndef f(x):\n global n\n n += 1\n return {n}",
    ] {
        assert_eq!(twice(program), "nondeterministic", "{program}");
    }
    for (program, expected) in [
        // Each call gets arguments of its own.
        ("def f(x):\n x.append(1)\n return x", "[3, 1]"),
        ("memo = {}\ndef f(x):\n return memo.setdefault(x[0], 5)", "5"),
        ("def f(x):\n raise ValueError(id(x))", "ValueError: "),
        // Sets that were filled in another order are equal, and may print differently.
        ("n = 0\ndef f(x):\n global n\n n += 1\n return set([8, 0][::n]) | set([0, 8][::3 - n])", "{8, 0}"),
    ] {
        let seen = twice(program);
        assert!(seen.starts_with(expected) || seen == "{0, 8}", "{program}: {seen}");
    }
}

#[test]
fn hash_order_shows_between_the_two_seeds_and_not_within_one() {
    let executor = executor(1);
    let program = "def f():\n return list({'one', 'two', 'three', 'four', 'five', 'six'})";
    let under = |hash_seed| {
        let job = kelvin_core::executor::Job { hash_seed, calls: Calls::Twice, ..job(program, &[""]) };
        executor.run(&job).unwrap().remove(0)
    };
    assert_ne!(under(HashSeed::A), under(HashSeed::B));
    assert_eq!(under(HashSeed::A), under(HashSeed::A));
    let again = super::executor(1);
    assert_eq!(
        under(HashSeed::A),
        again.run(&job(program, &[""])).unwrap().remove(0),
        "the seed is fixed, not drawn at start"
    );
}

#[test]
fn inputs_do_not_see_each_other() {
    let executor = executor(1);
    for program in [
        "seen = []\ndef f(x):\n seen.append(x)\n return len(seen)",
        "import math\ndef f(x):\n math.n = getattr(math, 'n', 0) + 1\n return math.n",
        "import string\ndef f(x):\n d = vars(string)\n d['n'] = d.get('n', 0) + 1\n return d['n']",
        "import decimal\ndef f(x):\n c = decimal.getcontext()\n c.prec += 1\n return c.prec - 28",
        "def f(x):\n b = f.__globals__['__builtins__']\n b['n'] = b.get('n', 0) + 1\n return b['n']",
    ] {
        assert_eq!(run(&executor, &job(program, &["1", "2", "3"])), ["1", "1", "1"], "{program}");
    }
    assert_eq!(run(&executor, &job("__builtins__['sum'] = len\ndef f(x):\n return sum(x)", &["[5]"])), ["1"]);
    assert_eq!(run(&executor, &job("def f(x):\n return sum(x)", &["[5]"])), ["5"]);
}

#[test]
fn memory_is_counted_over_what_the_worker_maps() {
    let executor = executor(1);
    let with = |memory_bytes| {
        let limits = Limits { memory_bytes, ..super::LIMITS };
        let job =
            kelvin_core::executor::Job { limits, ..job("def f():\n return len(bytes(50 << 20))", &[""]) };
        run(&executor, &job).remove(0)
    };
    assert_eq!(with(40 << 20), "out of memory");
    assert_eq!(with(64 << 20), (50 << 20).to_string());
}

#[test]
fn a_job_without_inputs_and_a_job_that_is_too_long() {
    let executor = executor(1);
    assert!(executor.run(&job("def f(): pass", &[])).unwrap().is_empty());
    let program = format!("def f():\n return 1\n#{}", "x".repeat(16 << 20));
    assert_eq!(
        run(&executor, &job(&program, &[""])),
        ["compile error: program and inputs are over 16777216 bytes"]
    );
    let program = format!("def f():\n return 1\n#{}", "x".repeat(15 << 20));
    assert_eq!(run(&executor, &job(&program, &[""])), ["1"]);
}

#[test]
fn impossible_limits_are_an_error() {
    let executor = executor(1);
    for limits in [
        Limits { cpu_s: 0.0, ..Limits::default() },
        Limits { cpu_s: f64::NAN, ..Limits::default() },
        Limits { wall_s: f64::INFINITY, ..Limits::default() },
        Limits { output_bytes: 0, ..Limits::default() },
    ] {
        let job = kelvin_core::executor::Job { limits, ..job("def f(): pass", &[""]) };
        let error = executor.run(&job).unwrap_err().to_string();
        assert!(error.contains("out of range\nhint: "), "{error}");
    }
}
