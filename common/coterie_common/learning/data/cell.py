# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One raw cell, from any source: missing, or a text or a number.

Files of text, typed tables and DataFrames hold the same records in different types. Only these functions know the
types, so that every source follows the same rules.

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
    """Return true for an empty cell: empty text, ``None``, NaN, or the missing values of pandas and NumPy."""
    if isinstance(value, (str, bytes)):
        return not value
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    # By name: Coterie does not need pandas.
    return value is None or value is np.ma.masked or type(value).__name__ in _PANDAS_MISSING


def normal_text(text: str) -> str:
    """Return text in the form in which it is compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def as_float(value: object) -> float | None:
    """Return the number that a cell holds, or ``None`` if it holds none.

    Infinities and NaN count as numbers here; no bounds allow them. Truth values are not numbers, and neither is text
    with underscores, which Python would parse.
    """
    if isinstance(value, (bool, np.bool_, np.datetime64, np.timedelta64, np.complexfloating)):
        return None
    if isinstance(value, bytes):
        value = as_text(value)
    if isinstance(value, str) and "_" in value:
        return None
    try:
        # -0.0 becomes 0.0: a record must not show which of the two equal keys a cache met first.
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
    """Return the text of a cell; for a value that is not text, the text that a file would hold.

    Bytes are UTF-8 text, as some databases write it to Parquet. ``None`` where they are not, or where it is not a
    single value.
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


def shown(value: Any, *, maximum: int = 40) -> str:
    """Return a value as errors show it to the owner of the data: quoted, printable, cut."""
    if is_missing(value):
        return "an empty cell" if value is None or isinstance(value, str) else f"an empty cell ({value})"
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = repr(value[: maximum + 1]) if isinstance(value, (str, bytes)) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a number too long to be shown"
    return text if len(text) <= maximum else text[: maximum - 1] + "…"
