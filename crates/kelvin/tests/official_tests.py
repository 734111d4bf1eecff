"""Runs a benchmark's own tests on a response, in this interpreter: data folder, benchmark, item, response. Succeeds where
they pass. `benchmarks.rs` asks it about the few broken solutions that pass in the sandbox."""

import gzip
import json
import signal
import sys

folder, name, item, response = sys.argv[1:]
signal.alarm(120)
code = response.split("```python\n")[1].rsplit("\n```", 1)[0] if "```python\n" in response else None
space = {"__name__": "solution"}
if name == "mbpp":
    rows = json.load(open(f"{folder}/mbpp/sanitized-mbpp.json"))
    row = next(row for row in rows if f"Mbpp/{row['task_id']}" == item)
    exec("\n".join([code, *row["test_imports"], *row["test_list"]]), space)
else:
    # The tests of HumanEval+ are those of HumanEval and more: a solution that fails these fails those.
    rows = [json.loads(line) for line in gzip.open(f"{folder}/humaneval/HumanEval.jsonl.gz")]
    row = next(row for row in rows if row["task_id"] == item)
    exec(code or row["prompt"] + response, space)
    exec(row["test"], space)
    space["check"](space[row["entry_point"]])
