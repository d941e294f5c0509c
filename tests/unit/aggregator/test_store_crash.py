# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A process that writes is killed at any moment: what it reported as written is there, and nothing is half there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coterie_aggregator.machines.job_events import ModelFinished, RoundReleased
from coterie_aggregator.machines.round_events import ContributionReceived
from coterie_aggregator.store import MIGRATIONS, AggregatorStore
from coterie_aggregator.store.spool import Spool
from coterie_common.host.database import open_database
from coterie_common.identifiers import JobId, PartyId
from tests.support.killed import reported_before_kill

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from coterie_aggregator.machines.job_events import ModelFinished, RoundReleased
from coterie_aggregator.machines.round_events import ContributionReceived
from coterie_aggregator.store.spool import Spool
from coterie_aggregator.store import MIGRATIONS, AggregatorStore, StoredJob
from coterie_common.host.database import open_database

folder = Path(sys.argv[1])
store = AggregatorStore(open_database(f"sqlite:///{folder / 'store.db'}", MIGRATIONS))
spool = Spool(folder / "spool")
at = datetime(2026, 3, 1, tzinfo=UTC)
first = len(store.jobs())
for number in range(first, 10_000):
    job_id = f"job-{number}"
    store.add_job(StoredJob(job_id=job_id, proposal=b"p" * 5_000, submitter="olga", submitted_at=at))
    print(job_id, "added", flush=True)
    for round_number in (1, 2):
        store.start_round(job_id, round_number, b"q" * 9_000, b"s" * 9_000, at)
        print(job_id, f"started {round_number}", flush=True)
        spool.put_contribution(job_id, round_number, "alpha", b"c" * 30_000)
        print(job_id, f"spooled {round_number}", flush=True)
        store.append_round_event(job_id, round_number, ContributionReceived("alpha"), at)
        print(job_id, f"event {round_number}", flush=True)
        last = round_number == 2
        store.finish_round(
            job_id,
            round_number,
            transcript_digest=bytes([round_number]) * 32,
            state=b"t" * 9_000,
            event=ModelFinished() if last else RoundReleased(round_number),
            model=b"m" * 50_000 if last else None,
            at=at,
        )
        print(job_id, f"finished {round_number}", flush=True)
"""
STEPS = ["added", *(f"{step} {number}" for number in (1, 2) for step in ("started", "spooled", "event", "finished"))]


def steps_found(store: AggregatorStore, spool: Spool, job_id: JobId) -> Iterator[str]:
    """What of a job is there, in the order in which the writer wrote it; all of a step or nothing."""
    yield "added"
    for number in (1, 2):
        started = store.round(job_id, number)
        if started is None:
            return
        # what the state after it contains is forgotten
        forgotten = len(store.transcripts(job_id)) >= number
        assert (started.query, started.state) == ((b"", b"") if forgotten else (b"q" * 9_000, b"s" * 9_000))
        yield f"started {number}"
        if not (spool._folder / job_id / str(number) / "contributions" / "alpha").exists():
            return
        assert spool.contribution(job_id, number, PartyId("alpha")) == b"c" * 30_000
        yield f"spooled {number}"
        if store.round_events(job_id, number) == ():
            return
        assert store.round_events(job_id, number) == (ContributionReceived(PartyId("alpha")),)
        yield f"event {number}"
        released = len(store.transcripts(job_id))
        assert store.job_events(job_id) == (RoundReleased(1), ModelFinished())[:released]
        assert store.model(job_id) == (b"m" * 50_000 if released == 2 else None)
        if released < number:
            return
        assert store.latest_state(job_id) == b"t" * 9_000
        yield f"finished {number}"


@pytest.mark.slow  # starts four processes that each import SQLAlchemy
def test_killed_writer_leaves_all_that_it_reported_and_at_most_one_step_more(tmp_path):
    reported = []
    for lines in (1, 4, 9, 40):
        reported += reported_before_kill(WRITER, tmp_path, lines)
        store = AggregatorStore(open_database(f"sqlite:///{tmp_path}/store.db", MIGRATIONS))
        spool = Spool(tmp_path / "spool")
        for job in store.jobs():
            found = list(steps_found(store, spool, job.job_id))
            assert found == STEPS[: len(found)]
            mine = [line.removeprefix(f"{job.job_id} ") for line in reported if line.startswith(f"{job.job_id} ")]
            assert len(mine) <= len(found) <= len(mine) + 1
        assert {line.split()[0] for line in reported} <= {job.job_id for job in store.jobs()}
        store._engine.dispose()
    assert len(reported) >= 54
