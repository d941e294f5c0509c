# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Databases with rounds of the versions before rounds had steps of the plan, and quorums of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, inspect

import coterie_aggregator.store as aggregator
import coterie_party.store as party
from coterie_aggregator.store import AggregatorStore, StoredRound, tables
from coterie_common.host.database import Migrations, open_database, transaction
from coterie_common.identifiers import JobId
from coterie_common.protocol.verification.query import OpenedRound
from coterie_party.store import PartyStore, RecordedTranscript
from coterie_party.store.tables import ACCEPTANCES, ASKED_STEPS, JOBS, LEDGER, TRANSCRIPTS
from tests.support.present import present

FOUNDER = "abcd-ef01"
NOW = datetime(2026, 3, 4, tzinfo=UTC)
JOB_1, JOB_2, STRANGE = JobId("job-1"), JobId("job-2"), JobId("job-9")
SESSION = b"s" * 32


def open_at(url: str, store: str, newest: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return a new database as the revisions of a store up to ``newest``, such as ``r0006``, make it."""
    package = folder / "packages" / f"former_{newest}"
    package.mkdir(parents=True)
    for script in (Path(store).parent / "migrations").glob("*.py"):
        if script.name == "__init__.py" or script.name[: len(newest)] <= newest:
            (package / script.name).write_text(script.read_text())
    monkeypatch.syspath_prepend(package.parent)
    return open_database(url, Migrations(package.name))


def test_party_rounds_asked_and_opened_before_steps_have_their_number_as_step(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/party.db"
    former = open_at(url, party.__file__, "r0006", tmp_path, monkeypatch)
    asked = [(JOB_1, 1), (JOB_1, 2), (JOB_2, 1)]
    # Two sums of this party's jobs, and one of a job that it did not take part in.
    opened = [(JOB_1, 1, b"1" * 32), (JOB_2, 1, b"2" * 32), (STRANGE, 7, b"9" * 32)]
    with transaction(former) as connection:
        assert "asked_steps" not in inspect(connection).get_table_names()
        job: dict[str, object] = {"founder": FOUNDER, "decision": "accepted", "code": "", "detail": ""}
        job |= {"dataset": "nursery", "spec": b"{}", "terms": b"{}", "spec_digest": b"{}", "terms_digest": b"{}"}
        connection.execute(insert(JOBS), [{**job, "job_id": job_id} for job_id in (JOB_1, JOB_2)])
        for job_id, number in [*asked, (JOB_1, 3)]:
            key = {"founder": FOUNDER, "job_id": job_id, "number": number}
            status = "reserved" if number == 3 else "committed"
            connection.execute(insert(LEDGER).values(**key, dataset="nursery", cost=b"{}", status=status))
            if number != 3:
                connection.execute(insert(ACCEPTANCES).values(**key, session_id=SESSION, cohort=b"[]"))
        for job_id, number, digest in opened:
            key = {"founder": FOUNDER, "job_id": job_id, "number": number}
            values = {"session_id": SESSION, "digest": digest, "total": b"total", "contributors": 3}
            connection.execute(insert(TRANSCRIPTS).values(**key, **values))
    former.dispose()
    engine = open_database(url, party.MIGRATIONS)
    store = PartyStore(engine, FOUNDER)
    assert store.asked_steps(JOB_1) == {1: 1, 2: 2}
    assert store.asked_steps(JOB_2) == {1: 1}
    assert store.asked_steps(STRANGE) == {}
    for job_id, number, digest in opened:
        assert store.opened_step(job_id, number) == OpenedRound(number=number, transcript=digest)
        assert store.transcript(job_id, number) == RecordedTranscript(
            session_id=SESSION, digest=digest, total=b"total", contributors=3, step=number
        )
    assert store.opened_step(JOB_1, 2) is None
    with transaction(engine) as connection:
        lines = connection.execute(ASKED_STEPS.select()).all()
    # Every round was charged to its own line.
    assert {(row.job_id, row.number, row.line) for row in lines} == {(job_id, n, n) for job_id, n in asked}
    engine.dispose()


def test_aggregator_rounds_asked_before_quorums_of_their_own_have_that_of_their_job(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/aggregator.db"
    former = open_at(url, aggregator.__file__, "r0001", tmp_path, monkeypatch)
    with transaction(former) as connection:
        assert "quorum" not in {column["name"] for column in inspect(connection).get_columns("rounds")}
        job = {"job_id": JOB_1, "proposal": b"proposal", "submitter": "olga", "submitted_at": NOW}
        connection.execute(insert(tables.JOBS).values(**job))
        for number in (1, 2):
            values = {"query": b"query", "state": b"state", "started_at": NOW}
            connection.execute(insert(tables.ROUNDS).values(job_id=JOB_1, number=number, **values))
    former.dispose()
    engine = open_database(url, aggregator.MIGRATIONS)
    store = AggregatorStore(engine)
    assert store.last_round(JOB_1) == 2
    assert present(store.round(JOB_1, 2)) == StoredRound(b"query", b"state", NOW)
    assert store.quorum(JOB_1, 1) is store.quorum(JOB_1, 2) is None
    store.start_round(JOB_1, 3, b"query", b"state", NOW, 4)
    assert store.quorum(JOB_1, 3) == 4
    engine.dispose()
