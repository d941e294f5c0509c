# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Linear models by gradient descent: logistic regression, support vector machine, linear and ridge regression.

A record's vector is the gradient of its own loss. The configuration decides between sums over all records and over a
Poisson batch, and sets the ridge, ``l2``, which leaves the intercepts alone.

Parameters are laid out as Float32[inputs + 1, outputs] row by row, the intercepts last.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from coterie_common.errors import MalformedMessage
from coterie_common.learning.algorithm import Float32, Float64, Release, Values
from coterie_common.learning.algorithms import held_out
from coterie_common.learning.algorithms.descent_config import RecordConfig
from coterie_common.learning.algorithms.gradient_descent import DescentState, GradientDescent, Labels, chunks
from coterie_common.learning.algorithms.linear_losses import Loss, class_logits, derivatives
from coterie_common.learning.algorithms.row_functions import linear_outputs, softmax
from coterie_common.learning.data.column import Real
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.features import (
    Scaling,
    class_labels,
    from_half_ranges,
    in_half_ranges,
    numeric_label,
    numeric_positions,
    to_inputs,
    width,
)


class LinearConfig(RecordConfig):
    """Configuration of a linear model; see ``RecordConfig`` and ``DescentConfig``."""

    learning_rate: Annotated[Real, Field(gt=0, le=1000)] = 0.1


class RegressionConfig(LinearConfig):
    """Configuration of a linear regression.

    It has its own defaults: labels are often crowded at one end of their bounds, so that the intercept has a long way
    to go and the rest is small beside it. Large steps that shrink get there in 20 rounds; momentum overshoots.
    """

    learning_rate: Annotated[Real, Field(gt=0, le=1000)] = 0.2
    momentum: Annotated[Real, Field(ge=0, lt=1)] = 0.5
    decay: bool = True


class SupportVectorConfig(LinearConfig):
    """Configuration of a support vector machine.

    Attributes:
        loss: ``hinge``, or ``squared-hinge``, which is smooth.
    """

    loss: Literal["hinge", "squared-hinge"] = "hinge"


