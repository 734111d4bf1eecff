"""The warm worker: forks one child per job and reports how it ended. What children write goes to the host directly.

Frames are those of protocol.rs, spoken on file descriptor 0; children write to descriptor 1. The arguments: which
modules to have ready (`lean`, `full` or `library`), whether a process namespace waits for its first process, and the descriptors
of a Landlock ruleset and of a pipe for jobs, -1 for none. The files beside this one are its other halves and are read as one text.
"""

import posix
import sys

PRELOAD, OWN_PROCESSES, RULESET, JOBS = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]), int(sys.argv[4])
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

VERSION = 7
LINUX = sys.platform == "linux"
NOBODY = 65534
CAUSE_CPU = 1
ANSWERS = 1  # the descriptor
# What forking a child and its first steps may cost, on top of its program's own time.
FORK_US = 200_000

# The functions below keep this copy, whatever a program does to the module.
__builtins__ = dict(vars(builtins))
libc = ctypes.CDLL(None)
# Without what `posix.fork` does around it for threads that are not there: a third of what a fork costs.
bare_fork = ctypes.PyDLL(None, use_errno=True).fork
if LINUX:
    libc.prctl.argtypes = (ctypes.c_int,) + (ctypes.c_ulong,) * 4
    libc.syscall.restype = ctypes.c_long
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t) + (ctypes.c_int,) * 3 + (ctypes.c_long,)
    libc.mmap.restype = ctypes.c_void_p
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def serve():
    """Runs jobs until the host closes the socket."""
    global control, unread, poller, heard, base_bytes, zygote_pid, drops_root, descendants
    if OWN_PROCESSES:
        libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
    null = posix.open("/dev/null", posix.O_RDWR)
    control, unread = posix.dup(0), b""
    posix.dup2(null, 0)
    sys.stdin, sys.stdout, sys.stderr = None, Null(), sys.__stderr__
    for each in _signal.SIGINT, _signal.SIGPROF, _signal.SIGXCPU, _signal.SIGCHLD:
        _signal.signal(each, _signal.SIG_DFL)  # the host may have been started with some ignored
    zygote_pid = posix.getpid()
    drops_root = posix.geteuid() == 0 and can_drop_root()
    heard = shared_number()
    poller = select.poll()
    poller.register(control, select.POLLIN)
    if PRELOAD != "lean":
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
    posix.close(null)
    sys.stderr = Null()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # programs are short: what they leave in circles is soon gone with their child
    gc.disable()
    while True:
        kind, body = read_frame()
        if kind != b"K":  # a request to kill that came too late
            run_job(kind, body)


def run_job(kind, body):
    heard.value = 0
    pid = bare_fork()
    if pid == 0:
        child(kind, body)
    if pid < 0:
        return send_frame(b"E", posix.strerror(ctypes.get_errno()).encode())
    # What the child asks for more time, and the time of each call: after the nonce.
    refills, cpu_us = int.from_bytes(body[8:16], "little"), int.from_bytes(body[16:24], "little")
    cause = watch(pid, refills, cpu_us)
    if not LINUX:
        kill(pid)  # its group, while the number is still its own
    _, status, usage = posix.wait4(pid, 0)
    reap_orphans()
    if filter_program is None:
        posix.set_blocking(ANSWERS, True)  # the child could have changed it for those after it
    used_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send_frame(b"X", number(status, 4) + number(used_us, 8) + number(cause, 1) + number(own, 8))


def watch(pid, refills, cpu_us):
    """Waits for a child's end and gives the cause if it is this one. A child has `cpu_us` of CPU time and a quarter
    more between two moments at which it is heard: what ends near the limit is seen to end. Forging such moments gains
    it no more than `refills` times that."""
    cause, last, watched = 0, 0, descriptor_of(pid)
    limit_us = left_us = FORK_US + cpu_us * 5 // 4
    if watched >= 0:
        poller.register(watched, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poller.poll(max(1, min(left_us // 1000 + 1, 1 << 30)) if watched >= 0 else 2)]
        if unread or control in ready:
            try:
                read_frame()  # only ever a request to kill
            finally:
                kill(pid, watched)
        if watched in ready or watched < 0 and has_ended(pid):
            break
        spent = spent_us(pid) if LINUX else 0
        if heard.value != last and refills:
            last = heard.value
            refills -= 1
            limit_us = min(last, spent) + cpu_us * 5 // 4
        left_us = limit_us - spent
        if left_us <= 0 and not cause:
            cause = CAUSE_CPU
            kill(pid, watched)
    if watched >= 0:
        poller.unregister(watched)
        posix.close(watched)
    return cause


def descriptor_of(pid):
    """Ready when the process ends; -1 where there is no such thing."""
    try:
        return posix.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1


def has_ended(pid):
    return posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT) is not None


def spent_us(pid):
    """CPU time of a child, from its process clock, which counts nanoseconds and needs no tick."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2) // 1000
    except OSError:
        return 0  # it has ended


def kill(pid, descriptor=-1):
    """The child, and its group if it leads one yet; the number is its own until it is reaped."""
    for end, whom in (posix.kill, pid) if descriptor < 0 else (_signal.pidfd_send_signal, descriptor), (posix.killpg, pid):
        try:
            end(whom, _signal.SIGKILL)
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
    global unread
    while True:
        size = 5 + int.from_bytes(unread[1:5], "little")
        if 5 <= len(unread) and size <= len(unread):
            frame, unread = unread[:size], unread[size:]
            return frame[:1], frame[5:]
        part = posix.read(control, max(1 << 15, size - len(unread)))
        if not part:
            raise EOFError
        unread += part


def send_frame(kind, body):
    write_all(control, kind + number(len(body), 4) + body)


def write_all(fd, text):
    while text:
        text = text[posix.write(fd, text) :]


def number(value, width):
    return value.to_bytes(width, "little")


def shared_number():
    """A number that a child changes and this process sees: how much CPU time it had used when last heard, in
    microseconds. What it says is as hostile as all that a child says."""
    if not LINUX:
        return ctypes.c_uint64()
    page, protection, shared_anonymous = resource.getpagesize(), 3, 0x21
    return ctypes.c_uint64.from_address(libc.mmap(None, page, protection, shared_anonymous, -1, 0))


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
        answer(code, compile(f"f({argument})", "<input>", "eval"), 2, False, 4096, lambda _: None)


def load_everything():
    """All modules that programs may import and all codecs, since no child can open a file."""
    for name in sorted(ALLOWED | LIBRARY if PRELOAD == "library" else ALLOWED):
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
