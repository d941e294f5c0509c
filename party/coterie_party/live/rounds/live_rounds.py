# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The rounds that a party takes part in: event → step → persist → effects, one event at a time.

Invariants:
- Every ``Persist…`` effect is durable before the state changes and before anything is sent.
- Long work (data, big integers) runs on worker threads and comes back as an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial as bind
from typing import Final, assert_never

import structlog

from coterie_common.audit.told import told
from coterie_common.errors import AlreadyAnswered, CoterieError, StorageError
from coterie_common.identifiers import JobId
from coterie_common.protocol.messages import DecryptionRequest, Query, Rejection, Reply
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.verification.request import VerifiedRequest
from coterie_common.wire.federation import party_message_to_wire
from coterie_party import round as round_machine
from coterie_party.live import agreeing
from coterie_party.live.accepted_jobs import AcceptedJobs
from coterie_party.live.context import Context
from coterie_party.live.job_data import LoadedData
from coterie_party.live.knowledge import own_knowledge, running_job
from coterie_party.live.recording import cause_of, record_refusal
from coterie_party.live.rounds import arithmetic as answering
from coterie_party.live.rounds.background import Asked, BackgroundWork, RoundKey
from coterie_party.store import AskedStep
from coterie_party.store.files.padded_parts import Outgoing

log = structlog.get_logger(__name__)

_WORK: Final = (round_machine.ComputeReply, round_machine.VerifyRequest, round_machine.ComputePartial)
"""Effects that begin work, after which the round's next event comes."""


