# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Raw cells as stored values, and the one error that lists the cells that are not allowed.

The error shows values: it is meant for the owner of the data, on the owner's own console.

Invariant: a stored value depends on its cell, its column and the format alone; typed arrays are only faster.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_common.errors import DataError
from coterie_common.learning.data.cell import as_decimal, as_float, as_text, is_missing, normal_text, shown
from coterie_common.learning.data.column import CategoricalColumn, Column, NumericColumn
from coterie_common.learning.data.file_format import PLAIN, FileFormat

_CELLS_SHOWN: Final = 5
_ALIKE_COMPARED: Final = 1000
_MISSING_WORDS: Final = frozenset({"na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "-", ".", "?"})


def parse_values(
    column: Column, values: Sequence[Any] | npt.NDArray[Any], form: FileFormat = PLAIN
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Parse raw cells of one column.

    Args:
        column: of the cells.
        values: text, numbers, truth values or missing ones, in the types of any library.
        form: the format of their text.

    Returns:
        The stored values, and a mask of cells that are not allowed (their stored value is 0).
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and not np.ma.isMaskedArray(values):
        if isinstance(column, CategoricalColumn):
            distinct, positions = np.unique(values, return_inverse=True)
            stored, is_bad = _parse_each(column, list(distinct), form)
            return stored[positions], is_bad[positions]
        if values.dtype.kind != "b":
            return _parse_numbers(column, values, form)
    return _parse_each(column, values, form)


def _parse_numbers(
    column: NumericColumn, values: npt.NDArray[Any], form: FileFormat
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    if form.missing_numbers:
        values = np.where(np.isin(values, form.missing_numbers), np.nan, values)
    stored = column.parse_numbers(values)
    is_bad = np.isnan(stored)
    if is_bad.any():
        stored[is_bad] = 0
    return stored, is_bad


def _parse_each(
    column: Column, values: Sequence[Any] | npt.NDArray[Any], form: FileFormat
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    known: dict[Any, Any] = {}
    stored = np.zeros(len(values), column.dtype)
    bad = np.zeros(len(values), np.bool_)
    for position, value in enumerate(values):
        try:
            # the type belongs to the key: 1, 1.0 and True are equal, but not equally allowed
            key = (type(value), value)
            if key not in known:
                known[key] = _parse(column, value, form)
            parsed = known[key]
        except TypeError:  # cannot be a key: NumPy's masked value, or a list, which is not a cell
            parsed = _parse(column, value, form)
        if parsed is None:
            bad[position] = True
        else:
            stored[position] = parsed
    return stored, bad


def _parse(column: Column, value: Any, form: FileFormat) -> float | None:
    if form is PLAIN:
        return column.parse(value)
    levels = column if isinstance(column, CategoricalColumn) else None
    if isinstance(value, (str, bytes)):
        text = as_text(value)
        if text is None:
            return None
        value = text.strip() if form.trim else text
        if levels is not None and levels.is_level(value):
            return column.parse(value)
        if value in form.missing_words:
            return column.parse(None)
        if levels is None or levels.holds_numbers:
            value = form.as_number_text(value)
    if form.missing_numbers and not is_missing(value) and _is_missing_number(column, value, form):
        return column.parse(None)
    return column.parse(value)


def _is_missing_number(column: Column, value: Any, form: FileFormat) -> bool:
    if isinstance(column, NumericColumn):
        return as_float(value) in form.missing_numbers
    number = as_decimal(value)
    return column.parse(value) is None and number is not None and float(number) in form.missing_numbers


def refuse_bad_cells(
    source: str,
    columns: Collection[Column],
    bad: Mapping[str, npt.NDArray[np.intp]],
    raw: Callable[[str, int], Any],
    *,
    first_row: int,
    form: FileFormat = PLAIN,
) -> None:
    """Raise if any cell is not allowed.

    Args:
        source: the name of the file or argument in the error.
        columns: of the schema.
        bad: per column the positions of cells that are not allowed, ascending.
        raw: function of column name and position that returns the raw cell.
        first_row: a person's number for the record at position 0.
        form: the format of the file, as far as it was stated.

    Raises:
        DataError: with the first few cells by row, column and value, the number of others, and the allowed values.
    """
    cells = sorted((int(row), name) for name, rows in bad.items() for row in rows[:_CELLS_SHOWN])[:_CELLS_SHOWN]
    if not cells:
        return
    by_name = {column.name: column for column in columns}
    words = []
    for row, name in cells:
        value = raw(name, row)
        words.append(f"row {row + first_row}, column {shown(name)}: {shown(value)}{_hint(by_name[name], value, form)}")
    more = sum(map(len, bad.values())) - len(cells)
    if more:
        words.append(f"and {more} more")
    named = {name for _, name in cells}
    allowed = ", ".join(f"{shown(column.name)} holds {column.allowed}" for column in columns if column.name in named)
    raise DataError(f"{source}: {'; '.join(words)}; {allowed}")


def _hint(column: Column, value: Any, form: FileFormat) -> str:
    """Return a hint where the error is invisible, or where the format can state the meaning of the cell."""
    if not isinstance(value, str):
        return ""
    if not form.trim and value != value.strip() and column.parse(value.strip()) is not None:
        return " (allowed without the spaces around it: trim = true)"
    if value.strip().lower() in _MISSING_WORDS:
        return f" (a missing value? missing = [{shown(value.strip())}])"
    if form.decimal == "." and "," in value and isinstance(column, NumericColumn):
        return ' (a decimal comma? decimal = ",")' if as_float(value.replace(",", ".")) is not None else ""
    if isinstance(column, CategoricalColumn):
        equal = column.level_of_number(value)
        if equal is not None:
            return f" (write {shown(equal)}: levels are compared as text where they are not all numbers)"
        for level in column.levels[:_ALIKE_COMPARED]:
            place = _only_alike(normal_text(value), normal_text(level))
            if place is not None:
                return f" (like {shown(level)} but for {place})"
    return ""


def _only_alike(text: str, level: str) -> str | None:
    """Return the first character in which two texts differ by characters outside ASCII only; ``None`` otherwise."""
    if len(text) != len(level) or text.isascii():
        return None
    differing = [(mine, other) for mine, other in zip(text, level, strict=True) if mine != other]
    if 2 * len(differing) > len(text) or any(mine.isascii() and other.isascii() for mine, other in differing):
        return None
    mine = next((mine for mine, _ in differing if not mine.isascii()), None)
    return None if mine is None else f"U+{ord(mine):04X} {unicodedata.name(mine, 'without a name')}"
