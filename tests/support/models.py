# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A small finished model: one that knows when to play tennis (Quinlan's example, cut down)."""

from __future__ import annotations

import numpy as np

from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.model import Lineage, Model

SCHEMA = parse_schema(
    {
        "label": "play",
        "max_records": 100,
        "columns": [
            {"name": "outlook", "levels": ["sunny", "rain"]},
            {"name": "humidity", "lower": 0, "upper": 100, "bins": 2},
            {"name": "play", "levels": ["no", "yes"]},
        ],
    }
)


def make_lineage(rounds: int = 2) -> Lineage:
    return Lineage(
        federation="hospitals",
        job_id="tennis-1",
        job_spec_digest="ab" * 32,
        roster_digest="cd" * 32,
        rounds=rounds,
        contributors=(5,) * rounds,
        epsilon="1",
        delta="0.00001",
        unit="record",
        mechanism="discrete-gaussian",
        placement="distributed",
        transcript_digests=("ef" * 32,) * rounds,
    )


def make_model() -> Model:
    """Yes when it rains; when it is sunny, yes below 50 % humidity."""
    body = {
        "tree": ["outlook", "humidity", None, None, None],
        "counts": [[10, 30], [9, 11], [1, 19], [1, 9], [8, 2]],
    }
    return Model(name="tennis", algorithm="decision_tree", schema=SCHEMA, body=body, lineage=make_lineage())


def make_linear_model() -> Model:
    """Play when it rains, and when it is not humid; its body holds arrays."""
    body = {"coefficients": np.array([[-1.0], [1.0], [-2.0]]), "intercepts": np.array([0.5])}
    return Model(name="tennis", algorithm="logistic_regression", schema=SCHEMA, body=body, lineage=make_lineage())
