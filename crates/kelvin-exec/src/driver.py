"""The warm worker: forks one child per job, relays what the child writes and reports how it ended.

Frames are those of protocol.rs, spoken on file descriptor 0. The guard over imports and builtins is policy: it
keeps programs deterministic and is no boundary. The boundary is the process, its limits and its user.
"""

import builtins
import ctypes
import gc
import posix
import re
import resource
import select
import sys
import time
import _codecs
import _signal
from opcode import opmap

# Warm for every child: what most programs import. More is imported when a program names it.
import bisect, collections, copy, functools, heapq, itertools, math, operator, string, typing  # noqa: E401, F401

VERSION = 1
ALLOWED = frozenset(
    "__future__ abc array base64 binascii bisect cmath collections contextlib copy dataclasses decimal difflib enum "
    "fractions functools heapq itertools json keyword math numbers operator pprint queue re reprlib statistics "
    "string struct textwrap types typing unicodedata zlib".split()
)
DENIED = frozenset("breakpoint copyright credits exit help input license open quit __loader__ __spec__".split())
# A program that uses one of these may leave something behind in the builtins that all inputs share, or, where it
# imports, in a module.
REACHES_BUILTINS = frozenset("__builtins__ __globals__ eval exec globals vars".split())
REACHES_MODULES = frozenset("__dict__ __setattr__ decimal delattr register setattr".split())
MAX_DEPTH = 100  # CPython's parser reads at most 200 nested brackets back.
MAX_DIGITS = 4300  # sys.int_info.default_max_str_digits
EXIT_OUT_OF_MEMORY = 77
NOBODY = 65534
PR_SET_PDEATHSIG, CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL = 1, 2, 0

# The functions below keep this copy, whatever a program does to the module.
__builtins__ = dict(vars(builtins))
real_import = builtins.__import__
ModuleType, CodeType, NoneType = type(sys), type((lambda: 0).__code__), type(None)
type_name = type.__dict__["__name__"].__get__
hide_addresses = re.compile(r" at 0x[0-9a-fA-F]+").sub
IMPORTS = opmap["IMPORT_NAME"]
STORES = opmap["STORE_ATTR"], opmap["DELETE_ATTR"]
INFINITIES = math.inf, -math.inf
LINUX = sys.platform == "linux"
libc = ctypes.CDLL(None)
SigEvent, TimerSpec = ctypes.c_int * 16, ctypes.c_long * 4
POSIX_TIMERS = LINUX and sys.maxsize > 2**32 and hasattr(libc, "timer_create")


# ---- the zygote ----------------------------------------------------------------------------------------------


def serve():
    """Runs jobs until the host closes the socket."""
    global control, null, base_bytes, zygote_pid, drops_root
    null = posix.open("/dev/null", posix.O_RDWR)
    control = posix.dup(0)
    posix.dup2(null, 0)
    sys.stdin, sys.stdout, sys.stderr = None, Null(), sys.__stderr__
    for each in _signal.SIGINT, _signal.SIGPROF, _signal.SIGXCPU, _signal.SIGCHLD:
        _signal.signal(each, _signal.SIG_DFL)  # the host may have been started with some ignored
    zygote_pid = posix.getpid()
    drops_root = posix.geteuid() == 0 and can_drop_root()
    warm_up()
    base_bytes = mapped_bytes()
    _, nonce = read_frame()
    privileges = 1 if drops_root else 2 if posix.geteuid() == 0 else 0
    send_frame(b"H", number(VERSION, 4) + nonce + number(privileges, 1))
    posix.dup2(null, 2)
    sys.stderr = Null()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        kind, body = read_frame()
        if kind == b"J":
            run_job(body)


def run_job(body):
    reader, writer = posix.pipe()
    try:
        pid = posix.fork()
    except OSError as error:
        posix.close(reader)
        posix.close(writer)
        return send_frame(b"E", posix.strerror(error.errno).encode())
    if pid == 0:
        child(body, reader, writer)
    posix.close(writer)
    relay(pid, reader, int.from_bytes(body[8:16], "little"))


