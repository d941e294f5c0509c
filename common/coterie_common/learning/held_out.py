# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""How well a model does on records that the parties set aside, as one more round of sums of small vectors.

- A classifier: every record gives (1, 0) if it is predicted right, (0, 1) if wrong, and its cross-entropy.
- A regressor: every record gives 1, its absolute error and its squared error.

Losses are cut off at a public bound and divided by it, so that no record outweighs others and the vector's norm is
small. What is released are sums over all parties, with noise; the figures are made from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_common.learning.algorithm import Float32, Float64, Release
from coterie_common.learning.column import NumericColumn

LENGTH: Final = 3
CLASSIFIER_NORM: Final = Fraction(1415, 1000)
"""≥ √2: one of two marks, and a loss of at most 1."""

REGRESSOR_NORM: Final = Fraction(1733, 1000)
"""≥ √3: three numbers of at most 1."""

_ERROR_MOST: Final = 2.0
"""In half ranges: predictions and labels both lie in −1 … 1."""


def loss_bound(classes: int) -> float:
    """Return where a record's cross-entropy is cut off, in nats: four times that of a guess."""
    return 4 * math.log(classes)


def classifier_rows(logits: Float64, classes: npt.NDArray[np.int64]) -> Float32:
    """Return what records give to the sum, Float32[records, 3].

    Args:
        logits: Float64[records, classes].
        classes: Int64[records], the true ones.
    """
    # Without the greatest, exponentials cannot overflow.
    shifted = logits - logits.max(axis=1, keepdims=True)
    taken = np.take_along_axis(shifted, classes[:, np.newaxis], axis=1)[:, 0]
    losses = np.log(np.exp(shifted).sum(axis=1)) - taken
    is_right = logits.argmax(axis=1) == classes
    bound = loss_bound(logits.shape[1])
    return np.stack([is_right, ~is_right, np.minimum(losses, bound) / bound], axis=1).astype(np.float32)


def regressor_rows(predictions: Float64, labels: Float64) -> Float32:
    """Return what records give to the sum, Float32[records, 3]; both arguments in half ranges, Float64[records]."""
    errors = np.abs(np.clip(predictions, -1, 1) - labels) / _ERROR_MOST
    return np.stack([np.ones_like(errors), errors, errors**2], axis=1).astype(np.float32)


def classifier_figures(release: Release, classes: int) -> Mapping[str, Any]:
    """Return accuracy and loss; ``None`` where noise leaves no record."""
    right, wrong, loss = release.values.tolist()
    records = right + wrong
    return {
        "records": records,
        "accuracy": _within(right / records) if records > 0 else None,
        "loss": max(0.0, loss / records) * loss_bound(classes) if records > 0 else None,
        "noise_stddev": release.noise_stddev,
    }


def regressor_figures(release: Release, label: NumericColumn) -> Mapping[str, Any]:
    """Return errors in the label's own unit; ``None`` where noise leaves no record."""
    records, absolute, squared = release.values.tolist()
    unit = _ERROR_MOST * (label.upper - label.lower) / 2
    return {
        "records": records,
        "mean_absolute_error": _within(absolute / records) * unit if records > 0 else None,
        "root_mean_squared_error": math.sqrt(_within(squared / records)) * unit if records > 0 else None,
        "noise_stddev": release.noise_stddev,
    }


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))
