# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The accuracy of a finished classifier on records that the parties set aside, as an algorithm like any other.

One round asks for the confusion matrix. A record touches one of its cells, so an evaluation costs little privacy; it
has its own terms and its own entry in every ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from coterie_common import document
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import Algorithm, Ask, Int64, NamedCode, Release, check_round
from coterie_common.learning.algorithms.noisy_counts import SIGNIFICANT, Float64, has_enough_records, project
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.model import Model, classifier_of, load_model
from coterie_common.learning.network.architectures import BUILT_IN, check_network
from coterie_common.learning.plan import Plan, PlannedCountRound, Records
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Configuration of the job.

    Attributes:
        model: the classifier to be evaluated.
    """

    model: Model


@dataclass(frozen=True, slots=True)
class EvaluationState:
    """The released values.

    Attributes:
        config, schema: of the job.
        values: the confusion matrix row by row, true classes as rows; empty before the round.
        noise_stddev: of the noise in each value.
    """

    config: EvaluationConfig
    schema: Schema
    values: tuple[float, ...] = ()
    noise_stddev: float = 0.0


def embed_model(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return an evaluation's ``[config]`` with the model itself in place of the name of its file.

    The model is part of the job specification, so every party knows which model it helps to evaluate.

    Args:
        config: as read from the job file.
        folder: of the job file; the model's path is relative to it.

    Raises:
        ConfigurationError: the file is missing or no model.
    """
    name = config.get("model")
    return {**config, "model": load_model(folder / name).to_document()} if isinstance(name, str) else dict(config)


class Evaluation(Algorithm[EvaluationConfig, EvaluationState]):
    """The algorithm ``evaluation``."""

    name = "evaluation"
    records = Records.SET_ASIDE

    @override
    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        # To evaluate a model is to run the algorithm that made it, and its network.
        if not isinstance(table.get("model"), dict):
            return NamedCode()
        model = Model.from_document(table["model"], algorithms=())
        network = model.body.get("network")
        return NamedCode((model.algorithm,), () if network is None else (network,))

    @override
    def parse_config(self, table: Mapping[str, Any]) -> EvaluationConfig:
        if table.keys() != {"model"} or not isinstance(table["model"], dict):
            raise InvalidJob("[config] must have one entry, model: the content of a model file")
        try:
            model = Model.from_document(table["model"])
            classifier_of(model)
        except (MalformedMessage, ConfigurationError) as cause:
            raise InvalidJob(f"[config] model: {cause.message}") from cause
        # Parties predict in the process that holds their keys, where no foreign code runs.
        if model.body.get("network") not in (None, *BUILT_IN):
            raise InvalidJob(
                "[config] model: a network that is not built in is evaluated by its own job, with held_out"
            )
        return EvaluationConfig(model)

    @override
    def plan(self, config: EvaluationConfig, schema: Schema) -> Plan:
        if (schema.label, schema.columns) != (config.model.schema.label, config.model.schema.columns):
            raise InvalidJob("[schema] must have the label and columns of the model to be evaluated")
        length = len(schema.class_names) ** 2
        return Plan(Unit.RECORD, (PlannedCountRound(length=length, lower=0, upper=schema.max_records, l0=1, linf=1),))

    def check_installed(self, config: EvaluationConfig, folders: Sequence[Path]) -> None:
        """See ``NeedsMore``; the model may be a network's."""
        network = config.model.body.get("network")
        if isinstance(network, str):
            check_network(network, folders)

    @override
    def initial_state(self, config: EvaluationConfig, schema: Schema) -> EvaluationState:
        return EvaluationState(config, schema)

    @override
    def next_ask(self, state: EvaluationState) -> Ask | None:
        return None if state.values else _ask(state.config, state.schema)

    def check_ask(self, config: EvaluationConfig, schema: Schema, ask: Ask, plan: Plan) -> None:
        """See ``Algorithm``; only one ask follows from the job."""
        check_round(ask, plan)
        if document.encode(ask.body) != document.encode(_ask(config, schema).body):
            raise MalformedMessage("the ask is not the one that follows from the job's model")

    def answer(self, ask: Ask, dataset: Dataset, random: RandomSource) -> Int64:
        """See ``Algorithm``; counts of (true class, predicted class)."""
        schema = dataset.schema
        model = Model.from_document(ask.body["model"])
        predicted = classifier_of(model).probabilities(schema, model.body, dataset.columns).argmax(axis=1)
        positions = dataset.cells(schema.label_name).astype(np.int64) * len(schema.class_names) + predicted
        return np.bincount(positions, minlength=ask.length).astype(np.int64)

    @override
    def update(self, state: EvaluationState, ask: Ask, release: Release) -> EvaluationState:
        if release.values.shape != (ask.length,):
            raise StateError(f"a release of {release.values.size} values for an ask of {ask.length}")
        return replace(state, values=tuple(release.values.tolist()), noise_stddev=release.noise_stddev)

    def finish(self, state: EvaluationState) -> Mapping[str, Any]:
        """See ``Algorithm``; the matrix as released, and the usual figures computed from it."""
        if not state.values:
            raise StateError("an evaluation is finished before its round was released")
        classes = len(state.schema.class_names)
        matrix = np.array(state.values).reshape(classes, classes)
        return {
            "model": state.config.model.digest.hex(),
            "confusion": matrix.tolist(),
            "noise_stddev": state.noise_stddev,
            **figures(matrix, state.schema.class_names, state.noise_stddev),
        }

    @override
    def state_to_document(self, state: EvaluationState) -> Mapping[str, Any]:
        return {"values": list(state.values), "noise_stddev": state.noise_stddev}

    @override
    def state_from_document(self, config: EvaluationConfig, schema: Schema, value: Any) -> EvaluationState:
        try:
            values, noise = tuple(float(entry) for entry in value["values"]), float(value["noise_stddev"])
        except (KeyError, TypeError, ValueError) as cause:
            raise StorageError("the stored state of an evaluation cannot be read") from cause
        if len(values) not in (0, len(schema.class_names) ** 2):
            raise StorageError("the stored state of an evaluation does not fit its job")
        return EvaluationState(config, schema, values, noise)


