# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from coterie_common.learning import held_out
from coterie_common.learning.algorithm import Release
from coterie_common.learning.column import NumericColumn

LABEL = NumericColumn(name="y", lower=0, upper=10)
DRAW = np.random.default_rng(3)


def released(rows, noise_stddev=0.0):
    return Release(rows.astype(np.float64).sum(axis=0), 3, noise_stddev)


def test_classifier_rows_add_up_to_accuracy_and_cross_entropy():
    logits, classes = DRAW.normal(size=(50, 3)), DRAW.integers(0, 3, 50)
    figures = held_out.classifier_figures(released(held_out.classifier_rows(logits, classes)), 3)
    assert figures["records"] == 50
    assert figures["accuracy"] == pytest.approx((logits.argmax(axis=1) == classes).mean())
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert figures["loss"] == pytest.approx(log_loss(classes, shares, labels=[0, 1, 2]), rel=1e-5)


def test_classifier_row_is_never_longer_than_its_bound_and_losses_are_cut_off():
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0], [0.0, 0.0]])
    rows = held_out.classifier_rows(logits, np.array([0, 0, 1]))
    assert rows[0].tolist() == [1, 0, 0]
    assert rows[1].tolist() == [0, 1, 1]
    assert rows[2, 2] == pytest.approx(math.log(2) / held_out.loss_bound(2))
    assert np.linalg.norm(rows, axis=1).max() <= held_out.CLASSIFIER_NORM


def test_regressor_rows_add_up_to_errors_in_the_labels_unit():
    predictions, labels = DRAW.uniform(-1.5, 1.5, 40), DRAW.uniform(-1, 1, 40)
    rows = held_out.regressor_rows(predictions, labels)
    assert np.linalg.norm(rows, axis=1).max() <= held_out.REGRESSOR_NORM
    figures = held_out.regressor_figures(released(rows), LABEL)
    errors = 5 * np.abs(np.clip(predictions, -1, 1) - labels)
    assert figures["mean_absolute_error"] == pytest.approx(errors.mean(), rel=1e-5)
    assert figures["root_mean_squared_error"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-5)


@pytest.mark.parametrize("values", [[-3.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
def test_figures_are_left_empty_where_noise_leaves_no_record(values):
    classifier = held_out.classifier_figures(Release(np.array(values), 3, 5.0), 2)
    assert (classifier["accuracy"], classifier["loss"], classifier["noise_stddev"]) == (None, None, 5.0)
    regressor = held_out.regressor_figures(Release(np.array([values[0], 1.0, 1.0]), 3, 5.0), LABEL)
    assert regressor["mean_absolute_error"] is regressor["root_mean_squared_error"] is None


def test_figures_of_noisy_sums_stay_within_what_can_be():
    figures = held_out.classifier_figures(Release(np.array([12.0, -2.0, -1.0]), 3, 5.0), 2)
    assert (figures["accuracy"], figures["loss"]) == (1.0, 0.0)
