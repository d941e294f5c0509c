# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Files of records as data sets: CSV, also gzipped, and Parquet, read and checked cell by cell.

The only module that imports pyarrow, and the one reader of parties, simulations, predictions and the demonstration.
Nothing is guessed: the schema gives the allowed values of a column, the format gives the file's form, and a file that
does not fit is refused as a whole; the message names the place.

Invariants:
- Columns that pyarrow reads as numbers hold the numbers of the cells' text, or are read again as text.
- Any exception of a library because of a file becomes a ``DataError``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_common.errors import DataError
from coterie_common.learning.data.cell import normal_text
from coterie_common.learning.data.column import Column, NumericColumn
from coterie_common.learning.data.csv_text import CsvText, needed_positions, read_csv_text, refuse_other_encodings
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.file_format import PLAIN, FileFormat
from coterie_common.learning.data.file_table import FileTable
from coterie_common.learning.data.raw_values import parse_values, refuse_bad_cells
from coterie_common.learning.data.schema import Schema

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")

_BLOCK_BYTES: Final = 16 << 20
_LARGEST_BLOCK_BYTES: Final = (1 << 31) - 1

Checked = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]


def load_dataset(path: Path, schema: Schema, form: FileFormat = PLAIN) -> Dataset:
    """Read a file and check every cell that the schema names; other columns are ignored.

    Columns without records are an empty data set: a refusal must not reveal the presence of one record.

    Args:
        path: ``.csv`` (header in row 1), ``.csv.gz`` or ``.parquet``.
        schema: of the job, or the one that the party's configuration binds to the file.
        form: how the file is written.

    Raises:
        DataError: the file cannot be read, lacks a column, has more records than ``max_records``, or holds cells that
            are not allowed; the message names row (in a CSV file the header is row 1), column, value and the allowed
            values.
    """
    values, rows = load_values(path, schema.columns, form, maximum=schema.max_records)
    return Dataset(schema, values, rows)


def load_values(
    path: Path, columns: Sequence[Column], form: FileFormat = PLAIN, *, maximum: int | None = None
) -> tuple[dict[str, npt.NDArray[Any]], int]:
    """Read the stored values of some columns, and the number of records; raises as ``load_dataset``.

    Args:
        path: see ``load_dataset``.
        columns: with their allowed values.
        form: how the file is written.
        maximum: maximum number of records.
    """
    with _only_data_errors(path):
        needed = [column.name for column in columns]
        source = _ParquetSource(path, needed) if _suffix(path) == ".parquet" else _CsvSource(path, needed, form)
        table = source.read(columns)
        if maximum is not None and table.num_rows > maximum:
            raise DataError(f"{path}: {table.num_rows} records, but the schema allows max_records = {maximum}")
        checked = {column.name: source.check(column, table[at], form) for at, column in enumerate(columns)}
        bad = {name: np.flatnonzero(is_bad) for name, (_, is_bad) in checked.items()}
        refuse_bad_cells(str(path), columns, bad, source.raw, first_row=source.first_row, form=form)
        return {name: stored for name, (stored, _) in checked.items()}, table.num_rows


def load_table(path: Path, form: FileFormat = PLAIN, *, needed: Sequence[str] = ()) -> FileTable:
    """Read a whole file as text; raises ``DataError`` as ``load_dataset``, but checks no value.

    Args:
        path: see ``load_dataset``.
        form: how it is written.
        needed: columns that must be present.
    """
    with _only_data_errors(path):
        if _suffix(path) == ".parquet":
            parquet = _ParquetSource(path, needed)
            table = parquet.read_all()
            names = tuple(parquet.names)
            columns = tuple(map(_texts, table.columns))
        else:
            source = _CsvSource(path, needed, form)
            table, names = source.read_all(), source.text.names
            columns = tuple(
                [cell.decode("utf-8", "surrogateescape") for cell in column.to_pylist()] for column in table.columns
            )
        return FileTable(names, columns, table.num_rows)


