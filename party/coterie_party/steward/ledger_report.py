# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The totals of a data set's privacy ledger, per limit of the policy and per job: for people and as JSON.

The JSON contains every line of the ledger with what was released, so that anyone can recompute the totals with another
accountant.

Invariant: the remaining budget in the report is the one that the next decision finds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any, Final

from coterie_common.learning.plan import Records
from coterie_common.privacy.accounting.cost import Charge, maximum
from coterie_common.privacy.accounting.dominating import Domination
from coterie_common.privacy.exact import fraction_to_text
from coterie_party.policy.budget import (
    SIDES,
    charges,
    cost_of,
    decimal_text,
    division_now,
    exact_or_infinite,
    on_side,
    total,
)
from coterie_party.policy.policy import Budget, Limit, Policy
from coterie_party.store import LedgerEntry, ReservationStatus

_EPSILON_WITHOUT_POLICY: Final = Decimal(1)
_DELTA_WITHOUT_POLICY: Final = Decimal("1e-5")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """The used part of one limit.

    Attributes:
        limit: the limit.
        records: those of one side, or all where no line distinguishes them.
        spent, reserved: parts of it, 1 being all; infinite after a release without noise.
        epsilon: ε of what is spent or reserved, at the limit's δ.
    """

    limit: Limit
    records: Records
    spent: float
    reserved: float
    epsilon: float

    @property
    def allowed(self) -> Domination:
        """The two numbers that the limit's filter has."""
        return maximum(Fraction(self.limit.budget.epsilon), Fraction(self.limit.budget.delta))

    @property
    def words(self) -> str:
        """The span that the limit is for, and the records."""
        side = {Records.ALL: "", Records.TRAINING: ", to train with", Records.SET_ASIDE: ", set aside"}[self.records]
        return self.limit.words + side

    @property
    def left(self) -> float:
        """The part that is left, never below 0."""
        return max(0.0, 1 - self.spent - self.reserved)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "days": self.limit.days,
            "records": self.records.value,
            "limit_epsilon": decimal_text(self.limit.budget.epsilon),
            "delta": decimal_text(self.limit.budget.delta),
            "squared_distance": fraction_to_text(self.allowed.squared_distance),
            "slack": fraction_to_text(self.allowed.slack),
            "epsilon": _finite(self.epsilon),
            "spent": _finite(self.spent),
            "reserved": _finite(self.reserved),
            "left": self.left,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUse:
    """The cost of one job.

    Attributes:
        job_id: the job.
        founder: of the federation that asked.
        spent, reserved, given_back: its rounds.
        epsilon: of what is charged for the job, at the lifetime budget's δ; of the side where that is more.
        part: of the lifetime budget, of the side where that is more; ``None`` without a policy.
        last: when a round was settled last.
    """

    job_id: str
    founder: str
    spent: int
    reserved: int
    given_back: int
    epsilon: float
    part: float | None
    last: datetime | None

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self) | {
            "epsilon": _finite(self.epsilon),
            "part": None if self.part is None else _finite(self.part),
            "last": _time(self.last),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """The ledger of one data set for one unit of privacy.

    Attributes:
        dataset: which.
        unit: of privacy.
        delta: at which the jobs' ε are stated.
        limits: of the policy; empty where it cannot be read.
        jobs: in the order of the ledger.
        entries: its lines.
    """

    dataset: str
    unit: str
    delta: Decimal
    limits: tuple[LimitUse, ...]
    jobs: tuple[JobUse, ...]
    entries: tuple[LedgerEntry, ...]

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "dataset": self.dataset,
            "unit": self.unit,
            "delta": decimal_text(self.delta),
            "limits": [use.to_document() for use in self.limits],
            "jobs": [use.to_document() for use in self.jobs],
            "lines": [
                {
                    "founder": entry.founder,
                    "job_id": entry.job_id,
                    "round": entry.round_number,
                    "status": entry.status.value,
                    "reserved_at": _time(entry.reserved_at),
                    "settled_at": _time(entry.settled_at),
                    "records": entry.records,
                    "division": entry.division,
                    "event": entry.event,
                    "cost": entry.cost,
                }
                for entry in self.entries
            ],
        }


def report(
    dataset: str, entries: Sequence[LedgerEntry], policy: Policy | None, now: datetime
) -> Iterator[LedgerReport]:
    """Yield the totals of a data set's ledger, for each unit of privacy in it; costs of two units never add up.

    Args:
        dataset: which.
        entries: its ledger.
        policy: in force; ``None`` if it cannot be read.
        now: the current time.

    Raises:
        StorageError: a line cannot be read.
    """
    priced = [(entry, cost_of(entry)) for entry in entries]
    for unit in dict.fromkeys(cost.unit for _, cost in priced):
        mine = [entry for entry, cost in priced if cost.unit is unit]
        lifetime = None if policy is None else policy.budget(dataset)
        limits = () if policy is None else tuple(policy.limits(dataset))
        yield LedgerReport(
            dataset=dataset,
            unit=unit.value,
            delta=_DELTA_WITHOUT_POLICY if lifetime is None else lifetime.delta,
            limits=tuple(use for limit in limits for use in limit_uses(limit, mine, now)),
            jobs=tuple(_job_uses(mine, lifetime, now)),
            entries=tuple(mine),
        )


