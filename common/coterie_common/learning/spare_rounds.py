# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""How many spare rounds a job has, and how they are divided among steps of different kinds.

A job of thousands of sampled rounds may begin with one round of statistics that costs as much as a hundred of them.
If each of its spare rounds had to be reserved at that price, they would cost more than the job. So steps of a kind
that is rare in the plan may be repeated rarely: k of S steps ⌈spare·k/S⌉ times. Steps of one kind are those that one
release can dominate (``greatest``): of the same records, sampled at the same rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from coterie_common.learning.plan import Plan, PlannedVectorRound, Records, RoundPlan
from coterie_common.privacy.accounting.greatest import greatest
from coterie_common.privacy.event import Event
from coterie_common.privacy.noise.mechanisms import Placement, Unit
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.spares import SpareRounds, Spares

_SHARE: Final = 20
"""Planned rounds for each spare one, where the job does not state their number."""


@dataclass(frozen=True, slots=True)
class SpareKind:
    """Spare rounds for steps of one kind: their number, and the steps, in order."""

    count: int
    steps: tuple[int, ...]


def spare_rounds(spec: JobSpec, plan: Plan) -> int:
    """Return the maximum number of rounds in which steps are asked again.

    Without noise there are none unless the job states some: a step that is asked again is another exact answer.
    """
    if spec.rounds.spare_rounds is not None:
        return spec.rounds.spare_rounds
    return 0 if spec.privacy.placement is Placement.NONE else max(1, len(plan.rounds) // _SHARE)


def spare_kinds(spec: JobSpec, plan: Plan, records: Records) -> tuple[SpareKind, ...]:
    """Return the kinds of steps, in the order of their first step; none if there are no spare rounds.

    Args:
        spec: of the job.
        plan: of the job.
        records: the kind that its algorithm counts where a round names none.
    """
    spare, steps = spare_rounds(spec, plan), len(plan.rounds)
    if not spare:
        return ()
    kinds: dict[tuple[Records, Fraction | None], list[int]] = {}
    for step, planned in enumerate(plan.rounds, 1):
        rate = planned.sampling_rate if isinstance(planned, PlannedVectorRound) else None
        kinds.setdefault((counted_records(plan, planned, records), rate), []).append(step)
    return tuple(SpareKind(_count(spare, steps, [plan.rounds[s - 1] for s in of]), tuple(of)) for of in kinds.values())


def counted_records(plan: Plan, planned: RoundPlan, records: Records) -> Records:
    """Return the records that a round counts; a party's reply as a whole has no sides."""
    own = planned.records if isinstance(planned, PlannedVectorRound) else None
    return Records.ALL if plan.unit is Unit.PARTY else own or records


def spares_of(spec: JobSpec, plan: Plan, kinds: Sequence[SpareKind], events: Sequence[Event]) -> Spares:
    """Return the spare rounds of a job, and what is reserved for each.

    Args:
        spec: of the job.
        plan: of the job.
        kinds: from ``spare_kinds``.
        events: what each step releases.

    Raises:
        UnsupportedMechanism: nothing dominates all steps of a kind: too little noise.
    """
    reserved = (
        SpareRounds(
            count=kind.count, steps=_runs(kind.steps), event=greatest([events[step - 1] for step in kind.steps])
        )
        for kind in kinds
    )
    return Spares(spare_rounds(spec, plan), tuple(reserved))


def most_expensive(plan: Plan, kinds: Sequence[SpareKind]) -> tuple[int, ...]:
    """Return for each spare round the position of the most expensive step that it may repeat."""
    return tuple(
        min(kind.steps, key=lambda step: plan.rounds[step - 1].noise_factor) - 1
        for kind in kinds
        for _ in range(kind.count)
    )


def _runs(steps: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return increasing numbers as runs (first, last)."""
    runs: list[tuple[int, int]] = []
    for step in steps:
        if runs and runs[-1][1] + 1 == step:
            runs[-1] = runs[-1][0], step
        else:
            runs.append((step, step))
    return tuple(runs)


def _count(spare: int, steps: int, rounds: list[RoundPlan]) -> int:
    return min(spare, sum(-(-spare * alike // steps) for alike in Counter(rounds).values()))
