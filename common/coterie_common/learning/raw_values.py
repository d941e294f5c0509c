# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""From raw cells to stored values, and the one error that lists the cells that are not allowed.

The error shows values: it is meant for the owner of the data, on the owner's own console.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_common.errors import DataError
from coterie_common.learning.column import Column

_CELLS_SHOWN: Final = 5
_VALUE_CHARACTERS: Final = 40


def parse_values(column: Column, values: Sequence[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Parse raw cells of one column.

    Args:
        column: what they may be.
        values: text, numbers or ``None``.

    Returns:
        The stored values, and where a cell is not allowed (its stored value is then 0).
    """
    known: dict[Any, Any] = {}
    stored = np.zeros(len(values), column.dtype)
    bad = np.zeros(len(values), np.bool_)
    for position, value in enumerate(values):
        try:
            # the type belongs to the key: 1, 1.0 and True are equal, but not equally allowed
            key = (type(value), value)
            if key not in known:
                known[key] = column.parse(value)
            parsed = known[key]
        except TypeError:  # a list or the like; certainly no cell
            parsed = None
        if parsed is None:
            bad[position] = True
        else:
            stored[position] = parsed
    return stored, bad


def refuse_bad_cells(
    source: str, columns: Collection[Column], bad: Mapping[str, npt.NDArray[np.intp]], raw: Any, *, first_row: int
) -> None:
    """Raise if any cell is not allowed.

    Args:
        source: the file or argument, as the error calls it.
        columns: of the schema.
        bad: per column the positions of cells that are not allowed, ascending.
        raw: function of column name and position that returns the raw cell.
        first_row: number by which a person calls the record at position 0.

    Raises:
        DataError: the first few cells with row, column and value, how many more there are, and what is allowed.
    """
    cells = sorted((int(row), name) for name, rows in bad.items() for row in rows[:_CELLS_SHOWN])[:_CELLS_SHOWN]
    if not cells:
        return
    shown = [f"row {row + first_row}, column {name!r}: {_short(raw(name, row))}" for row, name in cells]
    more = sum(map(len, bad.values())) - len(cells)
    if more:
        shown.append(f"and {more} more")
    named = {name for _, name in cells}
    allowed = ", ".join(f"{column.name!r} holds {column.allowed}" for column in columns if column.name in named)
    raise DataError(f"{source}: {'; '.join(shown)}; {allowed}")


def _short(value: Any) -> str:
    if value is None or value == "":
        return "an empty cell"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"
