# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a party says in a round it says once and for ever: one query, one reply, one transcript, also when restarted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common import document
from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import (
    AggregatorMessage,
    JobOutcome,
    JobProposal,
    Message,
    ModelDelivery,
    ModelReceipt,
    PartialDecryption,
    Query,
    Rejection,
)
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.session import body_digest
from tests.support.asynchronous import asynchronous
from tests.support.federation import Federation, make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

PARTY = PartyId("party-3")


def first(running: InProcessFederation, kind: type[Message]) -> Message:
    return next(m for party_id, m in running.passed if party_id == PARTY and isinstance(m, kind))


def query_with(federation: Federation, query: Query, **changes: object) -> Query:
    """The aggregator asks the same round again, signed by itself, with something else in it."""
    fields = replace(query.fields, **changes)  # type: ignore[arg-type]  # names of its fields
    return replace(query, fields=fields).signed_by(federation.aggregator_key)


async def until_replied(running: InProcessFederation) -> None:
    await running.submit(statistics_spec())
    await running.saw(lambda party_id, m: party_id == PARTY and isinstance(m, EncryptedReply))


def hold_replies(party_id: PartyId, message: Message) -> Message | None:
    """The aggregator never hears a reply, so the round stays where it is."""
    return None if isinstance(message, EncryptedReply) else message


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@asynchronous
async def test_same_query_again_gets_the_same_bytes_again(tmp_path, restarted):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold_replies) as running:
        await until_replied(running)
        query = first(running, Query)
        if restarted:
            await running.kill(PARTY)
            await running.start_party(PARTY)
        running.to_party(PARTY, query)  # type: ignore[arg-type]  # the aggregator's
        await running.saw(lambda party_id, m: party_id == PARTY and isinstance(m, EncryptedReply), count=2)
        said = [m for party_id, m in running.passed if party_id == PARTY and isinstance(m, EncryptedReply)]
        assert len({running.wire(m) for m in said}) == 1


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@asynchronous
async def test_another_query_of_the_same_round_is_refused_for_ever(tmp_path, restarted):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold_replies) as running:
        await until_replied(running)
        query = first(running, Query)
        assert isinstance(query, Query)
        if restarted:
            await running.kill(PARTY)
            await running.start_party(PARTY)
        # A smaller cohort: the one thing that a later query of a job may change, but not one of the same round.
        other = query_with(federation, query, cohort=query.fields.cohort[:4])
        running.to_party(PARTY, other)
        said = await running.saw(lambda party_id, m: party_id == PARTY and isinstance(m, Rejection))
        assert isinstance(said, Rejection)
        assert (said.code, said.round_number) == ("already-answered", 1)
        assert running.party_store(PARTY).round(query.fields.job_id, 1).session_id == query.fields.session_id


@asynchronous
async def test_same_round_asked_again_about_another_tree_is_refused(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)

    def hold(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, EncryptedReply) and message.round_number == 2 else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold) as running:
        await running.submit(tree_spec())
        await running.saw(lambda p, m: p == PARTY and isinstance(m, EncryptedReply) and m.round_number == 2)
        query = next(m for p, m in running.passed if p == PARTY and isinstance(m, Query) and m.fields.round_number == 2)
        # Another node of the same tree: allowed by the plan, but not what was asked first.
        ask = document.decode(query.body, "the query", maximum=1000)
        body = document.encode({**ask, "open": [3 if node == 2 else 2 for node in ask["open"][:1]], "length": 12})
        assert body != query.body
        terms = query.fields.terms.shortened(12)
        other = replace(query_with(federation, query, body_digest=body_digest(body), terms=terms), body=body)
        running.to_party(PARTY, other)
        said = await running.saw(lambda party_id, m: party_id == PARTY and isinstance(m, Rejection))
        assert isinstance(said, Rejection)
        assert (said.code, said.round_number) == ("already-answered", 2)


