# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The configuration of jobs of gradient methods, and the plan that follows from it.

A job has at most three kinds of rounds, in this order: one of statistics, if numbers are to be standardised; the
configured number of training; one on held-out records. All are rounds of real vectors.
"""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Final

from pydantic import Field, model_validator
from typing_extensions import override

from coterie_common.learning.algorithms import private_scaling
from coterie_common.learning.algorithms.held_out import Measure
from coterie_common.learning.algorithms.optimiser import Optimiser, Rule
from coterie_common.learning.data.column import Real
from coterie_common.learning.plan import PlannedVectorRound, Records
from coterie_common.limits import MAX_PARTIES, MAX_RECORDS, MAX_ROUNDS
from coterie_common.protocol.job_spec import Exact
from coterie_common.strict_model import StrictModel

STATISTICS_SHARE: Final = Fraction(1, 10)
HELD_OUT_SHARE: Final = Fraction(1, 20)
"""Approximate privacy cost of these rounds, relative to all rounds of training together."""


class Phase(StrEnum):
    """Kind of a round."""

    STATISTICS = "statistics"
    TRAINING = "training"
    HELD_OUT = "held-out"


class ScalingKind(StrEnum):
    """The scaling of numeric features: by the schema's bounds, or by private statistics."""

    BOUNDS = "bounds"
    STATISTICS = "statistics"


class DescentConfig(StrictModel):
    """The configuration common to all gradient methods.

    Attributes:
        rounds: of training; all of them are planned and paid for.
        clip_norm: L2 norm to which the contribution of one unit of privacy is clipped.
        optimiser: rule by which the aggregator turns a gradient into a step.
        learning_rate: length of a step.
        momentum: of ``sgd``, or β₁ of ``adam``.
        decay: true if the learning rate falls to zero over the rounds.
        l2: strength of the penalty ½·l2·‖weights‖², which the aggregator adds: it costs no privacy.
        held_out: true if the last round evaluates the model on records that the parties set aside.
    """

    rounds: Annotated[int, Field(ge=1, le=MAX_ROUNDS - 2)]
    clip_norm: Annotated[Exact, Field(gt=0)]
    optimiser: Annotated[Optimiser, Field(strict=False)] = Optimiser.ADAM
    learning_rate: Annotated[Real, Field(gt=0, le=1000)]
    momentum: Annotated[Real, Field(ge=0, lt=1)] = 0.9
    decay: bool = False
    l2: Annotated[Real, Field(ge=0)] = 0.0
    held_out: bool = False

    @model_validator(mode="after")
    def _check_penalty(self) -> DescentConfig:
        if self.l2 * self.learning_rate >= 1:
            raise ValueError("l2 times learning_rate must be below 1, or the weights grow without end")
        return self

    @property
    def sampling_rate(self) -> Fraction | None:
        """Probability with which a record takes part in a round of training; ``None``: all do."""
        return None

    @property
    def has_statistics(self) -> bool:
        """True if the first round is one of statistics."""
        return False

    @property
    def rule(self) -> Rule:
        """The optimiser with its settings."""
        return Rule(
            optimiser=self.optimiser,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            decay=self.decay,
            steps=self.rounds,
        )

    def phase(self, round_number: int) -> Phase:
        """Return the kind of a round of the plan, 1-based."""
        if self.has_statistics and round_number == 1:
            return Phase.STATISTICS
        return Phase.TRAINING if round_number <= self.rounds + self.has_statistics else Phase.HELD_OUT

    def plan_rounds(self, length: int, numbers: int, measure: Measure) -> tuple[PlannedVectorRound, ...]:
        """Return the planned rounds.

        Args:
            length: parameters of the model.
            numbers: numeric features.
            measure: of the records held out.
        """
        rate = self.sampling_rate
        clip_norm = Fraction(self.clip_norm)
        rounds = [PlannedVectorRound(length=length, clip_norm=clip_norm, sampling_rate=rate)] * self.rounds
        if self.has_statistics:
            statistics = PlannedVectorRound(
                length=private_scaling.length(numbers),
                clip_norm=private_scaling.clip_norm(numbers),
                noise_factor=self._noise_factor(STATISTICS_SHARE),
            )
            rounds.insert(0, statistics)
        if self.held_out:
            last = PlannedVectorRound(
                length=measure.length,
                clip_norm=measure.norm,
                noise_factor=self._noise_factor(HELD_OUT_SHARE),
                records=Records.SET_ASIDE,
            )
            rounds.append(last)
        return tuple(rounds)

    def _noise_factor(self, share: Fraction) -> Fraction:
        """Return the factor of noise at which a round without sampling costs ``share`` of all training.

        T rounds sampled at rate q cost about T·q²/2z² of zero-concentrated privacy at noise multiplier z, a round
        without sampling 1/2z².
        """
        rate = float(self.sampling_rate or 1)
        return Fraction(1 / (rate * math.sqrt(share * self.rounds))).limit_denominator(1000) or Fraction(1, 1000)


class RecordConfig(DescentConfig):
    """The additional configuration of methods that sum a gradient per record.

    Attributes:
        records: the assumed public number of training records of all parties together. It only scales the
            mean gradient; a wrong number is a wrong learning rate.
        batch: expected number of records in a round, of all parties together; without it all take part.
        scaling: of numeric features.
    """

    records: Annotated[int, Field(ge=1, le=MAX_RECORDS * MAX_PARTIES)]
    batch: Annotated[int, Field(ge=1)] | None = None
    scaling: Annotated[ScalingKind, Field(strict=False)] = ScalingKind.BOUNDS

    @model_validator(mode="after")
    def _check_batch(self) -> RecordConfig:
        if self.batch is not None and self.batch > self.records:
            raise ValueError("batch must be at most records")
        return self

    @property
    def sampling_rate(self) -> Fraction | None:
        """See ``DescentConfig``; batch/records."""
        return Fraction(self.batch, self.records) if self.batch not in (None, self.records) else None

    @property
    @override
    def has_statistics(self) -> bool:
        return self.scaling is ScalingKind.STATISTICS

    @property
    def expected_batch(self) -> int:
        """Expected number of records in a round of training; the divisor of the sum."""
        return self.records if self.batch is None else self.batch
