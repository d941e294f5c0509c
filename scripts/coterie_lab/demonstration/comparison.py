# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The models that the federated one is compared with, all on the same held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coterie.simulation.job import Simulation
from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.data.column import CategoricalColumn
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.raw_values import parse_values
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from coterie_common.randomness import OsRandom
from coterie_lab.local_federation.data import DataProblem, Row


def weighted_f1(source: Path | Model, held_out: list[Row], label: str) -> float:
    """Predict the held-out rows with a model, or the file of one, and return the weighted F1."""
    from sklearn.metrics import f1_score

    features = [{name: cell for name, cell in row.items() if name != label} for row in held_out]
    predictor = load_predictor(source)
    column = predictor.model.schema.by_name[label]
    truth, is_bad = parse_values(column, [row[label] for row in held_out])
    if is_bad.any() or not isinstance(column, CategoricalColumn):
        raise DataProblem(f"the label {label} holds what its schema does not allow")
    names = [column.levels[position] for position in truth]
    return float(f1_score(names, predictor.predict(features), average="weighted", zero_division=0.0))


def without_privacy(job: PlannedJob, datasets: Sequence[Dataset]) -> Model:
    """Train on exact sums, without noise or encryption: the result of pooled data, or of one party alone."""
    return Simulation.without_privacy(job.spec).run(datasets, OsRandom())
