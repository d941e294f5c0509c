# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Stored values as rows of numbers for gradient methods.

A level becomes a one-hot vector; a number is measured from the middle of its column's bounds, in half ranges, and is
within −1 … 1. Both follow from the public schema alone: a row depends on its own record only, and on nothing learned
from others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common.errors import InvalidJob
from coterie_common.learning.algorithm import Float32, Float64, Values
from coterie_common.learning.data.column import CategoricalColumn, Column, NumericColumn
from coterie_common.learning.data.schema import Schema

Classes: TypeAlias = npt.NDArray[np.int64]


def width(schema: Schema) -> int:
    """Return the number of inputs that the features of a record become.

    Raises:
        InvalidJob: there are no features.
    """
    if not schema.features:
        raise InvalidJob("[schema] needs at least one column besides the label")
    return sum(_width(column) for column in schema.features)


def to_inputs(schema: Schema, values: Values, rows: int) -> Float32:
    """Return the features of every record, Float32[rows, width], each between −1 and 1.

    Args:
        schema: its features name the columns, in this order.
        values: stored values of at least these columns.
        rows: number of records.
    """
    inputs = np.zeros((rows, width(schema)), np.float32)
    numbers = [column for column in schema.features if isinstance(column, NumericColumn)]
    if numbers:
        # All at once: images have hundreds of columns, and batches few rows.
        stacked = np.stack([values[column.name] for column in numbers], axis=1)
        positions = numeric_positions(schema)
        first, last = positions[0], positions[-1] + 1
        inputs[:, slice(first, last) if last - first == len(positions) else positions] = _in_half_ranges(
            stacked,
            np.array([column.lower for column in numbers]),
            np.array([column.upper for column in numbers]),
        )
    start = 0
    for column in schema.features:
        if isinstance(column, CategoricalColumn):
            inputs[np.arange(rows), start + values[column.name]] = 1
        start += _width(column)
    return inputs


def class_labels(schema: Schema, values: Values) -> Classes:
    """Return the class of every record, Int64[rows]; call it only where the label is categorical."""
    return values[schema.label_name].astype(np.int64)


def numeric_label(schema: Schema) -> NumericColumn:
    """Return the label's column.

    Raises:
        InvalidJob: there is no label, or it has levels.
    """
    label = schema.by_name[schema.label_name]
    if not isinstance(label, NumericColumn):
        raise InvalidJob(f"[schema] label {label.name!r} needs lower and upper: it is the number to predict")
    return label


def in_half_ranges(column: NumericColumn, values: npt.NDArray[Any]) -> Float64:
    """Return numbers as multiples of half the column's range, from its middle: −1 … 1."""
    return _in_half_ranges(values, column.lower, column.upper)


def _in_half_ranges(values: npt.NDArray[Any], lower: float | Float64, upper: float | Float64) -> Float64:
    half = (upper - lower) / 2
    shares: Float64 = (values - (lower + half)) / half
    # The bounds hold for every stored value; clipping keeps rounding in the division from stepping over them.
    return np.clip(shares, -1, 1)


def from_half_ranges(column: NumericColumn, shares: Float64) -> Float64:
    """Return the inverse of ``in_half_ranges``; beyond −1 … 1 the bound."""
    half = (column.upper - column.lower) / 2
    return np.clip(shares, -1, 1) * half + (column.lower + half)


def numeric_positions(schema: Schema) -> npt.NDArray[np.intp]:
    """Return the positions of numbers in a row of inputs, ascending; the other positions are one-hot."""
    widths = [_width(column) for column in schema.features]
    starts = np.cumsum([0, *widths[:-1]]).astype(np.intp)
    is_number = [isinstance(column, NumericColumn) for column in schema.features]
    return np.compress(is_number, starts)


@dataclass(frozen=True, eq=False, slots=True)
class Scaling:
    """Centre and scale of the numeric features, in half ranges.

    Attributes:
        centre, scale: Float64[numeric features]; the scale is above 0.
    """

    centre: Float64
    scale: Float64

    def apply(self, inputs: Float32, positions: npt.NDArray[np.intp]) -> Float32:
        """Return rows of inputs with their numbers shifted and scaled."""
        scaled = inputs.copy()
        scaled[:, positions] = (inputs[:, positions] - self.centre) / self.scale
        return scaled

    def to_arrays(self) -> Mapping[str, Float64]:
        """Return the arrays by name, as bodies carry them."""
        return {"centre": self.centre, "scale": self.scale}


def _width(column: Column) -> int:
    return len(column.levels) if isinstance(column, CategoricalColumn) else 1