def _ask(config: EvaluationConfig, schema: Schema) -> Ask:
    return Ask(1, {"length": len(schema.class_names) ** 2, "model": config.model.to_document()})


def figures(matrix: Float64, class_names: tuple[str, ...], noise_stddev: float) -> dict[str, Any]:
    """Return accuracy, F1 and the base rate from a confusion matrix, noisy or not.

    Args:
        matrix: Float64[classes, classes], true classes as rows.
        class_names: of the label.
        noise_stddev: of the noise in each value; 0 for exact counts.

    The matrix is first brought to the nearest one that could be counts. The base rate is the share of the most frequent
    class: the accuracy of always predicting it. The F1 of a class with fewer records than the noise would be
    noise: it is ``None`` and left out of the macro average. Where all records together are too few beside the noise,
    ``too_few_records`` is true and there are no figures.
    """
    counts = project(matrix.reshape(1, -1)).reshape(matrix.shape)
    support, predicted, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    f1 = np.divide(2 * right, support + predicted, out=np.zeros_like(support), where=support + predicted > 0)
    known = matrix.sum(axis=1) > SIGNIFICANT * noise_stddev * math.sqrt(len(matrix))
    records, total = float(matrix.sum()), float(counts.sum())
    enough = has_enough_records(records, noise_stddev * len(matrix))
    known &= enough
    return {
        "records": records,
        "too_few_records": not enough,
        "accuracy": float(right.sum()) / total if enough else None,
        "base_rate": float(support.max()) / total if enough else None,
        "f1_weighted": float((f1 * support).sum()) / total if enough else None,
        "f1_macro": float(f1[known].mean()) if known.any() else None,
        "f1": {
            name: float(value) if is_known else None
            for name, value, is_known in zip(class_names, f1, known, strict=True)
        },
    }
