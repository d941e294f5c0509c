# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Rows of one kind as a CSV file with a column per field, as they are committed beside the figures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

RowT = TypeVar("RowT")


def write_csv(path: Path, rows: Sequence[Any]) -> None:
    """Write rows.

    Args:
        path: replaced.
        rows: at least one instance of a dataclass whose fields are texts, integers, truth values, floats, of which five
            digits are kept, or ``StrEnum``; or ``None``.
    """
    names = [field.name for field in fields(rows[0])]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)


def read_csv(path: Path, kind: type[RowT]) -> list[RowT]:
    """Read rows of one kind that ``write_csv`` wrote."""
    hints = get_type_hints(kind)
    with path.open(newline="") as stream:
        return [
            kind(**{name: _value(cell, hints[name]) for name, cell in cells.items()})
            for cells in csv.DictReader(stream)
        ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _value(cell: str, hint: Any) -> object:
    alternatives = get_args(hint)
    if type(None) in alternatives:
        return None if cell == "" else _value(cell, alternatives[0])
    return cell == "1" if hint is bool else hint(cell)
