"""What runs inside the sandbox for a whole program: one call of `f`, which `script.rs` makes, gives it a text to read, and
says in JSON what it wrote to both streams, its exit status, the class of what it raised, and how long it took.
"""

import atexit
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


class Raw(io.RawIOBase):
    """A stream as the kernel has it: a number, and bytes that are read or that were written. Closing it loses nothing."""

    def __init__(self, number, given=b""):
        self.number, self.given, self.at, self.written = number, given, 0, bytearray()
        self.mode = "wb" if number else "rb"

    def fileno(self):
        return self.number

    def readable(self):
        return self.number == 0

    def writable(self):
        return self.number != 0

    def readall(self):
        begun, self.at = self.at, len(self.given)
        return self.given[begun:]

    def readinto(self, place):
        part = self.given[self.at : self.at + len(place)]
        self.at += len(part)
        place[: len(part)] = part
        return len(part)

    def write(self, data):
        before = len(self.written)
        self.written += data
        return len(self.written) - before

    def close(self):
        pass


class Process:
    """What a program takes for its process: three streams that it reads and writes in any way, and ways to leave."""

    def __init__(self, given):
        self.raw = Raw(0, given), Raw(1), Raw(2)
        self.numbers = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, 0: 0, 1: 1, 2: 2}
        self.opened = []
        sys.stdin = sys.__stdin__ = self.open(0)
        sys.stdout = sys.__stdout__ = self.open(1, "w")
        sys.stderr = sys.__stderr__ = self.open(2, "w")
        self.stderr = sys.stderr
        builtins.open = io.open = os.fdopen = self.open
        builtins.exit = builtins.quit = os._exit = self.leave
        self.lend()
        # What the modules read so far want to do at the end is no business of the program's.
        atexit._clear()

    def open(self, file, mode="r", *_, **__):
        if file not in self.numbers:
            raise OSError("no file can be opened")
        raw = self.raw[self.numbers[file]]
        stream = io.BufferedWriter(raw) if raw.writable() else io.BufferedReader(raw)
        if "b" not in mode:
            errors = "backslashreplace" if raw.writable() else "strict"
            stream = io.TextIOWrapper(stream, encoding="utf-8", errors=errors)
            stream.mode = mode
        self.opened.append(stream)
        return stream

    def lend(self):
        """Streams by number, as fast input and output has them."""
        read, write, fstat, close = os.read, os.write, os.fstat, os.close

        def read_one(number, n):
            return self.raw[0].read(n) if number == 0 else read(number, n)

        def write_one(number, data):
            return self.raw[number].write(data) if number in (1, 2) else write(number, data)

        def fstat_one(number):
            if number not in (0, 1, 2):
                return fstat(number)
            size = len(self.raw[number].given or self.raw[number].written)
            return os.stat_result((0o100600, 0, 0, 1, 0, 0, size, 0, 0, 0))

        def close_one(number):
            if number not in (0, 1, 2):
                close(number)

        os.read, os.write, os.fstat, os.close = read_one, write_one, fstat_one, close_one

    @staticmethod
    def leave(status=None):
        raise SystemExit(status)

    def end(self):
        """What the interpreter does at its end. What fails then changes nothing."""
        for act in (atexit._run_exitfuncs, lambda: sys.stdout.flush(), *(it.flush for it in self.opened)):
            try:
                act()
            except MemoryError:
                raise
            except BaseException:
                pass


def f(program, given):
    random.seed(0)  # the module was seeded when the worker started
    process = Process(given.encode("utf-8", "surrogatepass"))
    # No process here can start a thread; solutions do to have a deeper stack.
    threading.Thread.start = lambda self: self.run()
    threading.Thread.join = lambda self, timeout=None: None
    space = {"__name__": "__main__", "__builtins__": dict(vars(builtins))}
    status, raised, begun = 0, None, clock()
    try:
        exec(compile(program, "main.py", "exec", dont_inherit=True), space)
    except SystemExit as end:
        status = end.code
        if status is None:
            status = 0
        elif not isinstance(status, int):
            print(status, file=process.stderr)
            status = 1
    except MemoryError:
        raise
    except BaseException as error:
        status, raised = 1, type(error).__name__
        sys.stderr = process.stderr
        # Without the frame of this function.
        show(type(error), error.with_traceback(error.__traceback__.tb_next), None)
    process.end()
    seconds = clock() - begun
    out, err = (it.written.decode("utf-8", "replace") for it in process.raw[1:])
    # In ASCII, so that the text's own text is soon read.
    return to_json([out, err, int(status) & 255, raised, seconds])