@asynchronous
async def test_query_whose_reply_was_deleted_is_refused_and_never_computed_again(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(statistics_spec())
        await running.result(job_id)
        await running.wrote("end_job", by=PARTY)
        query = first(running, Query)
        assert isinstance(query, Query)
        store = running.party_store(PARTY)
        assert store.reply(job_id, 1) is None
        before = len(running.passed)
        running.to_party(PARTY, query)
        said = await running.saw(lambda party_id, m: party_id == PARTY and isinstance(m, Rejection))
        assert isinstance(said, Rejection)
        assert said.code == "stale-round"
        assert not [m for _, m in running.passed[before:] if isinstance(m, EncryptedReply)]


@asynchronous
async def test_reply_bytes_that_were_deleted_under_a_running_job_are_refused(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold_replies) as running:
        await until_replied(running)
        query = first(running, Query)
        assert isinstance(query, Query)
        await running.kill(PARTY)
        # Somebody made room: the bytes are gone, the digest stays.
        running.execute(PARTY, "UPDATE replies SET data = NULL")
        await running.start_party(PARTY)
        said = await running.saw(lambda party_id, m: party_id == PARTY and isinstance(m, Rejection))
        assert isinstance(said, Rejection)
        assert said.code == "already-answered"
        replies = [m for party_id, m in running.passed if party_id == PARTY and isinstance(m, EncryptedReply)]
        assert len(replies) == 1


@asynchronous
async def test_same_decryption_request_again_gets_the_same_partial_decryption(tmp_path):
    federation = make_federation(3, 3)

    def is_partial(party_id: PartyId, message: Message) -> bool:
        return party_id == PARTY and isinstance(message, PartialDecryption)

    datasets = write_play(tmp_path, federation.parties)

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, PartialDecryption) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec())
        for count in range(1, 4):
            await running.saw(is_partial, count=count)
            await running.kill(PARTY)
            await running.start_party(PARTY)
        said = [m for party_id, m in running.passed if is_partial(party_id, m)]
        assert len({running.wire(m) for m in said}) == 1
        await running.cancel(job_id)


@asynchronous
async def test_job_id_with_another_specification_is_refused(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(statistics_spec())
        await running.result(job_id)
        proposal = first(running, JobProposal)
        assert isinstance(proposal, JobProposal)
        for spec, terms in (
            (statistics_spec(name="other").to_bytes(), proposal.terms),
            (proposal.spec, proposal.terms.replace(b'"scale_bits":', b'"scale_bits":1')),
        ):
            count = len([m for p, m in running.passed if p == PARTY and isinstance(m, Rejection)])
            other = replace(proposal, spec=spec, terms=terms).signed_by(federation.aggregator_key)
            running.to_party(PARTY, other)
            said = await running.saw(lambda p, m: p == PARTY and isinstance(m, Rejection), count=count + 1)
            assert isinstance(said, Rejection)
            assert said.code == "equivocation"
        assert len([m for p, m in running.passed if p == PARTY and isinstance(m, JobReply)]) == 1


@asynchronous
async def test_model_delivered_again_is_received_again_and_another_is_refused(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(statistics_spec())
        await running.result(job_id)
        delivery = first(running, ModelDelivery)
        assert isinstance(delivery, ModelDelivery)
        kept = running.model(PARTY, job_id)
        running.to_party(PARTY, delivery)
        receipts = [
            await running.saw(lambda p, m: p == PARTY and isinstance(m, ModelReceipt), count=count) for count in (1, 2)
        ]
        assert receipts[0] == receipts[1]

        model = Model.from_bytes(kept)
        other = replace(model, name="other").to_bytes()
        running.to_party(PARTY, replace(delivery, model=other).signed_by(federation.aggregator_key))
        said = await running.saw(lambda p, m: p == PARTY and isinstance(m, Rejection))
        assert isinstance(said, Rejection)
        assert said.code == "equivocation"
        assert running.model(PARTY, job_id) == kept


@asynchronous
async def test_first_end_of_a_job_stays(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec())
        await running.saw(lambda p, m: p == PARTY and isinstance(m, EncryptedReply))
        await running.cancel(job_id)
        await running.wrote("end_job", by=PARTY)
        query = first(running, Query)
        running.to_party(PARTY, query)  # type: ignore[arg-type]  # the aggregator's
        assert (await running.refused("stale-round", by=PARTY)).culprits == ()
        job = running.party_store(PARTY).job(job_id)
        assert job is not None
        assert job.outcome is JobOutcome.CANCELLED
        assert (await running.result(job_id)).state is JobState.CANCELLED


@asynchronous
async def test_reply_that_is_ready_only_when_the_job_is_over_goes_nowhere(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    held: list[AggregatorMessage] = []

    def hold(party_id: PartyId, message: Message) -> Message | None:
        if party_id == PARTY and isinstance(message, Query):
            held.append(message)
            return None
        return message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold) as running:
        job_id = await running.submit(statistics_spec())
        await running.saw(lambda p, m: p == PARTY and isinstance(m, Query))
        # Query and end of the job arrive together, before anything can have been computed.
        running.to_party(PARTY, held[0])
        await running.cancel(job_id)
        await running.wrote("end_job", by=PARTY)
        await running.settled()
        store = running.party_store(PARTY)
        assert store.reply(job_id, 1) is None
        assert not [m for p, m in running.passed if p == PARTY and isinstance(m, EncryptedReply)]
