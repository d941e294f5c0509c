# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a data set's ledger adds up to, and whether another job fits the limits of the policy.

For a lifetime every line counts that was not given back. Within a period of so many days those count that were spent
in the last so many days, and all that are reserved: they may be spent at any time from now on. So *any* so many days in
a row stay within the limit: of the jobs that spend in them, the one that was accepted last was checked together with
all others.

Invariants: whatever cannot be bounded is refused; a refusal says the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add

from coterie_common.errors import BudgetExhausted, MalformedMessage, StorageError, UnsupportedMechanism
from coterie_common.privacy.cost import Cost
from coterie_common.protocol.job_spec import JobSpec
from coterie_party.policy import Limit
from coterie_party.store.records import LedgerEntry, ReservationStatus


def cost_of(entry: LedgerEntry) -> Cost:
    """Return what a line of the ledger costs; raises ``StorageError``."""
    try:
        return Cost.from_document(entry.cost)
    except MalformedMessage as cause:
        raise StorageError(f"the privacy ledger cannot be read: {cause.message}") from cause


def spent_cost(entries: Iterable[LedgerEntry]) -> Cost | None:
    """Add up what a data set's ledger holds, reserved or committed; ``None`` if nothing.

    Raises:
        StorageError: a line cannot be read.
        UnsupportedMechanism: the lines protect different units of privacy.
    """
    costs = [cost_of(entry) for entry in entries if entry.status is not ReservationStatus.RELEASED]
    return reduce(add, costs) if costs else None


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
    limits: Iterable[Limit], spec: JobSpec, job_cost: Cost, entries: Sequence[LedgerEntry], now: datetime
) -> None:
    """Check that a job fits all limits on its data set.

    Args:
        limits: of the policy.
        spec: the job.
        job_cost: of all its rounds, by the party's own accountant.
        entries: the ledger of its data set, without this job.
        now: the current time.

    Raises:
        BudgetExhausted: it does not; says the numbers.
        UnsupportedMechanism: it costs nothing, or protects another unit of privacy than earlier jobs.
        StorageError: the ledger cannot be read.
    """
    if not (any(job_cost.divergences) or job_cost.pure_epsilon or job_cost.unprotected):
        raise UnsupportedMechanism("the accountant found no cost, and every release has one")
    for limit in limits:
        spent = spent_cost(within(entries, limit.days, now))
        total = job_cost if spent is None else spent + job_cost
        budget = limit.budget
        epsilon, delta = Fraction(budget.epsilon), Fraction(budget.delta)
        if total.fits(epsilon, delta):
            continue
        # What adds up over jobs is measured at one order for all, which is coarse for few sampled rounds.
        coarser = ""
        if epsilon_at(total, delta) <= epsilon:
            coarser = f"; counted as jobs add up, that is {100 * total.used(epsilon, delta):.0f} % of it"
        so_far = "nothing" if spent is None else f"ε = {epsilon_text(spent, delta)}"
        raise BudgetExhausted(
            f"asks ε = {decimal_text(spec.privacy.epsilon)}, and {spec.dataset} has spent {so_far}: together "
            f"ε = {epsilon_text(total, delta)} at δ = {decimal_text(budget.delta)}, "
            f"this party's limit for {limit.words} is {decimal_text(budget.epsilon)}{coarser}"
        )


def decimal_text(number: Decimal) -> str:
    """Return a decimal with all its digits."""
    # Not normalize(), which rounds to 28 digits: a limit exceeded in the 29th must be seen to be exceeded.
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def epsilon_text(cost: Cost, delta: Fraction) -> str:
    """Return ε(δ) to four digits, or ``∞``."""
    epsilon = epsilon_at(cost, delta)
    return "∞" if math.isinf(epsilon) else f"{epsilon:.4g}"


def epsilon_at(cost: Cost, delta: Fraction) -> float:
    """Return ε(δ); infinite where there is none."""
    try:
        return cost.epsilon(delta)
    except UnsupportedMechanism:
        # Gaussian noise at δ = 0.
        return math.inf