class LiveRounds:
    """All rounds of one party.

    Args:
        context: of the party.
        jobs: that it accepted.
        data: of these jobs.
        lock: held while an event is taken; callers of ``take`` hold it.
        say: sends a message, if the stream is open.
    """

    def __init__(
        self,
        context: Context,
        jobs: AcceptedJobs,
        data: LoadedData,
        lock: asyncio.Lock,
        say: Callable[[Outgoing], Awaitable[None]],
    ) -> None:
        self._context = context
        self._jobs = jobs
        self._data = data
        self._lock = lock
        self._say = say
        self._work = BackgroundWork(self._report, context.incidents)
        # As they follow from what is stored, of rounds that are being worked on: a round passes here six times.
        self._states: dict[RoundKey, round_machine.PartyRound] = {}

    async def failed(self) -> None:
        """Wait until durable state can no longer be trusted; raises that error."""
        await self._work.failed()

    def check_room(self, message: Asked) -> None:
        """Check that there is room for another task; raises ``Overloaded``."""
        self._work.check_room(message)

    async def stop(self) -> None:
        """Cancel all work; what was not persisted is redone after the next start."""
        await self._work.cancel()

    async def end(self, job_id: JobId) -> None:
        """Stop and forget what is under way for a job that is over, and delete its padded parts."""
        await self._work.cancel(job_id)
        for key in [key for key in self._states if key[0] == job_id]:
            del self._states[key]
        await self._context.on_writer(self._context.padded.delete_job, job_id)

    async def take(
        self, key: RoundKey, event: round_machine.Event, state: round_machine.PartyRound | None = None
    ) -> None:
        """Step a round's machine: persist, which changes the state, then do the rest.

        The state comes from the store: rounds that somebody invents take no memory. It is kept only while work on the
        round is in progress, which is bounded, and ``state`` is what was read while this message was handled.
        """
        transition = round_machine.step(state or await self.state(key), event)
        # If something cannot be persisted, what is stored counts.
        self._states.pop(key, None)
        stored: bytes | None = None
        for effect in transition.effects:
            stored = await self._persist(key, effect, event) or stored
        if any(isinstance(effect, _WORK) for effect in transition.effects):
            self._states[key] = transition.state
        for effect in transition.effects:
            await self._carry_out(key, effect, event, stored)

    async def state(self, key: RoundKey) -> round_machine.PartyRound:
        """Return where a round stands; ``Phase.NEW`` if nothing is known of it."""
        if key in self._states:
            return self._states[key]
        return await self._context.on_writer(self._context.store.round, *key)

    async def _persist(self, key: RoundKey, effect: round_machine.Effect, event: round_machine.Event) -> bytes | None:
        """Make an effect durable; returns the bytes of a message that is stored by it."""
        store, write = self._context.store, self._context.on_writer
        match effect:
            case round_machine.PersistAcceptance(query):
                fields, asked = query.fields, await self._asked_step(query.fields)
                await write(store.accept_query, *key, fields.session_id, fields.cohort, asked, told(query))
            case round_machine.PersistReply(reply):
                data = party_message_to_wire(reply)
                await write(store.store_reply, *key, reply.digest, data)
                return data
            case round_machine.PersistTranscript(request, verified):
                total = b"".join(ciphertext.to_bytes() for ciphertext in verified.total)
                digests = (verified.session_id, verified.transcript_digest)
                facts = verified.contributors, request.fields.plan_step
                await write(store.record_transcript, *key, *digests, total, *facts, told(request))
            case round_machine.PersistPartial(partial):
                data = party_message_to_wire(partial)
                await write(store.store_partial, *key, data)
                return data
            case round_machine.Refuse(error):
                await record_refusal(self._context, error, cause_of(event), key)
            case (
                round_machine.ComputeReply()
                | round_machine.VerifyRequest()
                | round_machine.ComputePartial()
                | round_machine.SendReply()
                | round_machine.SendPartial()
            ):
                pass  # nothing to keep: done again after a restart
            case _:
                assert_never(effect)
        return None

    async def _asked_step(self, fields: SessionFields) -> AskedStep:
        """Return the step that a query asks, with the spare rounds that the job accepted for it."""
        job = await self._jobs.of(await running_job(self._context, fields.job_id))
        steps, spares = len(job.terms.rounds), job.terms.spares
        return AskedStep(
            step=fields.plan_step,
            spare_lines=spares.lines(fields.plan_step, steps),
            spare_rounds=spares.rounds,
        )

    async def _carry_out(
        self, key: RoundKey, effect: round_machine.Effect, event: round_machine.Event, stored: bytes | None
    ) -> None:
        """Carry out an effect; ``stored`` are the bytes of the message that was just stored."""
        match effect:
            case round_machine.ComputeReply(query):
                self._work.start(key, "reply", bind(self._compute_reply, key, query), query)
            case round_machine.VerifyRequest(request):
                self._work.start(key, "request", bind(self._verify_request, key, request), request)
            case round_machine.ComputePartial():
                made_now = event.verified if isinstance(event, round_machine.RequestVerified) else None
                self._work.start(key, "partial", bind(self._compute_partial, key, made_now))
            case round_machine.SendReply():
                # One that was just made is not parsed again to be sent.
                made = event.reply if isinstance(event, round_machine.ReplyComputed) else None
                data = stored or await self._context.on_writer(self._context.store.reply, *key)
                await self._send_stored(key, data, made)
            case round_machine.SendPartial():
                data = stored or await self._context.on_writer(self._context.store.partial, *key)
                await self._send_stored(key, data)
            case round_machine.Refuse(error):
                await self.refuse(key, error)
            case (
                round_machine.PersistAcceptance()
                | round_machine.PersistReply()
                | round_machine.PersistTranscript()
                | round_machine.PersistPartial()
            ):
                pass  # done before anything is carried out
            case _:
                assert_never(effect)

    async def _compute_reply(self, key: RoundKey, query: Query) -> None:
        job = await self._context.on_writer(self._context.store.job, key[0])
        if job is None:
            raise StorageError(f"the accepted job {key[0]} is not stored any more")
        data = await self._data.of(await self._jobs.of(job))
        async with data.turn, self._context.drafting(*key) as draft:
            is_complete = query.fields.terms.sealing.is_complete
            masks = await agreeing.masks_for(self._context, query.fields) if is_complete else None
            reply = await self._context.compute(answering.answer, self._context, query, data, draft.write, masks)
        await self._post(key, round_machine.ReplyComputed(reply))
        if key[1] > 1:
            await self._context.on_writer(self._context.padded.delete_before, *key)

    async def _verify_request(self, key: RoundKey, request: DecryptionRequest) -> None:
        own = await own_knowledge(self._context, self._jobs, request, await self.state(key))
        verified = await self._context.compute(answering.verify, self._context, request, own)
        await self._post(key, round_machine.RequestVerified(request, verified))

    async def _compute_partial(self, key: RoundKey, verified: VerifiedRequest | None) -> None:
        """Open the sum of the transcript that is recorded: ``verified`` just now, or read from the store."""
        if verified is None:
            stored = await self._context.on_writer(self._context.store.transcript, *key)
            if stored is None:
                raise StorageError(f"the recorded transcript of job {key[0]} round {key[1]} is gone")
            verified = answering.recorded_request(self._context, stored)
        partial = await self._context.compute(answering.decrypt_partially, self._context, *key, verified)
        log.info("sum opened", job=key[0], round=key[1], contributors=verified.contributors)
        await self._post(key, round_machine.PartialComputed(partial))

    async def _report(self, key: RoundKey, error: CoterieError, about: Asked | None) -> None:
        await self._post(key, round_machine.ComputationFailed(error, about))

    async def _post(self, key: RoundKey, event: round_machine.Event) -> None:
        async with self._lock:
            await self.take(key, event)

    async def _send_stored(self, key: RoundKey, data: bytes | None, reply: Reply | None = None) -> None:
        try:
            messages = self._context.padded.outgoing(data, reply)
        except AlreadyAnswered as gone:
            await record_refusal(self._context, gone, None, key)
            await self.refuse(key, gone)
            return
        for message in messages:
            await self._say(message)

    async def refuse(self, key: RoundKey, error: CoterieError) -> None:
        """Tell the aggregator that this party does not answer in a round, and why."""
        log.error("refused", job=key[0], round=key[1], code=error.code, why=error.message, culprits=error.culprits)
        # An error in the party's own data or configuration quotes it; only its code may leave the house.
        detail = one_line(error.public_message)
        await self._say(Rejection(code=error.code, detail=detail, job_id=key[0], round_number=key[1]))
