# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What simulated jobs of vectors have in common: see ``vector_simulation``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from coterie_common.learning.algorithm import Ask, Release
from coterie_common.learning.dataset import Dataset
from coterie_common.privacy.noise import Mechanism, Placement
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Privacy of a simulated job; ``shares`` is the number of honest noise shares that are guaranteed."""

    epsilon: Fraction = Fraction(1)
    delta: Fraction = Fraction(1, 100_000)
    mechanism: Mechanism = Mechanism.DISCRETE_GAUSSIAN
    placement: Placement = Placement.DISTRIBUTED
    shares: int = 3


@dataclass(frozen=True)
class SimulatedJob:
    """What became of a job; asks and releases in order."""

    body: Mapping[str, Any]
    asks: tuple[Ask, ...]
    releases: tuple[Release, ...]


def divide(dataset: Dataset, parts: int, random: RandomSource) -> tuple[Dataset, ...]:
    """Deal the records out to ``parts`` parties at random."""
    owner = np.frombuffer(random.token_bytes(8 * dataset.rows), "<u8") % parts
    return tuple(dataset.select(owner == part) for part in range(parts))
