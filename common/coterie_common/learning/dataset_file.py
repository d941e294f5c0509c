# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Files of records as data sets: CSV, also gzipped, and Parquet, read and checked cell by cell.

The only module that imports pyarrow. Nothing is guessed: what a column may hold is in the schema, an empty cell is not
a value, and a file that does not fit is refused as a whole with the place of what is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from coterie_common.errors import DataError
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.raw_values import parse_values, refuse_bad_cells
from coterie_common.learning.schema import Schema

_COLUMNS_SHOWN: Final = 20


def load_dataset(path: Path, schema: Schema) -> Dataset:
    """Read a file and check every cell that the schema names; other columns are ignored.

    Columns without any records are a data set of none: whether there is one record must not show in a refusal.

    Args:
        path: ``.csv`` (UTF-8, comma, header in row 1), ``.csv.gz`` or ``.parquet``.
        schema: of the job, or the one that the party's configuration binds to the file.

    Raises:
        DataError: the file cannot be read, lacks a column, has more than ``max_records`` records, or holds cells that
             are not allowed: row (in a CSV file the header is row 1), column, value and what is allowed.
    """
    readers: dict[str, Callable[[Path, Schema], Any]] = {
        ".csv": _read_csv,
        ".csv.gz": _read_csv,
        ".parquet": _read_parquet,
    }
    suffix = next((suffix for suffix in readers if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise DataError(f"{path}: cannot tell the kind of file; its name must end in {', '.join(readers)}")
    try:
        if not path.is_file():
            raise DataError(f"{path} is no file" if path.exists() else f"{path} does not exist")
        table = readers[suffix](path, schema)
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror or cause}") from cause
    if table.num_rows > schema.max_records:
        raise DataError(f"{path}: {table.num_rows} records, but the schema allows max_records = {schema.max_records}")
    return _check_cells(path, table, schema, first_row=1 if suffix == ".parquet" else 2)


def _read_csv(path: Path, schema: Schema) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with pa.input_stream(str(path), compression="detect") as stream:
        content = stream.read()
    if not content.strip():
        raise DataError(f"{path}: the file is empty")
    header, lines = _header(path, content)
    needed = _needed_columns(path, header, schema)
    ragged: list[Any] = []

    def note_ragged(row: Any) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            # without blank lines at the end, which many programs leave; others count as rows of empty cells
            io.BytesIO(content.rstrip(b"\r\n") + b"\n"),
            # one thread: only then does pyarrow know the numbers of ragged rows
            read_options=arrow_csv.ReadOptions(column_names=header, skip_rows=lines, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                ignore_empty_lines=False,
                newlines_in_values=True,
                invalid_row_handler=note_ragged,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=needed,
                column_types=dict.fromkeys(needed, pa.string()),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as cause:
        _refuse_other_encodings(path, content)
        raise DataError(f"{path}: no CSV that can be read: {cause}") from cause
    if ragged:
        first = ragged[0]
        more = f", and so do {len(ragged) - 1} more" if len(ragged) > 1 else ""
        raise DataError(
            f"{path}: row {first.number} does not have as many cells as the header: {first.actual_columns} instead of "
            f"{first.expected_columns}{more}"
        )
    return table


def _header(path: Path, content: bytes) -> tuple[list[str], int]:
    """Return the column names, and how many lines of the file they take."""
    lines = io.BytesIO(content.removeprefix(codecs.BOM_UTF8))
    try:
        reader = csv.reader(line.decode("utf-8") for line in lines)
        return next(reader), reader.line_num
    except (UnicodeDecodeError, csv.Error) as cause:
        _refuse_other_encodings(path, content)
        raise DataError(f"{path}: row 1 is no CSV header: {cause}") from cause


def _refuse_other_encodings(path: Path, content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as cause:
        row = content.count(b"\n", 0, cause.start) + 1
        raise DataError(f"{path}: line {row} is not UTF-8 text; save the file as UTF-8") from cause


def _read_parquet(path: Path, schema: Schema) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        needed = _needed_columns(path, parquet.read_schema(path).names, schema)
        return parquet.read_table(path, columns=needed)
    except pa.ArrowException as cause:
        raise DataError(f"{path}: no Parquet file that can be read: {cause}") from cause


def _needed_columns(path: Path, found: list[str], schema: Schema) -> list[str]:
    needed = [column.name for column in schema.columns]
    missing = [name for name in needed if name not in found]
    if missing:
        shown = ", ".join(map(repr, found[:_COLUMNS_SHOWN])) + (", …" if len(found) > _COLUMNS_SHOWN else "")
        raise DataError(f"{path}: no column {', '.join(map(repr, missing[:_COLUMNS_SHOWN]))}; there are {shown}")
    repeated = [name for name in needed if found.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: there are {found.count(repeated[0])} columns named {repeated[0]!r}")
    return needed


def _check_cells(path: Path, table: Any, schema: Schema, *, first_row: int) -> Dataset:
    import pyarrow as pa

    columns, bad = {}, {}
    for column in schema.columns:
        try:
            encoded = table[column.name].combine_chunks().dictionary_encode()
        except pa.ArrowNotImplementedError as cause:
            kind = table[column.name].type
            raise DataError(f"{path}: column {column.name!r} holds {kind}, not text or numbers") from cause
        distinct = [*encoded.dictionary.to_pylist(), None]
        positions = encoded.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
        stored, is_bad = parse_values(column, distinct)
        columns[column.name], bad[column.name] = stored[positions], np.flatnonzero(is_bad[positions])
    refuse_bad_cells(str(path), schema.columns, bad, lambda name, row: table[name][row].as_py(), first_row=first_row)
    return Dataset(schema, columns, table.num_rows)
