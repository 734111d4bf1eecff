"""Watches a small run in a pseudo-terminal, presses its keys, and writes down what the terminal showed.

    python -m venv .venv && .venv/bin/pip install pyte
    .venv/bin/python xtask/py/dashboard_check.py target/release/kelvin [--captures docs/images]

For 80 x 24 and 120 x 40: the dashboard is drawn, help opens and closes, a pause holds the run and ends, a checkpoint is
written when asked for, another size is drawn anew, `q` ends with exit code 130 and a checkpoint, Ctrl-C does the same,
and the terminal has its modes and its screen back. With TERM=dumb, and with --plain, no byte steers the terminal. Ends
with exit code 1 at the first thing that is wrong. Development only; what a session of the tests can check without a
terminal is in `dashboard/tests.rs`.
"""

import argparse
import fcntl
import os
import pathlib
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time

import pyte

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = [
    "--set", "azr.batch_size=3", "--set", "azr.n_estimate=4", "--set", "azr.n_solutions=2", "--set", "eval.n_samples=2",
    "--set", "inversion.eval_p_max=19", "--set", "policy.threads=1", "--set", "eval.every=4",
]
PATIENCE_S = 300


class Terminal:
    """A run in a pseudo-terminal, and what stands on its screen."""

    def __init__(self, kelvin: str, run: pathlib.Path, width: int, height: int, more=(), term="xterm-256color"):
        self.screen = pyte.Screen(width, height)
        # As a terminal does, that is asked where its cursor is.
        self.screen.write_process_input = self.press
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.master, slave = pty.openpty()
        self.resize(width, height)
        self.modes = termios.tcgetattr(slave)
        arguments = [kelvin, "train", str(ROOT / "configs/prime-inversion.toml"), "--run-dir", str(run), *SETTINGS, *more]
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.master)
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for stream in range(3):
                os.dup2(slave, stream)
            os.execve(kelvin, arguments, {**os.environ, "TERM": term})
        self.slave = slave

    def resize(self, width: int, height: int):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.resize(height, width)

    def read(self, seconds: float):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                more = os.read(self.master, 65536)
            except OSError:
                return
            self.written += more
            # pyte has one screen: the other one begins empty.
            before, entered, after = more.partition(b"\x1b[?1049h")
            self.stream.feed(before)
            if entered:
                self.screen.reset()
                self.stream.feed(after)
            seconds = 0.05

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display) + "\n"

    def until(self, holds, what: str):
        ends = time.monotonic() + PATIENCE_S
        while not holds(self.text()):
            self.read(0.2)
            if ends < time.monotonic():
                sys.exit(f"waited in vain until {what}; the screen:\n{self.text()}")

    def press(self, keys: str):
        os.write(self.master, keys.encode())

    def end(self) -> int:
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            self.read(0.2)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.read(0.2)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        sys.exit("the run did not end")


def expect(holds, what: str):
    if not holds:
        sys.exit(f"wrong: {what}")


def gives_back(it: Terminal):
    expect(it.written.rfind(b"\x1b[?1049l") > it.written.rfind(b"\x1b[?1049h") >= 0, "the other screen is left")
    expect(b"\x1b[?25h" in it.written[it.written.rfind(b"\x1b[?1049h"):], "the cursor is shown again")
    now = termios.tcgetattr(it.slave)
    expect(now[:4] == it.modes[:4], "the terminal has its modes back")


def steps_of(text: str) -> int:
    found = text.split("step ", 1)[-1].split("/", 1)[0].strip()
    return int(found) if found.isdigit() else -1


def watched(kelvin: str, scratch: pathlib.Path, size, captures):
    width, height = size
    run = scratch / f"run-{width}"
    it = Terminal(kelvin, run, width, height)
    parts = ("kelvin", "solved", "reward", "valid", "times solved", "seconds", "newest task", "checkpoint")
    it.until(lambda text: steps_of(text) > 2 and all(part in text for part in parts), f"steps and {parts} are shown")
    shown = it.text()
    expect(all(len(line) <= width for line in shown.splitlines()), "lines fit")
    if captures:
        captures.mkdir(parents=True, exist_ok=True)
        (captures / f"dashboard-{width}x{height}.txt").write_text(shown)
    it.press("h")
    it.until(lambda text: "write a checkpoint after" in text, "help is shown")
    it.press("\x1b")
    it.until(lambda text: "write a checkpoint after" not in text, "help is gone")
    it.press("c")
    it.until(lambda text: "checkpoint " + str(run)[:8] in text or any(run.glob("checkpoints/*/COMPLETE")) and "follows" not in text, "a checkpoint is written")
    it.press("p")
    it.until(lambda text: "paused" in text, "the pause is shown")
    # The running step ends; then nothing moves.
    it.read(20)
    before = steps_of(it.text())
    it.read(5)
    expect(steps_of(it.text()) == before, "a pause holds the run")
    it.press("p")
    it.until(lambda text: steps_of(text) > before, "the run goes on")
    it.resize(100, 30)
    os.kill(it.pid, signal.SIGWINCH)
    it.until(lambda text: len(text.splitlines()[0].rstrip()) > 60 and "newest task" in text, "the new size is drawn")
    it.resize(60, 15)
    os.kill(it.pid, signal.SIGWINCH)
    it.until(lambda text: "needs 80 x 24" in text, "too small a size is said")
    it.press("q" if width == 80 else "\x03")
    expect(it.end() == 130, "stopping ends with 130")
    expect("checkpoint written" in it.written.decode(errors="replace"), "the last line says so")
    gives_back(it)
    print(f"{width} x {height}: drawn, helped, saved, paused, resized, stopped")


def not_watched(kelvin: str, scratch: pathlib.Path):
    for name, more, term in (("dumb", [], "dumb"), ("plain", ["--plain"], "xterm-256color")):
        it = Terminal(kelvin, scratch / name, 80, 24, ["--steps", "2", *more], term)
        expect(it.end() == 0, f"{name}: the run ends")
        expect(b"\x1b" not in it.written, f"{name}: nothing steers the terminal")
        expect(b"step   2/2" in it.written, f"{name}: lines are printed")
        print(f"{name}: lines")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kelvin")
    arguments.add_argument("--captures", type=pathlib.Path)
    arguments.add_argument("--only", help="one check: 80, 120, or lines")
    asked = arguments.parse_args()
    kelvin = str(pathlib.Path(asked.kelvin).resolve())
    with tempfile.TemporaryDirectory() as scratch:
        for size in ((80, 24), (120, 40)):
            if asked.only in (None, str(size[0])):
                watched(kelvin, pathlib.Path(scratch), size, asked.captures)
        if asked.only in (None, "lines"):
            not_watched(kelvin, pathlib.Path(scratch))


main()
