# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The total of a data set's ledger, and the check that another job fits the limits of the policy.

In the lifetime budget every line counts that was not given back. In a period of ``n`` days a line counts if it was
spent in the last ``n`` days or is reserved, because it may be spent at any time from now on. So *any* ``n`` days in a
row stay within the limit: among the jobs that spend in them, the one accepted last was checked together with all
others.

Records for training and records set aside are counted separately, because they are disjoint. An independent coin
decided the side of each record, so answers about one side reveal nothing about a record of the other. A line that was
written under another division of the records counts on both sides.

Invariants: a cost that cannot be bounded is refused; a refusal states the numbers; a job whose whole plan does not fit
a limit by itself is charged as a whole once anything of it was asked (see ``coterie_common.privacy.accounting.cost``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Final

from coterie_common.errors import BudgetExhausted, MalformedMessage, StorageError, UnsupportedMechanism
from coterie_common.learning.plan import Records
from coterie_common.privacy.accounting.cost import Charge, Cost, joined
from coterie_common.protocol.job_spec import JobSpec
from coterie_party.policy.policy import Limit
from coterie_party.store.records import LedgerEntry, ReservationStatus

SIDES: Final = (Records.TRAINING, Records.SET_ASIDE)
"""The kinds of records that every record is one of."""

_WORDS: Final = {Records.TRAINING: "to train with", Records.SET_ASIDE: "set aside"}


@dataclass(frozen=True, slots=True)
class JobCharge:
    """The charge of one job against a limit.

    Attributes:
        founder, job_id: identify the job.
        spent: the part that was asked; ``None`` if nothing.
        reserved: the part that it may still ask; ``None`` if nothing.
    """

    founder: str
    job_id: str
    spent: Charge | None
    reserved: Charge | None

    @property
    def total(self) -> Charge:
        """Both."""
        return reduce(add, [charge for charge in (self.spent, self.reserved) if charge is not None])


def cost_of(entry: LedgerEntry) -> Cost:
    """Return what a line of the ledger costs; raises ``StorageError``."""
    try:
        return Cost.from_document(entry.cost)
    except MalformedMessage as cause:
        raise StorageError(f"the privacy ledger cannot be read: {cause.message}") from cause


def division_now(entries: Sequence[LedgerEntry]) -> str:
    """Return the division of the records: that of the job accepted last, or of lines that are only planned."""
    dated = [entry for entry in entries if entry.reserved_at is not None]
    if not dated:
        # Lines that older versions reserved have no division, either.
        return max((entry.division for entry in entries), default="")
    return max(dated, key=lambda entry: (entry.reserved_at, entry.division)).division


def on_side(entries: Iterable[LedgerEntry], side: Records, division: str) -> list[LedgerEntry]:
    """Return the lines that count for the records of one side, as they are divided now."""
    return [entry for entry in entries if entry.records == side.value or _on_both(entry, division)]


def _on_both(entry: LedgerEntry, division: str) -> bool:
    return entry.records not in {side.value for side in SIDES} or entry.division != division


def charges(entries: Iterable[LedgerEntry], limit: Limit, now: datetime) -> tuple[JobCharge, ...]:
    """Return the charge of each job against a limit; jobs without a charge are left out.

    Args:
        entries: of one data set, one side and one unit of privacy, those that were given back too.
        limit: of the policy.
        now: the current time.

    Raises:
        StorageError: a line cannot be read.
    """
    epsilon, delta = Fraction(limit.budget.epsilon), Fraction(limit.budget.delta)
    jobs: dict[tuple[str, str, datetime | None], list[LedgerEntry]] = {}
    for entry in entries:
        jobs.setdefault((entry.founder, entry.job_id, entry.reserved_at), []).append(entry)
    found = []
    for (founder, job_id, _), lines in jobs.items():
        costs = {id(entry): cost_of(entry) for entry in lines}
        by_status: dict[ReservationStatus, list[Cost]] = {status: [] for status in ReservationStatus}
        for entry in within(lines, limit.days, now):
            by_status[entry.status].append(costs[id(entry)])
        spent, reserved = by_status[ReservationStatus.COMMITTED], by_status[ReservationStatus.RESERVED]
        if not spent and not reserved:
            continue
        whole = joined(costs.values()).under(epsilon, delta)
        if not whole.fits(epsilon, delta):
            found.append(JobCharge(founder, job_id, whole if spent else None, None if spent else whole))
            continue
        asked = joined(spent).under(epsilon, delta) if spent else None
        # What is charged together is spent as soon as any of it is.
        both = joined([*spent, *reserved]).under(epsilon, delta)
        found.append(JobCharge(founder, job_id, asked, both - asked if asked and reserved else None if asked else both))
    return tuple(found)


def total(found: Sequence[JobCharge]) -> Charge | None:
    """Add up the charges of jobs; ``None`` if there are none. Raises ``UnsupportedMechanism`` for different units."""
    return reduce(add, [charge.total for charge in found]) if found else None


def within(entries: Iterable[LedgerEntry], days: int | None, now: datetime) -> list[LedgerEntry]:
    """Return the lines that count for a limit.

    Args:
        entries: of one data set.
        days: of the period; ``None``: a lifetime.
        now: the current time.
    """
    if days is None:
        return list(entries)
    begin = now - timedelta(days=days)
    return [
        entry
        for entry in entries
        if entry.status is not ReservationStatus.COMMITTED or entry.settled_at is None or entry.settled_at > begin
    ]


def check_budget(
    limits: Iterable[Limit],
    spec: JobSpec,
    planned: Sequence[LedgerEntry],
    entries: Sequence[LedgerEntry],
    now: datetime,
    exact: Callable[[Fraction], float],
) -> None:
    """Check that a job fits all limits on its data set.

    Args:
        limits: of the policy.
        spec: the job.
        planned: its lines, as they would be reserved.
        entries: the ledger of its data set, without this job.
        now: the current time.
        exact: ε of the whole job at a given δ, by the accountant of jobs.

    Raises:
        BudgetExhausted: it does not; states the numbers.
        UnsupportedMechanism: it costs nothing, or protects another unit of privacy than earlier jobs.
        StorageError: the ledger cannot be read.
    """
    if not planned or any(cost_of(entry).is_nothing for entry in planned):
        raise UnsupportedMechanism("the accountant found no cost, and every release has one")
    division = division_now(planned)
    for limit in limits:
        for side in SIDES:
            mine = on_side(planned, side, division)
            if mine:
                _check_side(limit, side, spec, mine, on_side(entries, side, division), now, exact)


def _check_side(
    limit: Limit,
    side: Records,
    spec: JobSpec,
    mine: Sequence[LedgerEntry],
    entries: Sequence[LedgerEntry],
    now: datetime,
    exact: Callable[[Fraction], float],
) -> None:
    budget = limit.budget
    epsilon, delta = Fraction(budget.epsilon), Fraction(budget.delta)
    before = total(charges(entries, limit, now))
    job = joined(map(cost_of, mine)).under(epsilon, delta)
    together = job if before is None else before + job
    if together.fits(epsilon, delta):
        return
    alone = exact_or_infinite(exact, delta)
    if before is None and alone <= epsilon:
        # The first job of all within this limit: see ``coterie_common.privacy.accounting.cost``.
        return
    so_far = "nothing" if before is None else f"ε = {epsilon_text(before, delta)}"
    reached = _number(alone) if before is None else epsilon_text(together, delta)
    # With few sampled rounds, the fraction of a filter's limits and the resulting ε are not the same.
    coarser = ""
    if before is not None and together.epsilon(delta) <= epsilon:
        coarser = f"; counted as jobs add up, that is {100 * together.used(epsilon, delta):.1f} % of it"
    of = "" if all(entry.records == Records.ALL.value for entry in mine) else f" of the records {_WORDS[side]}"
    raise BudgetExhausted(
        f"asks ε = {decimal_text(spec.privacy.epsilon)}, and {spec.dataset} has spent {so_far}{of}: together "
        f"ε = {reached} at δ = {decimal_text(budget.delta)}, "
        f"this party's limit for {limit.words} is {decimal_text(budget.epsilon)}{coarser}"
    )


def exact_or_infinite(exact: Callable[[Fraction], float], delta: Fraction) -> float:
    """Return a job's own ε(δ); infinite where there is none."""
    try:
        return exact(delta)
    except UnsupportedMechanism:
        # Gaussian noise at δ = 0, or a δ too small for the accountant.
        return math.inf


def decimal_text(number: Decimal) -> str:
    """Return a decimal with all its digits."""
    # Not normalize(), which rounds to 28 digits: a limit exceeded in the 29th must be seen to be exceeded.
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def epsilon_text(charge: Charge, delta: Fraction) -> str:
    """Return ε(δ) to four digits, or ``∞``."""
    return _number(charge.epsilon(delta))


def _number(epsilon: float) -> str:
    return "∞" if math.isinf(epsilon) else f"{epsilon:.4g}"
