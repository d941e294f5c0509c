# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The methods of training that a simulation compares."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from coterie_common.learning.algorithm import Algorithm, Classifier, Regressor


class Method(StrEnum):
    """A method of training a model.

    ``DISTRIBUTED``: this system with all parties present, every party adds a share of the noise. ``WORST_CASE``: this
    system after so many absences that the noise is divided by the job's quorum. ``CURATOR``: a curator trusted by all
    adds it once (central differential privacy). ``LOCAL``: every party adds all of it. ``NONE``: together, without
    noise. ``ALONE``: each party on its own records, without noise; the mean over the parties. ``MAJORITY``: always the
    class that most training records have. ``UNIFORM``: a class at random, all equally likely. ``MEAN``: always the mean
    of the training records' numbers.
    """

    DISTRIBUTED = "distributed"
    CURATOR = "curator"
    LOCAL = "local"
    NONE = "none"
    ALONE = "alone"
    MAJORITY = "majority"
    UNIFORM = "uniform"
    MEAN = "mean"
    WORST_CASE = "worst-case"

    @classmethod
    def of(cls, algorithm: Algorithm[Any, Any]) -> tuple[Method, ...]:
        """Return the methods that apply to this algorithm, including guesses without a model."""
        guesses: tuple[Method, ...] = ()
        if isinstance(algorithm, Classifier):
            guesses = cls.MAJORITY, cls.UNIFORM
        elif isinstance(algorithm, Regressor):
            guesses = (cls.MEAN,)
        return (cls.DISTRIBUTED, cls.WORST_CASE, cls.CURATOR, cls.LOCAL, cls.NONE, cls.ALONE, *guesses)

    @property
    def is_noisy(self) -> bool:
        """True if ε matters."""
        return self in (Method.DISTRIBUTED, Method.WORST_CASE, Method.CURATOR, Method.LOCAL)
