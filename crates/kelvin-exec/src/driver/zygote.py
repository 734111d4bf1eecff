"""The warm worker: forks one child per job, relays what the child writes and reports how it ended.

Frames are those of protocol.rs, spoken on file descriptor 0. The arguments: which modules to have ready (`lean` or
`full`), whether a process namespace waits for its first process, and the descriptor of a Landlock ruleset or -1.
The files beside this one are its other halves and are read as one text.
"""

import posix
import sys

PRELOAD, OWN_PROCESSES, RULESET = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3])
if OWN_PROCESSES:
    # The first fork is the first process of the namespace: nothing in it can kill that one, and nothing in it
    # outlives it. This process has only to wait; it forks before it has read anything.
    first = posix.fork()
    if first:
        posix.closerange(0, 1 << 16)
        posix.waitpid(first, 0)
        posix._exit(0)

import builtins
import ctypes
import gc
import re
import resource
import select
import time
import _signal

# Warm for every child: what most programs import. `preload.rs` has the same list.
import abc, bisect, collections, contextlib, copy, enum, functools, heapq, itertools, keyword, math, operator, reprlib, string, types, typing  # noqa: E401, E501, F401

try:
    import _pylong  # noqa: F401  what long integers need since 3.12
except ImportError:
    pass

VERSION = 3
LINUX = sys.platform == "linux"
NOBODY = 65534
CAUSE_FLOOD, CAUSE_CPU = 1, 2
# What forking a child and its first steps may cost, on top of its program's own time.
FORK_US = 200_000

# The functions below keep this copy, whatever a program does to the module.
__builtins__ = dict(vars(builtins))
libc = ctypes.CDLL(None)
if LINUX:
    libc.prctl.argtypes = (ctypes.c_int,) + (ctypes.c_ulong,) * 4
    libc.syscall.restype = ctypes.c_long


def serve():
    """Runs jobs until the host closes the socket."""
    global control, null, base_bytes, zygote_pid, drops_root, descendants
    if OWN_PROCESSES:
        libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
    null = posix.open("/dev/null", posix.O_RDWR)
    control = posix.dup(0)
    posix.dup2(null, 0)
    sys.stdin, sys.stdout, sys.stderr = None, Null(), sys.__stderr__
    for each in _signal.SIGINT, _signal.SIGPROF, _signal.SIGXCPU, _signal.SIGCHLD:
        _signal.signal(each, _signal.SIG_DFL)  # the host may have been started with some ignored
    zygote_pid = posix.getpid()
    drops_root = posix.geteuid() == 0 and can_drop_root()
    if PRELOAD == "full":
        load_everything()
    warm_up()
    base_bytes = mapped_bytes()
    if LINUX and not OWN_PROCESSES:
        descendants = posix.open(f"/proc/self/task/{zygote_pid}/children", posix.O_RDONLY)
    _, hello = read_frame()
    keep_filter(hello[8:])
    restrict_files()
    privileges = 1 if drops_root else 2 if posix.geteuid() == 0 else 0
    send_frame(b"H", number(VERSION, 4) + hello[:8] + number(privileges, 1))
    posix.dup2(null, 2)
    sys.stderr = Null()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        kind, body = read_frame()
        if kind != b"K":  # a request to kill that came too late
            run_job(kind, body)


def run_job(kind, body):
    reader, writer = posix.pipe()
    try:
        pid = posix.fork()
    except OSError as error:
        posix.close(reader)
        posix.close(writer)
        return send_frame(b"E", posix.strerror(error.errno).encode())
    if pid == 0:
        child(kind, body, reader, writer)
    posix.close(writer)
    left, refills, cpu_us = (int.from_bytes(body[at : at + 8], "little") for at in (8, 16, 24))
    relay(pid, reader, left, refills, cpu_us)


def relay(pid, reader, left, refills, cpu_us):
    """Passes on at most `left` bytes of what the child writes until it ends, then ends what it leaves behind. It
    has `cpu_us` of CPU time and a quarter more between two things that it writes: what ends near the limit is seen
    to end. Forging such things gains it no more than `refills` times that."""
    cause, limit_us = 0, FORK_US + cpu_us * 5 // 4
    watched = posix.pidfd_open(pid) if hasattr(posix, "pidfd_open") else -1
    poller = select.poll()
    for fd in control, reader, watched:
        if fd >= 0:
            poller.register(fd, select.POLLIN)
    running = True
    while running:
        left_us = limit_us - spent_us(pid) if LINUX else 2_000
        if left_us <= 0 and not cause:
            cause = CAUSE_CPU
            kill(pid)
        for fd, _ in poller.poll(max(1, min(left_us // 1000 + 1, 1 << 30))):
            if fd == reader:
                chunk = posix.read(reader, min(left + 1, 65536))
                if not chunk:
                    poller.unregister(reader)
                elif len(chunk) > left:
                    cause, left = cause or CAUSE_FLOOD, 0
                    poller.unregister(reader)
                    kill(pid)
                else:
                    left -= len(chunk)
                    send_frame(b"D", chunk)
                    if refills:
                        refills -= 1
                        limit_us = spent_us(pid) + cpu_us * 5 // 4
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
    used_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send_frame(b"X", number(status, 4) + number(used_us, 8) + number(cause, 1) + number(own, 8))


def spent_us(pid):
    """CPU time of a child, from its process clock, which counts nanoseconds and needs no tick."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2) // 1000
    except OSError:
        return 0  # it has ended


def kill(pid):
    """The number is the child's own until it is reaped. It may not have become the leader of its group yet."""
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
            if OWN_PROCESSES:
                posix.kill(-1, _signal.SIGKILL)  # all of the namespace but its first process, which this is
            else:
                posix.lseek(descendants, 0, posix.SEEK_SET)
                for orphan in posix.read(descendants, 1 << 16).split():
                    kill(int(orphan))
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


def warm_up():
    """Runs the path of a job once, so that children share its pages."""
    code = compile("import math\ndef f(x):\n    return {str(i): [i / 2, (i,)] for i in x}", "<program>", "exec")
    for argument in "[1, 2]", "None":
        answer(code, compile(f"f({argument})", "<input>", "eval"), 2, 4096, lambda: None)


def load_everything():
    """All modules that programs may import and all codecs, since no child can open a file."""
    for name in sorted(ALLOWED):
        try:
            real_import(name)
        except ImportError:
            pass  # built without it; the program meets the same failure
    import encodings
    import pkgutil

    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            real_import(f"encodings.{module.name}")
        except Exception:
            pass  # a codec of another platform
