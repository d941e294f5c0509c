# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whatever holds a record, the record is the same: text, typed columns, frames; one cell at a time, or all at once."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from coterie_common.errors import DataError
from coterie_common.learning.data.column import CategoricalColumn, Column, NumericColumn
from coterie_common.learning.data.dataset_file import load_table, load_values
from coterie_common.learning.data.file_format import PLAIN, FileFormat
from coterie_common.learning.data.raw_values import parse_values
from coterie_common.learning.data.record_sources import raw_columns

NUMBERS = (
    NumericColumn(name="n", lower=-100, upper=0.3),
    NumericColumn(name="n", lower=-1e300, upper=1e300, missing=-1),
    NumericColumn(name="n", lower=0, upper=2**60, integer=True, missing=0),
)
CODES = CategoricalColumn(name="n", levels=("", "0", "1.0", "2.50", "1e3", "-7"))
PARSERS = st.sampled_from((*NUMBERS, CODES))
FORMATS = st.sampled_from(
    (
        PLAIN,
        FileFormat(decimal=",", separator=";"),
        FileFormat(missing=("NA", "-7", "1e300"), trim=True),
        FileFormat(missing=("-7,0", "nan"), decimal=",", separator="|"),
    )
)
WORDS = """nan NaN inf -Infinity NA +5 -0 1_0 0x10 1e400 1e-400 5. .5 5e - ٣ 1,5 1.5 -7 -7.0 -7,0 0.3 1e300 2.5
2,50 1000
0.30000000000000004 9007199254740993 1d5 3.0000000000000001 true 4.9e-324"""
ODD = st.sampled_from(["", " ", " 7\t", "\u00a07", "1" * 400, "0." + "0" * 400 + "1", *WORDS.split()])
PLAIN_NUMBERS = (
    st.floats(allow_nan=False).map(repr) | st.integers(-(2**65), 2**65).map(str) | st.floats(-9, 1).map(repr)
)
MOSTLY_NUMBERS = st.lists(PLAIN_NUMBERS, max_size=6) | st.lists(PLAIN_NUMBERS | ODD, max_size=6)


def write(rows: list[str], form: FileFormat) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=form.separator or ",", lineterminator="\n")
    writer.writerows([["n", "other"], *([cell, "x"] for cell in rows)])
    return text.getvalue().encode()


def read(content: bytes, column: Column, form: FileFormat, name: str = "n.csv") -> list[float] | None:
    """Return the stored values, or ``None`` where the file is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            values, _ = load_values(path, [column], form)
        except DataError:
            return None
        return [float(value) for value in values["n"]]


@settings(max_examples=150)
@given(column=PARSERS, form=FORMATS, rows=MOSTLY_NUMBERS)
@example(column=NUMBERS[1], form=PLAIN, rows=["nan", "1"])
@example(column=NUMBERS[1], form=PLAIN, rows=["", "1e400"])
def test_file_of_text_holds_what_each_cell_alone_says(column, form, rows):
    stored, is_bad = parse_values(column, rows, form)
    assert read(write(rows, form), column, form) == (None if is_bad.any() else stored.tolist())


@settings(max_examples=60)
@given(
    column=PARSERS,
    cells=st.lists(st.none() | st.floats(-9, 3) | st.integers(-9, 3).map(float) | st.sampled_from([2.5, 1e3, 0.3])),
    kind=st.sampled_from([pa.float64(), pa.float32(), pa.float16()]),
)
def test_typed_file_frame_and_table_hold_what_each_cell_alone_says(column, cells, kind):
    numpy_kind = kind.to_pandas_dtype()
    alone = [None if cell is None else numpy_kind(cell) for cell in cells]
    stored, is_bad = parse_values(column, alone)
    due = None if is_bad.any() else stored.tolist()
    table = pa.table({"n": pa.array(cells, pa.float64()).cast(kind, safe=False)})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    assert read(buffer.getvalue(), column, PLAIN, "n.parquet") == due
    frame = pd.DataFrame({"n": np.array([np.nan if cell is None else cell for cell in cells], numpy_kind)})
    for source in (table, frame, frame.to_numpy(), [{"n": cell} for cell in alone]):
        stored, is_bad = parse_values(column, raw_columns(source, ["n"])["n"])
        assert (None if is_bad.any() else stored.tolist()) == due


@settings(max_examples=60)
@given(column=PARSERS, rows=st.lists(st.floats(-9, 3).map(lambda x: repr(round(x, 6))) | ODD, min_size=1, max_size=6))
def test_frame_that_pandas_reads_from_a_file_is_what_the_file_holds(column, rows):
    content = write(rows, PLAIN)
    due = read(content, column, PLAIN)
    if due is None:
        return
    for options in ({}, {"dtype": "string", "keep_default_na": False}, {"dtype_backend": "numpy_nullable"}):
        frame = pd.read_csv(io.BytesIO(content), skip_blank_lines=False, float_precision="round_trip", **options)
        stored, is_bad = parse_values(column, raw_columns(frame, ["n"])["n"])
        assert not is_bad.any()
        assert stored.tolist() == due


@given(rows=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=4))
def test_table_of_text_is_read_as_it_was_written(rows):
    # Lines at the end that hold nothing but line ends are no records.
    kept = [[first, f"{second}."] for first, second in rows]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([["a", "b"], *kept])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(text.getvalue().encode())
        table = load_table(path)
    assert [list(row) for row in zip(*table.columns, strict=True)] == kept
