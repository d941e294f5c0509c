# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the aggregator keeps in memory of a round: nothing of a rejected reply, and nothing once the round is over."""

from __future__ import annotations

from coterie_aggregator.live.rounds.live_round import LiveRound
from coterie_aggregator.machines.round_events import ContributionRejected
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, PartialDecryption
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.dishonest import mauled_reply
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import tree_spec, write_play

CULPRIT, SILENT = PartyId("party-2"), PartyId("party-3")


def round_of(running: InProcessFederation) -> LiveRound:
    """The round that is running."""
    (live,) = running.aggregator._jobs.values()
    assert live.round is not None
    return live.round


@asynchronous
async def test_rejected_reply_is_on_disk_alone_while_others_are_in_memory(tmp_path):
    federation = make_federation()
    mauled: list[EncryptedReply] = []

    def maul(party_id: PartyId, message: Message) -> Message | None:
        if not isinstance(message, EncryptedReply) or party_id not in (CULPRIT, SILENT):
            return message
        if party_id == SILENT:  # the round goes on collecting
            return None
        mauled.append(mauled_reply(federation, message))
        return mauled[0]

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=maul) as running:
        await running.submit(tree_spec())
        await running.wrote("append_round_event", about=ContributionRejected)
        received = round_of(running)._received
        assert received._replies
        assert CULPRIT not in received._replies
        # It is still evidence, and the same again is no equivocation.
        assert await received.reply(CULPRIT) == mauled[0]


@asynchronous
async def test_round_that_is_over_holds_neither_its_request_nor_its_messages(tmp_path):
    federation = make_federation()
    rounds: dict[int, LiveRound] = {}
    held: list[bool] = []

    def look(party_id: PartyId, message: Message) -> Message:
        if isinstance(message, PartialDecryption) and message.round_number not in rounds:
            rounds[message.round_number] = round_of(running)
            held.append(round_of(running)._transcript is not None)
        return message

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=look)
    async with running:
        job_id = await running.submit(tree_spec())
        assert (await running.result(job_id)).state is JobState.COMPLETED
    assert held == [True] * len(rounds) == [True, True]
    for over in rounds.values():
        assert over._transcript is None
        assert over._received._replies == over._received._partials == {}
        assert over.query.body == b""
