# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One column of a data schema: its allowed values and the histogram cell of each.

A column states the allowed values *before* anyone looks at data: levels and bounds are public, so that neither the
length of a reply nor the value of a bin's edge depends on a record.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from coterie_common.learning.data.cell import as_decimal, as_float, as_text, as_truth, is_missing, normal_text
from coterie_common.limits import MAX_COLUMN_CELLS
from coterie_common.strict_model import StrictModel

Cells: TypeAlias = npt.NDArray[np.int32]

_MAX_NAME_CHARACTERS: Final = 200
_LEVELS_SHOWN: Final = 8
_LEVEL_CHARACTERS: Final = 40


def _as_real(value: Any) -> Any:
    """Turn any number that a job file may hold into a finite float; anything else is left to be refused."""
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

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS)]


class CategoricalColumn(StrictModel):
    """A column that holds one of a few known texts.

    Attributes:
        name: as in the data's header.
        levels: every allowed value, in the order of the cells.
    """

    name: Name
    levels: Annotated[tuple[str, ...], Field(strict=False, min_length=2, max_length=MAX_COLUMN_CELLS)]

    @model_validator(mode="after")
    def _check_distinct(self) -> CategoricalColumn:
        if len(self._texts) != len(self.levels):
            repeated = _first_repeated([normal_text(level) for level in self.levels])
            raise ValueError(f"levels must not repeat a level: {_name_level(repeated)} is there twice")
        if self.holds_numbers and len(self._numbers) != sum(level != "" for level in self.levels):
            numbers = [as_decimal(level) for level in self.levels]
            first, second = (
                level for level, n in zip(self.levels, numbers, strict=True) if n == _first_repeated(numbers)
            )
            raise ValueError(
                f"levels must not repeat a number: {_name_level(first)} and {_name_level(second)} are equal"
            )
        return self

    @cached_property
    def _texts(self) -> dict[str, int]:
        return {normal_text(level): position for position, level in enumerate(self.levels)}

    @cached_property
    def _numbers(self) -> dict[Decimal, int]:
        """Positions by number, of levels that no other level is equal to."""
        numbers = [as_decimal(level) for level in self.levels]
        times = Counter(numbers)
        return {n: position for position, n in enumerate(numbers) if n is not None and times[n] == 1}

    @cached_property
    def _truths(self) -> dict[bool, int]:
        truths = [as_truth(level) for level in self.levels]
        times = Counter(truths)
        return {truth: position for position, truth in enumerate(truths) if truth is not None and times[truth] == 1}

    @cached_property
    def holds_numbers(self) -> bool:
        """True if every level but an empty one is a number: cells are then compared as numbers, 3.0 is 3."""
        return all(level == "" or as_decimal(level) is not None for level in self.levels)

    @cached_property
    def _holds_truths(self) -> bool:
        """True if every level but an empty one spells a truth value: True is then true."""
        return len(self._truths) == sum(level != "" for level in self.levels)

    def level_of_number(self, text: str) -> str | None:
        """Return the level that is the same number as text, if one is; ``None`` otherwise."""
        number = as_decimal(text)
        position = None if number is None else self._numbers.get(number)
        return None if position is None else self.levels[position]

    def is_level(self, text: str) -> bool:
        """Return true if text is a level, letter by letter."""
        return normal_text(text) in self._texts

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
        """The allowed values, in words."""
        shown = ", ".join(_name_level(level) for level in self.levels[:_LEVELS_SHOWN])
        more = len(self.levels) - _LEVELS_SHOWN
        return f"one of {shown} and {more} more" if more > 0 else f"one of {shown}"

    def parse(self, value: object) -> int | None:
        """Return the position of a raw value in ``levels``, or ``None`` if it is not allowed.

        Where all levels are numbers, numbers are compared: "3", "3.0" and the number 3 are one cell. Where all are
        truth values, so are these. Otherwise text is compared, and a typed number or truth value is the level that
        spells it. A missing value is the level of empty text, where there is one.
        """
        if is_missing(value):
            return self._texts.get("")
        text = as_text(value)
        if text is None:
            return None
        is_typed = not isinstance(value, (str, bytes))
        cell = value if is_typed else text
        if self.holds_numbers and (number := as_decimal(cell)) is not None:
            return self._numbers.get(number)
        if self._holds_truths and (truth := as_truth(cell)) is not None:
            return self._truths.get(truth)
        position = self._texts.get(text)
        if position is None and is_typed:
            if (number := as_decimal(cell)) is not None:
                return self._numbers.get(number)
            if (truth := as_truth(cell)) is not None:
                return self._truths.get(truth)
        return position

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
        lower, upper: minimum and maximum allowed value, both included.
        bins: cells of equal width into which counting algorithms sort the values; the last includes ``upper``.
        integer: true if only whole numbers are allowed.
        missing: the number for an empty cell; without it an empty cell is not allowed.
    """

    name: Name
    lower: Real
    upper: Real
    bins: Annotated[int, Field(ge=2, le=MAX_COLUMN_CELLS)] | None = None
    integer: bool = False
    missing: Real | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> NumericColumn:
        if not self.lower < self.upper:
            raise ValueError("lower must be less than upper")
        # Below this, half of it may be 0 and a value divided by it not a number, and no sensitivity bounds such a sum.
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
        """The allowed values, in words."""
        kind = "a whole number" if self.integer else "a number"
        return f"{kind} from {self.lower:.12g} to {self.upper:.12g}"

    def parse(self, value: object) -> float | None:
        """Return a raw value as a number, or ``None`` if it is not allowed."""
        if is_missing(value):
            return self.missing
        number = as_float(value)
        if number is not None and isinstance(value, (np.float16, np.float32)):
            number = float(self._widened(np.array([value]))[0])
        return number if number is not None and self._is_allowed(number) else None

    def parse_numbers(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Parse numbers of any NumPy type as ``parse`` does, all at once.

        Returns:
            Float64[rows]: the values, NaN for one that is not allowed.
        """
        values = self._widened(numbers)
        if self.missing is not None:
            values[np.isnan(values)] = self.missing
        allowed = (values >= self.lower) & (values <= self.upper)
        if self.integer:
            allowed &= values == np.floor(values)
        if not allowed.all():
            values[~allowed] = np.nan
        return values

    def _widened(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return numbers as Float64, without −0.

        In half and single precision, a bound such as 0.1 is stored as the number next to it.
        """
        values = numbers.astype(np.float64) + 0.0
        if numbers.dtype in (np.float16, np.float32):
            with np.errstate(over="ignore", under="ignore"):
                for bound in (self.lower, self.upper):
                    written = numbers.dtype.type(bound)
                    if np.isfinite(written) and written != 0:
                        values[numbers == written] = bound
        return values

    def to_cells(self, values: npt.NDArray[Any]) -> Cells:
        """Return the bin of each stored value; call it only where ``cells`` is not ``None``.

        A value is in the bin whose exact bounds hold it. Edges are rounded to the nearest float only once, as a file's
        numbers are, and rounding keeps the order: a number written like an edge is the edge's float. Multiplying the
        value's share of the range by the number of bins would round three times and put it into a neighbour.
        """
        positions = np.searchsorted(self._inner_edges, values, side="right")
        return positions.astype(np.int32)

    def cell_names(self) -> tuple[str, ...]:
        """Name of each bin: its range, with enough digits to distinguish its edges from every other number."""
        edges = [_shortest(edge) for edge in (self.lower, *self._inner_edges.tolist(), self.upper)]
        closing = [")"] * (len(edges) - 2) + ["]"]
        return tuple(f"[{low}, {high}{end}" for low, high, end in zip(edges[:-1], edges[1:], closing, strict=True))

    @cached_property
    def _inner_edges(self) -> npt.NDArray[np.float64]:
        """Return the minimum value of every bin but the first, Float64[bins − 1]."""
        # The bounds as written in the schema: 0.1 is a tenth, not the binary fraction beside it.
        lower, upper, bins = Fraction(repr(self.lower)), Fraction(repr(self.upper)), self.bins or 1
        return np.array([float(lower + (upper - lower) * edge / bins) for edge in range(1, bins)], np.float64)


Column: TypeAlias = CategoricalColumn | NumericColumn


def _shortest(number: float) -> str:
    return repr(number).removesuffix(".0")


def _name_level(level: Any) -> str:
    text = repr(level)
    return text if len(text) <= _LEVEL_CHARACTERS else text[: _LEVEL_CHARACTERS - 1] + "…"


def _first_repeated(values: Sequence[Any]) -> Any:
    times = Counter(values)
    return next(value for value in values if value is not None and times[value] > 1)
