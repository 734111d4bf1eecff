

# ---- the child: what confines it, and the attempts to get out that prove it -------------------------------------

PR_SET_PDEATHSIG, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, LANDLOCK_RESTRICT_SELF = 1, 22, 2, 446
# Numbers on x86_64, where children can be set back: system calls, and what they are asked for.
USERFAULTFD, FOR_USER_MODE, SECCOMP, NEW_LISTENER = 323, 1, 317, 8
EXIT_OUT_OF_MEMORY, EXIT_UNCONFINED = 77, 99
# What the pipe of jobs holds at once; `restore/mod.rs` has the same number.
JOB_BYTES = 1 << 16
# glibc's names of what `mallopt` sets, and what a child that is set back holds for its programs, which `restore/mod.rs` knows.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
HEAP_PIECE_BYTES, HEAP_PIECES = 1 << 18, 16


class Filter(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("n_instructions", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def keep_filter(instructions):
    """The system call filter that children load; none where the host has none for this machine."""
    global filter_text, filter_program
    filter_text = ctypes.create_string_buffer(instructions, len(instructions))
    filter_program = as_filter(filter_text) if instructions else None


def as_filter(text):
    return Filter(len(text) // 8, ctypes.addressof(text))


def restrict_files():
    """No file can be opened from here on, by this process or its children: everything needed is in memory."""
    if RULESET >= 0:
        if libc.syscall(LANDLOCK_RESTRICT_SELF, RULESET, 0) != 0:
            raise OSError("Landlock refuses its ruleset")
        posix.close(RULESET)


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


def confine(memory, total_s, filtered, telling=None):
    """The limits only a child has; the rest it inherits from the zygote, which sandbox/ prepares. The filter comes
    last, since everything before it needs calls that it refuses, and before the program is even compiled. Gives the
    descriptor on which the host is told of calls, where there is a filter that tells."""
    posix.setsid()
    if LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (base_bytes + memory, base_bytes + memory))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (total_s, total_s + 1))
    if drops_root:
        drop_root()
    if LINUX:
        # After the change of user, which would cancel it.
        libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
    if posix.getppid() != zygote_pid:
        posix._exit(70)
    listener = -1
    if telling is not None:
        listener = libc.syscall(SECCOMP, 1, NEW_LISTENER, ctypes.byref(telling))
        if listener < 0:
            posix._exit(EXIT_UNCONFINED)
    if filtered and filter_program is not None:
        if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter_program), 0, 0) != 0:
            posix._exit(EXIT_UNCONFINED)
    return listener


def child(kind, body):
    """Never returns: whatever happens here, no child may come back to the zygote's loop."""
    status = 70
    try:
        posix.close(control)
        if LINUX and not OWN_PROCESSES:
            posix.close(descendants)  # where it was read to is the worker's and all children's
        if kind == b"P":
            probe(Fields(body))
        elif kind == b"S":
            stand(Fields(body))
        else:
            job = Job(Fields(body))
            confine(job.memory, job.total_s, job.filtered)
            gc.enable()
            job.answer()
        status = 0
    except MemoryError:
        status = EXIT_OUT_OF_MEMORY
    finally:
        posix._exit(status)


class Fields:
    """The fields of a frame, taken from its front. """

    def __init__(self, body):
        self.body = body
        self.at = 0
        self.nonce = self.take(8)
        self.take(8)  # for the zygote

    def take(self, width):
        self.at += width
        return self.body[self.at - width : self.at]

    def number(self, width):
        return int.from_bytes(self.take(width), "little")

    def text(self):
        return self.take(self.number(4)).decode()


def probe(fields):
    """Tries what a program must not be able to do and says, a byte each, what was held (`h`) and what not (`o`).
    `probe.rs` has the same order. Or it tries to kill the zygote, which shows in whether that lives on."""
    _, memory, total_s, filtered, kills = (fields.number(width) for width in (8, 8, 4, 1, 1))
    port, host, folder = fields.number(4), fields.number(4), fields.text()
    confine(memory, total_s, filtered)
    if kills:
        try:
            posix.kill(zygote_pid, _signal.SIGKILL)
        except OSError:
            pass
        return write_all(ANSWERS, fields.nonce)

    def read_secret():
        return posix.read(posix.open(f"{folder}/secret", posix.O_RDONLY), 1)

    def write_file():
        return posix.open(f"{folder}/written", posix.O_WRONLY | posix.O_CREAT)

    def connect():
        # AF_INET, the port and 127.0.0.1 as `struct sockaddr_in`; a stream, and datagrams, which Landlock lets be.
        address = number(2, 2) + port.to_bytes(2, "big") + b"\x7f\0\0\1" + bytes(8)
        made = [libc.socket(2, kind, 0) for kind in (1, 2)]
        return any(fd >= 0 and libc.connect(fd, address, len(address)) == 0 for fd in made)

    def start_process():
        if posix.fork() == 0:
            posix._exit(0)
        return True

    def signal_host():
        return posix.kill(host, 0) is None

    def disarm():
        return libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0

    def allocate():
        return bytearray(2 * memory + (1 << 26))

    verdicts = b""
    for attempt in read_secret, write_file, connect, start_process, signal_host, disarm, allocate:
        try:
            succeeded = attempt() is not False
        except (OSError, MemoryError):
            succeeded = False
        verdicts += b"o" if succeeded else b"h"
    write_all(ANSWERS, fields.nonce + verdicts)


