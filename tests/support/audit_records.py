# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Audit records made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from coterie_common.audit.entry import FIRST_PREVIOUS, Entry, Event, Head, Kind, Owner, next_entry
from coterie_common.audit.export import Export
from coterie_common.crypto.identity import SigningKey
from coterie_common.identifiers import PartyId
from tests.support.federation import FOUNDER, Federation, digest_of

START = datetime(2026, 3, 1, 12, tzinfo=UTC)

EVENTS = (
    Event(kind=Kind.STARTED, details={"version": "1", "roster_serial": 1}),
    Event(kind=Kind.DECISION, job_id="job-1", details={"decision": "accepted", "dataset": "play", "code": ""}),
    Event(
        kind=Kind.QUERY,
        job_id="job-1",
        round_number=1,
        details={"session_id": digest_of("session").hex(), "cohort": ["party-1", "party-2"]},
    ),
    Event(kind=Kind.REPLY, job_id="job-1", round_number=1, details={"contribution_digest": "ab" * 32, "bytes": 4711}),
    Event(
        kind=Kind.REFUSAL,
        job_id="job-1",
        round_number=2,
        details={"code": "already-answered", "detail": "<b>no</b> & </script> ü", "message": "Query", "told": {}},
    ),
)


def make_entries(events: Iterable[Event], owner: Owner, key: SigningKey) -> tuple[Entry, ...]:
    head = Head(0, FIRST_PREVIOUS)
    entries: list[Entry] = []
    for event in events:
        entries.append(next_entry(event, head, owner, key, now=START + timedelta(seconds=len(entries))))
        head = entries[-1].head
    return tuple(entries)


def make_export(federation: Federation, party_id: PartyId, events: Iterable[Event] = EVENTS) -> Export:
    entries = make_entries(events, Owner(FOUNDER, party_id), federation.party_keys[party_id])
    return Export(party_id=party_id, signed_roster=federation.signed_roster, entries=entries)
