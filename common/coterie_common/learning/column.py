# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One column of a data schema: which values it may hold, and in which cell of a histogram each falls.

A column says what is allowed *before* anybody looks at data: levels and bounds are public, so that neither the length
of a reply nor the value of a bin's edge depends on a record.
"""

from __future__ import annotations

import math
import sys
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from coterie_common.limits import COLUMN_CELLS_MOST
from coterie_common.strict_model import StrictModel

Cells: TypeAlias = npt.NDArray[np.int32]

_NAME_CHARACTERS_MOST: Final = 200
_LEVELS_SHOWN: Final = 8


def _as_real(value: Any) -> Any:
    """Turn what a job file may hold for a number into a finite float; anything else is left to be refused."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return value
    try:
        number = float(Decimal(value) if isinstance(value, str) else value)
    except (InvalidOperation, OverflowError) as cause:
        raise ValueError("must be a number") from cause
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


Real: TypeAlias = Annotated[
    float,
    BeforeValidator(_as_real),
    PlainSerializer(lambda number: _shortest(number), return_type=str, when_used="json"),
]
"""A finite float; in documents exact decimal text, as job specifications hold no binary floats."""

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=_NAME_CHARACTERS_MOST)]


class CategoricalColumn(StrictModel):
    """A column that holds one of a few known texts.

    Attributes:
        name: as in the data's header.
        levels: every allowed value, in the order of the cells.
    """

    name: Name
    levels: Annotated[tuple[str, ...], Field(strict=False, min_length=2, max_length=COLUMN_CELLS_MOST)]

    @field_validator("levels")
    @classmethod
    def _check_distinct(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(levels)) != len(levels):
            raise ValueError("must not repeat a level")
        return levels

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {level: position for position, level in enumerate(self.levels)}

    @property
    def dtype(self) -> type[np.int32]:
        """Type of the stored values: positions in ``levels``."""
        return np.int32

    @property
    def cells(self) -> int | None:
        """Number of histogram cells."""
        return len(self.levels)

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        shown = ", ".join(repr(level) for level in self.levels[:_LEVELS_SHOWN])
        more = len(self.levels) - _LEVELS_SHOWN
        return f"one of {shown} and {more} more" if more > 0 else f"one of {shown}"

    def parse(self, value: object) -> int | None:
        """Return the position of a raw value in ``levels``, or ``None`` where it is not allowed.

        Whole numbers stand for their digits: files and tables type a level such as "1" as a number. A missing value is
        the level of empty text, where there is one.
        """
        if _is_missing(value):
            value = ""
        if isinstance(value, (float, np.floating)) and value.is_integer():
            value = int(value)
        return self._positions.get(str(value))

    def to_cells(self, values: npt.NDArray[Any]) -> Cells:
        """Return the histogram cell of each stored value: itself."""
        return values.astype(np.int32, copy=False)

    def cell_names(self) -> tuple[str, ...]:
        """Name of each cell."""
        return self.levels


class NumericColumn(StrictModel):
    """A column that holds numbers within public bounds.

    Attributes:
        name: as in the data's header.
        lower, upper: least and greatest allowed value, both included.
        bins: cells of equal width into which counting algorithms sort the values; the last includes ``upper``.
        integer: whether only whole numbers are allowed.
        missing: the number that an empty cell stands for; without it an empty cell is not allowed.
    """

    name: Name
    lower: Real
    upper: Real
    bins: Annotated[int, Field(ge=2, le=COLUMN_CELLS_MOST)] | None = None
    integer: bool = False
    missing: Real | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> NumericColumn:
        if not self.lower < self.upper:
            raise ValueError("lower must be less than upper")
        # Below, half of it may be 0, and a value divided by it no number, whose sum no sensitivity bounds.
        if not sys.float_info.min <= self.upper - self.lower < math.inf:
            raise ValueError(f"upper - lower must be finite and at least {sys.float_info.min:.3g}")
        if self.missing is not None and not self._is_allowed(self.missing):
            raise ValueError(f"missing must be {self.allowed}")
        return self

    def _is_allowed(self, number: float) -> bool:
        # NaN fails both comparisons
        return self.lower <= number <= self.upper and (not self.integer or number.is_integer())

    @property
    def dtype(self) -> type[np.float64]:
        """Type of the stored values."""
        return np.float64

    @property
    def cells(self) -> int | None:
        """Number of histogram cells; ``None`` where the schema gives no bins."""
        return self.bins

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        kind = "a whole number" if self.integer else "a number"
        return f"{kind} from {self.lower:.12g} to {self.upper:.12g}"

    def parse(self, value: object) -> float | None:
        """Return a raw value as a number, or ``None`` where it is not allowed."""
        if _is_missing(value):
            return self.missing
        if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and "_" in value):
            return None  # Python reads True as 1 and "1_0" as 10; a data file means neither
        try:
            number = float(value)  # type: ignore[arg-type]  # anything that is no number raises
        except (TypeError, ValueError, OverflowError):
            return None
        return number if self._is_allowed(number) else None

    def to_cells(self, values: npt.NDArray[Any]) -> Cells:
        """Return the bin of each stored value; call it only where ``cells`` is not ``None``.

        A value is in the bin whose exact bounds hold it. Edges are rounded to the nearest float only once, as a file's
        numbers are, and rounding keeps the order: a number that is written as an edge is its float. Multiplying the
        value's share of the range by the number of bins would round three times and put it into a neighbour.
        """
        positions = np.searchsorted(self._inner_edges, values, side="right")
        return positions.astype(np.int32)

    def cell_names(self) -> tuple[str, ...]:
        """Name of each bin: its range, with as many digits as tell its edges from every other number."""
        edges = [_shortest(edge) for edge in (self.lower, *self._inner_edges.tolist(), self.upper)]
        closing = [")"] * (len(edges) - 2) + ["]"]
        return tuple(f"[{low}, {high}{end}" for low, high, end in zip(edges[:-1], edges[1:], closing, strict=True))

    @cached_property
    def _inner_edges(self) -> npt.NDArray[np.float64]:
        """Return the least value of every bin but the first, Float64[bins − 1]."""
        # The bounds as they are written in the schema: 0.1 is a tenth, not the binary fraction beside it.
        lower, upper, bins = Fraction(repr(self.lower)), Fraction(repr(self.upper)), self.bins or 1
        return np.array([float(lower + (upper - lower) * edge / bins) for edge in range(1, bins)], np.float64)


Column: TypeAlias = CategoricalColumn | NumericColumn


def _shortest(number: float) -> str:
    return repr(number).removesuffix(".0")


def _is_missing(value: object) -> bool:
    """Return whether a raw value is an empty cell, as files, tables and DataFrames have it."""
    return value is None or value == "" or (isinstance(value, (float, np.floating)) and math.isnan(value))
