# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""People who may or may not be in the data: many features, few records, noisy labels, so that a model remembers them.

The data are artificial, and deliberately hard on privacy: on data that a model cannot remember, attacks show nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.protocol.job_spec import JobSpec

PEOPLE, FEATURES = 400, 100
BOUND = 4.0
FLIPPED = 0.2
PARTIES = 5
ROUNDS = 40
DELTA = "0.0000001"
"""Small enough that it does not matter to the bounds of an audit over dozens of models."""

Members = npt.NDArray[np.bool_]


@cache
def people() -> Dataset:
    """Return everybody who may be a member."""
    random = np.random.Generator(np.random.PCG64(20_190_807))
    features = random.normal(size=(PEOPLE, FEATURES)).clip(-BOUND, BOUND)
    margin = features @ random.normal(size=FEATURES) / np.sqrt(FEATURES)
    label = (margin > 0) ^ (random.random(PEOPLE) < FLIPPED)
    columns: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int32]] = {
        f"x{number}": features[:, number - 1].copy() for number in range(1, FEATURES + 1)
    }
    return Dataset(_schema(), {**columns, "y": label.astype(np.int32)}, PEOPLE)


def spec(epsilon: str, rounds: int = ROUNDS) -> JobSpec:
    """Return a logistic regression that sums the gradients of all members in every round."""
    return JobSpec.from_table(
        {
            "name": "membership",
            "algorithm": "logistic_regression",
            "dataset": "people",
            "config": {"rounds": rounds, "records": PEOPLE // 2, "clip_norm": 1, "learning_rate": "0.2"},
            "privacy": {"epsilon": epsilon, "delta": DELTA},
            "schema": _schema().to_document(),
        }
    )


def draw_members(random: np.random.Generator) -> Members:
    """Let a fair coin of each person decide: Bool[people]."""
    return random.random(PEOPLE) < 0.5


def deal(members: Members, random: np.random.Generator) -> tuple[Dataset, ...]:
    """Give each member to one of the parties, at random."""
    owner = np.where(members, random.integers(PARTIES, size=PEOPLE), -1)
    return tuple(people().select(owner == party) for party in range(PARTIES))


@cache
def _schema() -> Schema:
    return parse_schema(
        {
            "label": "y",
            "max_records": 1000,
            "columns": [
                {"name": "x", "count": FEATURES, "lower": "-4", "upper": "4"},
                {"name": "y", "levels": ["no", "yes"]},
            ],
        }
    )
