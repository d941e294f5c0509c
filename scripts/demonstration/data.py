# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The data of the demonstration: read, described by a schema, split over the parties with a part held out."""

from __future__ import annotations

import csv
import gzip
import io
import random  # which rows go where is no secret, and must be the same in every run
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NURSERY = ROOT / "examples" / "data" / "nursery.csv.gz"
NURSERY_JOB = ROOT / "examples" / "jobs" / "nursery-tree.toml"
HELD_OUT = 0.2
BINS = 8
LEVELS_MOST = 100
CELLS_PER_LEVEL = 10_000
"""About 125 ciphertexts a reply at 2048 bits, which takes a few seconds a level."""

Row = dict[str, str]


class DataProblem(Exception):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True)
class Split:
    """Rows of each party and those that nobody trains with."""

    parties: list[list[Row]]
    held_out: list[Row]


def read_rows(path: Path) -> list[Row]:
    """Read a CSV file, gzipped or not."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as cause:
        raise DataProblem(f"cannot read {path}: {cause}") from cause
    if not rows:
        raise DataProblem(f"{path} has no records")
    return rows


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
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def nursery_table() -> dict[str, Any]:
    """Return the job of examples/jobs as a table."""
    return tomllib.loads(NURSERY_JOB.read_text())


def derived_table(rows: list[Row], label: str, dataset: str) -> dict[str, Any]:
    """Make a job for any CSV file.

    The schema is read off the data here, which only a demonstration may do: in a real federation it is public
    knowledge that everybody agrees on beforehand.
    """
    if label not in rows[0]:
        raise DataProblem(f"there is no column {label}; the file has {', '.join(rows[0])}")
    columns: list[dict[str, Any]] = []
    for name in rows[0]:
        cells = [row[name] for row in rows]
        if None in cells or "" in cells:
            raise DataProblem(f"column {name} has empty cells")
        numbers = [_number(cell) for cell in cells]
        known = [number for number in numbers if number is not None]
        if name != label and len(known) == len(cells) and len(set(known)) > BINS:
            lower, upper = min(known), max(known)
            columns.append({"name": name, "lower": str(lower), "upper": str(upper), "bins": BINS})
            continue
        levels = sorted(set(cells))
        if len(levels) > LEVELS_MOST or len(levels) < 2:
            raise DataProblem(f"column {name} has {len(levels)} different values; 2 to {LEVELS_MOST} can be used")
        columns.append({"name": name, "levels": levels})
    classes = next(len(column["levels"]) for column in columns if column["name"] == label)
    cells_per_node = (
        sum(len(column.get("levels", range(BINS))) for column in columns if column["name"] != label) * classes
    )
    return {
        "name": f"{dataset}-tree",
        "algorithm": "decision_tree",
        "dataset": dataset,
        "config": {"max_depth": 3, "max_nodes": max(1, min(64, CELLS_PER_LEVEL // cells_per_node))},
        "privacy": {"epsilon": "1", "delta": "0.00001"},
        "schema": {"label": label, "max_records": max(1000, len(rows)), "columns": columns},
    }


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
