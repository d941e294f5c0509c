# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Jobs that end early: who may cancel, what they leave, and what is asked before the same is submitted again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coterie_common.crypto.certificates import Identity, Role
from coterie_common.errors import AlreadySubmitted, NotFound, PermissionDenied
from coterie_common.identifiers import JobId, MemberId, PartyId
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Message, ModelReceipt, Rejection
from coterie_common.protocol.progress import JobRequest, JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import statistics_spec, tree_spec, write_play


def person(running: InProcessFederation, role: Role, name: str) -> Identity:
    return Identity(federation=running.federation.roster.federation, role=role, id=MemberId(name))


def request(spec: JobSpec) -> JobRequest:
    return JobRequest(spec=spec.to_bytes(), despite_noise=True)


class Stopping:
    """A federation of three whose replies to the second round never arrive, or are refusals."""

    def __init__(self, folder: Path, *, refuse: bool = False) -> None:
        self._refuse = refuse
        federation = make_federation(3, 3)
        self.folder = folder
        self.running = InProcessFederation(
            federation,
            folder,
            write_play(folder, federation.parties),
            intercept=self._intercept,
        )

    def _intercept(self, party_id: PartyId, message: Message) -> Message | None:
        if not isinstance(message, EncryptedReply) or message.round_number != 2:
            return message
        refusal = Rejection(code="data", detail="", job_id=message.job_id, round_number=2)
        return refusal if self._refuse else None

    async def second_round(self) -> JobId:
        job_id = await self.running.submit(tree_spec())
        await self.running.status(job_id, lambda s: s.round is not None and s.round.number == 2)
        return job_id

    def kept_by(self, party_id: PartyId, job_id: JobId) -> Path:
        return self.folder / party_id / "models" / f"{job_id}.unfinished.json"


async def model_of(running: InProcessFederation, job_id: JobId) -> Model:
    """Wait until the unfinished model is there."""
    for party_id in running.federation.parties:
        await running.delivered(party_id, job_id)
    await running.saw(lambda _, message: isinstance(message, ModelReceipt), count=len(running.federation.parties))
    await running.settled()
    return Model.from_bytes(await running.aggregator.model(job_id))


@asynchronous
async def test_cancelled_job_leaves_the_model_of_its_last_released_round_to_everybody(tmp_path):
    stopping = Stopping(tmp_path)
    async with stopping.running as running:
        job_id = await stopping.second_round()
        await running.cancel(job_id)
        assert (await running.result(job_id)).state is JobState.CANCELLED
        model = await model_of(running, job_id)
        lineage = model.lineage
        assert (lineage.unfinished, lineage.rounds, lineage.rounds_planned) == ("cancelled", 1, 2)
        assert len(lineage.transcript_digests) == 1
        assert lineage.words == "1 of 2 rounds, cancelled: unfinished"
        # One split was released: it predicts with that.
        assert model.body["tree"][0] is not None
        assert load_predictor(model).model.lineage.unfinished == "cancelled"
        for party_id in running.federation.parties:
            assert stopping.kept_by(party_id, job_id).read_bytes() == model.to_bytes()
        (info,) = await running.aggregator.models()
        assert (info.state, info.rounds, info.rounds_planned) == (JobState.CANCELLED, 1, 2)
        (status,) = await running.aggregator.jobs()
        assert status.state is JobState.CANCELLED
        assert all(party.model_received for party in status.parties)
        # All of it is in the store.
        await running.restart_aggregator()
        assert Model.from_bytes(await running.aggregator.model(job_id)) == model
        assert await running.aggregator.models() == (info,)


@asynchronous
async def test_failed_job_leaves_a_model_too(tmp_path):
    stopping = Stopping(tmp_path, refuse=True)
    async with stopping.running as running:
        job_id = await running.submit(tree_spec())
        assert (await running.result(job_id)).state is JobState.FAILED
        assert (await model_of(running, job_id)).lineage.unfinished == "failed"


@asynchronous
async def test_job_without_a_released_round_leaves_none(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), absent=federation.parties
    )
    async with running:
        job_id = await running.submit(tree_spec(proposal_deadline_s=600))
        await running.cancel(job_id)
        await running.result(job_id)
        assert await running.aggregator.models() == ()
        with pytest.raises(NotFound):
            await running.aggregator.model(job_id)


@asynchronous
async def test_scientists_cancel_jobs_of_their_own_only(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), absent=federation.parties
    )
    async with running:
        anna, ben = person(running, Role.SCIENTIST, "anna"), person(running, Role.SCIENTIST, "ben")
        job_id = await running.aggregator.submit(request(statistics_spec()), anna)
        with pytest.raises(PermissionDenied, match="ben did not submit") as refusal:
            await running.aggregator.cancel(job_id, ben)
        assert refusal.value.code == "permission-denied"
        await running.aggregator.cancel(job_id, anna)
        assert (await running.result(job_id)).reason == "cancelled by anna"


@asynchronous
async def test_same_specification_is_submitted_again_only_in_words(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties))
    async with running:
        anna, ben = person(running, Role.SCIENTIST, "anna"), person(running, Role.SCIENTIST, "ben")
        spec = request(statistics_spec())
        first = await running.aggregator.submit(spec, anna)
        for _ in range(2):  # while it runs, and once it is over; whoever submits it
            with pytest.raises(AlreadySubmitted, match=f"job {first} has the very same .* --again") as refusal:
                await running.aggregator.submit(spec, ben)
            assert refusal.value.code == "already-submitted"
            await running.result(first)
        assert await running.aggregator.submit(replace(spec, again=True), ben) != first
        # Another one is another job.
        await running.aggregator.submit(request(tree_spec()), ben)


@asynchronous
async def test_job_that_asked_nothing_may_be_submitted_again_without_a_word(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), policy=generous_policy(algorithms=())
    )
    async with running:
        anna = person(running, Role.SCIENTIST, "anna")
        spec = request(statistics_spec())
        first = await running.aggregator.submit(spec, anna)
        assert (await running.result(first)).state is JobState.FAILED
        assert await running.aggregator.submit(spec, anna) != first


@asynchronous
async def test_waiting_job_says_who_is_away(tmp_path):
    from coterie.progress_view import state_line

    federation = make_federation(3, 3)
    last = federation.parties[2]
    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties), absent=(last,))
    async with running:
        job_id = await running.submit(statistics_spec(proposal_deadline_s=600))
        status = await running.status(job_id, lambda s: s.waiting_for == 1)
        assert state_line(status).endswith(f"waiting for 1 more: {last} is away")
        await running.start_party(last)
        await running.saw(lambda party_id, message: party_id == last and isinstance(message, JobReply))
        assert (await running.result(job_id)).state is JobState.COMPLETED
