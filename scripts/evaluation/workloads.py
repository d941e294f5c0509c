# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The kinds of models that are trained, each with its data and its job file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

from coterie.simulation.comparison import Division
from coterie.simulation.job import with_privacy
from coterie_common.config import load_toml
from coterie_common.learning.dataset_file import load_dataset
from coterie_common.learning.schema import parse_schema
from coterie_common.protocol.job_spec import JobSpec

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
HELD_OUT = Fraction(1, 5)


class Workload(ABC):
    """A kind of model on a data set."""

    @abstractmethod
    def spec(self) -> JobSpec:
        """Return the job, whatever its ε."""

    @abstractmethod
    def division(self, parties: int, seed: int) -> Division:
        """Return the data of each party, and what the model is tested with."""

    def spec_at(self, epsilon: str | None) -> JobSpec:
        """Return the job at an ε; at its own where it does not matter."""
        return self.spec() if epsilon is None else with_privacy(self.spec(), epsilon=epsilon)


class Tree(Workload):
    """The decision tree of the examples on Nursery."""

    def spec(self) -> JobSpec:
        """See ``Workload``."""
        return _job("nursery-tree.toml")

    def division(self, parties: int, seed: int) -> Division:
        """See ``Workload``; a fifth is held out at random."""
        dataset = load_dataset(EXAMPLES / "data" / "nursery.csv.gz", parse_schema(self.spec().schema))
        return Division.of(dataset, parties, HELD_OUT, seed)


@cache
def _job(name: str) -> JobSpec:
    return JobSpec.from_table(load_toml(EXAMPLES / "jobs" / name, "the job", parse_float=Decimal))


def workload(model: str, data: Path | None) -> Workload:
    """Return a workload by name; ``data`` is the folder with MNIST."""
    return {"tree": Tree}[model]()
