# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The worst case of a job's asks, known before any data is touched.

Capacity, ledger, approval and dry run read only this; a party refuses an ask outside it. Everything here follows from
the public configuration and schema alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

from coterie_common.errors import InvalidJob
from coterie_common.limits import MAX_ROUNDS
from coterie_common.privacy.noise.mechanisms import Unit


class Records(StrEnum):
    """The records of a party that an algorithm or a round counts."""

    ALL = "all"
    TRAINING = "training"
    SET_ASIDE = "set-aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCountRound:
    """One round of counts, or of other small integers, at its largest.

    Attributes:
        length: maximum number of values of one reply; an ask states its own length, which may be smaller.
        lower, upper: range of each value of one party's exact reply, both included.
        l0: maximum number of values of a reply that one unit of privacy touches.
        linf: maximum change of each of them.
        noise_factor: the noise of this round relative to the job's other rounds: Gaussian σ is proportional to
            ``noise_factor`` · √l0 · linf, the share of ε of Laplace noise to its inverse.
    """

    length: int
    lower: int
    upper: int
    l0: int
    linf: int
    noise_factor: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.length < 1 or not self.lower <= 0 <= self.upper or self.lower == self.upper:
            raise InvalidJob("a planned round must ask at least one value, within a range that includes 0")
        if not 1 <= self.l0 <= self.length or self.linf < 1:
            raise InvalidJob("a planned round's sensitivity must be at least 1 and at most its length")
        if self.noise_factor <= 0:
            raise InvalidJob("a planned round's noise factor must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVectorRound:
    """One round in which every unit of privacy gives one real vector, and the sum of all is released.

    The party itself draws the batch, clips each vector and adds them up, so the sensitivity is ``clip_norm`` regardless
    of what the algorithm computes from a record.

    Attributes:
        length: number of values of a vector, and of an ask of this round.
        clip_norm: L2 norm to which every vector is clipped, above 0.
        sampling_rate: probability with which each record takes part (Poisson), or ``None``: every record does. No
            party is ever sampled.
        noise_factor: the noise multiplier of this round relative to the job's other rounds: σ is proportional to
            ``noise_factor`` · ``clip_norm``.
        records: the records that take part, if not those that the algorithm names.
    """

    length: int
    clip_norm: Fraction
    sampling_rate: Fraction | None = None
    noise_factor: Fraction = Fraction(1)
    records: Records | None = None

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InvalidJob("a planned round must ask at least one value")
        if self.clip_norm <= 0 or self.noise_factor <= 0:
            raise InvalidJob("a planned round's clipping norm and noise factor must be above 0")
        if self.sampling_rate is not None and not 0 < self.sampling_rate <= 1:
            raise InvalidJob("a sampling rate must be above 0 and at most 1")


RoundPlan: TypeAlias = PlannedCountRound | PlannedVectorRound


@dataclass(frozen=True, slots=True)
class Plan:
    """All rounds that a job may have, in order; it may end after fewer.

    Attributes:
        unit: the unit of privacy whose presence the noise hides.
        rounds: at least one.
    """

    unit: Unit
    rounds: tuple[RoundPlan, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.rounds) <= MAX_ROUNDS:
            raise InvalidJob(f"a job must plan 1 to {MAX_ROUNDS} rounds, not {len(self.rounds)}")
        vectors = [planned for planned in self.rounds if isinstance(planned, PlannedVectorRound)]
        if self.unit is Unit.PARTY and any(planned.sampling_rate is not None for planned in vectors):
            raise InvalidJob("no amplification is claimed from sampling where a whole party is protected")
