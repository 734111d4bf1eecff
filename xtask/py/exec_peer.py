"""Jobs per second of the executor against what the original runs programs with: a Pebble process pool of one worker that
executes and evaluates each job in one long-lived process. Dev-only: `pip install pebble==5.2.3`.

    python xtask/py/exec_peer.py --kelvin target/release/kelvin --data rows.jsonl --rounds 4

Rows are those of `kelvin exec validate`. A job is one program and one input with `f` called twice. Peer and kelvin take
turns, and each line is a median over the rounds; compare lines of one run only.
"""

import argparse
import contextlib
import io
import json
import re
import signal
import statistics
import subprocess
import sys
import time
import traceback

from pebble import ProcessPool

LIMIT_S = 10
RESULT_CHARACTERS = 400


def within_limit(function, *arguments):
    """The second limit of the original, an alarm around each exec and eval, inside the pool's own."""

    def ring(signum, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refuse_input(code):
    if re.search(r"(\s|^)?input\(", code):
        raise RuntimeError("input is not allowed")


def run_snippet(code):
    """One job in the worker, in fresh globals of the same process: all lines but the last are executed, the last is
    evaluated, and its result is cut to 400 characters."""
    space = {}
    try:
        *lines, last = code.split("\n")
        if "print(" in last:
            said = io.StringIO()
            refuse_input(code)
            with contextlib.redirect_stdout(said):
                within_limit(exec, code, space)
            result = said.getvalue()
        else:
            refuse_input("\n".join(lines))
            within_limit(exec, "\n".join(lines), space)
            result = within_limit(eval, last, space)
        status = "Done"
    except BaseException:
        result, status = "", traceback.format_exc().split("\n")[-2]
    result, status = str(result).strip(), str(status).strip()
    if len(result) > RESULT_CHARACTERS:
        result = result[: RESULT_CHARACTERS // 2] + "..." + result[-RESULT_CHARACTERS // 2 :]
    return result, status


def snippet(program, text):
    """A program, both calls, their comparison, and the first result's text."""
    return (
        f"{program}\nfirst = f({text})\nsecond = f({text})\nif first != second:\n    raise Exception('two results')\n"
        "repr(first)"
    )


def peer(jobs):
    """Seconds for all jobs, one after the other in batches of one, as the original's trainer asks for them."""
    with ProcessPool(max_workers=1) as pool:
        next(pool.map(run_snippet, [snippet("def f(x): return x", "1")], timeout=LIMIT_S).result())
        begun = time.perf_counter()
        failed = 0
        for program, text in jobs:
            result, status = next(pool.map(run_snippet, [snippet(program, text)], timeout=LIMIT_S).result())
            failed += status != "Done"
        return time.perf_counter() - begun, failed


# An interpreter that has read what a warm worker has, and the median of its forks whose child ends at once.
BARE_FORK = """
import abc, bisect, collections, contextlib, copy, ctypes, enum, functools, heapq, itertools, keyword, math, operator
import os, re, reprlib, resource, statistics, string, time, types, typing
times = []
for _ in range(500):
    begun = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - begun)
print(1e3 * statistics.median(times))
"""


def bare_fork_ms():
    said = subprocess.run([sys.executable, "-S", "-c", BARE_FORK], check=True, capture_output=True, text=True)
    return float(said.stdout)


def kelvin(binary, data, mode, workers):
    """What `kelvin bench exec` says of one pass."""
    command = [binary, "bench", "exec", "--data", data, "--mode", mode, "--repeats", "5", "--workers", str(workers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kelvin", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--workers", type=int, default=2)
    options = arguments.parse_args()
    with open(options.data) as rows:
        rows = [json.loads(row) for row in rows]
    jobs = [(row["program"], text) for row in rows for text in row.get("inputs", [row.get("input")])]
    rates = {"peer": [], "isolated": [], "batched": []}
    p50, forks, shared = [], [], []
    for _ in range(options.rounds):
        seconds, failed = peer(jobs)
        rates["peer"].append(len(jobs) / seconds)
        forks.append(bare_fork_ms())
        for mode in ("isolated", "batched"):
            said = kelvin(options.kelvin, options.data, mode, options.workers)
            rates[mode].append(said["jobs_per_s"])
            if mode == "isolated":
                p50.append(said["p50_ms"])
            else:
                shared.append(said["jobs_per_child"])
    rate = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "jobs": len(jobs),
        "peer_failed": failed,
        "python": sys.version.split()[0],
        "jobs_per_s": {name: round(value) for name, value in rate.items()},
        "isolated_per_peer": round(rate["isolated"] / rate["peer"], 2),
        "batched_per_peer": round(rate["batched"] / rate["peer"], 2),
        "jobs_per_child": round(statistics.median(shared), 1),
        "isolated_p50_ms": round(statistics.median(p50), 3),
        "bare_fork_ms": round(statistics.median(forks), 3),
        "isolated_p50_per_bare_fork": round(statistics.median(p50) / statistics.median(forks), 2),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
