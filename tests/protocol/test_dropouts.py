# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Parties that are away: how many a job waits for, what it does at its deadlines, what they find when they are back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_aggregator.machines.job_events import DeliveryPatiencePassed, ProposalDeadlinePassed
from coterie_aggregator.machines.round_events import DeadlinePassed, RoundTimedOut
from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import (
    DecryptionRequest,
    JobEnd,
    JobOutcome,
    Message,
    ModelReceipt,
    PartialDecryption,
    Query,
)
from coterie_common.protocol.progress import JobState, RoundPhase
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.deadlines import pass_deadline
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, Intercept
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

pytestmark = pytest.mark.slow
"""Deadlines must pass, and the shortest there is takes a second."""

FOUR, FIVE = PartyId("party-4"), PartyId("party-5")


def losing(kind: type[Message], *who: PartyId) -> Intercept:
    return lambda party_id, message: None if party_id in who and isinstance(message, kind) else message


@asynchronous
async def test_two_parties_down_at_the_proposal_are_waited_for(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, absent=(FOUR, FIVE)) as running:
        job_id = await running.submit(statistics_spec(proposal_deadline_s=1, deadline_s=1, patience_s=1))
        await running.status(job_id, lambda status: status.waiting_for == 1)
        # The deadline passes and changes nothing.
        await running.wrote("append_job_event", about=ProposalDeadlinePassed)
        assert [status.waiting_for for status in await running.aggregator.jobs()] == [1]
        await running.start_party(FOUR)
        status = await running.result(job_id)
        assert (status.state, status.waiting_for) == (JobState.COMPLETED, 0)
        model = Model.from_bytes(await running.delivered(FOUR, job_id))
        assert model.lineage.contributors == (4,)


@asynchronous
async def test_two_parties_down_in_a_round_are_waited_for_and_a_late_reply_counts(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    silent = {FOUR, FIVE}

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id in silent and isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec(deadline_s=1, patience_s=1))
        await running.saw(lambda party_id, message: party_id == FIVE and isinstance(message, EncryptedReply))
        await running.kill(FOUR)
        await running.kill(FIVE)
        waiting = await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 3)
        assert (waiting.waiting_for, waiting.state) == (1, JobState.RUNNING)
        assert waiting.round is not None
        assert waiting.round.phase is RoundPhase.COLLECTING
        # Past the deadline the round is still open.
        await running.wrote("append_round_event", about=DeadlinePassed)
        still = (await running.aggregator.jobs())[0]
        assert (still.waiting_for, still.state) == (1, JobState.RUNNING)
        silent.clear()
        await running.start_party(FOUR)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert Model.from_bytes(await running.delivered(FOUR, job_id)).lineage.contributors == (4,)


@asynchronous
async def test_reply_after_the_transcript_is_fixed_is_refused_and_the_party_still_helps_to_open(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    held: list[Message] = []

    def hold(party_id: PartyId, message: Message) -> Message | None:
        if party_id == FIVE and isinstance(message, EncryptedReply):
            held.append(message)
            return None
        # Nobody else's help arrives before the late one's reply.
        if isinstance(message, PartialDecryption) and party_id != FIVE and len(held) == 1:
            return None
        return message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold) as running:
        job_id = await running.submit(statistics_spec(deadline_s=1, patience_s=1))
        await running.saw(lambda party_id, message: party_id == FIVE and isinstance(message, PartialDecryption))
        running.to_aggregator(FIVE, held[0])  # type: ignore[arg-type]  # a party's message
        error = await running.refused("stale-round")
        assert error.culprits == (FIVE,)
        held.clear()
        for party_id in federation.parties[:4]:
            await running.reconnect(party_id)
        status = await running.result(job_id)
        assert status.state is JobState.COMPLETED
        assert Model.from_bytes(await running.delivered(FIVE, job_id)).lineage.contributors == (4,)
        assert status.round is not None
        assert FIVE in status.round.decrypted


