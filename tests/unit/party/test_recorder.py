# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What is appended to the record, and what happens when somebody floods a party with nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from coterie_common.audit.chain import verify_chain
from coterie_common.audit.entry import Kind, Owner
from coterie_common.errors import StateError
from coterie_common.host.database import open_database
from coterie_common.identifiers import JobId
from coterie_common.limits import AUDIT_REFUSAL_SECONDS, AUDIT_REFUSALS_LISTED
from coterie_common.protocol.acceptance import Decision
from coterie_party.store import MIGRATIONS, AuditLog, PartyJob, PartyStore
from tests.support.recorders import PARTY_KEY, ManualClock, make_recorder

OWNER = Owner("founder", "party-1")
REFUSAL = {"code": "malformed-message", "detail": "garbage"}


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = open_database("sqlite://", MIGRATIONS)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(engine: Engine, clock: ManualClock) -> AuditLog:
    return AuditLog(engine, "founder", make_recorder(clock=clock))


def unlisted(log: AuditLog) -> list[Any]:
    return [entry.facts["not_listed_before"] for entry in log.entries() if entry.kind is Kind.REFUSAL]


def test_entries_follow_on_each_other_across_recorders(engine, log, clock):
    log.record_start({"version": "1"})
    clock.pass_seconds(3600)
    again = AuditLog(engine, "founder", make_recorder(clock=clock))
    again.record_start({"version": "2"})
    entries = log.entries()
    assert verify_chain(entries, OWNER, PARTY_KEY.verify_key) == ()
    assert [(entry.sequence, entry.time[:19]) for entry in entries] == [
        (1, "2026-03-01T12:00:00"),
        (2, "2026-03-01T13:00:00"),
    ]


def test_records_of_two_founders_are_apart(engine, log):
    other = AuditLog(engine, "another", make_recorder("another"))
    log.record_start({})
    other.record_start({})
    other.record_start({})
    assert ([len(each.entries()) for each in (log, other)]) == [1, 2]
    assert verify_chain(other.entries(), Owner("another", "party-1"), PARTY_KEY.verify_key) == ()


def test_model_that_comes_again_has_one_entry(log):
    for _ in range(2):
        log.record_model("job-1", {"model_digest": "ab"})
    log.record_model("job-2", {"model_digest": "cd"})
    assert [entry.job_id for entry in log.entries()] == ["job-1", "job-2"]


def test_flood_of_refusals_is_counted_and_said_in_the_next_that_is_listed(log, clock):
    for _ in range(AUDIT_REFUSALS_LISTED + 5):
        log.record_refusal("job-1", 1, REFUSAL)
    assert unlisted(log) == [0] * AUDIT_REFUSALS_LISTED
    clock.pass_seconds(AUDIT_REFUSAL_SECONDS - 1)
    log.record_refusal("job-1", 1, REFUSAL)
    assert len(unlisted(log)) == AUDIT_REFUSALS_LISTED
    clock.pass_seconds(1)
    for _ in range(3):
        log.record_refusal("job-1", 1, REFUSAL)
    assert unlisted(log)[AUDIT_REFUSALS_LISTED:] == [6]
    clock.pass_seconds(AUDIT_REFUSAL_SECONDS)
    log.record_refusal("job-1", 1, REFUSAL)
    assert unlisted(log)[AUDIT_REFUSALS_LISTED:] == [6, 2]


def test_clock_that_is_set_back_does_not_stop_the_listing(log, clock):
    for _ in range(AUDIT_REFUSALS_LISTED):
        log.record_refusal("job-1", 1, REFUSAL)
    clock.pass_seconds(-86_400)
    log.record_refusal("job-1", 1, REFUSAL)
    clock.pass_seconds(AUDIT_REFUSAL_SECONDS)
    log.record_refusal("job-1", 1, REFUSAL)
    assert unlisted(log)[AUDIT_REFUSALS_LISTED:] == [1]


def test_pauses_do_not_add_up_to_more_than_one_flood(log, clock):
    clock.pass_seconds(365 * 86_400)
    for _ in range(AUDIT_REFUSALS_LISTED + 5):
        log.record_refusal("job-1", 1, REFUSAL)
    assert len(unlisted(log)) == AUDIT_REFUSALS_LISTED


def test_without_a_recorder_nothing_is_written(engine):
    log, store = AuditLog(engine, "founder"), PartyStore(engine, "founder")
    job = PartyJob(
        job_id=JobId("job-1"),
        spec=b"",
        terms=b"",
        spec_digest=bytes(32),
        terms_digest=bytes(32),
        decision=Decision.REFUSED,
        code="consent-denied",
        detail="",
        dataset="",
    )
    for write in (
        lambda: log.record_start({}),
        lambda: log.record_model("job-1", {}),
        lambda: log.record_refusal("", 0, REFUSAL),
        lambda: store.record_job(job),
    ):
        with pytest.raises(StateError):
            write()
    assert store.jobs() == log.entries() == ()
