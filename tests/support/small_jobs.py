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
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema, parse_schema
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


LEVELS = 1500
"""Of a column that nobody needs: enough for a model whose vectors are padded."""

MORE_LEVELS = 2200
"""Enough for one that is padded even if it is sealed completely."""


def _with_sites(levels: int) -> dict[str, Any]:
    site = {"name": "site", "levels": [f"site-{n}" for n in range(levels)]}
    return {**SCHEMA, "columns": [*SCHEMA["columns"][:3], site, *SCHEMA["columns"][3:]]}


WIDE_SCHEMA, WIDER_SCHEMA = _with_sites(LEVELS), _with_sites(MORE_LEVELS)


def wide_schema() -> Schema:
    return parse_schema(WIDE_SCHEMA)


def wider_schema() -> Schema:
    return parse_schema(WIDER_SCHEMA)


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
    return _write(folder, {party_id: rows_of(index, count) for index, party_id in enumerate(parties)})


def write_wide(folder: Path, parties: tuple[PartyId, ...]) -> dict[PartyId, Path]:
    return _write(
        folder,
        {
            party_id: [{**row, "site": f"site-{number % LEVELS}"} for number, row in enumerate(rows_of(index))]
            for index, party_id in enumerate(parties)
        },
    )


def _write(folder: Path, records: dict[PartyId, list[dict[str, Any]]]) -> dict[PartyId, Path]:
    paths = {}
    for party_id, rows in records.items():
        paths[party_id] = folder / f"{party_id}.csv"
        with paths[party_id].open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    return paths


def make_spec(
    algorithm: str,
    config: dict[str, Any],
    *,
    privacy: dict[str, Any] | None = None,
    name: str = "play",
    dataset: str = "play",
    **rounds: int | list[PartyId],
) -> JobSpec:
    goal = {"epsilon": Decimal(8), "delta": Decimal("1e-5"), **(privacy or {})}
    return JobSpec.from_table(
        {
            "name": name,
            "algorithm": algorithm,
            "dataset": dataset,
            "config": config,
            "schema": WIDE_SCHEMA if dataset == "wide" else SCHEMA,
            "privacy": goal,
            # Unless a test is about spare rounds, there are none: then a round waits for the quorum, and no more.
            "rounds": {
                "deadline_s": 30,
                "patience_s": 10,
                "timeout_s": 60,
                "proposal_deadline_s": 30,
                "spare_rounds": 0,
                **rounds,
            },
        }
    )


def statistics_spec(**options: Any) -> JobSpec:
    """One round of seven values."""
    return make_spec("statistics", {"histograms": ["outlook", "play"], "means": ["temperature"]}, **options)


def tree_spec(**options: Any) -> JobSpec:
    """Two rounds: the records ask for a split by outlook, then by wind."""
    return make_spec("decision_tree", {"max_depth": 2}, **options)


def wide_spec(
    rounds: int = 4,
    *,
    algorithm: str = "logistic_regression",
    privacy: dict[str, Any] | None = None,
    **config: Any,
) -> JobSpec:
    """Rounds of vectors that are long enough to be padded; the data set is called wide."""
    table = {"rounds": rounds, "records": 490, "clip_norm": Decimal(1), "learning_rate": Decimal("0.5"), **config}
    return make_spec(algorithm, table, dataset="wide", name="wide", privacy=privacy)
