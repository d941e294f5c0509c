# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Heart disease in four hospitals: a private model of all of them beside each hospital's own.

A quarter of every hospital's records takes no part in any training; all models are judged on these together.
"""

from __future__ import annotations

import csv
import random  # which records are held out is no secret, and must be the same in every run
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.features import to_inputs
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from coterie_lab.local_federation.data import ROOT, Row, read_rows, write_rows

DATA: Final = ROOT / "examples" / "data" / "heart_disease.csv"
JOBS: Final = {name: ROOT / "examples" / "jobs" / f"heart-{name}.toml" for name in ("logistic", "svm")}
HELD_OUT: Final = 0.25


class Hospitals:
    """The records of each hospital, divided at random into those to train with and those held out."""

    def __init__(self, seed: int) -> None:
        rows = read_rows(DATA)
        self.names = sorted({row["hospital"] for row in rows})
        self.training: dict[str, list[Row]] = {}
        self.held_out: list[Row] = []
        dice = random.Random(seed)
        for name in self.names:
            own = [row for row in rows if row["hospital"] == name]
            dice.shuffle(own)
            aside = round(len(own) * HELD_OUT)
            self.held_out += own[:aside]
            self.training[name] = own[aside:]

    def writers(self) -> list[Any]:
        """Return a function that writes the records of each hospital into a party's folder."""
        return [partial(_write, self.training[name]) for name in self.names]


def compare(model: Model, hospitals: Hospitals, table: dict[str, Any], folder: Path) -> list[tuple[str, float]]:
    """Return the area under the ROC curve on the held-out records, of the private model and of the alternatives."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    label = table["schema"]["label"]
    features = [{name: cell for name, cell in row.items() if name != label} for row in hospitals.held_out]
    is_ill = np.array([row[label] == "yes" for row in hospitals.held_out])
    predictor: Any = load_predictor(model)
    federated = float(roc_auc_score(is_ill, predictor.predict_proba(features)[:, 1]))
    held_out, outcome = _arrays(hospitals.held_out, table, folder)

    def auc(rows: list[Row]) -> float:
        inputs, ill = _arrays(rows, table, folder)
        fitted = LogisticRegression(max_iter=5000).fit(inputs, ill)
        return float(roc_auc_score(outcome, fitted.predict_proba(held_out)[:, 1]))

    alone = [(f"{name} alone, without privacy", auc(hospitals.training[name])) for name in hospitals.names]
    everybody = [row for rows in hospitals.training.values() for row in rows]
    mean = sum(value for _, value in alone) / len(alone)
    return [
        ("all hospitals together, private", federated),
        *alone,
        ("each alone, mean", mean),
        ("all records in one place, without privacy", auc(everybody)),
    ]


def _arrays(rows: list[Row], table: dict[str, Any], folder: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    dataset: Dataset = load_dataset(_write(rows, folder, "compared.csv"), parse_schema(table["schema"]))
    inputs = to_inputs(dataset.schema, dataset.columns, dataset.rows)
    return inputs, dataset.columns[table["schema"]["label"]]


def _write(rows: list[Row], folder: Path, name: str = "heart.csv") -> Path:
    path = folder / name
    write_rows(path, rows)
    return path


def write_results(path: Path, results: list[tuple[str, float]]) -> None:
    """Write the table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("model", "auc"), *results])
