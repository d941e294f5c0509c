# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The kinds of models that are trained, each with its data and its job file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coterie.simulation.comparison import Division
from coterie.simulation.division import deal
from coterie.simulation.job import with_privacy
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.host.config import load_toml
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.protocol.job_spec import JobSpec
from coterie_lab.evaluation.gisette import gisette_like
from coterie_lab.examples.mnist import Digits
from coterie_lab.local_federation.data import DataProblem

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
EXAMPLES = ROOT / "examples"
HELD_OUT = Fraction(1, 5)


class Workload(ABC):
    """A kind of model on a data set.

    Attributes:
        job: its job file.
        seeds_at_a_time: number of runs that justify the start of a process.
    """

    job: Path
    seeds_at_a_time = 1

    def spec(self) -> JobSpec:
        """Return the job; its ε does not matter."""
        return _job(self.job)

    @abstractmethod
    def division(self, parties: int, seed: int) -> Division:
        """Return the data of each party, and the model's test data."""

    def spec_at(self, epsilon: str | None) -> JobSpec:
        """Return the job at an ε; at its own where it does not matter."""
        return self.spec() if epsilon is None else with_privacy(self.spec(), epsilon=epsilon)


class Tree(Workload):
    """The decision tree of the examples on Nursery."""

    job = EXAMPLES / "jobs" / "nursery-tree.toml"
    seeds_at_a_time = 5

    def division(self, parties: int, seed: int) -> Division:
        """See ``Workload``; a fifth is held out at random."""
        dataset = load_dataset(EXAMPLES / "data" / "nursery.csv.gz", schema_of(self.spec()))
        return Division.of(dataset, parties, HELD_OUT, seed)


class SupportVectorMachine(Workload):
    """A linear machine that separates fours from nines on a substitute for Gisette."""

    job = HERE / "gisette-svm.toml"

    def __init__(self, data: Path | None) -> None:
        """Take the folder with the files of MNIST."""
        self._data = data

    def division(self, parties: int, seed: int) -> Division:
        """See ``Workload``; a fifth is held out at random."""
        if self._data is None:
            raise DataProblem("the support vector machine needs --data FOLDER, with the four files of MNIST")
        return Division.of(gisette_like(self._data, schema_of(self.spec())), parties, HELD_OUT, seed)


class Network(Workload):
    """The convolutional network of the examples on MNIST, tested with MNIST's own test images."""

    job = EXAMPLES / "jobs" / "mnist-cnn.toml"

    def __init__(self, data: Path | None) -> None:
        """Take the folder with the files of MNIST."""
        self._data = data

    def division(self, parties: int, seed: int) -> Division:
        """See ``Workload``; the seed decides who gets which training image."""
        if self._data is None:
            raise DataProblem("the network needs --data FOLDER, with the four files of MNIST")
        schema = schema_of(self.spec())
        training, tested = (_digits(self._data, part, schema) for part in ("train", "t10k"))
        return Division(deal(training, parties, SeededRandom(f"{seed}/division")), tested, seed)


@cache
def _digits(folder: Path, part: str, schema: Schema) -> Dataset:
    digits = Digits.read(folder, part)
    columns: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int32]] = {
        f"pixel{number}": pixels.astype(np.float64) for number, pixels in enumerate(digits.images.T, 1)
    }
    return Dataset(schema, {**columns, "class": digits.digits.astype(np.int32)}, len(digits.digits))


@cache
def _job(path: Path) -> JobSpec:
    return JobSpec.from_table(load_toml(path, "the job", parse_float=Decimal))


def schema_of(spec: JobSpec) -> Schema:
    """Return the schema of a job."""
    return _schema(spec.to_bytes())


@cache
def _schema(spec: bytes) -> Schema:
    return parse_schema(JobSpec.from_bytes(spec).schema)


def workload(model: str, data: Path | None) -> Workload:
    """Return a workload by name; ``data`` is the folder with MNIST."""
    if model == "tree":
        return Tree()
    return SupportVectorMachine(data) if model == "svm" else Network(data)
