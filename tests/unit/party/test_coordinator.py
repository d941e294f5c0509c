# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's coordinator between its connection and its store; whole jobs are in tests/protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coterie_common.errors import StorageError, Unavailable, UnexpectedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import JobOutcome, PartialDecryption, Rejection, Welcome
from coterie_common.rpc.content import Ready
from coterie_party.round import Phase
from coterie_party.store.files.padded_parts import Outgoing
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.malicious_aggregator import JOB, MaliciousAggregator, Silence
from tests.support.present import present
from tests.support.small_jobs import statistics_spec, write_play

PARTY = PartyId("party-1")


@asynccontextmanager
async def one_party(folder: Path, **options: Any) -> AsyncIterator[MaliciousAggregator]:
    federation = make_federation(4, 3)
    running = InProcessFederation(
        federation,
        folder,
        write_play(folder, federation.parties),
        absent=federation.parties[1:],
        instead_of_aggregator=Silence(),
        **options,
    )
    async with running:
        yield MaliciousAggregator(federation, running, statistics_spec(), PARTY)


@pytest.mark.parametrize(
    "function", ["record_job", "accept_query", "store_reply", "record_transcript", "store_partial", "job", "round"]
)
@asynchronous
async def test_storage_that_fails_stops_the_party_and_nothing_is_said(tmp_path, function):
    broken = Crash(function, error=StorageError("the disk is full"))
    async with one_party(tmp_path, party_crashes={PARTY: broken}) as aggregator:
        running, fields = aggregator.running, aggregator.fields()
        request = aggregator.request(fields, aggregator.contributions(fields, aggregator.others))
        running.to_party(PARTY, aggregator.proposal())
        running.to_party(PARTY, aggregator.query())
        if function in ("record_transcript", "store_partial"):
            # The round is opened without the party's reply, whether or not it could still make one.
            running.to_party(PARTY, request)
        assert isinstance(await running.failed(), StorageError)
        # Not even a refusal: what is not durable did not happen.
        assert not [m for _, m in running.passed if isinstance(m, Rejection) and m.code == "storage"]


@asynchronous
async def test_welcome_in_the_middle_is_unexpected(tmp_path):
    async with one_party(tmp_path) as aggregator:
        welcome = Welcome(protocol_version=1, roster_serial=1, roster_digest=bytes(32))
        with pytest.raises(UnexpectedMessage):
            await aggregator.running.parties[PARTY].message(welcome)


@asynchronous
async def test_rejection_of_the_aggregator_is_only_noted(tmp_path):
    async with one_party(tmp_path) as aggregator:
        rejection = Rejection(code="stale-round", detail="", job_id=JOB, round_number=1)
        await aggregator.running.parties[PARTY].message(rejection)
        await aggregator.accepted()
        assert isinstance(await aggregator.answered(), EncryptedReply)


@asynchronous
async def test_what_is_computed_while_the_stream_is_down_is_kept_and_sent_when_it_is_asked_for_again(tmp_path):
    async with one_party(tmp_path) as aggregator:
        await aggregator.accepted()
        party = aggregator.running.parties[PARTY]
        await party.disconnected()
        await party.message(aggregator.query())
        await aggregator.running.wrote("store_reply", by=PARTY)
        assert aggregator.running.party_store(PARTY).round(JOB, 1).phase is Phase.ANSWERED
        said: list[Ready] = []

        async def listen(message: Any) -> None:
            said.append(message)

        await party.connected(listen)
        await party.message(aggregator.query())
        assert said
        stored = aggregator.running.party_store(PARTY).reply(JOB, 1)
        assert set(said) == {Ready(present(stored))}


@asynchronous
async def test_stream_that_ends_while_something_is_said_harms_nothing(tmp_path):
    async with one_party(tmp_path) as aggregator:
        await aggregator.accepted()
        party = aggregator.running.parties[PARTY]

        async def broken(message: Outgoing) -> None:
            raise Unavailable("the stream has ended")

        await party.connected(broken)
        await party.message(aggregator.query())
        await aggregator.running.wrote("store_reply", by=PARTY)
        assert aggregator.running.party_store(PARTY).round(JOB, 1).phase is Phase.ANSWERED


@asynchronous
async def test_same_query_many_times_at_once_is_computed_once(tmp_path):
    async with one_party(tmp_path) as aggregator:
        await aggregator.accepted()
        for _ in range(5):
            aggregator.running.to_party(PARTY, aggregator.query())
        reply = await aggregator.running.saw(lambda _, m: isinstance(m, EncryptedReply))
        await aggregator.running.settled()
        stored = [name for _, name, _ in aggregator.running.writes if name == "store_reply"]
        said = {aggregator.running.wire(m) for _, m in aggregator.running.passed if isinstance(m, EncryptedReply)}
        assert (len(stored), len(said)) == (1, 1)
        assert said == {aggregator.running.wire(reply)}


@asynchronous
async def test_end_of_the_job_calls_off_what_is_being_computed(tmp_path):
    async with one_party(tmp_path) as aggregator:
        await aggregator.accepted()
        party = aggregator.running.parties[PARTY]
        await party.message(aggregator.query())
        await party.message(aggregator.end())
        await party.stop()
        store = aggregator.running.party_store(PARTY)
        assert store.round(JOB, 1).phase is Phase.ANSWERING
        job = store.job(JOB)
        assert job is not None
        assert job.outcome is JobOutcome.CANCELLED


@asynchronous
async def test_stop_ends_all_background_work(tmp_path):
    async with one_party(tmp_path) as aggregator:
        await aggregator.accepted()
        party = aggregator.running.parties[PARTY]
        await party.message(aggregator.query())
        await party.stop()
        ours = [task for task in asyncio.all_tasks() if "Coordinator._supervised" in repr(task.get_coro())]
        assert ours == []


@asynchronous
async def test_end_of_a_job_that_was_never_proposed_is_nothing(tmp_path):
    async with one_party(tmp_path) as aggregator:
        await aggregator.running.parties[PARTY].message(aggregator.end())
        assert aggregator.running.party_store(PARTY).jobs() == ()
        await aggregator.accepted()
        reply = await aggregator.answered()
        fields = aggregator.fields()
        others = aggregator.contributions(fields, aggregator.others)
        answer = await aggregator.tell(aggregator.request(fields, (reply.contribution, *others)))
        assert isinstance(answer, PartialDecryption)
