# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One running round: connects its state machine with spool, workers, timers and parties."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial as bind
from typing import assert_never

import structlog

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.rounds.arithmetic import FixedTranscript, RoundArithmetic
from coterie_aggregator.live.rounds.choice import arithmetic_for
from coterie_aggregator.live.rounds.complete_arithmetic import CompleteArithmetic
from coterie_aggregator.live.rounds.received import Received
from coterie_aggregator.live.rounds.round_sum import RoundSum
from coterie_aggregator.live.supervised import Supervised
from coterie_aggregator.live.timing import RoundTimes
from coterie_aggregator.machines import round_effects as effects
from coterie_aggregator.machines import round_events as events
from coterie_aggregator.machines import round_machine as machine
from coterie_aggregator.machines.driver import Machine, Running
from coterie_aggregator.machines.round_state import AggregatorRound, Phase, Standing
from coterie_common.errors import (
    Equivocation,
    InvalidProof,
    NotInCohort,
    NotOpened,
    ParameterMismatch,
    PeerError,
    StaleRound,
    StateError,
    UnexpectedMessage,
)
from coterie_common.files import FileDraft
from coterie_common.identifiers import PartyId
from coterie_common.learning.algorithm import Release
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import RoundSettings
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import PaddedPart, PartialDecryption, Query, Reply
from coterie_common.protocol.padded_part import PaddedFacts
from coterie_common.wire.masked_reply import reply_list_to_bytes
from coterie_common.wire.strict import Octets

log = structlog.get_logger(__name__)

Persist = Callable[[events.Event], Awaitable[None]]