class _LinearModel(GradientDescent[LinearConfig]):
    """The common part of linear classifiers and regression."""

    config_type: type[LinearConfig] = LinearConfig

    @abstractmethod
    def outputs(self, schema: Schema) -> int:
        """Return the number of outputs per record; raises ``InvalidJob``."""

    @abstractmethod
    def loss(self, config: LinearConfig) -> Loss:
        """Return the minimised loss."""

    @override
    def parameter_count(self, config: LinearConfig, schema: Schema) -> int:
        return (width(schema) + 1) * self.outputs(schema)

    def initial_parameters(self, config: LinearConfig, schema: Schema) -> Float32:
        """See ``GradientDescent``; all 0."""
        return np.zeros(self.parameter_count(config, schema), np.float32)

    def training_rows(
        self, config: LinearConfig, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Iterator[Float32]:
        """See ``GradientDescent``; a record's gradient is its inputs times the derivative of its loss."""
        slopes = derivatives(self.loss(config), _outputs(parameters, inputs), labels).astype(np.float32)
        with_one = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
        for chunk in chunks(len(inputs), len(parameters)):
            yield (with_one[chunk, :, np.newaxis] * slopes[chunk, np.newaxis, :]).reshape(-1, len(parameters))

    @override
    def mean_of(self, config: LinearConfig, release: Release) -> Float64:
        return release.values / config.expected_batch

    def penalised(self, config: LinearConfig, schema: Schema, parameters: Float32) -> Float64:
        """See ``GradientDescent``; without the intercepts."""
        weights = parameters.astype(np.float64)
        weights[-self.outputs(schema) :] = 0
        return weights

    @override
    def model_body(self, state: DescentState[LinearConfig]) -> Mapping[str, Any]:
        table = state.parameters.reshape(width(state.schema) + 1, -1)
        scaling = state.scaling.to_arrays() if state.scaling else {}
        return {"coefficients": table[:-1].copy(), "intercepts": table[-1].copy(), **scaling}

    def check_body(self, schema: Schema, body: Any) -> None:
        """See ``Classifier``, ``Regressor``."""
        names = {"coefficients", "intercepts"}
        if not isinstance(body, Mapping) or body.keys() - {"centre", "scale", "held_out"} != names:
            raise MalformedMessage("the body of a linear model must have coefficients and intercepts")
        outputs, numbers = self.outputs(schema), len(numeric_positions(schema))
        shapes: dict[str, tuple[int, ...]] = {"coefficients": (width(schema), outputs), "intercepts": (outputs,)}
        if "centre" in body or "scale" in body:
            shapes |= {"centre": (numbers,), "scale": (numbers,)}
        for name, shape in shapes.items():
            array = body.get(name)
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.shape != shape:
                raise MalformedMessage(f"{name} of a linear model must be real numbers of shape {shape}")
        if "scale" in body and numbers and not body["scale"].min() > 0:
            raise MalformedMessage("scale of a linear model must be above 0")

    def _outputs_of(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        rows = len(next(iter(values.values())))
        inputs = to_inputs(schema, values, rows)
        if "scale" in body:
            inputs = Scaling(body["centre"], body["scale"]).apply(inputs, numeric_positions(schema))
        return linear_outputs(inputs, body["coefficients"].astype(np.float64), body["intercepts"].astype(np.float64))


class _LinearClassifier(_LinearModel):
    """The common part of linear classifiers."""

    def outputs(self, schema: Schema) -> int:
        """Return 1 for two classes, else one output per class."""
        classes = len(schema.class_names)
        return 1 if classes == 2 else classes

    @override
    def labels(self, schema: Schema, values: Values) -> Labels:
        return class_labels(schema, values)

    @override
    def held_out_rows(
        self, config: LinearConfig, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Float32:
        return held_out.classifier_rows(class_logits(_outputs(parameters, inputs)), labels)

    @override
    def measure(self, schema: Schema) -> held_out.Measure:
        return held_out.ClassifierMeasure(len(schema.class_names))

    def probabilities(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        """See ``Classifier``; of a support vector machine a monotone function of the margin, not calibrated."""
        return softmax(class_logits(self._outputs_of(schema, body, values)))


class LogisticRegression(_LinearClassifier):
    """The algorithm ``logistic_regression``, multinomial where there are more than two classes."""

    name = "logistic_regression"

    def loss(self, config: LinearConfig) -> Loss:
        """Return the logistic loss."""
        return Loss.LOGISTIC


class LinearSupportVectorMachine(_LinearClassifier):
    """The algorithm ``linear_svm``; with more than two classes, one machine each against the rest."""

    name = "linear_svm"
    config_type = SupportVectorConfig

    def loss(self, config: LinearConfig) -> Loss:
        """Return the configured loss."""
        return Loss(config.loss) if isinstance(config, SupportVectorConfig) else Loss.HINGE


class LinearRegression(_LinearModel):
    """The algorithm ``linear_regression``; ridge regression where ``l2`` is above 0."""

    name = "linear_regression"
    config_type = RegressionConfig

    def outputs(self, schema: Schema) -> int:
        """Return 1, for a numeric label."""
        numeric_label(schema)
        return 1

    def loss(self, config: LinearConfig) -> Loss:
        """Return the squared loss, of labels in half ranges."""
        return Loss.SQUARED

    @override
    def labels(self, schema: Schema, values: Values) -> Labels:
        label = numeric_label(schema)
        return in_half_ranges(label, values[label.name])

    @override
    def held_out_rows(
        self, config: LinearConfig, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Float32:
        return held_out.regressor_rows(_outputs(parameters, inputs)[:, 0], labels)

    @override
    def measure(self, schema: Schema) -> held_out.Measure:
        return held_out.RegressorMeasure(numeric_label(schema))

    def predictions(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        """See ``Regressor``; within the label's bounds."""
        return from_half_ranges(numeric_label(schema), self._outputs_of(schema, body, values)[:, 0])


def _outputs(parameters: Float32, inputs: Float32) -> Float64:
    table = parameters.reshape(inputs.shape[1] + 1, -1).astype(np.float64)
    return linear_outputs(inputs, table[:-1], table[-1])