class _CsvSource:
    """A CSV file; cells are read as numbers if all of a column are, otherwise as text."""

    first_row = 2

    def __init__(self, path: Path, needed: Sequence[str], form: FileFormat) -> None:
        self.text: CsvText = read_csv_text(path, form, needed)
        self._path, self._form = path, form
        self._position = dict(zip(needed, needed_positions(path, self.text.names, needed), strict=True))
        self._raw: dict[str, Any] = {}

    def read(self, columns: Sequence[Column]) -> Any:
        import pyarrow as pa

        coded = pa.dictionary(pa.int32(), pa.string())
        types = {c.name: pa.float64() if isinstance(c, NumericColumn) else coded for c in columns}
        try:
            return self._read(types)
        except pa.ArrowException:
            # Some cell of a numeric column is not a plain number: the text shows which columns are concerned.
            return self._read(dict.fromkeys(types, pa.string()))

    def read_all(self) -> Any:
        import pyarrow as pa

        return self._read({str(position): pa.binary() for position in range(len(self.text.names))})

    def check(self, column: Column, cells: Any, form: FileFormat) -> Checked:
        import pyarrow as pa

        if pa.types.is_floating(cells.type):
            numbers = cells.to_numpy()
            missing = np.isnan(numbers)
            # A NaN that is not an empty cell was the text "nan": it is treated as text.
            if int(missing.sum()) == cells.null_count:
                checked = parse_values(column, numbers, form)
                if not checked[1].any():
                    return checked
        elif isinstance(column, NumericColumn) and (numbers := self._numbers(cells)) is not None:
            return self.check(column, numbers, form)
        if not pa.types.is_dictionary(cells.type):
            cells = self._raw[column.name] = self._read({column.name: pa.string()})[0]
        else:
            self._raw[column.name] = cells
        return _check_distinct(column, cells, form)

    def raw(self, name: str, row: int) -> Any:
        return self._raw[name][row].as_py()

    def _numbers(self, text: Any) -> Any:
        """Return cells of text as numbers if all are plain numbers."""
        import pyarrow as pa
        from pyarrow import compute

        if self._form.decimal != "." or self._form.missing_words:
            return None  # pyarrow's cast knows neither
        try:
            return compute.cast(
                compute.replace_with_mask(text, compute.equal(text, ""), pa.scalar(None, pa.string())), pa.float64()
            )
        except pa.ArrowException:
            return None

    def _read(self, types: Mapping[str, Any]) -> Any:
        """Read columns, by name or position, as these types."""
        import pyarrow as pa

        try:
            return self._read_blocks(types, _BLOCK_BYTES)
        except pa.ArrowInvalid as cause:
            if "block size" not in str(cause):
                raise
            # A row is longer than a block.
            return self._read_blocks(types, min(len(self.text.content) + 1, _LARGEST_BLOCK_BYTES))

    def _read_blocks(self, types: Mapping[str, Any], block_bytes: int) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        ragged: list[Any] = []
        count = 0

        def note_ragged(row: Any) -> str:
            nonlocal count
            count += 1
            if not ragged:
                ragged.append(row)
            return "skip"

        # By position: names may occur twice.
        include = {str(self._position.get(name, name)): kind for name, kind in types.items()}
        words = list(self._form.missing_words)
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(self.text.content),
                # one thread: only then does pyarrow report the numbers of ragged rows
                read_options=arrow_csv.ReadOptions(
                    column_names=[str(position) for position in range(len(self.text.names))],
                    skip_rows=self.text.lines,
                    use_threads=False,
                    block_size=block_bytes,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.text.separator,
                    ignore_empty_lines=False,
                    newlines_in_values=True,
                    invalid_row_handler=note_ragged,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=list(include),
                    column_types=include,
                    null_values=["", *words],
                    strings_can_be_null=False,
                    decimal_point=self._form.decimal,
                ),
            )
        except pa.ArrowInvalid:
            if not any(pa.types.is_floating(kind) for kind in types.values()):
                refuse_other_encodings(self._path, self.text.content)
            raise
        if ragged:
            first = ragged[0]
            more = f", and so do {count - 1} more" if count > 1 else ""
            raise DataError(
                f"{self._path}: row {first.number} does not have as many cells as the header: {first.actual_columns} "
                f"instead of {first.expected_columns}{more}"
            )
        return table


class _ParquetSource:
    """A Parquet file; columns are typed."""

    first_row = 1

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        from pyarrow import parquet

        self._path = path
        self._file = parquet.ParquetFile(path)
        self.names = [normal_text(name) for name in self._file.schema_arrow.names]
        self._positions = needed_positions(path, self.names, needed)
        self._cells: dict[str, Any] = {}

    def read(self, columns: Sequence[Column]) -> Any:
        wanted = [self._file.schema_arrow.names[position] for position in self._positions]
        table = self._file.read(columns=wanted).select(wanted)
        self._cells = {column.name: table[at] for at, column in enumerate(columns)}
        return table

    def read_all(self) -> Any:
        return self._file.read()

    def check(self, column: Column, cells: Any, form: FileFormat) -> Checked:
        import pyarrow as pa

        kind = cells.type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if is_number and isinstance(column, NumericColumn):
            return parse_values(column, cells.to_numpy(), form)
        try:
            return _check_distinct(column, cells, form)
        except pa.ArrowNotImplementedError as cause:
            raise DataError(f"{self._path}: column {column.name!r} holds {kind}, not text or numbers") from cause
        except (OverflowError, ValueError) as cause:
            raise DataError(f"{self._path}: column {column.name!r} ({kind}) has values that cannot be read") from cause

    def raw(self, name: str, row: int) -> Any:
        return self._cells[name][row].as_py()


def _check_distinct(column: Column, cells: Any, form: FileFormat) -> Checked:
    """Check each different value once."""
    encoded = cells.combine_chunks().dictionary_encode()
    distinct = [*_typed(encoded.dictionary), None]
    positions = encoded.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
    stored, is_bad = parse_values(column, distinct, form)
    return stored[positions], is_bad[positions]


def _typed(values: Any) -> list[Any]:
    """Return values as Python objects; floats keep their precision, which determines their shortest digits."""
    import pyarrow as pa

    if pa.types.is_float16(values.type) or pa.types.is_float32(values.type):
        return list(values.to_numpy(zero_copy_only=False))
    return list(values.to_pylist())


def _texts(cells: Any) -> list[str]:
    import pyarrow as pa
    from pyarrow import compute

    try:
        return [_text(value) for value in cells.to_pylist()]
    except (ValueError, OverflowError):  # text that is not UTF-8, or moments beyond Python's calendar
        other = pa.binary() if pa.types.is_string(cells.type) else pa.string()
        return [_text(value) for value in compute.cast(cells, other).to_pylist()]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _suffix(path: Path) -> str:
    suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise DataError(f"{path}: cannot tell the kind of file; its name must end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"{path} is no file" if path.exists() else f"{path} does not exist")
    return suffix


@contextmanager
def _only_data_errors(path: Path) -> Iterator[None]:
    """Turn exceptions of a library because of a file into ``DataError``: foreign files must not stop a daemon."""
    import pyarrow as pa

    try:
        yield
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror or _first_line(cause)}") from cause
    except (pa.ArrowException, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as cause:
        kind = "Parquet" if path.name.lower().endswith(".parquet") else "CSV"
        raise DataError(f"{path}: no {kind} file that can be read: {_first_line(cause)}") from cause


def _first_line(cause: BaseException) -> str:
    return next(iter(str(cause).splitlines()), type(cause).__name__)[:200]
