# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A data set of five columns and jobs on it that take a fraction of a second."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from coterie_common.identifiers import PartyId
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.schema import Schema, parse_schema
from coterie_common.protocol.job_spec import JobSpec

SCHEMA: dict[str, Any] = {
    "label": "play",
    "max_records": 1000,
    "columns": [
        {"name": "outlook", "levels": ["sunny", "rain", "clouds"]},
        {"name": "wind", "levels": ["weak", "strong"]},
        {"name": "temperature", "lower": 0, "upper": 40, "bins": 4},
        {"name": "play", "levels": ["no", "yes"]},
    ],
}


def play_schema() -> Schema:
    return parse_schema(SCHEMA)


OUTLOOKS, WINDS = ("sunny", "rain", "clouds"), ("weak", "strong")


def rows_of(index: int, count: int = 96) -> list[dict[str, Any]]:
    """Return the records of the party with this index; parties differ in how many they have."""
    rows = []
    for number in range(count + index):
        outlook, wind = OUTLOOKS[number % 3], WINDS[number // 3 % 2]
        play = outlook == "clouds" or (outlook == "sunny" and wind == "weak")
        # the same temperatures whatever the outlook and wind
        temperature = 5 * (number // 6) % 41
        rows.append({"outlook": outlook, "wind": wind, "temperature": temperature, "play": "yes" if play else "no"})
    return rows


def play_dataset(count: int) -> Dataset:
    """Return the records of one party of ``count``, as it would read them from its file."""
    rows = rows_of(0, count)
    columns = {
        column.name: np.array([column.parse(row[column.name]) for row in rows], column.dtype)
        for column in play_schema().columns
    }
    return Dataset(play_schema(), columns, count)


def write_play(folder: Path, parties: tuple[PartyId, ...], *, count: int = 96) -> dict[PartyId, Path]:
    paths = {}
    for index, party_id in enumerate(parties):
        paths[party_id] = folder / f"{party_id}.csv"
        with paths[party_id].open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=("outlook", "wind", "temperature", "play"))
            writer.writeheader()
            writer.writerows(rows_of(index, count))
    return paths


def make_spec(
    algorithm: str,
    config: dict[str, Any],
    *,
    privacy: dict[str, Any] | None = None,
    name: str = "play",
    **rounds: int,
) -> JobSpec:
    goal = {"epsilon": Decimal(8), "delta": Decimal("1e-5"), **(privacy or {})}
    return JobSpec.from_table(
        {
            "name": name,
            "algorithm": algorithm,
            "dataset": "play",
            "config": config,
            "schema": SCHEMA,
            "privacy": goal,
            "rounds": {"deadline_s": 30, "patience_s": 10, "timeout_s": 60, "proposal_deadline_s": 30, **rounds},
        }
    )


def statistics_spec(**options: Any) -> JobSpec:
    """One round of seven values."""
    return make_spec("statistics", {"histograms": ["outlook", "play"], "means": ["temperature"]}, **options)


def tree_spec(**options: Any) -> JobSpec:
    """Two rounds: the records ask for a split by outlook, then by wind."""
    return make_spec("decision_tree", {"max_depth": 2}, **options)
