# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party is killed at any moment: every promise that it could have acted on is still known."""

from __future__ import annotations

import pytest

from coterie_common.audit.chain import verify_chain
from coterie_common.audit.entry import Owner
from coterie_common.crypto.identity import SigningKey
from coterie_common.host.database import open_database
from coterie_party.round import Phase
from coterie_party.store import MIGRATIONS, AuditLog, PartyStore, ReservationStatus
from tests.support.killed import reported_before_kill

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from coterie_common.audit.entry import Owner
from coterie_common.clock import SystemClock
from coterie_common.crypto.identity import SigningKey
from coterie_common.host.database import open_database
from coterie_common.protocol.acceptance import Decision
from coterie_party.store import MIGRATIONS, AskedStep, PartyJob, PartyStore, Recorder, Reservation

engine = open_database(f"sqlite:///{Path(sys.argv[1]) / 'store.db'}", MIGRATIONS)
recorder = Recorder(owner=Owner("founder", "party-1"), key=SigningKey(bytes(32)), clock=SystemClock())
store = PartyStore(engine, "founder", recorder)
for number in range(len(store.jobs()), 10_000):
    job = f"job-{number}"
    digest = number.to_bytes(32, "big")
    store.record_job(
        PartyJob(
            job_id=job, spec=b"{}", terms=b"[]", spec_digest=digest, terms_digest=digest,
            decision=Decision.ACCEPTED, code="", detail="", dataset="nursery",
        ),
        [Reservation(1, {}), Reservation(2, {})],
    )
    print(job, "new", flush=True)
    store.accept_query(job, 1, digest, ["alpha"], AskedStep(step=1))
    print(job, "answering", flush=True)
    store.store_reply(job, 1, digest, b"r" * 40_000)
    print(job, "answered", flush=True)
    store.record_transcript(job, 1, digest, digest, b"t" * 10_000, 3, 1)
    print(job, "opening", flush=True)
    store.store_partial(job, 1, b"p" * 10_000)
    print(job, "opened", flush=True)
"""
PHASES = list(Phase)


@pytest.mark.slow  # starts four processes that each import SQLAlchemy
def test_killed_party_knows_all_that_it_reported_and_at_most_one_step_more(tmp_path):
    reported = {}
    for lines in (1, 3, 9, 40):
        for line in reported_before_kill(WRITER, tmp_path, lines):
            job_id, phase = line.split()
            reported[job_id] = Phase(phase)
        engine = open_database(f"sqlite:///{tmp_path}/store.db", MIGRATIONS)
        store, log = PartyStore(engine, "founder"), AuditLog(engine, "founder")
        ledger = store.ledger("nursery")
        jobs = store.jobs()
        assert {job.job_id for job in jobs} >= set(reported)
        for number, job in enumerate(jobs):
            digest = number.to_bytes(32, "big")
            state = store.round(job.job_id, 1)
            known = PHASES.index(state.phase)
            # A job that was stored but not reported is itself the one step more.
            told = PHASES.index(reported[job.job_id]) if job.job_id in reported else 0
            assert told <= known <= told + 1
            assert job.spec_digest == digest
            assert state.session_id == (digest if known >= 1 else None)
            assert store.reply(job.job_id, 1) == (b"r" * 40_000 if known >= 2 else None)
            assert state.transcript_digest == (digest if known >= 3 else None)
            assert store.partial(job.job_id, 1) == (b"p" * 10_000 if known >= 4 else None)
            assert [entry.status for entry in ledger if entry.job_id == job.job_id] == [
                ReservationStatus.COMMITTED if known >= 1 else ReservationStatus.RESERVED,
                ReservationStatus.RESERVED,
            ]
        # The record is whole, and nothing is kept that is not in it, or the other way round.
        entries = log.entries()
        assert verify_chain(entries, Owner("founder", "party-1"), SigningKey(bytes(32)).verify_key) == log.gaps() == ()
        assert len(entries) == sum(2 + PHASES.index(store.round(job.job_id, 1).phase) for job in jobs)
        engine.dispose()
    assert len(reported) >= 10
