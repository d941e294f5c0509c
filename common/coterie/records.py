# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Records to predict, as a person has them in a CSV file: read and written as text, values not looked at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coterie_common.errors import DataError
from coterie_common.files import read_bytes

_BYTES_MOST: Final = 1 << 30
"""All of it is held in memory, several times over."""


@dataclass(frozen=True, slots=True)
class Records:
    """A CSV file: the names of its columns and its rows, all of that length."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_dicts(self) -> list[dict[str, str]]:
        """Return one dictionary per row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def column(self, name: str) -> tuple[str, ...]:
        """Return one column's values."""
        position = self.columns.index(name)
        return tuple(row[position] for row in self.rows)


def read_records(path: Path) -> Records:
    """Read a CSV file with a header.

    Raises:
        ConfigurationError: the file is missing or cannot be read.
        DataError: not UTF-8, no header, no records, two columns of one name, or a row of another length; says where.
    """
    data = read_bytes(path, "the file of records", most=_BYTES_MOST)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise DataError(f"{path} is not UTF-8 at byte {cause.start}") from cause
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = tuple(next(reader, ()))
        rows = tuple(_checked(path, columns, row, reader.line_num) for row in reader if row)
    except csv.Error as cause:
        raise DataError(f"{path}, line {reader.line_num}: {cause}") from cause
    if not columns:
        raise DataError(f"{path} is empty; it must begin with the names of the columns")
    if len(set(columns)) != len(columns):
        raise DataError(f"{path}, line 1: two columns have the same name")
    if not rows:
        raise DataError(f"{path} has columns, but no records")
    return Records(columns, rows)


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV file with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _checked(path: Path, columns: tuple[str, ...], row: list[str], line: int) -> tuple[str, ...]:
    if len(row) != len(columns):
        raise DataError(f"{path}, line {line}: {len(row)} values, but there are {len(columns)} columns")
    return tuple(row)
