"""Writes the small table of crates/kelvin-env/fixtures, as the hub's data sets are written.

    python -m venv .venv && .venv/bin/pip install pyarrow==26.0.1
    .venv/bin/python xtask/py/table_fixture.py
"""

import pathlib

import pyarrow
import pyarrow.parquet

rows = {
    "question_id": [70, 71],
    "question": ["Was ist 2 + 2?", "Où?"],
    "options": [["3", "4"], ["ici", "là", "ailleurs"]],
    "answer": ["B", "A"],
    "answer_index": [1, 0],
    "category": ["math", None],
}
target = pathlib.Path(__file__).parents[2] / "crates/kelvin-env/fixtures/choices.parquet"
pyarrow.parquet.write_table(pyarrow.table(rows), target, compression="snappy")
