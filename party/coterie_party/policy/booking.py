# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The ledger lines that a job reserves: one per step of its plan, with what it releases and from which records."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.document import Document
from coterie_common.errors import StorageError
from coterie_common.identifiers import JobId
from coterie_common.learning.plan import Plan, PlannedVectorRound, Records
from coterie_common.privacy.accounting.cost import Cost, costs, joined
from coterie_common.privacy.event import Event
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_party.policy.budget import SIDES, on_side
from coterie_party.store.records import LedgerEntry, Reservation, ReservationStatus

_NOT_ACCEPTED: JobId = JobId("not-accepted-yet")


def book(plan: Plan, records: Records, events: Sequence[Event]) -> tuple[Reservation, ...]:
    """Return the lines of a whole plan; they do not contain the division of the records yet.

    Args:
        plan: of the job.
        records: the kind that its algorithm counts where a round names none.
        events: what each round releases, in the plan's order.

    Raises:
        UnsupportedMechanism: a release has no proven bound.
    """
    lines = []
    for number, (planned, event, price) in enumerate(zip(plan.rounds, events, costs(events), strict=True), 1):
        own = planned.records if isinstance(planned, PlannedVectorRound) else None
        # The party's reply as a whole is protected, so it has no sides.
        counted = Records.ALL if event.unit is Unit.PARTY else own or records
        lines.append(Reservation(number, price.to_document(), event.to_document(), counted.value))
    return tuple(lines)


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
