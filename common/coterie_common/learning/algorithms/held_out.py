# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The evaluation of a model on records that the parties set aside, as one more round of sums of small vectors.

- A classifier: every record gives (1, 0) if it is predicted right, (0, 1) if wrong, its cross-entropy, and 1 at its
  class.
- A regressor: every record gives 1, its absolute error, its squared error, its label and the label's square.

The classes, and the labels and their squares, give the base rate: the figure of the best guess that uses no feature. An
accuracy means nothing without it.

Losses are cut off at a public bound and divided by it, so that no record outweighs others and the vector's norm is
small. The release is sums over all parties, with noise; the figures are computed from them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from coterie_common.learning.algorithm import Float32, Float64, Release
from coterie_common.learning.algorithms.noisy_counts import has_enough_records, project
from coterie_common.learning.algorithms.row_functions import cross_entropy
from coterie_common.learning.data.column import NumericColumn

_MAX_ERROR: Final = 2.0
"""In half ranges: predictions and labels are both within −1 … 1."""


class Measure(ABC):
    """The vectors of held-out records in the last round of a job, and the figures computed from their sum."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Numbers of a record's vector."""

    @property
    @abstractmethod
    def norm(self) -> Fraction:
        """Maximum L2 norm of a record's vector."""

    @abstractmethod
    def figures(self, release: Release) -> Mapping[str, Any]:
        """Return the figures of a released sum over all records held out.

        ``records`` and ``noise_stddev``, of the noise in a sum, are always there. Where there are too few records
        beside the noise, ``too_few_records`` is true and every other figure is ``None``.
        """


@dataclass(frozen=True, slots=True)
class ClassifierMeasure(Measure):
    """The measure of a classifier with this number of classes."""

    classes: int

    @property
    @override
    def length(self) -> int:
        return 3 + self.classes

    @property
    def norm(self) -> Fraction:
        """See ``Measure``; at least √3: two marks, and a loss of at most 1."""
        return Fraction(1733, 1000)

    def figures(self, release: Release) -> Mapping[str, Any]:
        """See ``Measure``; accuracy, the share of the most frequent class, and the mean cross-entropy in nats."""
        right, wrong, loss, *classes = release.values.tolist()
        records, noise = right + wrong, release.noise_stddev
        enough = has_enough_records(records, noise * math.sqrt(2))
        counts = project(np.array([classes], np.float64))[0]
        return {
            "records": records,
            "too_few_records": not enough,
            "accuracy": _within(right / records) if enough else None,
            "base_rate": _within(float(counts.max()) / records) if enough else None,
            "loss": max(0.0, loss / records) * loss_bound(self.classes) if enough else None,
            "noise_stddev": noise,
        }


@dataclass(frozen=True, slots=True)
class RegressorMeasure(Measure):
    """The measure of a regressor of this label; errors are in the label's own unit."""

    label: NumericColumn

    @property
    @override
    def length(self) -> int:
        return 5

    @property
    def norm(self) -> Fraction:
        """See ``Measure``; at least √5: five numbers of at most 1."""
        return Fraction(2237, 1000)

    def figures(self, release: Release) -> Mapping[str, Any]:
        """See ``Measure``; errors of the model, the error of always predicting the mean, and R² of the two."""
        records, absolute, squared, label, label_squared = release.values.tolist()
        enough = has_enough_records(records, release.noise_stddev)
        half = (self.label.upper - self.label.lower) / 2
        error, spread = 0.0, 0.0
        if enough:
            error = _within(squared / records) * _MAX_ERROR**2
            spread = max(0.0, _within(label_squared / records) - (label / records) ** 2)
        return {
            "records": records,
            "too_few_records": not enough,
            "mean_absolute_error": _within(absolute / records) * _MAX_ERROR * half if enough else None,
            "root_mean_squared_error": math.sqrt(error) * half if enough else None,
            "base_root_mean_squared_error": math.sqrt(spread) * half if enough else None,
            "r_squared": 1 - error / spread if spread > 0 else None,
            "noise_stddev": release.noise_stddev,
        }


def loss_bound(classes: int) -> float:
    """Return the bound on a record's cross-entropy, in nats: four times that of a guess."""
    return 4 * math.log(classes)


def classifier_rows(logits: Float64, classes: npt.NDArray[np.int64]) -> Float32:
    """Return the vectors of records, Float32[records, 3 + number of classes]; see ``ClassifierMeasure``.

    Args:
        logits: Float64[records, classes].
        classes: Int64[records], the true ones.
    """
    losses = cross_entropy(logits, classes)
    is_right = logits.argmax(axis=1) == classes
    bound = loss_bound(logits.shape[1])
    marks = classes[:, np.newaxis] == np.arange(logits.shape[1])
    return np.column_stack([is_right, ~is_right, np.minimum(losses, bound) / bound, marks]).astype(np.float32)


def regressor_rows(predictions: Float64, labels: Float64) -> Float32:
    """Return the vectors of records, Float32[records, 5]; both arguments in half ranges, Float64[records]."""
    errors = np.abs(np.clip(predictions, -1, 1) - labels) / _MAX_ERROR
    return np.stack([np.ones_like(errors), errors, errors**2, labels, labels**2], axis=1).astype(np.float32)


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))
