# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The Nursery data split over parties, and the job of the examples."""

from __future__ import annotations

import csv
import gzip
import random
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from coterie_common.identifiers import PartyId
from coterie_common.protocol.job_spec import JobSpec

_ROOT = Path(__file__).resolve().parents[2]


def nursery_spec(**rounds: int) -> JobSpec:
    table: dict[str, Any] = tomllib.loads((_ROOT / "examples/jobs/nursery-tree.toml").read_text(), parse_float=Decimal)
    table["rounds"] = {**table.get("rounds", {}), **rounds}
    return JobSpec.from_table(table)


def nursery_toml(*, max_depth: int, **rounds: int) -> str:
    """Return the example's job file with another depth and other deadlines."""
    text = (_ROOT / "examples/jobs/nursery-tree.toml").read_text()
    text = re.sub(r"(?m)^max_depth = \d+", f"max_depth = {max_depth}", text)
    for name, value in rounds.items():
        text = re.sub(rf"(?m)^{name} = \d+\n", "", text).replace("[rounds]\n", f"[rounds]\n{name} = {value}\n")
    return text


def write_nursery(folder: Path, parties: tuple[PartyId, ...], *, rows: int | None = None) -> dict[PartyId, Path]:
    """Deal the shuffled rows to the parties, one CSV file each."""
    with gzip.open(_ROOT / "examples/data/nursery.csv.gz", "rt") as stream:
        header, *lines = list(csv.reader(stream))
    random.Random(5).shuffle(lines)  # noqa: S311  # which row goes where is no secret
    lines = lines[:rows]
    paths = {}
    for index, party_id in enumerate(parties):
        paths[party_id] = folder / f"{party_id}.csv"
        with paths[party_id].open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(lines[index :: len(parties)])
    return paths
