# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages twice, out of order and lost with their stream: the job completes, and nothing is said in two ways.

A stream keeps its order and loses nothing but its end. What can be lost, doubled or overtaken follows from streams
that break: each schedule below is drawn from a seed, which the failing test shows.
"""

from __future__ import annotations

import asyncio

import pytest

from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import (
    DecryptionRequest,
    JobProposal,
    Message,
    ModelDelivery,
    ModelReceipt,
    PartialDecryption,
    Query,
    Rejection,
)
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.oracle import sum_of_replies
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, write_play

SPEC = make_spec("statistics", {"histograms": ["outlook", "play"]}, patience_s=5)
PARTY_KINDS = (JobReply, EncryptedReply, PartialDecryption, ModelReceipt)
AGGREGATOR_KINDS = (JobProposal, Query, DecryptionRequest, ModelDelivery)


def put(running: InProcessFederation, party_id: PartyId, message: Message) -> None:
    """Let a message pass by itself, in its own direction; a rejection does not tell which one that is."""
    if isinstance(message, PARTY_KINDS):
        running.to_aggregator(party_id, message)
    elif isinstance(message, AGGREGATOR_KINDS):
        running.to_party(party_id, message)


def said_once(running: InProcessFederation) -> bool:
    replies = {m.contribution.digest for _, m in running.passed if isinstance(m, EncryptedReply)}
    partials = {m.signature for _, m in running.passed if isinstance(m, PartialDecryption)}
    parties = len(running.federation.parties)
    return len(replies) == parties and len(partials) <= parties


async def finish(running: InProcessFederation, job_id: JobId) -> None:
    status = await running.result(job_id)
    assert (status.state, status.reason) == (JobState.COMPLETED, "")
    model = Model.from_bytes(await running.aggregator.model(job_id))
    assert model.body["count"] == sum_of_replies(running.federation, running.passed, 1)[0]
    assert said_once(running)


@asynchronous
async def test_every_message_twice_changes_nothing(tmp_path):
    federation = make_federation()

    def double(party_id: PartyId, message: Message) -> Message:
        put(running, party_id, message)
        return message

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=double)
    async with running:
        job_id = await running.submit(SPEC)
        await finish(running, job_id)
        assert {error.code for _, error in running.errors} <= {"stale-round", "unknown-round"}


@asynchronous
async def test_everything_ever_said_again_at_the_end_changes_nothing(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(SPEC)
        await finish(running, job_id)
        before = await running.aggregator.jobs()
        writes = len(running.writes)
        said = list(running.passed)
        for party_id, message in said:
            put(running, party_id, message)
        await running.settled()
        assert await running.aggregator.jobs() == before
        changes = [name for _, name, _ in running.writes[writes:]]
        assert not {"append_job_event", "append_round_event", "put_contribution", "put_partial"} & set(changes)
        assert not {"accept_query", "store_reply", "record_transcript", "store_partial"} & set(changes)
        assert said_once(running)


@pytest.mark.parametrize("seed", range(4))
@asynchronous
async def test_messages_that_overtake_each_other_change_nothing(tmp_path, seed):
    federation = make_federation()
    random = SeededRandom(f"order {seed}")

    def delay(party_id: PartyId, message: Message) -> Message | None:
        if isinstance(message, Rejection):
            return message
        seconds = random.randbelow(50) / 1000
        asyncio.get_running_loop().call_later(seconds, put, running, party_id, message)
        return None

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=delay)
    async with running:
        await finish(running, await running.submit(SPEC))


@pytest.mark.parametrize("seed", range(4))
@asynchronous
async def test_streams_that_break_lose_messages_but_not_the_job(tmp_path, seed):
    federation = make_federation()
    random = SeededRandom(f"loss {seed}")
    broken: asyncio.Queue[PartyId] = asyncio.Queue()
    losses = 0

    def lose(party_id: PartyId, message: Message) -> Message | None:
        nonlocal losses
        if losses < 25 and random.randbelow(3) == 0:
            losses += 1
            broken.put_nowait(party_id)
            return None
        return message

    async def mend() -> None:
        while True:
            await running.reconnect(await broken.get())

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=lose)
    async with running:
        mending = asyncio.create_task(mend())
        job_id = await running.submit(SPEC)
        await finish(running, job_id)
        mending.cancel()
        assert losses >= 5


@asynchronous
async def test_aggregator_and_parties_that_restart_all_the_time_finish_the_job(tmp_path):
    federation = make_federation()
    random = SeededRandom("restarts")
    count = 0

    def is_over() -> bool:
        """Every party has said that it has the model: soon nothing passes any more."""
        return len({party_id for party_id, m in running.passed if isinstance(m, ModelReceipt)}) == 5

    async def disturb() -> None:
        nonlocal count
        while count < 6:
            enough = len(running.passed) + 3

            def is_time(enough: int = enough) -> bool:
                return len(running.passed) >= enough or is_over()

            # How much passes during a restart is not in our hands: the job may be over before six of them.
            await running._until(is_time)
            if is_over():
                return
            victim = federation.parties[random.randbelow(5)]
            if random.randbelow(2):
                await running.restart_aggregator()
            else:
                await running.kill(victim)
                await running.start_party(victim)
            count += 1

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets)
    async with running:
        job_id = await running.submit(SPEC)
        await disturb()
        assert count >= 3
        await finish(running, job_id)
