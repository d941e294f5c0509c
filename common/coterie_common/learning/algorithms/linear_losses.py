# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Losses of linear models: the derivative of a record's loss by the model's outputs.

Two classes have one output, positive for the second class; more classes have one output each. Regression has one
output, in half ranges of the label.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from coterie_common.learning.algorithm import Float64
from coterie_common.learning.algorithms.row_functions import sigmoid, softmax


class Loss(StrEnum):
    """The kind of loss."""

    LOGISTIC = "logistic"
    HINGE = "hinge"
    SQUARED_HINGE = "squared-hinge"
    SQUARED = "squared"


def derivatives(loss: Loss, outputs: Float64, labels: npt.NDArray[np.int64] | Float64) -> Float64:
    """Return the derivative of each record's loss by each output, Float64[records, outputs].

    Args:
        loss: its kind. Hinge losses of several outputs are those of one class against the rest, added up.
        outputs: Float64[records, outputs].
        labels: Int64[records] classes, or for the squared loss Float64[records] numbers in half ranges.
    """
    if loss is Loss.SQUARED:
        return outputs - labels[:, np.newaxis]
    is_class = _is_class(labels, outputs.shape[1])
    if loss is Loss.LOGISTIC:
        likely = sigmoid(outputs) if outputs.shape[1] == 1 else softmax(outputs)
        return likely - is_class
    signs = 2.0 * is_class - 1
    slack = np.maximum(0, 1 - signs * outputs)
    return -signs * (2 * slack if loss is Loss.SQUARED_HINGE else slack > 0)


def class_logits(outputs: Float64) -> Float64:
    """Return one number per class whose softmax are the model's shares of the classes, Float64[records, classes]."""
    return outputs if outputs.shape[1] > 1 else np.concatenate([np.zeros_like(outputs), outputs], axis=1)


def _is_class(classes: npt.NDArray[np.int64] | Float64, outputs: int) -> npt.NDArray[np.bool_]:
    """Return true for each output that represents the record's class, Bool[records, outputs]."""
    return np.equal(classes[:, np.newaxis], np.arange(outputs) if outputs > 1 else 1)
