# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The ledger lines that a job reserves, one per step and per spare round: what it releases, from which records."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.document import Document
from coterie_common.errors import StorageError, UnsupportedMechanism
from coterie_common.identifiers import JobId
from coterie_common.learning.plan import Plan, Records
from coterie_common.learning.spare_rounds import counted_records
from coterie_common.privacy.accounting.cost import Cost, costs, joined
from coterie_common.privacy.event import Event
from coterie_common.protocol.spares import NO_SPARES, SpareRounds, Spares
from coterie_party.policy.budget import SIDES, on_side
from coterie_party.store.records import LedgerEntry, Reservation, ReservationStatus

_NOT_ACCEPTED: JobId = JobId("not-accepted-yet")


def book(plan: Plan, records: Records, events: Sequence[Event], spares: Spares = NO_SPARES) -> tuple[Reservation, ...]:
    """Return the lines of a whole job, steps first; they do not contain the division of the records yet.

    Args:
        plan: of the job.
        records: the kind that its algorithm counts where a round names none.
        events: what each line releases: every step, in the plan's order, then every spare round.
        spares: of the job.

    Raises:
        UnsupportedMechanism: a release has no proven bound, or a spare round could cost more than is reserved for it.
    """
    steps, prices = len(plan.rounds), costs(events)
    counted = [counted_records(plan, planned, records) for planned in plan.rounds]
    for kind in spares.kinds:
        first, last = kind.steps[0][0], kind.steps[-1][1]
        _check_covered(kind, prices[spares.lines(first, steps)[0] - 1], prices[first - 1 : last], first)
        counted += [counted[first - 1]] * kind.count
    return tuple(
        Reservation(number, price.to_document(), event.to_document(), kind_of.value)
        for number, (event, price, kind_of) in enumerate(zip(events, prices, counted, strict=True), 1)
    )


def _check_covered(kind: SpareRounds, reserved: Cost, prices: Sequence[Cost], first: int) -> None:
    """Check that what is reserved for a spare round covers each step that it may repeat."""
    for step, price in enumerate(prices, first):
        if kind.is_for(step) and not reserved.covers(price):
            raise UnsupportedMechanism(f"a spare round could cost more than is reserved for it: as step {step}")


def as_entry(line: Reservation) -> LedgerEntry:
    """Return the ledger line that a reservation would become."""
    return LedgerEntry(
        founder="",
        job_id=_NOT_ACCEPTED,
        round_number=line.round_number,
        cost=line.cost,
        status=ReservationStatus.RESERVED,
        event=line.event,
        records=line.records,
        division=line.division,
    )


def per_side(lines: Sequence[Reservation]) -> Document:
    """Return what a job costs the records of each side, as it is kept with the job."""
    entries, division = [as_entry(line) for line in lines], lines[0].division
    prices = {side: [Cost.from_document(entry.cost) for entry in on_side(entries, side, division)] for side in SIDES}
    found: dict[str, Document] = {side.value: joined(each).to_document() for side, each in prices.items() if each}
    return {"division": division, "sides": found}


def planned_entries(price: Document) -> list[LedgerEntry]:
    """Return what ``per_side`` wrote as lines, one per side.

    Raises:
        StorageError: it was not written by ``per_side``.
    """
    if not isinstance(price, dict) or not isinstance(price.get("sides"), dict):
        raise StorageError("the price of a job cannot be read")
    sides: dict[str, Document] = price["sides"]
    return [
        as_entry(Reservation(number, cost, None, side, str(price.get("division", ""))))
        for number, (side, cost) in enumerate(sides.items(), 1)
    ]
