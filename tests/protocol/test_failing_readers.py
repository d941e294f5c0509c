# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whatever a party's reader, disk or algorithm raises is a refusal with a code, and the party answers the next job."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from coterie_common.audit.entry import Kind
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.messages import ModelReceipt, Rejection
from coterie_common.protocol.progress import JobState
from coterie_party.data.bindings import BoundDataset
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.foreign import WORST
from tests.support.in_process import InProcessFederation
from tests.support.malicious_aggregator import JOB, attacking
from tests.support.models import make_model
from tests.support.small_jobs import statistics_spec, write_play

VICTIM = PartyId("party-2")
INCIDENT = re.compile("internal error, incident ([0-9a-f]{8}) in the party's log")


@dataclass(frozen=True)
class FailingDataset(BoundDataset):
    """A data set whose reader raises, when a job is proposed or when its first query comes."""

    failure: BaseException
    when: str

    def check(self, *arguments: Any, **named: Any) -> None:
        if self.when == "check":
            raise self.failure

    def load(self, *arguments: Any, **named: Any) -> Any:
        raise self.failure


def failing(healthy: BoundDataset, failure: BaseException, when: str) -> FailingDataset:
    fields = {name: getattr(healthy, name) for name in BoundDataset.__dataclass_fields__}
    return FailingDataset(**fields, failure=failure, when=when)


@asynccontextmanager
async def quiet() -> AsyncIterator[None]:
    """Keep the many tracebacks out of what a failing test shows; drawing them takes longer than the jobs."""
    with capture_logs():
        yield


@asynchronous
async def test_reader_that_raises_anything_costs_its_job_and_no_other(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running, quiet():
        context = running.parties[VICTIM]._context
        healthy = context.datasets["play"]
        for number, failure in enumerate(WORST):
            context.datasets["play"] = failing(healthy, failure, "check")  # type: ignore[index]  # of the test
            status = await running.result(await running.submit(statistics_spec(name=f"play-{number}")))
            (refused,) = [party for party in status.parties if party.party_id == VICTIM]
            assert (status.state, refused.decision, refused.code) == (JobState.FAILED, Decision.REFUSED, "internal")
            assert INCIDENT.fullmatch(refused.detail), refused.detail
            assert "patient" not in refused.detail
            assert context.incidents.note.endswith(f"incident {INCIDENT.fullmatch(refused.detail)[1]}")  # type: ignore[index]  # it matched
        # Accepted, then unreadable when the query comes: the round is refused, with a number of its own.
        for failure in (StopIteration(), SystemExit(3), MemoryError()):
            context.datasets["play"] = failing(healthy, failure, "load")  # type: ignore[index]  # of the test
            status = await running.result(await running.submit(statistics_spec(name="unread")))
            assert status.state is JobState.FAILED
            assert "party-2 (internal)" in status.reason
        context.datasets["play"] = healthy  # type: ignore[index]  # of the test
        assert (await running.result(await running.submit(statistics_spec()))).state is JobState.COMPLETED
        refusals = [entry.facts for entry in running.record_of(VICTIM).entries if entry.kind is Kind.REFUSAL]
        assert [facts["code"] for facts in refusals] == ["internal"] * 3


@asynchronous
async def test_model_that_cannot_be_written_is_refused_and_taken_once_there_is_room(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        context = attacker.running.parties[attacker.victim]._context
        lineage = make_model().lineage.model_copy(update={"job_id": JOB, "job_spec_digest": attacker.spec.digest.hex()})
        delivery = attacker.delivery(replace(make_model(), lineage=lineage).to_bytes())
        blocked = context.models / f"{JOB}.json"
        blocked.mkdir(parents=True)
        refused = await attacker.tell(delivery)
        assert isinstance(refused, Rejection)
        assert (refused.code, refused.job_id) == ("internal", JOB)
        assert INCIDENT.fullmatch(refused.detail)
        blocked.rmdir()
        assert isinstance(await attacker.tell(delivery), ModelReceipt)


@pytest.mark.parametrize("failure", [KeyError("x"), RecursionError(), StopIteration()], ids=lambda f: type(f).__name__)
@asynchronous
async def test_message_whose_handling_raises_anything_is_refused_and_the_next_one_is_answered(tmp_path, failure):
    async with attacking(tmp_path) as attacker:
        context = attacker.running.parties[attacker.victim]._context
        find = context.store.job

        def broken(*arguments: Any) -> Any:
            raise failure

        context.store.job = broken  # type: ignore[assignment,method-assign]  # as if a library below it failed
        refused = await attacker.tell(attacker.proposal())
        assert isinstance(refused, Rejection)
        assert (refused.code, refused.job_id) == ("internal", JOB)
        context.store.job = find  # type: ignore[method-assign]  # it works again
        answered = await attacker.tell(attacker.proposal())
        assert isinstance(answered, JobReply)
        assert answered.decision is Decision.ACCEPTED
