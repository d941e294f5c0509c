# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A model as a scikit-learn classifier or regressor, for pipelines, metrics and other users of that interface.

The only module that imports scikit-learn; it takes more than a second to load, and most users of models do not predict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from coterie_common.learning.algorithm import Float64, Regressor, Values, get_algorithm
from coterie_common.learning.data.raw_values import parse_values, refuse_bad_cells
from coterie_common.learning.data.record_sources import raw_cells, raw_columns
from coterie_common.learning.model import Model, classifier_of, load_model, regressor_of


class _FederatedPredictor(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no stubs
    """The common part of classifiers and regressors.

    Records may come as a DataFrame (anything with ``columns`` and ``frame[name]``), a pyarrow table, a list of
    dictionaries, or a two-dimensional array or list of rows whose columns are the schema's features in order. They
    hold raw values, as a data file does; columns that the model does not use are ignored.
    """

    def __init__(self, model: Model) -> None:
        """Keep the model unchanged: scikit-learn's ``clone`` requires it.

        Args:
            model: one that predicts.
        """
        self.model = model

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """Names of the features, in the order of an array's columns."""
        return np.array([column.name for column in self.model.schema.features], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return len(self.model.schema.features)

    def fit(self, x: Any, y: Any = None) -> Self:
        """Do nothing and return the object itself, as scikit-learn's ``FrozenEstimator``: the model is trained."""
        return self

    def _values(self, x: Any) -> Values:
        features = self.model.schema.features
        raw = raw_columns(x, [column.name for column in features])
        values: dict[str, npt.NDArray[Any]] = {}
        bad: dict[str, npt.NDArray[np.intp]] = {}
        for column in features:
            values[column.name], is_bad = parse_values(column, raw[column.name])
            bad[column.name] = np.flatnonzero(is_bad)
        refuse_bad_cells("records to predict", features, bad, lambda name, row: raw[name][row], first_row=1)
        return values

    def __sklearn_is_fitted__(self) -> bool:
        return True  # called by scikit-learn before 1.6; later versions read the tags

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags


class FederatedClassifier(ClassifierMixin, _FederatedPredictor):  # type: ignore[misc]  # scikit-learn has no stubs
    """Predicts classes with a finished model; records as ``_FederatedPredictor`` describes."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """Class names, in the order of the columns of ``predict_proba``."""
        return np.array(self.model.schema.class_names)

    def predict_proba(self, x: Any) -> Float64:
        """Return the estimated probability of every class.

        Args:
            x: records, see the class.

        Returns:
            Float64[records, classes].

        Raises:
            DataError: a feature is missing, or a value is not one that the schema allows; the message names it.
            ConfigurationError: the model predicts nothing.
        """
        classifier = classifier_of(self.model)
        return classifier.probabilities(self.model.schema, self.model.body, self._values(x))

    def predict(self, x: Any) -> npt.NDArray[Any]:
        """Return the most probable class of every record, Text[records]; raises as ``predict_proba``."""
        return cast(npt.NDArray[Any], self.classes_[self.predict_proba(x).argmax(axis=1)])

    def score(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy on records whose classes are known.

        Args:
            x: records, see the class.
            y: the true class of each, in the form of a data file or a frame: numbers represent levels that are numbers.
            sample_weight: of each record.

        Raises:
            DataError: a record does not fit, as in ``predict_proba``, or a class is none of the label's levels.
        """
        label = self.model.schema.by_name[self.model.schema.label_name]
        cells = raw_cells(y)
        positions, is_bad = parse_values(label, cells)
        bad = {label.name: np.flatnonzero(is_bad)}
        refuse_bad_cells("true classes", [label], bad, lambda _, row: cells[row], first_row=1)
        return float(super().score(x, self.classes_[positions], sample_weight))


class FederatedRegressor(RegressorMixin, _FederatedPredictor):  # type: ignore[misc]  # scikit-learn has no stubs
    """Predicts numbers with a finished model; records as ``_FederatedPredictor`` describes."""

    def predict(self, x: Any) -> Float64:
        """Return the predicted number of every record, Float64[records], in the label's own unit.

        Raises:
            DataError: a feature is missing, or a value is not one that the schema allows; the message names it.
            ConfigurationError: the model predicts no number.
        """
        return regressor_of(self.model).predictions(self.model.schema, self.model.body, self._values(x))


def load_predictor(source: Path | str | Model) -> FederatedClassifier | FederatedRegressor:
    """Return a scikit-learn compatible classifier or, where the model predicts a number, regressor.

    Args:
        source: a model, or the path of a model file.

    Raises:
        ConfigurationError: not a model file, or a model that predicts nothing.
    """
    model = source if isinstance(source, Model) else load_model(Path(source))
    if isinstance(get_algorithm(model.algorithm), Regressor):
        return FederatedRegressor(model)
    classifier_of(model)
    return FederatedClassifier(model)
