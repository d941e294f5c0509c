# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Durable state of the party: what it said, what it opened, what it spent."""

from coterie_party.store.party_store import PartyStore
from coterie_party.store.records import LedgerEntry, PartyJob, RecordedTranscript, Reservation, ReservationStatus

MIGRATIONS = "coterie_party.store.migrations"
"""What ``open_database`` brings the party's schema up to date with."""

__all__ = [
    "MIGRATIONS",
    "LedgerEntry",
    "PartyJob",
    "PartyStore",
    "RecordedTranscript",
    "Reservation",
    "ReservationStatus",
]
