"""Jobs per second of the executor against what the original runs programs with: a Pebble process pool of one worker that
executes and evaluates each job in one long-lived process. Dev-only: `pip install pebble==5.2.3`.

    python xtask/py/exec_peer.py --kelvin target/release/kelvin --data rows.jsonl --rounds 4

Rows are those of `kelvin exec validate`. A job is one program and one input with `f` called twice. Peer and kelvin take
turns, and each line is a median over the rounds; compare lines of one run only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

# What a warm worker has read, so that a bare fork of this process is the floor of one.
import abc, bisect, collections, contextlib, copy, enum, functools, heapq, itertools, math, operator, re, string, typing  # noqa: E401, E501, F401

from pebble import ProcessPool


def call_twice(program, text):
    """One job as the original's pool runs it: no isolation, the first result's text if both agree."""
    space = {}
    exec(program, space)
    first = eval(f"f({text})", space)
    second = eval(f"f({text})", space)
    return repr(first) if first == second else None


def peer(jobs):
    """Seconds for all jobs, one after the other, as the original's trainer asks for them."""
    with ProcessPool(max_workers=1) as pool:
        pool.schedule(call_twice, args=("def f(x): return x", "1"), timeout=10).result()
        begun = time.perf_counter()
        failed = 0
        for program, text in jobs:
            try:
                pool.schedule(call_twice, args=(program, text), timeout=10).result()
            except Exception:
                failed += 1
        return time.perf_counter() - begun, failed


def bare_fork_ms():
    """The median of a fork of this warm interpreter whose child ends at once."""
    times = []
    for _ in range(500):
        begun = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        times.append(time.perf_counter() - begun)
    return 1e3 * statistics.median(times)


def kelvin(binary, data, mode, workers):
    """What `kelvin bench exec` says of one pass."""
    command = [binary, "bench", "exec", "--data", data, "--mode", mode, "--repeats", "1", "--workers", str(workers)]
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
    p50, forks = [], []
    for _ in range(options.rounds):
        seconds, failed = peer(jobs)
        rates["peer"].append(len(jobs) / seconds)
        forks.append(bare_fork_ms())
        for mode in ("isolated", "batched"):
            said = kelvin(options.kelvin, options.data, mode, options.workers)
            rates[mode].append(said["jobs_per_s"])
            if mode == "isolated":
                p50.append(said["p50_ms"])
    rate = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "jobs": len(jobs),
        "peer_failed": failed,
        "python": sys.version.split()[0],
        "jobs_per_s": {name: round(value) for name, value in rate.items()},
        "isolated_per_peer": round(rate["isolated"] / rate["peer"], 2),
        "batched_per_peer": round(rate["batched"] / rate["peer"], 2),
        "isolated_p50_ms": round(statistics.median(p50), 3),
        "bare_fork_ms": round(statistics.median(forks), 3),
        "isolated_p50_per_bare_fork": round(statistics.median(p50) / statistics.median(forks), 2),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
