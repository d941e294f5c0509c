# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every database must do for the aggregator; a file and a server also across restarts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from coterie_aggregator.machines.job_events import (
    DeliveryPatiencePassed,
    JobCancelled,
    ModelFinished,
    PartyReplied,
    RoundReleased,
)
from coterie_aggregator.machines.round_events import ContributionReceived, ContributionRejected, DeadlinePassed
from coterie_aggregator.store import MIGRATIONS, AggregatorStore, StoredJob, StoredModel, StoredRound
from coterie_aggregator.store.tables import JOB_EVENTS
from coterie_common.crypto.hashing import Label, long_hash
from coterie_common.errors import StateError, StorageError
from coterie_common.host.database import transaction
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Decision
from tests.support.databases import KINDS, Opened, database

JOB = JobId("job-1")
AT = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
LATER = AT + timedelta(seconds=90)
DIGEST = bytes(range(32))


class Reopened:
    """The store, opened anew for every call where the database outlives that: every test is one of restarts."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        return getattr(AggregatorStore(self._opened(MIGRATIONS)), name)


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(opened: Opened) -> Reopened:
    return Reopened(opened)


def submit(store: Reopened, job_id: JobId = JOB, at: datetime = AT) -> StoredJob:
    job = StoredJob(job_id=job_id, proposal=b"proposal of " + job_id.encode(), submitter="olga", submitted_at=at)
    store.add_job(job)
    return job


def finish(store: Reopened, number: int = 1, *, job_id: JobId = JOB, **changes: Any) -> None:
    values = {
        "transcript_digest": DIGEST,
        "state": b"state after",
        "event": RoundReleased(number),
        "model": None,
        "at": LATER,
    }
    store.finish_round(job_id, number, **values | changes)


def test_new_store_is_empty(store):
    assert store.jobs() == store.models() == ()
    assert store.job_events("job-1") == store.transcripts("job-1") == store.round_events("job-1", 1) == ()
    assert store.round("job-1", 1) is store.latest_state("job-1") is store.model("job-1") is None
    assert store.ended_at("job-1") is None


def test_jobs_come_in_order_of_submission(store):
    jobs = tuple(submit(store, job_id) for job_id in map(JobId, ("zeta", "alpha", "midas")))
    assert store.jobs() == jobs
    assert {job.submitted_at.tzinfo for job in store.jobs()} == {UTC}


def test_add_job_of_known_id_raises_and_keeps_the_first(store):
    first = submit(store)
    with pytest.raises(StateError):
        submit(store, at=LATER)
    assert store.jobs() == (first,)


def test_job_events_come_in_order_each_for_its_job(store):
    submit(store)
    submit(store, JobId("job-2"))
    mine: list[PartyReplied | JobCancelled] = [
        PartyReplied(PartyId(p), Decision.REFUSED, "consent-denied", "ε = 2, “no”") for p in ("beta", "alpha")
    ]
    mine.append(JobCancelled("olga: a mistake"))
    for event in mine:
        store.append_job_event("job-1", event, AT, False)
        store.append_job_event("job-2", DeliveryPatiencePassed(), AT, False)
    assert store.job_events("job-1") == tuple(mine)
    assert store.job_events("job-2") == (DeliveryPatiencePassed(),) * 3


def test_append_job_event_that_ends_the_job_says_when_for_good(store):
    submit(store)
    store.append_job_event("job-1", PartyReplied(PartyId("alpha"), Decision.ACCEPTED, "", ""), AT, False)
    assert store.ended_at("job-1") is None
    store.append_job_event("job-1", JobCancelled("olga"), LATER, True)
    store.append_job_event("job-1", JobCancelled("olga"), LATER + timedelta(days=1), True)
    assert store.ended_at("job-1") == LATER


def test_append_job_event_of_unknown_job_raises(store):
    submit(store)
    with pytest.raises(StateError):
        store.append_job_event("job-2", DeliveryPatiencePassed(), AT, False)
    assert store.job_events("job-2") == ()


def test_job_events_that_cannot_be_read_raise(store, opened):
    submit(store)
    store.append_job_event("job-1", JobCancelled("olga"), AT, True)
    with transaction(opened(MIGRATIONS)) as connection:
        connection.execute(update(JOB_EVENTS).values(document=b"{}"))
    with pytest.raises(StorageError, match="JobCancelled"):
        store.job_events("job-1")


def test_start_round_again_changes_nothing(store):
    submit(store)
    store.start_round("job-1", 1, b"query", b"state", AT)
    store.start_round("job-1", 1, b"query", b"state", LATER)
    assert store.round("job-1", 1) == StoredRound(b"query", b"state", AT)
    assert store.round("job-1", 2) is None


@pytest.mark.parametrize(("query", "state"), [(b"other", b"state"), (b"query", b"other")])
def test_start_round_with_another_query_or_state_raises_and_keeps_the_first(store, query, state):
    submit(store)
    store.start_round("job-1", 1, b"query", b"state", AT)
    with pytest.raises(StateError, match="round 1 of job job-1 was started with another query"):
        store.start_round("job-1", 1, query, state, LATER)
    assert store.round("job-1", 1) == StoredRound(b"query", b"state", AT)


def test_start_round_of_unknown_job_raises(store):
    with pytest.raises(StateError):
        store.start_round("job-1", 1, b"query", b"state", AT)


def test_round_events_come_in_order_each_for_its_round(store):
    submit(store)
    for number in (1, 2):
        store.start_round("job-1", number, b"query", b"state", AT)
    first = [
        ContributionReceived(PartyId("beta")),
        ContributionRejected(PartyId("beta"), "invalid-proof"),
        DeadlinePassed(),
    ]
    times = [AT, AT, LATER]
    for event, at in zip(first, times, strict=True):
        store.append_round_event("job-1", 1, event, at)
    store.append_round_event("job-1", 2, ContributionReceived(PartyId("alpha")), AT)
    assert store.round_events("job-1", 1) == tuple(first)
    assert store.round_event_times("job-1", 1) == tuple(times)
    assert store.round_event_times("job-1", 3) == ()
    assert store.round_events("job-1", 2) == (ContributionReceived(PartyId("alpha")),)


def test_append_round_event_before_the_round_started_raises(store):
    submit(store)
    with pytest.raises(StateError):
        store.append_round_event("job-1", 1, DeadlinePassed(), AT)


def test_finish_round_records_state_transcript_and_event_together(store):
    submit(store)
    store.start_round("job-1", 1, b"query", b"state", AT)
    assert store.latest_state("job-1") == b"state"
    finish(store)
    assert store.latest_state("job-1") == b"state after"
    assert store.transcripts("job-1") == (DIGEST,)
    assert store.job_events("job-1") == (RoundReleased(1),)
    assert store.model("job-1") is None


def test_finish_round_forgets_its_query_and_every_state_but_the_new_one(store):
    submit(store)
    for number in (1, 2):
        store.start_round("job-1", number, b"query", b"state", AT)
        finish(store, number, state=b"after %d" % number)
        stored = store.round("job-1", number)
        assert (stored.query, stored.state) == (b"", b"")
    finish(store, 2, state=b"after 2")
    assert store.latest_state("job-1") == b"after 2"
    with pytest.raises(StateError, match="finished differently"):
        finish(store, 1, state=b"after 1")


def test_finish_round_again_changes_nothing(store):
    submit(store)
    store.start_round("job-1", 1, b"query", b"state", AT)
    finish(store)
    finish(store)
    assert store.job_events("job-1") == (RoundReleased(1),)


@pytest.mark.parametrize("changes", [{"transcript_digest": bytes(32)}, {"state": b"other"}])
def test_finish_round_differently_raises_and_keeps_the_first(store, changes):
    submit(store)
    store.start_round("job-1", 1, b"query", b"state", AT)
    finish(store)
    with pytest.raises(StateError, match="finished differently"):
        finish(store, **changes)
    assert (store.latest_state("job-1"), store.transcripts("job-1")) == (b"state after", (DIGEST,))


def test_finish_round_that_never_started_raises(store):
    submit(store)
    with pytest.raises(StateError, match="never started"):
        finish(store)
    assert store.job_events("job-1") == ()


@pytest.mark.parametrize(("event", "model"), [(RoundReleased(1), b"model"), (ModelFinished(), None)])
def test_finish_round_with_model_and_event_that_do_not_fit_raises(store, event, model):
    submit(store)
    store.start_round("job-1", 1, b"query", b"state", AT)
    with pytest.raises(StateError, match="exactly when it is finished"):
        finish(store, event=event, model=model)


def test_latest_state_is_that_of_the_last_released_round(store):
    submit(store)
    for number in range(1, 4):
        store.start_round("job-1", number, b"query", b"before %d" % number, AT)
        if number < 3:
            finish(store, number, state=b"after %d" % number, transcript_digest=bytes([number]) * 32)
    assert store.latest_state("job-1") == b"after 2"
    assert store.transcripts("job-1") == tuple(bytes([number]) * 32 for number in range(1, 3))


def test_finish_round_of_the_last_one_stores_the_model(store):
    content = {JobId("job-2"): b"a model", JobId("job-1"): b"another, longer model \x00\xff"}
    for job_id in content:
        submit(store, job_id)
    for job_id, model in reversed(content.items()):
        store.start_round(job_id, 1, b"query", b"state", AT)
        finish(store, job_id=job_id, event=ModelFinished(), model=model)
    assert {job_id: store.model(job_id) for job_id in content} == content
    assert store.models() == tuple(
        StoredModel(job_id=job_id, size_bytes=len(model), digest=long_hash(Label.MODEL, model), stored_at=LATER)
        for job_id, model in content.items()
    )
    assert store.job_events("job-1") == (ModelFinished(),)
