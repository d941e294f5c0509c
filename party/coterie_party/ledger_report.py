# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the privacy ledger of a data set amounts to, per limit of the policy and per job: for people and as JSON.

The JSON holds every line of the ledger with what was released, so that anybody can compute the totals again with
another accountant.

Invariant: what the report says is left is what the next decision finds left.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any, Final

from coterie_common.privacy.cost import ORDERS, Cost
from coterie_party.budget import cost_of, decimal_text, epsilon_at, within
from coterie_party.policy import Budget, Limit, Policy
from coterie_party.store import LedgerEntry, ReservationStatus

_DELTA_WITHOUT_POLICY: Final = Decimal("1e-5")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How much of one limit is used.

    Attributes:
        limit: the limit.
        spent, reserved: parts of it, 1 being all; infinite after a release without noise.
        epsilon: ε of what is spent or reserved, at the limit's δ.
    """

    limit: Limit
    spent: float
    reserved: float
    epsilon: float

    @property
    def left(self) -> float:
        """The part that is left, never below 0."""
        return max(0.0, 1 - self.spent - self.reserved)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "days": self.limit.days,
            "limit_epsilon": decimal_text(self.limit.budget.epsilon),
            "delta": decimal_text(self.limit.budget.delta),
            "epsilon": _finite(self.epsilon),
            "spent": _finite(self.spent),
            "reserved": _finite(self.reserved),
            "left": self.left,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUse:
    """What one job takes.

    Attributes:
        job_id: the job.
        founder: of the federation that asked.
        spent, reserved, given_back: its rounds.
        epsilon: of the rounds spent and reserved, at the lifetime budget's δ, of this job alone.
        part: of the lifetime budget; ``None`` without a policy.
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
            "orders": list(ORDERS),
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
                    "event": entry.event,
                    "cost": entry.cost,
                }
                for entry in self.entries
            ],
        }


def report(
    dataset: str, entries: Sequence[LedgerEntry], policy: Policy | None, now: datetime
) -> Iterator[LedgerReport]:
    """Yield what a data set's ledger amounts to, for each unit of privacy that it has; costs of two never add up.

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
        delta = _DELTA_WITHOUT_POLICY if lifetime is None else lifetime.delta
        yield LedgerReport(
            dataset=dataset,
            unit=unit.value,
            delta=delta,
            limits=() if policy is None else tuple(limit_use(limit, mine, now) for limit in policy.limits(dataset)),
            jobs=tuple(_job_uses(mine, lifetime, Fraction(delta))),
            entries=tuple(mine),
        )


def limit_use(limit: Limit, entries: Sequence[LedgerEntry], now: datetime, more: Cost | None = None) -> LimitUse:
    """Return how much of a limit is used.

    Args:
        limit: of the policy.
        entries: the ledger of the data set, of one unit of privacy.
        now: the current time.
        more: a cost to be reserved besides.
    """
    counting = within(entries, limit.days, now)
    spent = _sum(counting, ReservationStatus.COMMITTED)
    reserved = _added([cost for cost in (_sum(counting, ReservationStatus.RESERVED), more) if cost is not None])
    total = _added([cost for cost in (spent, reserved) if cost is not None])
    if total is None:
        return LimitUse(limit=limit, spent=0.0, reserved=0.0, epsilon=0.0)
    epsilon, delta = Fraction(limit.budget.epsilon), Fraction(limit.budget.delta)
    parts = [0.0 if cost is None else cost.used(epsilon, delta, beside=total) for cost in (spent, reserved)]
    return LimitUse(limit=limit, spent=parts[0], reserved=parts[1], epsilon=epsilon_at(total, delta))


def _job_uses(entries: Sequence[LedgerEntry], lifetime: Budget | None, delta: Fraction) -> Iterator[JobUse]:
    total = _added([cost_of(entry) for entry in entries if entry.status is not ReservationStatus.RELEASED])
    for founder, job_id in dict.fromkeys((entry.founder, entry.job_id) for entry in entries):
        mine = [entry for entry in entries if (entry.founder, entry.job_id) == (founder, job_id)]
        rounds = {status: sum(entry.status is status for entry in mine) for status in ReservationStatus}
        cost = _added([cost_of(entry) for entry in mine if entry.status is not ReservationStatus.RELEASED])
        part = None
        if lifetime is not None:
            part = 0.0
            if cost is not None:
                part = cost.used(Fraction(lifetime.epsilon), Fraction(lifetime.delta), beside=total)
        yield JobUse(
            job_id=job_id,
            founder=founder,
            spent=rounds[ReservationStatus.COMMITTED],
            reserved=rounds[ReservationStatus.RESERVED],
            given_back=rounds[ReservationStatus.RELEASED],
            epsilon=0.0 if cost is None else epsilon_at(cost, delta),
            part=part,
            last=max((entry.settled_at for entry in mine if entry.settled_at is not None), default=None),
        )


def _sum(entries: Iterable[LedgerEntry], status: ReservationStatus) -> Cost | None:
    return _added([cost_of(entry) for entry in entries if entry.status is status])


def _added(costs: Sequence[Cost]) -> Cost | None:
    return reduce(add, costs) if costs else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
