"""Runs a benchmark's own tests on a response, in this interpreter: data folder, benchmark, item, response. Succeeds where
they pass. `benchmarks.rs` asks it about the few broken solutions that pass in the sandbox."""

import gzip
import json
import signal
import sys
import types


def allclose(a, b, rtol, atol):
    """What numpy makes of numbers and of sequences of as many numbers; other shapes it refuses or repeats."""
    if isinstance(b, (list, tuple)):
        assert isinstance(a, (list, tuple)) and len(a) == len(b)
        return all(allclose(x, y, rtol, atol) for x, y in zip(a, b))
    return a == b or abs(a - b) <= atol + rtol * abs(b)


# All that EvalPlus' tests use of numpy, which need not be installed.
numpy = types.SimpleNamespace(ndarray=type("ndarray", (), {}), float32=None, float64=None, allclose=allclose)
sys.modules["numpy"] = numpy
folder, name, item, response = sys.argv[1:]
signal.alarm(120)
code = response.split("```python\n")[1].rsplit("\n```", 1)[0] if "```python\n" in response else None
space = {"__name__": "solution"}
if name == "mbpp":
    rows = json.load(open(f"{folder}/mbpp/sanitized-mbpp.json"))
    row = next(row for row in rows if f"Mbpp/{row['task_id']}" == item)
    exec("\n".join([code, *row["test_imports"], *row["test_list"]]), space)
else:
    # EvalPlus publishes its tests as programs, too; those of 32 pass nothing, since they call with the wrong arguments.
    is_plus = name == "humaneval-plus" and item != "HumanEval/32"
    file = "humaneval_plus/HumanEvalPlus-OriginFmt" if is_plus else "humaneval/HumanEval"
    rows = [json.loads(line) for line in gzip.open(f"{folder}/{file}.jsonl.gz")]
    row = next(row for row in rows if row["task_id"] == item)
    exec(code or row["prompt"] + response, space)
    exec(row["test"], space)
    space["check"](space[row["entry_point"]])
