"""What runs inside the sandbox for a whole program: one call of `f`, which `script.rs` makes, gives it a text to read, and
says in JSON what it wrote to both streams, its exit status, the class of what it raised, and how long it took.
"""

import builtins
import io
import json
import os
import random
import sys
import threading
import time

# The program may change what modules hold.
to_json, clock, show = json.dumps, time.perf_counter, sys.__excepthook__


class Stream(io.BytesIO):
    """Keeps what was written when the program closes it, and has the number that a process knows it by."""

    def __init__(self, number, given=b""):
        super().__init__(given)
        self.number = number

    def fileno(self):
        return self.number

    def close(self):
        pass


def lend(streams):
    """Lets the program read, write, measure and close its streams by number, as fast input and output does."""
    read, write, fstat, close = os.read, os.write, os.fstat, os.close

    def read_one(number, n):
        return streams[number].read(n) if number == 0 else read(number, n)

    def write_one(number, data):
        return streams[number].write(data) if number in (1, 2) else write(number, data)

    def fstat_one(number):
        if number not in (0, 1, 2):
            return fstat(number)
        size = len(streams[number].getvalue())
        return os.stat_result((0o100600, 0, 0, 1, 0, 0, size, 0, 0, 0))

    def close_one(number):
        if number not in (0, 1, 2):
            close(number)

    os.read, os.write, os.fstat, os.close = read_one, write_one, fstat_one, close_one


def text_over(stream):
    return io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", write_through=True)


def f(program, given):
    random.seed(0)  # the module was seeded when the worker started
    streams = Stream(0, given.encode("utf-8", "surrogatepass")), Stream(1), Stream(2)
    lend(streams)
    sys.stdin = io.TextIOWrapper(streams[0], encoding="utf-8")
    sys.stdout, sys.stderr = text_over(streams[1]), text_over(streams[2])
    stderr = sys.stderr
    opened = {0: sys.stdin, 1: sys.stdout, 2: stderr}
    opened.update({"/dev/stdin": sys.stdin, "/dev/stdout": sys.stdout, "/dev/stderr": stderr})

    def open_one(file, *_, **__):
        if file in opened:
            return opened[file]
        raise OSError("no file can be opened")

    def leave(status=None):
        raise SystemExit(status)

    # No process here can start a thread; solutions do to have a deeper stack.
    threading.Thread.start = lambda self: self.run()
    threading.Thread.join = lambda self, timeout=None: None
    names = dict(vars(builtins), exit=leave, quit=leave, open=open_one)
    space = {"__name__": "__main__", "__builtins__": names}
    status, raised, begun = 0, None, clock()
    try:
        exec(compile(program, "main.py", "exec", dont_inherit=True), space)
    except SystemExit as end:
        status = end.code
        if status is None:
            status = 0
        elif not isinstance(status, int):
            print(status, file=stderr)
            status = 1
    except MemoryError:
        raise
    except BaseException as error:
        status, raised = 1, type(error).__name__
        sys.stderr = stderr
        # Without the frame of this function.
        show(type(error), error.with_traceback(error.__traceback__.tb_next), None)
    seconds = clock() - begun
    out, err = (it.getvalue().decode("utf-8", "replace") for it in streams[1:])
    # In ASCII, so that the text's own text is soon read.
    return to_json([out, err, int(status) & 255, raised, seconds])
