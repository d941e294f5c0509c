# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Durable state of the party: its replies, the transcripts it opened, its spending."""

from coterie_common.host.database import Migrations
from coterie_party.store.audit import Recorder
from coterie_party.store.audit_log import AuditLog
from coterie_party.store.notes import Note, StewardNotes
from coterie_party.store.party_store import PartyStore
from coterie_party.store.records import (
    AskedJob,
    AskedRound,
    AskedStep,
    DataVersion,
    LedgerEntry,
    PartyJob,
    RecordedTranscript,
    Reservation,
    ReservationStatus,
    Ruling,
)

MIGRATIONS = Migrations("coterie_party.store.migrations")
"""The migrations by which ``open_database`` brings the party's schema up to date."""

__all__ = [
    "MIGRATIONS",
    "AskedJob",
    "AskedRound",
    "AskedStep",
    "AuditLog",
    "DataVersion",
    "LedgerEntry",
    "Note",
    "PartyJob",
    "PartyStore",
    "RecordedTranscript",
    "Recorder",
    "Reservation",
    "ReservationStatus",
    "Ruling",
    "StewardNotes",
]
