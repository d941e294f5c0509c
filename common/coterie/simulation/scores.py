# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Scores of a model on held-out records, by the figures usual for its kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common.learning.algorithm import Classifier, Regressor, get_algorithm
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.evaluation import Evaluation, figures
from coterie_common.learning.model import Model

Scores: TypeAlias = Mapping[str, float]
"""Of a classifier ``accuracy``, ``f1_weighted`` and ``f1_macro`` (over the classes that occur), from 0 to 1; of a
regressor ``mean_absolute_error`` in the label's unit and ``r_squared``, at most 1. Of an evaluation, those that it
released, with the ``base_rate``. Not a number where there are too few records. Other models have none."""

_OF_CLASSES: Final = ("accuracy", "f1_weighted", "f1_macro")
_OF_EVALUATION: Final = (*_OF_CLASSES, "base_rate")


def scores_of(model: Model, tested: Dataset) -> Scores:
    """Predict records whose label is known.

    Args:
        model: any.
        tested: at least one record.
    """
    if model.algorithm == Evaluation.name:
        return _numbers(model.body, _OF_EVALUATION)
    algorithm = get_algorithm(model.algorithm)
    if isinstance(algorithm, Classifier):
        shares = algorithm.probabilities(model.schema, model.body, tested.columns)
        return class_scores(shares.argmax(axis=1), tested)
    if isinstance(algorithm, Regressor):
        return number_scores(algorithm.predictions(model.schema, model.body, tested.columns), tested)
    return {}


def number_scores(predicted: npt.NDArray[np.floating], tested: Dataset) -> Scores:
    """Compare predicted numbers, Float[records], with the true ones."""
    truth = tested.columns[tested.schema.label_name].astype(np.float64)
    missed = truth - predicted
    spread = float(np.square(truth - truth.mean()).sum())
    return {
        "mean_absolute_error": float(np.abs(missed).mean()),
        "r_squared": 1 - float(np.square(missed).sum()) / spread if spread else 0.0,
    }


def class_scores(predicted: npt.NDArray[np.integer], tested: Dataset) -> Scores:
    """Compare predicted classes, Int[records], with the true ones."""
    names = tested.schema.class_names
    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, (tested.cells(tested.schema.label_name), predicted), 1)
    found = figures(matrix, names, 0.0)
    return _numbers(found, _OF_CLASSES)


def _numbers(found: Mapping[str, Any], names: Sequence[str]) -> Scores:
    return {name: math.nan if found[name] is None else float(found[name]) for name in names}


def mean_of(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each figure."""
    return {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}


def stddev_of(scores: Sequence[Scores]) -> Scores:
    """Return the standard deviation of each figure over two or more runs; 0 of one alone."""
    if len(scores) < 2:
        return dict.fromkeys(scores[0], 0.0)
    return {name: float(np.std([each[name] for each in scores], ddof=1)) for name in scores[0]}