def relay(pid, reader, left):
    """Passes on at most `left` bytes of what the child writes until it ends, then ends what it leaves behind."""
    flooded = 0
    watched = posix.pidfd_open(pid) if hasattr(posix, "pidfd_open") else -1
    poller = select.poll()
    for fd in control, reader, watched:
        if fd >= 0:
            poller.register(fd, select.POLLIN)
    running = True
    while running:
        for fd, _ in poller.poll(None if watched >= 0 else 2):
            if fd == reader:
                chunk = posix.read(reader, min(left + 1, 65536))
                if not chunk:
                    poller.unregister(reader)
                elif len(chunk) > left:
                    flooded, left = 1, 0
                    poller.unregister(reader)
                    kill(pid)
                else:
                    left -= len(chunk)
                    send_frame(b"D", chunk)
            elif fd == control:
                try:
                    read_frame()  # only ever a request to kill
                finally:
                    kill(pid)
        running = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT) is None
    kill(pid)  # its group, while the number is still its own
    _, status, usage = posix.wait4(pid, 0)
    reap_orphans()
    # Nothing writes any more: what the pipe still holds is all there is.
    posix.set_blocking(reader, False)
    try:
        while left > 0 and (chunk := posix.read(reader, min(left, 65536))):
            left -= len(chunk)
            send_frame(b"D", chunk)
    except BlockingIOError:
        pass
    posix.close(reader)
    if watched >= 0:
        posix.close(watched)
    cpu_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
    send_frame(b"X", number(status, 4) + number(cpu_us, 8) + number(flooded, 1))


def kill(pid):
    """The child may not have become the leader of its group yet."""
    for end in posix.kill, posix.killpg:
        try:
            end(pid, _signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def reap_orphans():
    """Descendants that left the group come to this process, a subreaper, when their parent ends."""
    for _ in range(2000):
        try:
            pid, _ = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            fd = posix.open(f"/proc/self/task/{zygote_pid}/children", posix.O_RDONLY)
            for orphan in posix.read(fd, 1 << 16).split():
                kill(int(orphan))
            posix.close(fd)
            time.sleep(0.001)
    posix._exit(1)


def read_frame():
    head = read_exactly(5)
    return head[:1], read_exactly(int.from_bytes(head[1:], "little"))


def read_exactly(count):
    parts = []
    while count:
        part = posix.read(control, min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def send_frame(kind, body):
    write_all(control, kind + number(len(body), 4) + body)


def write_all(fd, text):
    while text:
        text = text[posix.write(fd, text) :]


def number(value, width):
    return value.to_bytes(width, "little")


def mapped_bytes():
    """This process's address space; a child's limit is counted from here."""
    if not LINUX:
        return None
    fd = posix.open("/proc/self/statm", posix.O_RDONLY)
    pages = int(posix.read(fd, 200).split()[0])
    posix.close(fd)
    return pages * resource.getpagesize()


def can_drop_root():
    """Tried in a child: a container may map no user but root."""
    pid = posix.fork()
    if pid == 0:
        try:
            drop_root()
            posix._exit(0)
        finally:
            posix._exit(1)
    return posix.waitpid(pid, 0)[1] == 0


def drop_root():
    posix.setgroups([])
    posix.setresgid(NOBODY, NOBODY, NOBODY)
    posix.setresuid(NOBODY, NOBODY, NOBODY)


def warm_up():
    """Runs the path of a job once, so that children share its pages."""
    start_timer()
    arm(0)
    if LINUX:
        libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
    code = compile("import math\ndef f(x):\n    return {str(i): [i / 2, (i,)] for i in x}", "<program>", "exec")
    survey(code)
    for argument in "[1, 2]", "None":
        answer(code, compile(f"f({argument})", "<input>", "eval"), 2, 4096, 0)


# ---- the child -----------------------------------------------------------------------------------------------


def child(body, reader, writer):
    """Never returns: whatever happens here, no child may come back to the zygote's loop."""
    status = 70
    try:
        posix.close(control)
        posix.close(reader)
        answer_all(body, writer)
        status = 0
    except MemoryError:
        status = EXIT_OUT_OF_MEMORY
    finally:
        posix._exit(status)


def answer_all(body, writer):
    place = 16

    def take(width):
        nonlocal place
        place += width
        return body[place - width : place]

    def take_number(width):
        return int.from_bytes(take(width), "little")

    nonce = body[:8]
    calls, cpu_us, total_s, memory, limit = (take_number(width) for width in (1, 8, 4, 8, 8))
    program = take(take_number(4)).decode()
    inputs = [take(take_number(4)).decode() for _ in range(take_number(4))]
    confine(memory, total_s)
    gc.enable()
    start_timer()
    arm(cpu_us)
    try:
        code = compile(program, "<program>", "exec", dont_inherit=True)
    except Exception as error:
        code = None
        failure = b"C", describe(error).replace(b"\0", b": ")
    else:
        shares = survey(code)
    if drops_root:
        drop_root()
    die_with_zygote()
    for index, text in enumerate(inputs):
        arm(cpu_us)
        if code is None:
            (kind, payload), used_us = failure, 0
        else:
            try:
                call = compile(f"f({text})", "<input>", "eval", dont_inherit=True)
            except Exception as error:
                kind, payload, used_us = b"C", b"input: " + describe(error).replace(b"\0", b": "), 0
            else:
                kind, payload, used_us = answer(code, call, calls, limit, cpu_us)
        head = nonce + number(index, 4) + kind + number(used_us, 8) + number(len(payload), 4)
        write_all(writer, head + payload)
        if code is not None and shares and len(inputs) > 1:
            return write_all(writer, nonce + number(1, 4) + b"A" + bytes(12))


def confine(memory, total_s):
    """The limits only a child has; the rest it inherits from the zygote, which sandbox/ prepares."""
    posix.setsid()
    if LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (base_bytes + memory, base_bytes + memory))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (total_s, total_s + 1))