class LiveRound:
    """One round of one job.

    Args:
        context: of the aggregator.
        query: signed and stored.
        state: folded from the stored events.
        settings: deadlines of the job.
        times: from which the deadlines count.
        released: called with query, transcript digest and release, outside the coordinator's task.
        abandoned: called with the state of a round whose step is to be asked again.
        aborted: called with the state of an aborted round.
        broken: called when our own code failed.
        changed: called after every change that people may want to see.
        before_query: sends a party what it needs before the query, if there is something.
    """

    def __init__(
        self,
        context: Context,
        query: Query,
        state: AggregatorRound,
        settings: RoundSettings,
        times: RoundTimes,
        *,
        released: Callable[[Query, bytes, Release], Awaitable[None]],
        abandoned: Callable[[AggregatorRound], Awaitable[None]],
        aborted: Callable[[AggregatorRound], Awaitable[None]],
        broken: Callable[[BaseException], Awaitable[None]],
        changed: Callable[[], None],
        before_query: Callable[[PartyId], Awaitable[None]] | None = None,
    ) -> None:
        self.query = query
        self._context = context
        self._settings = settings
        self._times = times
        self._released = released
        self._abandoned = abandoned
        self._aborted = aborted
        self._work = Supervised(context, broken)
        self._changed = changed
        self._before_query = before_query
        self._job_id = query.fields.job_id
        self._number = query.fields.round_number
        self._arithmetic = arithmetic_for(query, context)
        self._received = Received(context, self._job_id, self._number)
        self._sum = RoundSum(context, self._arithmetic, self._job_id, self._number)
        self._transcript: asyncio.Task[FixedTranscript] | None = None
        self._is_stopped = False
        self._machine = Machine(
            state, step=machine.step, outstanding=machine.outstanding, persist=self._persist, start=self._start
        )

    @property
    def state(self) -> AggregatorRound:
        """The state of the round."""
        return self._machine.state

    def resume(self) -> None:
        """Begin, or resume after a restart."""
        self._machine.carry_out()

    def stop(self) -> None:
        """Cancel timers and computations, and take no further events: the spool may be gone."""
        self._is_stopped = True
        self._machine.stop()
        if self._transcript:
            # Let go of, too: it holds the decryption request and all its ciphertexts.
            self._transcript.cancel()
            self._transcript = None
        self._received.forget()
        self._sum.forget()
        # People still see how it stood; the model in it is of no use any more, nor is the progress that it began with.
        self.query = replace(self.query, body=b"")
        self._released = _too_late

    def party_connected(self, party_id: PartyId) -> None:
        """Repeat everything that this party has not answered yet."""
        self._machine.repeat([effects.SendQuery(party_id), effects.SendDecryptionRequest(party_id)])

    async def take(self, event: events.Event, persist: Persist | None = None) -> None:
        """Take an event in the coordinator's task; ignored once the round was stopped.

        ``persist`` makes it durable, where more than the event is stored along with it.
        """
        if not self._is_stopped and await self._machine.take(event, persist):
            self._changed()

    async def reply_received(self, party_id: PartyId, reply: Reply, data: Octets) -> None:
        """Spool a reply, whose bytes are ``data``, then let the machine have it.

        Raises:
            PeerError: it is for another query, too late, or differs from an earlier one.
        """
        self._check_wanted(party_id, reply.session_id)
        if party_id in self.state.contributions:
            if await self._received.reply(party_id) != reply:
                raise Equivocation("a second, different reply in the same round", culprits=(party_id,))
            return
        self._check_collecting()

        async def persist(event: events.Event) -> None:
            await self._received.keep_reply(party_id, reply, data, self._persisting(event))

        await self.take(events.ContributionReceived(party_id), persist)

    async def padded_begins(self, party_id: PartyId, part: PaddedPart, digest: bytes) -> FileDraft | None:
        """Return the path for an arriving padded part; ``None`` if it arrived before and is not needed.

        Raises:
            PeerError: it is not wanted: for another query, of another length, too late, or not what came before.
        """
        self._check_wanted(party_id, part.session_id)
        known = await self._sum.padded_facts(party_id)
        if known.size:
            if known.digest != digest:
                raise Equivocation("a second, different padded part in the same round", culprits=(party_id,))
            return None
        standing = self.state.contributions.get(party_id)
        if standing is Standing.REJECTED:
            return None
        if standing is not None:
            raise UnexpectedMessage("a padded part comes before the reply that names it", culprits=(party_id,))
        self._check_collecting()
        self._arithmetic.check_padded(part.size)
        return await self._context.on_writer(self._context.spool.begin_padded, self._job_id, self._number, party_id)

    async def padded_received(self, party_id: PartyId, draft: FileDraft, digest: bytes) -> None:
        """Keep a complete padded part; raises ``PeerError`` if it came too late."""
        self._check_collecting()
        spool = self._context.spool
        await self._context.on_writer(spool.commit_padded, self._job_id, self._number, party_id, draft, digest)
        self._sum.received(party_id, PaddedFacts(draft.size, digest))

    async def partial_received(self, party_id: PartyId, partial: PartialDecryption, data: Octets) -> None:
        """Spool a partial decryption, whose bytes are ``data``, then let the machine have it; raises ``PeerError``."""
        if self._is_stopped or self.state.phase is not Phase.DECRYPTING or party_id in self.state.partials:
            return

        async def persist(event: events.Event) -> None:
            await self._received.keep_partial(party_id, partial, data, self._persisting(event))

        await self.take(events.PartialReceived(party_id), persist)

    async def refused(self, party_id: PartyId, code: str) -> None:
        """A party declined the last request to it in this round."""
        if self.state.phase is Phase.COLLECTING:
            await self.take(events.ReplyRefused(party_id, code))
        else:
            await self.take(events.DecryptionRefused(party_id, code))

    def _check_wanted(self, party_id: PartyId, session_id: bytes) -> None:
        if party_id not in self.query.fields.cohort:
            raise NotInCohort("the sender of the reply was not asked", culprits=(party_id,))
        if session_id != self.query.fields.session_id:
            raise ParameterMismatch("the reply answers another query", culprits=(party_id,))
        if self._is_stopped:
            raise StaleRound("the round is over", culprits=())

    def _check_collecting(self) -> None:
        if self._is_stopped or self.state.phase is not Phase.COLLECTING:
            raise StaleRound("the sum of this round is already fixed", culprits=())

    async def _persist(self, event: events.Event) -> None:
        await self._context.on_writer_in_turn(self._persisting(event))

    def _persisting(self, event: events.Event) -> bind[None]:
        now = self._context.clock.now()
        return bind(self._context.store.append_round_event, self._job_id, self._number, event, now)

    def _start(self, effect: effects.Effect) -> Running | None:
        match effect:
            case effects.SendQuery(party_id):
                if self._before_query is None:
                    self._context.send(party_id, self.query)
                else:
                    return self._work.spawn(self._send_query(party_id, self._before_query))
            case effects.VerifyContribution(party_id):
                return self._work.spawn(self._verify_contribution(party_id))
            case effects.AddToSum(party_id):
                return self._work.spawn(self._sum.add(party_id))
            case effects.SendDecryptionRequest(party_id):
                return self._work.spawn(self._send_request(party_id))
            case effects.VerifyPartial(party_id):
                return self._work.spawn(self._verify_partial(party_id))
            case effects.OpenSum(party_ids):
                return self._work.spawn(self._open_sum(party_ids))
            case effects.AskAgain():
                self._work.post(bind(self._abandoned, self.state))
            case effects.EndJob():
                self._work.post(bind(self._aborted, self.state))
            case effects.Timer(event):
                wait = self._times.remaining_s(event, self._settings, self._context.clock.now())
                return asyncio.get_running_loop().call_later(wait, self._work.post, bind(self.take, event))
            case _:
                assert_never(effect)
        return None

    async def _send_query(self, party_id: PartyId, before: Callable[[PartyId], Awaitable[None]]) -> None:
        await before(party_id)
        self._context.send(party_id, self.query)

    async def _verify_contribution(self, party_id: PartyId) -> None:
        padded = await self._sum.padded_facts(party_id)
        try:
            reply = await self._received.reply(party_id)
            await self._context.compute(self._arithmetic.verify_reply, reply, padded)
        except PeerError as error:
            self._received.drop_reply(party_id)
            self._blame("contribution rejected", party_id, error)
            self._work.post(bind(self._reject, party_id, error.code))
        else:
            self._work.post(bind(self.take, events.ContributionVerified(party_id)))

    async def _reject(self, party_id: PartyId, code: str) -> None:
        await self.take(events.ContributionRejected(party_id, code))
        await self._sum.reject(party_id)

    async def _send_request(self, party_id: PartyId) -> None:
        self._context.send(party_id, (await self._fixed_transcript()).request)

    async def _verify_partial(self, party_id: PartyId) -> None:
        arithmetic, transcript = self._under_the_key(), await self._fixed_transcript()
        try:
            partial = await self._received.partial(party_id)
            await self._context.compute(arithmetic.verify_partial, partial, transcript)
        except PeerError as error:
            self._received.drop_partial(party_id)
            self._blame("partial decryption rejected", party_id, error)
            self._work.post(bind(self.take, events.PartialRejected(party_id, error.code)))
        else:
            self._work.post(bind(self.take, events.PartialVerified(party_id)))

    async def _open_sum(self, party_ids: Sequence[PartyId]) -> None:
        if isinstance(self._arithmetic, CompleteArithmetic):
            await self._open_complete(self._arithmetic)
            return
        arithmetic, transcript = self._under_the_key(), await self._fixed_transcript()
        partials = [await self._received.partial(party_id) for party_id in party_ids]
        try:
            plaintexts = await self._context.compute(arithmetic.open, partials, transcript)
        except InvalidProof as error:
            culprits = tuple(map(PartyId, error.culprits))
            for culprit in culprits:
                self._received.drop_partial(culprit)
                self._blame("partial decryption rejected", culprit, error)
            self._work.post(bind(self.take, events.PartialsDisproved(culprits, error.code)))
        except NotOpened as error:
            log.error("the sum does not open", job=self._job_id, round=self._number, why=error.message)
            self._work.post(bind(self.take, events.OpeningFailed()))
        else:
            running = await self._sum.of(self.state.contributors)
            release = await self._context.compute(arithmetic.open_sum, plaintexts, running)
            # It is as long as a model, and after a restart it is there again.
            self._sum.forget()
            del running
            await self._released(self.query, transcript.digest, release)

    async def _open_complete(self, arithmetic: CompleteArithmetic) -> None:
        replies = [await self._received.reply(party_id) for party_id in self.state.contributors]
        masked = [reply for reply in replies if isinstance(reply, MaskedReply)]
        running = await self._sum.of(self.state.contributors)
        release = await self._context.compute(arithmetic.open_sum, masked, running)
        self._sum.forget()
        del running
        listed = arithmetic.list_of(masked)
        # Before the release is stored: the next query shows this list.
        data = reply_list_to_bytes(listed)
        await self._context.on_writer(self._context.spool.put_reply_list, self._job_id, listed.digest, data)
        await self._released(self.query, listed.digest, release)

    async def _fixed_transcript(self) -> FixedTranscript:
        """Compute the transcript once; every asker gets the same."""
        if self._is_stopped:  # what still runs was cancelled, and the spool may be gone
            raise asyncio.CancelledError
        if self._transcript is None:
            self._transcript = asyncio.ensure_future(self._fix_transcript())
        return await asyncio.shield(self._transcript)

    async def _fix_transcript(self) -> FixedTranscript:
        replies = [await self._received.reply(party_id) for party_id in self.state.contributors]
        contributions = [reply.contribution for reply in replies if isinstance(reply, EncryptedReply)]
        fix = self._under_the_key().fix_transcript
        return await self._context.compute(fix, contributions, self._context.signing_key)

    def _under_the_key(self) -> RoundArithmetic:
        if not isinstance(self._arithmetic, RoundArithmetic):
            raise StateError("a round that is sealed completely has no transcript to open")
        return self._arithmetic

    def _blame(self, event: str, party_id: PartyId, error: PeerError) -> None:
        log.warning(event, job=self._job_id, round=self._number, culprit=party_id, code=error.code, why=error.message)


async def _too_late(query: Query, transcript: bytes, release: Release) -> None:
    """Take a release of a round that was stopped: nobody waits for it."""
