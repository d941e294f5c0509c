# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss, r2_score

from coterie_common.learning.algorithm import Release
from coterie_common.learning.algorithms import held_out
from coterie_common.learning.data.column import NumericColumn

LABEL = NumericColumn(name="y", lower=0, upper=10)
MEASURE = held_out.RegressorMeasure(LABEL)
DRAW = np.random.default_rng(3)


def released(rows: NDArray[np.float32], noise_stddev: float = 0.0) -> Release:
    return Release(rows.astype(np.float64).sum(axis=0), 3, noise_stddev)


def test_classifier_rows_add_up_to_accuracy_and_cross_entropy():
    logits, classes = DRAW.normal(size=(50, 3)), DRAW.integers(0, 3, 50)
    figures = held_out.ClassifierMeasure(3).figures(released(held_out.classifier_rows(logits, classes)))
    assert figures["records"] == 50
    assert figures["accuracy"] == pytest.approx((logits.argmax(axis=1) == classes).mean())
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert figures["loss"] == pytest.approx(log_loss(classes, shares, labels=[0, 1, 2]), rel=1e-5)


def test_classifier_row_is_never_longer_than_its_bound_and_losses_are_cut_off():
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0], [0.0, 0.0]])
    rows = held_out.classifier_rows(logits, np.array([0, 0, 1]))
    assert rows[0].tolist() == [1, 0, 0, 1, 0]
    assert rows[1].tolist() == [0, 1, 1, 1, 0]
    assert rows.shape[1] == held_out.ClassifierMeasure(2).length
    assert rows[2, 2] == pytest.approx(math.log(2) / held_out.loss_bound(2))
    assert np.linalg.norm(rows, axis=1).max() <= held_out.ClassifierMeasure(2).norm


def test_regressor_rows_add_up_to_errors_in_the_labels_unit():
    predictions, labels = DRAW.uniform(-1.5, 1.5, 40), DRAW.uniform(-1, 1, 40)
    rows = held_out.regressor_rows(predictions, labels)
    assert np.linalg.norm(rows, axis=1).max() <= MEASURE.norm
    figures = MEASURE.figures(released(rows))
    errors = 5 * np.abs(np.clip(predictions, -1, 1) - labels)
    assert figures["mean_absolute_error"] == pytest.approx(errors.mean(), rel=1e-5)
    assert figures["root_mean_squared_error"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-5)


@pytest.mark.parametrize("labels", [np.array([1.0]), np.array([-1.0]), np.linspace(-1, 1, 9)])
@pytest.mark.parametrize("prediction", [-1e9, -1.0, 1.0, 1e9])
def test_regressor_row_is_never_longer_than_its_bound(labels, prediction):
    rows = held_out.regressor_rows(np.full(len(labels), prediction), labels)
    assert rows.shape[1] == MEASURE.length
    assert np.linalg.norm(rows.astype(np.float64), axis=1).max() <= MEASURE.norm


def test_classifier_figures_hold_the_share_of_the_most_frequent_class():
    classes = np.array([0] * 30 + [1] * 50 + [2] * 20)
    rows = held_out.classifier_rows(DRAW.normal(size=(100, 3)), classes)
    assert held_out.ClassifierMeasure(3).figures(released(rows))["base_rate"] == 0.5


@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.5])
def test_regressor_figures_hold_what_the_mean_would_reach(shift):
    labels = np.clip(DRAW.normal(shift, 0.2, 60), -1, 1)
    predictions = np.clip(labels + DRAW.normal(0, 0.1, 60), -1, 1)
    figures = MEASURE.figures(released(held_out.regressor_rows(predictions, labels)))
    assert figures["base_root_mean_squared_error"] == pytest.approx(5 * labels.std(), rel=1e-4)
    assert figures["r_squared"] == pytest.approx(r2_score(labels, predictions), abs=1e-4)


@pytest.mark.parametrize(
    ("records", "noise_stddev"), [(-3.0, 5.0), (0.0, 5.0), (0.0, 0.0), (9.0, 0.0), (24.0, 5.0), (3000.0, 2000.0)]
)
def test_figures_of_too_few_records_beside_the_noise_say_so_and_nothing_else(records, noise_stddev):
    classifier = held_out.ClassifierMeasure(2).figures(Release(np.array([records, 0, 1, 1, 1]), 3, noise_stddev))
    regressor = MEASURE.figures(Release(np.array([records, 1, 1, 1, 1]), 3, noise_stddev))
    for figures in (classifier, regressor):
        assert figures["too_few_records"]
        assert figures["records"] == records
        assert figures["noise_stddev"] == noise_stddev
        others = figures.keys() - {"too_few_records", "records", "noise_stddev"}
        assert {figures[name] for name in others} == {None}


@pytest.mark.parametrize(("records", "noise_stddev"), [(10.0, 0.0), (30.0, 4.0), (3000.0, 400.0)])
def test_figures_of_enough_records_are_there(records, noise_stddev):
    sums = np.array([records, 0, 1, records / 2, records / 2])
    figures = held_out.ClassifierMeasure(2).figures(Release(sums, 3, noise_stddev))
    assert (figures["too_few_records"], figures["accuracy"]) == (False, 1.0)
    assert figures["base_rate"] == pytest.approx(0.5)


def test_figures_of_noisy_sums_stay_within_what_can_be():
    classifier = held_out.ClassifierMeasure(2).figures(Release(np.array([62.0, -2.0, -1.0, 70.0, -20.0]), 3, 5.0))
    assert (classifier["accuracy"], classifier["loss"], classifier["base_rate"]) == (1.0, 0.0, pytest.approx(50 / 60))
    regressor = MEASURE.figures(Release(np.array([60.0, -1.0, -2.0, 70.0, 10.0]), 3, 5.0))
    assert (regressor["mean_absolute_error"], regressor["root_mean_squared_error"]) == (0.0, 0.0)
    # a mean beyond the bounds leaves no spread, so there is no R² to make of it
    assert (regressor["base_root_mean_squared_error"], regressor["r_squared"]) == (0.0, None)