def die_with_zygote():
    """Asked for after the change of user, which would cancel it."""
    if LINUX:
        libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
    if posix.getppid() != zygote_pid:
        posix._exit(70)


def start_timer():
    """Makes the process's CPU timer, which raises SIGPROF and thereby ends it. `setitimer` is what there is
    elsewhere: it counts ticks, which under load are far from the time used."""
    global timer
    timer = None
    if POSIX_TIMERS:
        event = SigEvent(0, 0, _signal.SIGPROF, SIGEV_SIGNAL)
        handle = ctypes.c_void_p()
        if libc.timer_create(CLOCK_PROCESS_CPUTIME_ID, event, ctypes.byref(handle)) == 0:
            timer = handle


def arm(cpu_us):
    """Gives the next call its time. It ends a fifth over the limit: what ends near the limit is seen to end."""
    cpu_us = cpu_us * 6 // 5
    if timer is None:
        _signal.setitimer(_signal.ITIMER_PROF, cpu_us * 1e-6)
    else:
        libc.timer_settime(timer, 0, TimerSpec(0, 0, cpu_us // 1_000_000, cpu_us % 1_000_000 * 1000), None)


def survey(code):
    """Imports what the code names and may import, while files can still be read. Says whether the code may
    leave something behind for the next input, so that each needs a child of its own."""
    names, imported, texts, stores, parts = set(), set(), set(), False, [code]
    for part in parts:
        operations = part.co_code[::2]
        names.update(part.co_names)
        if IMPORTS in operations:
            imported.update(part.co_names)
        stores = stores or STORES[0] in operations or STORES[1] in operations
        parts.extend(item for item in part.co_consts if type(item) is CodeType)
        texts.update(item for item in part.co_consts if type(item) is str and len(item) <= 20)
    for name in imported:
        if name not in sys.modules and name.partition(".")[0] in ALLOWED:
            try:
                real_import(name)
            except Exception:
                pass  # the program meets the same failure, as its own
    if not names.isdisjoint(("bytearray", "bytes", "decode", "encode", "str")):
        for text in texts:
            try:
                _codecs.lookup(text)
            except Exception:
                pass  # not the name of a codec
    reaches_modules = stores or not names.isdisjoint(REACHES_MODULES)
    return (imported and reaches_modules) or not names.isdisjoint(REACHES_BUILTINS)


# ---- one input -----------------------------------------------------------------------------------------------


def answer(code, call, calls, limit, cpu_us):
    """Kind and payload of one input's outcome, and the CPU time of its longer call in microseconds."""
    module = ModuleType("program")
    sys.modules["program"] = module  # dataclasses look their module up
    space = module.__dict__
    space["__builtins__"] = GUARDED
    begun = time.thread_time_ns()
    outcome = None
    try:
        exec(code, space)
        if "f" not in space:
            raise NameError("name 'f' is not defined")
        scope = {"__builtins__": LITERALS, "f": space["f"]}
    except MemoryError:
        outcome = b"M", b"", b""
    except BaseException as error:
        outcome = b"R", describe(error), b""
    if outcome is None:
        outcome = call_once(call, scope, limit)
        used_ns = time.thread_time_ns() - begun
        if calls == 2 and outcome[0] in b"VR":
            arm(cpu_us)
            begun = time.thread_time_ns()
            if call_once(call, scope, limit)[::2] != outcome[::2]:
                outcome = b"N", b"", b""
            used_ns = max(used_ns, time.thread_time_ns() - begun)
    else:
        used_ns = time.thread_time_ns() - begun
    scope = None
    space.clear()
    return outcome[0], outcome[1], used_ns // 1000


def call_once(call, scope, limit):
    """Kind, payload, and what a second call must give again."""
    try:
        return judge(eval(call, scope), limit)
    except MemoryError:
        return b"M", b"", b""
    except BaseException as error:
        described = describe(error)
        return b"R", described, described.partition(b"\0")[0]


def judge(value, limit):
    """Whether a result is made of literals and short enough. `size` is a lower bound of its text's length, so
    that no long text is ever made."""
    stack, size, unordered = [(value, 1)], 0, False
    while stack:
        item, depth = stack.pop()
        kind = type(item)
        if kind is int:
            digits = item.bit_length() * 30102 // 100000
            size += digits if digits <= MAX_DIGITS else limit + digits
        elif kind is str or kind is bytes:
            size += len(item) + 2
        elif kind is bool or kind is NoneType:
            size += 4
        elif kind is float:
            if item != item or item in INFINITIES:
                return b"L", b"float nan" if item != item else b"float inf", b""
            size += 3
        elif kind is complex:
            if item != item or item.real in INFINITIES or item.imag in INFINITIES:
                return b"L", b"complex nan" if item != item else b"complex inf", b""
            size += 2
        elif kind is list or kind is tuple or kind is dict or kind is set or kind is frozenset:
            if depth > MAX_DEPTH:
                return b"L", b"%s nested too deeply" % clean(type_name(kind)), b""
            size += max(2, 2 * len(item))
            if size > limit:
                break
            depth += 1
            unordered = unordered or not (kind is list or kind is tuple)
            stack.extend((part, depth) for part in item)
            if kind is dict:
                stack.extend((part, depth) for part in item.values())
        else:
            return b"L", clean(type_name(kind)), b""
        if size > limit:
            break
    if size > limit:
        return b"B", number(limit, 8), b""
    try:
        text = repr(value).encode("utf-8", "backslashreplace")
    except ValueError:  # over CPython's limit of digits
        return b"B", number(limit, 8), b""
    if len(text) > limit:
        return b"B", number(len(text), 8), b""
    return b"V", text, canonical(value).encode("utf-8", "backslashreplace") if unordered else text


def canonical(item):
    """Text that does not depend on the order of sets and dicts, for comparison alone."""
    kind = type(item)
    if kind is dict:
        parts = sorted(canonical(key) + ":" + canonical(item[key]) for key in item)
    elif kind is set or kind is frozenset:
        parts = sorted(canonical(part) for part in item)
    elif kind is list or kind is tuple:
        parts = [canonical(part) for part in item]
    else:
        return repr(item)
    return kind.__name__ + "(" + ",".join(parts) + ")"


def describe(error):
    """Class name and the message's first line. The message is the program's own code at work."""
    try:
        message = str.__getitem__(str(error), slice(400))
        lines = hide_addresses(" at 0x0", message).splitlines()
    except BaseException:
        lines = []
    return clean(type_name(type(error))) + b"\0" + clean(lines[0] if lines else "")


def clean(text):
    """A plain string of at most 200 characters, also of a subclass that says otherwise."""
    return str.encode(str.__getitem__(text, slice(200)), "utf-8", "backslashreplace")


class Null:
    """Standard output and error of programs: what they print is not part of any result."""

    encoding = "utf-8"

    def write(self, text):
        return len(text)

    def flush(self):
        pass


def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name.partition(".")[0] in ALLOWED:
        return real_import(name, globals, locals, fromlist, level)
    raise ImportError(f"import of {name!r} is not allowed")


GUARDED = {name: value for name, value in __builtins__.items() if name not in DENIED}
GUARDED["__import__"] = guarded_import
# All that the text of an argument list may name.
LITERALS = {kind.__name__: kind for kind in (bytes, complex, dict, float, frozenset, list, set, tuple)}
try:
    serve()
except (EOFError, BrokenPipeError, ConnectionResetError):
    posix._exit(0)  # the host is gone
