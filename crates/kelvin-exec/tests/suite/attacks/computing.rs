//! Time, memory, recursion and the interpreter itself.

use super::{ANYTHING, Attack, REFUSED, attack};

const TIME: &[&str] = &["timed out"];
const MEMORY: &[&str] = &["out of memory"];

pub(super) const ATTACKS: &[Attack] = &[
    attack("infinite loop", "while True: pass", TIME),
    attack(
        "loop that swallows every exception",
        "while True:\n  try:\n   while True: pass\n  except BaseException: pass",
        TIME,
    ),
    attack("loop inside C", "return sum(range(10**12))", TIME),
    attack("huge power", "return 9**9**9", &["timed out", "out of memory"]),
    attack(
        "regular expression that backtracks",
        "import re\n return re.match(r'(a+)+$', 'a' * 40 + 'b')",
        TIME,
    ),
    attack(
        "keys that collide",
        "class K:\n  def __hash__(self): return 1\n d = {}\n while True: d[K()] = 1",
        TIME,
    ),
    attack("sleep", "sleep(1000)", REFUSED).else_(TIME),
    attack(
        "wait for a lock",
        "l = sys.modules['_thread'].allocate_lock()\n l.acquire()\n l.acquire()",
        TIME,
    ),
    attack("wait for an event", "sys.modules['select'].select([], [], [], 1000)", REFUSED).else_(TIME),
    attack(
        "finaliser that loops",
        "class A:\n  def __del__(self):\n   while True: pass\n global keep\n keep = A()\n return 1",
        TIME,
    ),
    attack(
        "message that loops",
        "class E(Exception):\n  def __str__(self):\n   while True: pass\n raise E",
        TIME,
    ),
    attack("handler that ignores the timer", "signal.signal(27, signal.SIG_IGN)\n while True: pass", REFUSED)
        .else_(TIME),
    attack("timer turned off", "signal.setitimer(2, 0)\n while True: pass", &["itimer_error: [Errno 1]"]).else_(TIME),
    attack(
        "limit on CPU time raised",
        "resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))",
        &["ValueError: ", "PermissionError: "],
    ),
    attack(
        "notes that ask for more time",
        "for fd in range(64):\n  try: posix.write(fd, bytes(12) + b'T' + bytes(12))\n  except OSError: pass\n \
         while True: pass",
        &["timed out", "crashed: malformed answer"],
    ),
    attack("memory bomb at once", "return len(bytearray(1 << 32))", MEMORY),
    attack("memory bomb bit by bit", "a = []\n while True: a.append(bytes(1 << 20))", MEMORY),
    attack(
        "memory bomb that holds on",
        "a = []\n while True:\n  try: a.append(bytearray(1 << 16))\n  except MemoryError: pass",
        TIME,
    ),
    attack("list of a billion", "return [0] * 10**9", MEMORY),
    attack("memory past the interpreter", "libc.malloc.argtypes = [ctypes.c_size_t]\n return libc.malloc(1 << 33) != 0", &["False"]),
    attack("limit on memory raised", "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", &[
        "ValueError: ",
        "PermissionError: ",
    ]),
    attack("endless recursion", "return f()", &["RecursionError: "]),
    attack(
        "endless recursion without a limit",
        "sys.setrecursionlimit(10**9)\n g = lambda x: sorted([x], key=g)\n return g(1)",
        &["crashed: signal: 11", "RecursionError: ", "out of memory", "timed out"],
    ),
    attack("deep parentheses", "return eval('(' * 5000 + ')' * 5000)", &["SyntaxError: ", "MemoryError: "]),
    attack(
        "term of many terms",
        "return len(compile('+'.join(['1'] * 200000), 'x', 'eval').co_code)",
        &["RecursionError: ", "crashed: signal: 11", "out of memory", "timed out"],
    ),
    attack("code that is none", "f.__code__ = f.__code__.replace(co_code=bytes([255, 255] * 50))\n return f()", &[
        "crashed: ",
        "SystemError: ",
        "timed out",
    ]),
    attack("_exit", "posix._exit(0)", &["crashed: no answer"]),
    attack("_exit with a status", "posix._exit(3)", &["crashed: exit status: 3"]),
    attack("_exit as if unconfined", "posix._exit(99)", &["crashed: exit status: 99"]),
    attack("_exit as if out of memory", "posix._exit(77)", MEMORY),
    attack("end of the interpreter", "raise SystemExit(0)", &["SystemExit: "]),
    attack("abort", "posix.abort()", &["crashed: signal: "]),
    attack("segmentation fault", "ctypes.string_at(1)", &["crashed: signal: 11"]),
    attack("overwrite the interpreter", "ctypes.memset(id(int), 0, 4096)", &["crashed: ", "timed out"]),
    attack("trace everything", "sys.settrace(lambda *a: 1 / 0)\n return 1", &["ZeroDivisionError: ", "1"]),
    attack("thread", "sys.modules['_thread'].start_new_thread(print, ())", &["RuntimeError: "]),
    attack(
        "code that it wrote itself",
        "m = libc.mmap\n m.restype = ctypes.c_long\n m.argtypes = [ctypes.c_long] * 6\n return m(0, 4096, 7, 34, -1, 0)",
        &["-1"],
    )
    .else_(ANYTHING),
    attack(
        "code made of data",
        "b = ctypes.create_string_buffer(8192)\n a = (ctypes.addressof(b) + 4095) & ~4095\n \
         p = libc.mprotect\n p.argtypes = [ctypes.c_long] * 3\n return p(a, 4096, 7)",
        &["-1"],
    )
    .else_(ANYTHING),
];
