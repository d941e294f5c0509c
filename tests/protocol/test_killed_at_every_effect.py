# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party killed before and after every effect of its rounds: one reply, one transcript, and the same bytes again.

The cases come from the effect types. An effect that no job here brings about fails its case.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial as bind
from pathlib import Path
from typing import Any, get_args

import pytest

from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import DecryptionRequest, Message, PartialDecryption
from coterie_common.protocol.progress import JobState
from coterie_party import round as party_round
from coterie_party.live.context import Context
from coterie_party.live.coordinator import Coordinator
from coterie_party.live.rounds.live_rounds import LiveRounds
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import statistics_spec, write_play

VICTIM = PartyId("party-2")
EFFECTS = get_args(party_round.Effect)

PERSISTED = {
    party_round.PersistAcceptance,
    party_round.PersistReply,
    party_round.PersistTranscript,
    party_round.PersistPartial,
    party_round.Refuse,
}
"""Their act is a write; of the others, a computation that is started, or a message that is sent."""

OF_REFUSALS = {party_round.Refuse}
"""Brought about only where the party is asked for something wrong: here, once, by a request that nobody signed."""


@dataclass
class Stop:
    """Where a party stops for good: before or after the first effect of a type."""

    effect: type
    after: bool
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def here(self, effect: object, *, after: bool) -> None:
        if type(effect) is self.effect and after is self.after:
            self.reached.set()
        if self.reached.is_set():
            # Until the task is cancelled.
            await asyncio.get_running_loop().create_future()


class StoppingRounds(LiveRounds):
    """Stops around the act of an effect."""

    def __init__(self, stop: Stop, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._stop = stop

    async def _persist(self, key: Any, effect: Any, event: Any) -> bytes | None:
        if type(effect) not in PERSISTED:
            return await super()._persist(key, effect, event)
        await self._stop.here(effect, after=False)
        stored = await super()._persist(key, effect, event)
        await self._stop.here(effect, after=True)
        return stored

    async def _carry_out(self, key: Any, effect: Any, event: Any, stored: bytes | None) -> None:
        if type(effect) in PERSISTED:
            await super()._carry_out(key, effect, event, stored)
            return
        await self._stop.here(effect, after=False)
        await super()._carry_out(key, effect, event, stored)
        await self._stop.here(effect, after=True)


def make_party(stop: Stop, context: Context) -> Coordinator:
    party = Coordinator(context)
    if context.party_id == VICTIM:
        party._rounds = StoppingRounds(stop, context, party._jobs, party._data, party._lock, party._say)
    return party


def unsigned_once(asked: list[Message], party_id: PartyId, message: Message) -> Message:
    """Take the signature off the first decryption request to the victim."""
    if party_id != VICTIM or not isinstance(message, DecryptionRequest) or asked:
        return message
    asked.append(message)
    return replace(message, signature=bytes(64))


def federation_for(folder: Path, effect: type, stop: Stop) -> InProcessFederation:
    """Three parties, of which everybody is needed; or five, of which one may refuse to help."""
    is_refused = effect in OF_REFUSALS
    federation = make_federation() if is_refused else make_federation(3, 3)
    datasets = write_play(folder, federation.parties)
    running = InProcessFederation(federation, folder, datasets, make_party=bind(make_party, stop))
    if is_refused:
        running.intercept = bind(unsigned_once, [])
    return running


def said(running: InProcessFederation, kind: type[Message]) -> set[bytes]:
    return {running.wire(message) for who, message in running.passed if who == VICTIM and isinstance(message, kind)}


async def reach(running: InProcessFederation, job_id: JobId, stop: Stop) -> None:
    """Wait until the party has stopped; fail if the job ends without that."""
    ends = asyncio.create_task(running.result(job_id))
    reached = asyncio.create_task(stop.reached.wait())
    await asyncio.wait({ends, reached}, return_when=asyncio.FIRST_COMPLETED)
    ends.cancel()
    assert stop.reached.is_set(), f"no job here brings about {stop.effect.__name__}: add one that does"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.__name__)
@asynchronous
async def test_party_killed_around_an_effect_comes_back_and_says_nothing_else(tmp_path, effect, after):
    stop = Stop(effect, after)
    running = federation_for(tmp_path, effect, stop)
    async with running:
        job_id = await running.submit(statistics_spec())
        await reach(running, job_id, stop)
        running.make_party = Coordinator
        await running.kill(VICTIM)
        await running.start_party(VICTIM)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        model = Model.from_bytes(await running.delivered(VICTIM, job_id))
        assert model.lineage.contributors == (len(running.federation.parties),)
        assert len(said(running, EncryptedReply)) == 1
        assert len(said(running, PartialDecryption)) <= 1
        store = running.party_store(VICTIM)
        assert said(running, PartialDecryption) <= {store.partial(job_id, 1)}
        assert [entry.status for entry in store.ledger("play")] == [ReservationStatus.COMMITTED]


class Unheard:
    """An effect that no round has."""


@asynchronous
async def test_effect_that_no_job_here_brings_about_fails_its_case(tmp_path):
    stop = Stop(Unheard, after=False)
    running = federation_for(tmp_path, Unheard, stop)
    async with running:
        with pytest.raises(AssertionError, match="no job here brings about Unheard"):
            await reach(running, await running.submit(statistics_spec()), stop)