def stand(fields):
    """Answers one job after the other. Between two of them the host puts back what this process was when it waited
    for the first, so that every job finds the same."""
    global heard
    _, memory, total_s = (fields.number(width) for width in (8, 8, 4))
    text = ctypes.create_string_buffer(fields.body[fields.at :], len(fields.body) - fields.at)
    libc.munmap(ctypes.addressof(heard), resource.getpagesize())
    heard = ctypes.c_uint64()
    reserve_heap()
    tracker = libc.syscall(USERFAULTFD, FOR_USER_MODE | posix.O_CLOEXEC | posix.O_NONBLOCK)
    if tracker < 0:
        posix._exit(EXIT_UNCONFINED)
    listener = confine(memory, total_s, True, as_filter(text))
    gc.enable()
    places = number(tracker, 4) + number(listener, 4) + number(ctypes.addressof(heard), 8)
    write_all(ANSWERS, fields.nonce + places)
    posix.read(JOBS, 1)  # the host has both
    posix.close(tracker)
    posix.close(listener)
    while frame := posix.read(JOBS, JOB_BYTES):
        Job(Fields(frame[5:])).answer()


def reserve_heap():
    """Takes what small programs come to want of the kernel, which would be told of it, and gives it to the C library
    to keep. It counts as the programs' own."""
    try:
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(M_MMAP_THRESHOLD, 2 * HEAP_PIECE_BYTES)
    except AttributeError:
        return  # not glibc
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    for piece in [libc.malloc(HEAP_PIECE_BYTES) for _ in range(HEAP_PIECES)]:
        libc.free(piece)


class Job:
    """Programs, inputs and limits as the host sends them."""

    def __init__(self, fields):
        self.nonce = fields.nonce
        self.cpu_us, self.memory, self.total_s = (fields.number(width) for width in (8, 8, 4))
        self.filtered, self.calls, self.own_names, self.limit = (fields.number(width) for width in (1, 1, 1, 8))
        counted = range(fields.number(4))
        self.parts = [(fields.text(), [fields.text() for _ in range(fields.number(4))]) for _ in counted]

    def answer(self):
        voice = Voice(self.nonce, self.cpu_us)
        for program, inputs in self.parts:
            answer_part(program, inputs, self.calls, self.own_names, self.limit, voice)
        voice.speak()


def answer_part(program, inputs, calls, own_names, limit, voice):
    """All inputs of one program."""
    try:
        code = compile(program, "<program>", "exec", dont_inherit=True)
    except Exception as error:
        code, failure = None, describe(error).replace(b"\0", b": ")
    for text in inputs:
        if code is None:
            voice.answer(b"C", failure, 0)
            continue
        try:
            call = compile(f"f({text}\n)", "<input>", "eval", dont_inherit=True)
        except Exception as error:
            voice.answer(b"C", b"input: " + describe(error).replace(b"\0", b": "), 0)
        else:
            voice.answer(*answer(code, call, calls, own_names, limit, voice.refresh))


class Voice:
    """Answers on their way to the host, sent together where little time passes between them."""

    def __init__(self, nonce, cpu_us):
        self.nonce, self.cpu_us = nonce, cpu_us
        self.pending, self.index, self.spoke_ns = b"", 0, time.thread_time_ns()
        arm(cpu_us)

    def answer(self, kind, payload, used_us):
        index, used, size = self.index.to_bytes(4, "little"), used_us.to_bytes(8, "little"), len(payload)
        self.pending += b"".join((self.nonce, index, kind, used, size.to_bytes(4, "little"), payload))
        self.index += 1
        if len(self.pending) > 16384:
            self.speak()

    def refresh(self, now_ns):
        """Is heard, which gives the child another call's worth of CPU time; called between two calls. Answers wait
        no longer than a twentieth of that."""
        heard.value = now_ns // 1000
        if not LINUX:
            arm(self.cpu_us)
        if self.pending and now_ns - self.spoke_ns > self.cpu_us * 50:
            self.speak()
            self.spoke_ns = now_ns

    def speak(self):
        write_all(ANSWERS, self.pending)
        self.pending = b""


def arm(cpu_us):
    """Where the zygote cannot read a child's clock, a timer of the child's own ends it."""
    if not LINUX:
        _signal.setitimer(_signal.ITIMER_PROF, cpu_us * 1.25e-6)


