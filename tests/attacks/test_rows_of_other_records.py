# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An aggregator chooses parameters for which the order of an addition decides, so that one record more changes others.

Clipping bounds what a record's own vector adds to a sum. Were the vectors of the others to turn over because a batch
has another size, the sum would move by several clipping norms, and the promised ε would be too small.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.learning.algorithm import Ask, VectorAlgorithm, get_algorithm
from coterie_common.learning.algorithms import linear
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.privacy.vectors import clip

COLUMNS = 16
SCHEMA = parse_schema(
    {
        "label": "y",
        "max_records": 1000,
        "columns": [
            *({"name": f"c{number}", "levels": ["a", "b"]} for number in range(COLUMNS)),
            {"name": "y", "levels": ["no", "yes"]},
        ],
    }
)
NAMES = ("logistic_regression", "linear_svm")
SEEDS = range(20, 26)


def make_dataset(rows: int) -> Dataset:
    draw = np.random.default_rng(7)
    columns = {column.name: draw.integers(0, 2, 400).astype(np.int32)[:rows] for column in SCHEMA.columns}
    return Dataset(SCHEMA, columns, rows)


def moved(name: str, seed: int, rows: int) -> float:
    """Return by how many clipping norms the clipped sum moves when the last of ``rows`` records is taken away."""
    algorithm = get_algorithm(name)
    assert isinstance(algorithm, VectorAlgorithm)
    config = algorithm.parse_config({"rounds": 1, "records": 400, "clip_norm": 1})
    ask = algorithm.next_ask(algorithm.initial_state(config, SCHEMA))
    weights = np.random.default_rng(seed).choice([2.0**60, -(2.0**60), 32.0, -32.0, 0.0], COLUMNS)
    # the same for both levels: what a record holds makes no difference to any output
    parameters = np.concatenate([np.repeat(weights, 2), [0.0]]).astype(np.float32)
    ask = Ask(1, {**ask.body, "parameters": parameters})
    algorithm.check_ask(config, SCHEMA, ask, algorithm.plan(config, SCHEMA))

    def clipped_sum(count: int) -> Any:
        return sum(clip(each, Fraction(1)).sum(axis=0) for each in algorithm.vectors(ask, make_dataset(count)))

    return float(np.linalg.norm(clipped_sum(rows) - clipped_sum(rows - 1)))


@pytest.mark.parametrize("name", NAMES)
def test_one_record_moves_the_clipped_sum_by_one_clipping_norm(name):
    assert max(moved(name, seed, rows) for seed in SEEDS for rows in (1, 12, 256, 260, 400)) < 1 + 1e-12


def last_rows_in_another_order(
    inputs: NDArray[np.float32], weights: NDArray[np.float64], intercepts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As matrix products do: the rows that are left over after groups of four are added up backwards."""
    outputs = np.zeros((len(inputs), len(intercepts)))
    for row, record in enumerate(inputs.astype(np.float64)):
        order = slice(None) if row < len(inputs) // 4 * 4 else slice(None, None, -1)
        for column in np.arange(len(record))[order]:
            outputs[row] += record[column] * weights[column]
    return outputs + intercepts


@pytest.mark.parametrize("name", NAMES)
def test_without_an_order_of_its_own_one_record_moves_it_by_more(name, monkeypatch):
    monkeypatch.setattr(linear, "linear_outputs", last_rows_in_another_order)
    assert max(moved(name, seed, 12) for seed in SEEDS) > 2