@asynchronous
async def test_party_that_was_down_at_the_proposal_helps_to_open_and_keeps_no_model(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    # The first contributor never helps to open, so all four others are needed.
    lose = losing(PartialDecryption, federation.parties[0])
    running = InProcessFederation(federation, tmp_path, datasets, absent=(FIVE,), intercept=lose)
    async with running:
        job_id = await running.submit(statistics_spec(proposal_deadline_s=1, patience_s=1))
        await running.status(job_id, lambda s: s.round is not None and s.round.phase is RoundPhase.DECRYPTING)
        await running.start_party(FIVE)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        asked = [party_id for party_id, message in running.passed if isinstance(message, Query)]
        assert FIVE not in asked
        opened = [party_id for party_id, message in running.passed if isinstance(message, PartialDecryption)]
        assert FIVE in opened
        # It did not accept the job: whatever is called its model could be anything.
        await running.saw(lambda party_id, message: party_id == FIVE and isinstance(message, JobEnd))
        assert not (tmp_path / FIVE / "models").exists()
        assert running.party_store(FIVE).ledger("play") == ()


@asynchronous
async def test_party_that_was_down_since_it_accepted_gets_the_model_when_it_is_back(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=losing(EncryptedReply, FIVE)) as running:
        job_id = await running.submit(tree_spec(deadline_s=2, patience_s=300))
        await running.saw(lambda party_id, message: party_id == FIVE and isinstance(message, Query))
        await running.kill(FIVE)
        await running.status(job_id, lambda s: sum(party.model_received for party in s.parties) == 4)
        pass_deadline(running, job_id, DeliveryPatiencePassed())
        status = await running.result(job_id)
        assert status.state is JobState.COMPLETED
        assert [party.model_received for party in status.parties] == [True] * 4 + [False]
        await running.restart_aggregator()
        await running.start_party(FIVE)
        await running.saw(lambda party_id, message: party_id == FIVE and isinstance(message, ModelReceipt))
        assert running.model(FIVE, job_id) == running.model(FOUR, job_id)


@asynchronous
async def test_round_that_nobody_answers_ends_at_its_timeout(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    lose = losing(EncryptedReply, *federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        status = await running.result(await running.submit(tree_spec(timeout_s=2, deadline_s=1)))
        assert (status.state, status.reason) == (JobState.FAILED, "round 1 was aborted: timeout")


@asynchronous
async def test_round_without_enough_replies_that_ends_at_its_timeout_stays_spent(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    lose = losing(EncryptedReply, FOUR, FIVE)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(tree_spec())
        await running.saw(lambda _, message: isinstance(message, EncryptedReply), count=5)
        pass_deadline(running, job_id, RoundTimedOut())
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert status.reason == "round 1 was aborted: timeout"
        for party_id in federation.parties:
            await running.wrote("end_job", by=party_id)
            # The round that was asked stays spent, the other is given back.
            spent = [entry.status for entry in running.party_store(party_id).ledger("play")]
            assert spent == [ReservationStatus.COMMITTED, ReservationStatus.RELEASED]


@asynchronous
async def test_round_whose_sum_nobody_helps_to_open_ends_at_its_timeout(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    lose = losing(DecryptionRequest, FOUR, FIVE)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec(patience_s=1))
        status = await running.status(job_id, lambda s: s.round is not None and len(s.round.decrypted) == 3)
        assert status.waiting_for == 1
        pass_deadline(running, job_id, RoundTimedOut())
        assert (await running.result(job_id)).reason == "round 1 was aborted: timeout"


@asynchronous
async def test_cancelled_job_ends_at_every_party_and_gives_back_what_was_not_asked(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    lose = losing(EncryptedReply, FIVE)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(tree_spec())
        await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 4)
        await running.kill(FIVE)
        await running.cancel(job_id)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.CANCELLED, "cancelled by operator")
        assert status.finished_at is not None
        await running.start_party(FIVE)
        told = await running.saw(lambda party_id, message: party_id == FIVE and isinstance(message, JobEnd))
        assert isinstance(told, JobEnd)
        assert told.outcome is JobOutcome.CANCELLED
        for party_id in federation.parties:
            await running.wrote("end_job", by=party_id)
            store = running.party_store(party_id)
            job = store.job(job_id)
            assert job is not None
            assert job.outcome is JobOutcome.CANCELLED
            spent = [entry.status for entry in store.ledger("play")]
            assert spent == [ReservationStatus.COMMITTED, ReservationStatus.RELEASED]
            assert store.reply(job_id, 1) is None
        # Cancelling again, or a job that has ended, changes nothing; who is connected is no part of how it ended.
        (ended,) = await running.aggregator.jobs()
        assert replace(ended, parties=status.parties) == status
        await running.cancel(job_id)
        assert (await running.aggregator.jobs())[0] == ended


@asynchronous
async def test_job_cancelled_while_proposed_gives_everything_back(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, absent=(FIVE,)) as running:
        job_id = await running.submit(tree_spec())
        await running.status(job_id, lambda s: sum(party.decision is not None for party in s.parties) == 4)
        await running.cancel(job_id)
        for party_id in federation.parties[:4]:
            await running.wrote("end_job", by=party_id)
            spent = [entry.status for entry in running.party_store(party_id).ledger("play")]
            assert spent == [ReservationStatus.RELEASED] * 2


@asynchronous
async def test_job_with_a_model_cannot_be_cancelled_any_more(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    lose = losing(ModelReceipt, FIVE)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec(patience_s=1))
        await running.status(job_id, lambda s: s.state is JobState.DELIVERING)
        await running.cancel(job_id)
        assert (await running.result(job_id)).state is JobState.COMPLETED
