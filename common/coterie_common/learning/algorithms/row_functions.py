# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Functions of the outputs for a record, in linear models and networks: to the bit, from that record alone.

*Proven*: products, sums, quotients and comparisons are operations of one element each, which IEEE 754 rounds by itself;
long sums are added up in a fixed order (``ordered_sums``). So are the outputs of a linear model.

*Checked*: exponentials and logarithms are not rounded correctly, and a library may compute the last numbers of an array
otherwise than the rest. They are computed in blocks of a fixed size and alignment, the last one filled up with zeros;
and before the first, a process checks that every place of a block gives the same bits, regardless of the others. If
this does not hold, nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from coterie_common.errors import RowsNotIndependent
from coterie_common.learning.algorithm import Float32, Float64
from coterie_common.privacy.ordered_sums import sum_leading, sum_rows

BLOCK: Final = 256
"""Numbers of a block, for every function."""

_PRODUCTS: Final = 1 << 15
"""Products that are added up at a time: their doubles take 256 KiB, less than a second-level cache."""

_ALIGNMENT: Final = 64

_Function = Callable[[Float64, Float64], object]
"""A function of every number of the first array, into the second."""


def linear_outputs(inputs: Float32, weights: Float64, intercepts: Float64) -> Float64:
    """Return weighted sums of each record's inputs, Float64[records, outputs].

    Args:
        inputs: Float32[records, inputs].
        weights: Float64[inputs, outputs].
        intercepts: Float64[outputs].
    """
    outputs = np.empty((len(inputs), len(intercepts)))
    size = max(1, _PRODUCTS // inputs.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(inputs), size):
            columns = np.array(inputs[start : start + size].T, dtype=np.float64, order="C")
            products = np.empty_like(columns)
            for number, intercept in enumerate(intercepts):
                np.multiply(columns, weights[:, number, np.newaxis], out=products)
                outputs[start : start + size, number] = sum_leading(products) + intercept
    return outputs


def sigmoid(outputs: Float64) -> Float64:
    """Return 1/(1 + e^−x) of every number."""
    with np.errstate(over="ignore"):
        shares: Float64 = 1 / (1 + _in_blocks(np.exp, -outputs))
    return shares


def softmax(logits: Float64) -> Float64:
    """Return the shares of the classes, Float64[records, classes]; rows add up to 1."""
    shares = _in_blocks(np.exp, _without_greatest(logits))
    shares /= sum_rows(shares.copy())[:, np.newaxis]
    return shares


def cross_entropy(logits: Float64, classes: npt.NDArray[np.int64]) -> Float64:
    """Return each record's cross-entropy, that is the surprise of its true class, Float64[records], in nats.

    Args:
        logits: Float64[records, classes].
        classes: Int64[records], the true ones.
    """
    shifted = _without_greatest(logits)
    taken = np.take_along_axis(shifted, classes[:, np.newaxis], axis=1)[:, 0]
    losses: Float64 = _in_blocks(np.log, sum_rows(_in_blocks(np.exp, shifted))) - taken
    return losses


def check_places(function: _Function) -> None:
    """Check that a function of every number gives the same bits at every place of a block.

    Args:
        function: of Float64[``BLOCK``], element by element, and of the array for the results.

    Raises:
        RowsNotIndependent: it does not.
    """
    extremes = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        5e-324,
        -5e-324,
        2.0**60,
        -(2.0**60),
        709.0,
        -745.0,
        1e308,
        np.inf,
        -np.inf,
        np.nan,
    ]
    ordinary = np.geomspace(2.0**-30, 700, BLOCK - len(extremes)) * np.resize([1, -1, -1], BLOCK - len(extremes))
    numbers = np.array([*extremes, *ordinary])
    block, results = _aligned(), _aligned()

    def computed(values: Float64) -> Float64:
        block[:] = values
        function(block, results)
        return results.copy()

    with np.errstate(all="ignore"):
        expected = computed(numbers)
        for shift in range(BLOCK):
            if not same_bits(computed(np.roll(numbers, shift)), np.roll(expected, shift)) or not same_bits(
                computed(np.full(BLOCK, numbers[shift])), np.full(BLOCK, expected[shift])
            ):
                raise RowsNotIndependent(
                    "on this machine a function of one number depends on its place among others; use another build of "
                    "NumPy"
                )


def same_bits(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> bool:
    """Return true if two arrays of one type hold the same bits; all NaNs are equal."""
    integers = np.dtype(f"i{one.dtype.itemsize}")
    is_same = (one.view(integers) == other.view(integers)) | (np.isnan(one) & np.isnan(other))
    return bool(is_same.all())


@cache
def _check_once(function: _Function) -> None:
    check_places(function)


def _in_blocks(function: _Function, numbers: Float64) -> Float64:
    _check_once(function)
    flat = numbers.reshape(-1)
    computed, block, results = np.empty(len(flat)), _aligned(), _aligned()
    with np.errstate(all="ignore"):
        for start in range(0, len(flat), BLOCK):
            part = flat[start : start + BLOCK]
            block[: len(part)], block[len(part) :] = part, 0
            function(block, results)
            computed[start : start + BLOCK] = results[: len(part)]
    return computed.reshape(numbers.shape)


def _aligned() -> Float64:
    """Return a new Float64[``BLOCK``] that begins at a multiple of ``_ALIGNMENT`` bytes."""
    memory = np.empty(8 * BLOCK + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + 8 * BLOCK].view(np.float64)


def _without_greatest(logits: Float64) -> Float64:
    # With the maximum subtracted, exponentials cannot overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        shifted: Float64 = logits - logits.max(axis=1, keepdims=True)
    return shifted
