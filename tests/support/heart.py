# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The heart disease data as its four hospitals have it, and the jobs of the examples."""

from __future__ import annotations

import csv
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from coterie.simulation.division import Party
from coterie_common.learning.algorithm import Values
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.learning.plan import Records
from coterie_common.randomness import RandomSource
from coterie_party.data.set_aside import set_aside_split
from tests.support.examples import EXAMPLES, load_job


@cache
def heart_schema() -> Schema:
    return parse_schema(load_job("heart-logistic.toml")["schema"])


def write_hospitals(folder: Path) -> dict[str, Path]:
    """Write one CSV file per hospital."""
    with (EXAMPLES / "data" / "heart_disease.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    column = header.index("hospital")
    paths = {}
    for hospital in sorted({row[column] for row in rows}):
        paths[hospital] = folder / f"{hospital.lower().replace(' ', '-')}.csv"
        with paths[hospital].open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *(row for row in rows if row[column] == hospital)])
    return paths


@cache
def load_hospitals() -> tuple[Dataset, ...]:
    with TemporaryDirectory() as folder:
        return tuple(load_dataset(path, heart_schema()) for path in write_hospitals(Path(folder)).values())


def hospitals_as_parties(random: RandomSource) -> tuple[Party, ...]:
    """Set a quarter of every hospital's records aside, others with every source."""
    sides = [set_aside_split(dataset, Fraction(1, 4), random.token_bytes(16)) for dataset in load_hospitals()]
    return tuple({Records.TRAINING: training, Records.SET_ASIDE: aside} for training, aside in sides)


def pooled(parties: tuple[Party, ...], kind: Records) -> Values:
    """Return all parties' records of a kind together."""
    names = heart_schema().by_name
    return {name: np.concatenate([party[kind].columns[name] for party in parties]) for name in names}
