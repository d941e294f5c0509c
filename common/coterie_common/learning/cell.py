# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One raw cell, as any source has it: whether it is missing, and which text or number it is.

Files of text, typed tables and DataFrames hold the same records in different types. These functions are the only
place that knows the types, so that every source follows the same rules.

Invariants:
- Text is compared in one Unicode form (NFC): a letter with an accent is the same, composed or decomposed.
- Numbers are compared exactly: a binary float stands for its shortest decimal digits, in its own precision.
"""

from __future__ import annotations

import math
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np

_TRUTH: Final = {"true": True, "false": False}
_PANDAS_MISSING: Final = frozenset({"NAType", "NaTType"})


def is_missing(value: object) -> bool:
    """Return whether a raw value is an empty cell: empty text, ``None``, NaN, or what pandas and NumPy have for it."""
    if isinstance(value, (str, bytes)):
        return not value
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    # By name: pandas is nothing that Coterie needs.
    return value is None or value is np.ma.masked or type(value).__name__ in _PANDAS_MISSING


def normal_text(text: str) -> str:
    """Return text in the form in which it is compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def as_float(value: object) -> float | None:
    """Return the number that a cell holds, or ``None`` where it holds none.

    Infinities and NaN count as numbers here; no bounds allow them. Truth values are no numbers, and neither is text
    with underscores, which Python would read.
    """
    if isinstance(value, (bool, np.bool_, np.datetime64, np.timedelta64, np.complexfloating)):
        return None
    if isinstance(value, bytes):
        value = as_text(value)
    if isinstance(value, str) and "_" in value:
        return None
    try:
        # -0.0 becomes 0.0: which of the two equal keys a cache met first must not show in a record.
        return float(value) + 0.0  # type: ignore[arg-type]  # anything that is no number raises
    except (TypeError, ValueError, OverflowError):
        return None


def as_decimal(value: object) -> Decimal | None:
    """Return the finite number that a cell or a level holds, exactly, or ``None`` where it holds none."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, np.generic):
        # NumPy writes the shortest digits in the value's own precision: 0.1 as float32 is "0.1".
        value = str(value) if isinstance(value, np.number) else value.item()
    elif isinstance(value, float):
        value = repr(value)
    if isinstance(value, str) and "_" in value:
        return None
    if not isinstance(value, (str, int, Decimal)):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def as_truth(value: object) -> bool | None:
    """Return the truth value that a cell or a level is or spells, in capitals or not; ``None`` where it is none."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return _TRUTH.get(value.lower()) if isinstance(value, str) else None


def as_text(value: object) -> str | None:
    """Return the text that a cell stands for; of a value that is no text, what a file would have for it.

    Bytes are UTF-8 text, as some databases write it to Parquet. ``None`` where they are not, or it is no single value.
    """
    if isinstance(value, str):
        return normal_text(value)
    if isinstance(value, bytes):
        try:
            return normal_text(value.decode("utf-8"))
        except UnicodeDecodeError:
            return None
    if isinstance(value, (list, tuple, dict, set, np.ndarray)):
        return None
    try:
        return normal_text(str(value))
    except ValueError:  # a whole number of thousands of digits
        return None


def shown(value: Any, *, most: int = 40) -> str:
    """Return how an error shows a value to the owner of the data: quoted, printable, cut."""
    if is_missing(value):
        return "an empty cell" if value is None or isinstance(value, str) else f"an empty cell ({value})"
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = repr(value[: most + 1]) if isinstance(value, (str, bytes)) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a number too long to be shown"
    return text if len(text) <= most else text[: most - 1] + "…"