def limit_uses(
    limit: Limit,
    entries: Sequence[LedgerEntry],
    now: datetime,
    more: Sequence[LedgerEntry] = (),
    exact: Callable[[Fraction], float] | None = None,
) -> tuple[LimitUse, ...]:
    """Return the used part of a limit, for each side of the records, or once where both are the same.

    Args:
        limit: of the policy.
        entries: the ledger of the data set, of one unit of privacy.
        now: the current time.
        more: further lines to be reserved.
        exact: ε of the job that they are of, at a given δ; decides if it would be the first.
    """
    division = division_now(more or entries)
    uses = [
        _use(limit, side, on_side(entries, side, division), on_side(more, side, division), now, exact) for side in SIDES
    ]
    first, second = uses
    if replace(second, records=first.records) == first:
        return (replace(first, records=Records.ALL),)
    return tuple(uses)


def _use(
    limit: Limit,
    side: Records,
    entries: Sequence[LedgerEntry],
    more: Sequence[LedgerEntry],
    now: datetime,
    exact: Callable[[Fraction], float] | None,
) -> LimitUse:
    epsilon, delta = Fraction(limit.budget.epsilon), Fraction(limit.budget.delta)
    jobs = charges(entries, limit, now)
    spent = _added([job.spent for job in jobs])
    reserved = _added([*(job.reserved for job in jobs), *(job.total for job in charges(more, limit, now))])
    everything = _added([spent, reserved])
    if everything is None:
        return LimitUse(limit=limit, records=side, spent=0.0, reserved=0.0, epsilon=0.0)
    parts = [0.0 if charge is None else charge.used(epsilon, delta, beside=everything) for charge in (spent, reserved)]
    reached = everything.epsilon(delta)
    # The first job was accepted, or would be, because its own ε fits: it takes all.
    is_first = len(jobs) + bool(more) == 1
    if is_first and not everything.unprotected and not everything.fits(epsilon, delta):
        alone = 0.0 if exact is None else exact_or_infinite(exact, delta)
        if jobs or alone <= epsilon:
            parts = [part / sum(parts) for part in parts] if all(map(math.isfinite, parts)) else [float(bool(jobs)), 0]
            reached = min(reached, float(epsilon))
    return LimitUse(limit=limit, records=side, spent=parts[0], reserved=parts[1], epsilon=reached)


def _job_uses(entries: Sequence[LedgerEntry], lifetime: Budget | None, now: datetime) -> Iterator[JobUse]:
    budget = lifetime or Budget(epsilon=_EPSILON_WITHOUT_POLICY, delta=_DELTA_WITHOUT_POLICY)
    limit = Limit(budget, None)
    epsilon, delta = Fraction(budget.epsilon), Fraction(budget.delta)
    division = division_now(entries)
    sides = [charges(on_side(entries, side, division), limit, now) for side in SIDES]
    totals = [total(jobs) for jobs in sides]
    for founder, job_id in dict.fromkeys((entry.founder, entry.job_id) for entry in entries):
        mine = [entry for entry in entries if (entry.founder, entry.job_id) == (founder, job_id)]
        rounds = {status: sum(entry.status is status for entry in mine) for status in ReservationStatus}
        parts, reached = [0.0], [0.0]
        for jobs, everything in zip(sides, totals, strict=True):
            charge = _added([job.total for job in jobs if (job.founder, job.job_id) == (founder, job_id)])
            if charge is not None:
                part = charge.used(epsilon, delta, beside=everything)
                parts.append(min(part, 1.0) if len(jobs) == 1 and not charge.unprotected else part)
                reached.append(charge.epsilon(delta))
        yield JobUse(
            job_id=job_id,
            founder=founder,
            spent=rounds[ReservationStatus.COMMITTED],
            reserved=rounds[ReservationStatus.RESERVED],
            given_back=rounds[ReservationStatus.RELEASED],
            epsilon=max(reached),
            part=None if lifetime is None else max(parts),
            last=max((entry.settled_at for entry in mine if entry.settled_at is not None), default=None),
        )


def _added(found: Iterable[Charge | None]) -> Charge | None:
    present = [charge for charge in found if charge is not None]
    return reduce(add, present) if present else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
