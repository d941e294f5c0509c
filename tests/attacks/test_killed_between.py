# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party killed at any of its writes while a malicious aggregator offers it two queries and transcripts of one round.

Whatever it was killed at, before or after the write was durable, it never answers two queries, never sends two replies
and never helps to open two transcripts of one round.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import AggregatorMessage, DecryptionRequest, Message, PartialDecryption, Rejection
from coterie_common.protocol.session import SessionFields
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash, no_crash
from tests.support.malicious_aggregator import PARTIES, VICTIM, MaliciousAggregator, attacking

WRITES = ("accept_query", "commit", "store_reply", "record_transcript", "store_partial")
"""Everything that a party makes durable in a round, in order; ``test_killed_party`` shows that these are all."""


@dataclass
class Said:
    """Everything that the victim ever said, over all its lives."""

    attacker: MaliciousAggregator

    def of(self, kind: type[Message]) -> list[Message]:
        return [m for party_id, m in self.attacker.running.passed if party_id == VICTIM and isinstance(m, kind)]

    @property
    def replies(self) -> set[bytes]:
        return {self.attacker.running.wire(m) for m in self.of(EncryptedReply)}

    @property
    def sessions(self) -> set[bytes]:
        return {m.session_id for m in self.of(EncryptedReply) if isinstance(m, EncryptedReply)}

    @property
    def partials(self) -> set[bytes]:
        return {self.attacker.running.wire(m) for m in self.of(PartialDecryption)}


async def offer(attacker: MaliciousAggregator, crash: Crash, *messages: AggregatorMessage) -> None:
    """Say these, each after the answer to the one before, until the party stops at its crash."""
    for message in messages:
        heard = sum(party_id == VICTIM for party_id, _ in attacker.running.passed)
        attacker.running.to_party(VICTIM, message)
        answer = asyncio.create_task(attacker.running.saw(lambda party_id, _: party_id == VICTIM, count=heard + 1))
        stop = asyncio.create_task(crash.reached.wait())
        await asyncio.wait({answer, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if crash.reached.is_set():
            answer.cancel()
            return
        await answer


async def restarted(attacker: MaliciousAggregator) -> None:
    await attacker.running.kill(VICTIM)
    await attacker.running.start_party(VICTIM)


def transcripts_of(attacker: MaliciousAggregator, fields: SessionFields, said: Said) -> list[DecryptionRequest]:
    """Two requests, each of which passes every check: the others replied twice, and not all of them count."""
    own = next(m.contribution for m in said.of(EncryptedReply) if isinstance(m, EncryptedReply))
    others = [party_id for party_id in attacker.others if party_id in fields.cohort]
    chosen = others, others[: fields.round_quorum - 1]
    return [attacker.request(fields, (own, *attacker.contributions(fields, some))) for some in chosen]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
@asynchronous
async def test_party_killed_at_any_write_answers_one_query_with_one_reply_and_opens_one_transcript(
    tmp_path, write, after
):
    crash = Crash(write, after=after)
    async with attacking(tmp_path, crash) as attacker:
        said = Said(attacker)
        await attacker.accepted()
        first = attacker.fields()
        second = attacker.fields(cohort=PARTIES[:4])
        queries = [attacker.query(first), attacker.query(second)]

        await offer(attacker, crash, queries[0])
        transcripts = []
        if not crash.reached.is_set():
            transcripts = transcripts_of(attacker, first, said)
            await offer(attacker, crash, *transcripts)
        assert crash.reached.is_set()
        await restarted(attacker)

        # Everything is offered again, the other one of each first: whichever counts now is the only one ever.
        await offer(attacker, no_crash(), *reversed(queries), *queries)
        assert len(said.sessions) == 1
        assert len(said.replies) == 1
        (session,) = said.sessions
        fields = first if session == first.session_id else second
        transcripts = transcripts or transcripts_of(attacker, fields, said)
        await offer(attacker, no_crash(), *reversed(transcripts), *transcripts)
        await restarted(attacker)
        await offer(attacker, no_crash(), *queries, *reversed(queries), *transcripts, *reversed(transcripts))

        assert (len(said.sessions), len(said.replies), len(said.partials)) == (1, 1, 1)
        # After the smaller cohort the larger one is refused for its growth before anything else is looked at.
        codes = {m.code for m in said.of(Rejection) if isinstance(m, Rejection)}
        assert codes - {"not-in-cohort"} == {"already-answered"}
        # What it was killed at before it was durable, it need not remember; what was durable, it answers alike.
        if (write, after) != ("accept_query", False):
            assert session == first.session_id
        entries = attacker.running.party_store(VICTIM).ledger("play")
        assert [entry.status for entry in entries if entry.round_number == 1] == [ReservationStatus.COMMITTED]
