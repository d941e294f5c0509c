# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The data of the demonstration: read, described by a schema, split over the parties with a part held out."""

from __future__ import annotations

import csv
import random  # which rows go where is no secret, and must be the same in every run
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie_common.errors import DataError
from coterie_common.learning.data.dataset_file import load_table
from coterie_common.learning.data.file_table import FileTable
from coterie_common.learning.data.schema_draft import BINS, draft_schema

ROOT = Path(__file__).resolve().parents[3]
NURSERY = ROOT / "examples" / "data" / "nursery.csv.gz"
NURSERY_JOB = ROOT / "examples" / "jobs" / "nursery-tree.toml"
HELD_OUT = 0.2
MAX_CLASSES = 20
CELLS_PER_LEVEL = 10_000
"""About 125 ciphertexts a reply at 2048 bits, which takes a few seconds a level."""

Row = dict[str, str]


class DataProblem(Exception):
    """The file cannot be used; the text gives the reason."""


@dataclass(frozen=True)
class Split:
    """Rows of each party and those that nobody trains with."""

    parties: list[list[Row]]
    held_out: list[Row]


def read_rows(path: Path) -> list[Row]:
    """Read the records of a file as a party would, as text."""
    try:
        table = load_table(path)
    except DataError as cause:
        raise DataProblem(cause.message) from cause
    if not table.rows:
        raise DataProblem(f"{path} has no records")
    if len(set(table.names)) < len(table.names):
        raise DataProblem(f"{path} has two columns of one name")
    return [dict(zip(table.names, row, strict=True)) for row in zip(*table.columns, strict=True)]


def split(rows: list[Row], parties: int, seed: int = 1) -> Split:
    """Hold out a fifth at random, and deal the rest to the parties."""
    shuffled = rows.copy()
    random.Random(seed).shuffle(shuffled)
    held_out = round(len(shuffled) * HELD_OUT)
    training = shuffled[held_out:]
    if len(training) < parties:
        raise DataProblem(f"{len(rows)} records are too few for {parties} parties")
    return Split([training[index::parties] for index in range(parties)], shuffled[:held_out])


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def nursery_table() -> dict[str, Any]:
    """Return the job of examples/jobs as a table."""
    return tomllib.loads(NURSERY_JOB.read_text())


def derived_table(rows: list[Row], label: str, dataset: str) -> dict[str, Any]:
    """Make a job for any file.

    The schema is drafted from the data, and used as it is, which only a demonstration may do: in a real federation it
    is public knowledge that everybody agrees on beforehand.
    """
    columns = tuple([row[name] for row in rows] for name in rows[0])
    try:
        schema = draft_schema(FileTable(tuple(rows[0]), columns, len(rows)), label=label)
    except DataError as cause:
        raise DataProblem(cause.message) from cause
    for name, why in schema.pop("left_out"):
        if name == label:
            raise DataProblem(f"the label {label} cannot be used: {why}")
    counts = {column["name"]: len(column.get("levels", range(BINS))) for column in schema["columns"]}
    classes = next(column.get("levels", ()) for column in schema["columns"] if column["name"] == label)
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataProblem(
            f"the label {label} has too many values: a tree tells at most {MAX_CLASSES} classes apart here"
        )
    cells_per_node = max(1, (sum(counts.values()) - counts[label]) * len(classes))
    return {
        "name": f"{dataset}-tree",
        "algorithm": "decision_tree",
        "dataset": dataset,
        "config": {"max_depth": 3, "max_nodes": max(1, min(64, CELLS_PER_LEVEL // cells_per_node))},
        "privacy": {"epsilon": "1", "delta": "0.00001"},
        "schema": schema,
    }
