# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Deadlines count from when something began: an aggregator that is started again and again does not put them off.

Each time the aggregator is started with a clock that is past one deadline. If it waited anew, a test would take longer
than its patience.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import JobEnd, JobProposal, Message, ModelReceipt, PartialDecryption
from coterie_common.protocol.progress import JobState
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, Intercept
from tests.support.small_jobs import statistics_spec, write_play

AWAY = PartyId("party-5")

SPEC = statistics_spec(proposal_deadline_s=300, deadline_s=300, patience_s=300, timeout_s=3000)


@dataclass(frozen=True)
class Ahead:
    """The machine's clocks, moved."""

    by: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    def monotonic(self) -> float:
        return time.monotonic() + self.by.total_seconds()


async def restart_after(running: InProcessFederation, seconds: float) -> None:
    running.aggregator_clock = Ahead(timedelta(seconds=seconds))
    await running.restart_aggregator()


def five(folder: Path, *, intercept: Intercept, absent: tuple[PartyId, ...] = ()) -> InProcessFederation:
    federation = make_federation()
    datasets = write_play(folder, federation.parties)
    return InProcessFederation(federation, folder, datasets, intercept=intercept, absent=absent)


def losing(kind: type[Message], *of: PartyId) -> Intercept:
    return lambda party_id, message: None if isinstance(message, kind) and party_id in of else message


@asynchronous
async def test_job_starts_without_a_party_whose_time_to_decide_passed_while_the_aggregator_was_away(tmp_path):
    async with five(tmp_path, intercept=losing(EncryptedReply), absent=(AWAY,)) as running:
        job_id = await running.submit(SPEC)
        waiting = await running.status(job_id, lambda status: sum(p.decision is not None for p in status.parties) == 4)
        assert waiting.state is JobState.PROPOSED
        await restart_after(running, 301)
        await running.status(job_id, lambda status: status.state is JobState.DELIVERING)
        assert Model.from_bytes(await running.aggregator.model(job_id)).lineage.contributors == (4,)


@asynchronous
async def test_round_goes_on_without_a_reply_whose_deadline_passed_while_the_aggregator_was_away(tmp_path):
    async with five(tmp_path, intercept=losing(EncryptedReply, AWAY)) as running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda status: status.round is not None and len(status.round.contributed) == 4)
        await restart_after(running, 301)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        model = Model.from_bytes(await running.aggregator.model(job_id))
        assert model.lineage.contributors == (4,)


@asynchronous
async def test_others_help_to_open_a_sum_whose_patience_passed_while_the_aggregator_was_away(tmp_path):
    # Two of the five that are asked do not answer; asked are four and one spare, so of seven parties two more are left.
    federation = make_federation(10, 7)
    silent = federation.parties[:2]
    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=losing(PartialDecryption, *silent))
    async with running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda status: status.round is not None and len(status.round.decrypted) == 6)
        await restart_after(running, 301)
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_round_times_out_by_when_it_began(tmp_path):
    federation = make_federation()
    async with five(tmp_path, intercept=losing(EncryptedReply, *federation.parties)) as running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda status: status.round is not None)
        await restart_after(running, 3001)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.FAILED, "round 1 was aborted: timeout")


@asynchronous
async def test_job_that_too_few_accept_ends_by_when_it_was_submitted_and_says_whom_it_waited_for(tmp_path):
    four = PartyId("party-4")
    async with five(tmp_path, intercept=lambda _, message: message, absent=(four, AWAY)) as running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda status: sum(p.decision is not None for p in status.parties) == 3)
        # Past its proposal deadline the job waits on, also after a restart.
        await restart_after(running, 2000)
        (waiting,) = await running.aggregator.jobs()
        assert (waiting.state, waiting.waiting_for) == (JobState.PROPOSED, 1)
        await restart_after(running, 3001)
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert status.reason == (
            "too few parties accepted in time: 3, 1 more are needed; no answer from: party-4, party-5"
        )
        # Who accepted gets its reservation back; who was away is not asked about it any more.
        await running.wrote("end_job", by=PartyId("party-1"))
        assert {e.status for e in running.party_store(PartyId("party-1")).ledger("play")} == {
            ReservationStatus.RELEASED
        }
        await running.start_party(four)
        await running.saw(lambda party_id, message: party_id == four and isinstance(message, JobEnd))
        assert not [m for p, m in running.passed if p == four and isinstance(m, JobProposal)]


@asynchronous
async def test_job_completes_without_receipts_that_were_due_while_the_aggregator_was_away(tmp_path):
    async with five(tmp_path, intercept=losing(ModelReceipt, AWAY)) as running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda status: sum(p.model_received for p in status.parties) == 4)
        await restart_after(running, 301)
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_deadlines_that_have_not_passed_are_waited_for_after_a_restart_too(tmp_path):
    async with five(tmp_path, intercept=losing(EncryptedReply, AWAY)) as running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda status: status.round is not None and len(status.round.contributed) == 4)
        await restart_after(running, 200)
        running.intercept = lambda party_id, message: message
        await running.reconnect(AWAY)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        model = Model.from_bytes(await running.aggregator.model(job_id))
        assert model.lineage.contributors == (5,)
