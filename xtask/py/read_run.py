"""Reads what a run writes for other programs with those programs' own readers, and compares it with the run's records.

    python -m venv .venv && .venv/bin/pip install pyarrow==26.0.1 setuptools==65.5.0 tensorboard==2.21.0
    kelvin tasks RUN --format parquet --out TASKS.parquet
    .venv/bin/python xtask/py/read_run.py RUN TASKS.parquet

Development only: nothing in the build or in the tests runs it.
"""

import json
import struct
import sys
from pathlib import Path

import pyarrow.parquet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def as_f32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def check_curves(run: Path) -> int:
    rows = lines(run / "metrics.jsonl")
    curves = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    curves.Reload()
    tags = curves.Tags()["scalars"]
    assert set(tags) == {name for row in rows for name in row} - {"step"}
    for tag in tags:
        found = [(event.step, event.value) for event in curves.Scalars(tag)]
        assert found == [(row["step"], as_f32(row[tag])) for row in rows if tag in row], tag
    return len(tags)


def check_tasks(run: Path, table: Path) -> int:
    tasks = lines(run / "tasks.jsonl")
    rows = pyarrow.parquet.read_table(table).to_pylist()
    assert len(rows) == len(tasks)
    for row, task in zip(rows, tasks):
        label = task.get("label") or {}
        assert (row["task_type"], row["born"]) == (task["task_type"], task["born"])
        assert json.loads(row["payload"]) == task["payload"]
        assert row["label_answer"] == label.get("answer")
        share = row["label_share"]
        assert share == label.get("share") or abs(share - label["share"]) < 1e-6
    return len(rows)


run, table = Path(sys.argv[1]), Path(sys.argv[2])
print(f"{check_curves(run)} curves and {check_tasks(run, table)} tasks are those of {run}")
