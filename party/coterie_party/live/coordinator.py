# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's single-writer loop: message → step → persist → effects, one message at a time.

Nothing is decided here: the transitions of a round are in ``round``, the checks of a message in
``protocol.verification``, decisions on jobs in ``proposals``.

Invariants:
- Every ``Persist…`` effect is durable before the state changes and before anything is sent.
- Long work (data, big integers) runs on worker threads and comes back as an event.
- Of an error in the party's own data only the code leaves the house, never its text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial as bind
from typing import Final, assert_never

import structlog

from coterie_common.audit.told import NOTHING_TOLD, Details, told
from coterie_common.errors import (
    AlreadyAnswered,
    AlteredReplyList,
    CoterieError,
    InternalError,
    PeerError,
    RefusedError,
    StorageError,
    TransientError,
    UnexpectedMessage,
)
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Acceptances, RelayedEncapsulations
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    JobEnd,
    JobOutcome,
    JobProposal,
    ModelDelivery,
    Query,
    Rejection,
    Reply,
    Welcome,
)
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.verification.query import verify_delivery, verify_job_end, verify_proposal, verify_query
from coterie_common.protocol.verification.request import VerifiedRequest
from coterie_common.wire.federation import party_message_to_wire
from coterie_party import round as round_machine
from coterie_party.live import agreeing
from coterie_party.live import arithmetic as answering
from coterie_party.live.accepted_jobs import AcceptedJobs
from coterie_party.live.background import Asked, BackgroundWork, RoundKey
from coterie_party.live.context import Context
from coterie_party.live.job_data import LoadedData
from coterie_party.live.knowledge import delivered_job, job_knowledge, own_knowledge, running_job
from coterie_party.live.models import keep_model, make_receipt
from coterie_party.live.proposals import reply_to
from coterie_party.live.recording import cause_of, record_failure, record_refusal, subject
from coterie_party.live.waiting import Waiting
from coterie_party.store import AskedStep
from coterie_party.store.padded_parts import Outgoing

log = structlog.get_logger(__name__)

Send = Callable[[Outgoing], Awaitable[None]]

_WORK: Final = (round_machine.ComputeReply, round_machine.VerifyRequest, round_machine.ComputePartial)
"""Effects that begin work, after which the round's next event comes."""


class Coordinator:
    """All jobs and rounds of one party; handles the connection's messages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._jobs = AcceptedJobs(context)
        self._data = LoadedData(context)
        self._work = BackgroundWork(self._report, context.incidents)
        self._send: Send | None = None
        self._waiting = Waiting(context, self._jobs)
        # As they follow from what is stored, of rounds that are being worked on: a round passes here six times.
        self._rounds: dict[RoundKey, round_machine.PartyRound] = {}

    async def failed(self) -> None:
        """Wait until durable state can no longer be trusted; raises that error."""
        await self._work.failed()

    async def stop(self) -> None:
        """Cancel background work; work that was not persisted is redone after the next start."""
        await self._work.cancel()
        self._data.close()

    # The interface for the connection.

    async def connected(self, send: Send) -> None:
        """The stream is open; the aggregator repeats everything that this party has not answered."""
        self._send = send

    async def disconnected(self) -> None:
        """The stream has ended."""
        self._send = None
        # The aggregator asks again on the next one.
        self._waiting.forget_queries()

    async def rejected(self, error: CoterieError) -> None:
        """Record something from the aggregator that was refused before it reached ``message``."""
        await record_refusal(self._context, error, None)

    async def message(self, message: AggregatorMessage) -> None:
        """Handle one message.

        Raises:
            PeerError, RefusedError: it is not accepted; nothing has changed.
            StorageError: durable state failed; the daemon stops.
        """
        async with self._lock:
            try:
                await self._handle(message)
            except (PeerError, RefusedError) as error:
                await record_refusal(self._context, error, message)
                raise
            except (StorageError, TransientError):
                raise
            except Exception as failure:  # noqa: BLE001  # a supervisor: one message must neither end the daemon nor silence it
                await self._unforeseen(failure, message)

    async def _unforeseen(self, failure: Exception, message: AggregatorMessage) -> None:
        error, (job_id, number) = await record_failure(self._context, failure, message), subject(message)
        if not isinstance(message, Rejection):
            await self._refuse((JobId(job_id), number), error)

    async def _handle(self, message: AggregatorMessage) -> None:
        match message:
            case JobProposal():
                await self._proposal(message)
            case Query():
                self._work.check_room(message)
                await self._query(message)
            case DecryptionRequest():
                if message.fields.terms.sealing.is_complete:
                    raise UnexpectedMessage("nobody opens the sum of a round that is sealed completely")
                self._work.check_room(message)
                key = message.fields.job_id, message.fields.round_number
                state = await self._state(key)
                answering.check_memory(self._context, message, state)
                await self._take(key, round_machine.RequestReceived(message), state)
            case Acceptances():
                await self._say(await agreeing.agree(message, self._context, self._jobs))
            case RelayedEncapsulations():
                await agreeing.take_relayed(message, self._context)
            case ModelDelivery():
                await self._delivery(message)
            case JobEnd():
                await self._job_end(message)
            case Rejection():
                where = {"job": message.job_id, "round": message.round_number}
                log.warning("rejected by the aggregator", **where, code=message.code, detail=message.detail)
            case Welcome():
                raise UnexpectedMessage("Welcome comes only once")
            case _:
                assert_never(message)

    async def look_again(self) -> None:
        """Do work that became due without a message: by a steward's decision, an edited policy or the time of day.

        Raises:
            StorageError: durable state failed; the daemon stops.
        """
        async with self._lock:
            await agreeing.erase_expired(self._context)
            for reply in await self._waiting.replies():
                log.info("job decided", job=reply.job_id, decision=reply.decision, code=reply.code, detail=reply.detail)
                await self._say(reply)
            for query in self._waiting.queries():
                try:
                    await self._query(query)
                except (PeerError, RefusedError) as error:
                    await record_refusal(self._context, error, query)
                    await self._refuse((query.fields.job_id, query.fields.round_number), error)
                except (StorageError, TransientError):
                    raise
                except Exception as failure:  # noqa: BLE001  # a supervisor: as in ``message``
                    await self._unforeseen(failure, query)

    async def _proposal(self, proposal: JobProposal) -> None:
        verify_proposal(proposal, self._context.roster)
        reply = await reply_to(proposal, self._context, self._jobs)
        log.info("job proposed", job=proposal.job_id, decision=reply.decision, code=reply.code, detail=reply.detail)
        await self._say(reply)

    async def _query(self, query: Query) -> None:
        fields = query.fields
        job = await self._jobs.of(await running_job(self._context, fields.job_id))
        is_complete = job.planned.spec.is_complete
        agreement = await agreeing.agreed_parties(self._context, fields.job_id) if is_complete else None
        known = await job_knowledge(self._context, job, fields.plan_step, agreement, query.previous)
        try:
            # Outside the loop, like everything that reads the whole of a message that may hold a model.
            await self._context.look(verify_query, query, self._context.party_id, self._context.roster, known)
        except AlteredReplyList:
            # Nothing that follows in this job can be trusted to hold this party's replies.
            await agreeing.erase(self._context, fields.job_id)
            raise
        key = fields.job_id, fields.round_number
        state = await self._state(key)
        if not await self._waiting.admits(query, job.planned, is_new=state.phase is round_machine.Phase.NEW):
            await self._say(self._waiting.notice(query))
            return
        await self._context.compute(answering.check_ask, query, job.planned)
        await self._take(key, round_machine.QueryReceived(query), state)

    async def _delivery(self, delivery: ModelDelivery) -> None:
        await self._context.look(verify_delivery, delivery, self._context.roster)
        job = await delivered_job(self._context, delivery.job_id)
        allowed = self._context.policy.all_algorithms
        try:
            kept = await self._context.on_writer(keep_model, self._context.models, delivery, job.spec_digest, allowed)
        except StorageError as full:
            # A model is no promise: without room for it the party goes on, and the aggregator sends it again.
            raise InternalError("the model cannot be written") from full
        log.info("model received", job=delivery.job_id, path=str(kept.path), finished=kept.is_finished)
        details = await self._context.look(told, delivery)
        await self._context.on_writer(self._context.audit.record_model, delivery.job_id, details)
        # If a job left an unfinished model, its JobEnd states how it ended.
        if kept.is_finished:
            await self._end(delivery.job_id, JobOutcome.COMPLETED)
        signer = self._context.party_id, self._context.signing_key
        await self._say(await self._context.look(make_receipt, delivery, *signer))

    async def _job_end(self, end: JobEnd) -> None:
        verify_job_end(end, self._context.roster)
        await self._end(end.job_id, end.outcome, told(end))

    async def _end(self, job_id: JobId, outcome: JobOutcome, said: Details = NOTHING_TOLD) -> None:
        job = await self._context.on_writer(self._context.store.job, job_id)
        if job is not None and job.outcome is None:
            await self._context.on_writer(self._context.store.end_job, job_id, outcome, said)
            log.info("job ended", job=job_id, outcome=outcome)
        # Nothing that is under way is of use any more.
        await self._work.cancel(job_id)
        for key in [key for key in self._rounds if key[0] == job_id]:
            del self._rounds[key]
        await self._context.on_writer(self._context.padded.delete_job, job_id)
        await agreeing.erase(self._context, job_id)
        self._waiting.forget(job_id)
        self._jobs.forget(job_id)
        await self._data.drop(job_id)

    # One round.

    async def _take(
        self, key: RoundKey, event: round_machine.Event, state: round_machine.PartyRound | None = None
    ) -> None:
        """Step a round's machine: persist, which changes the state, then do the rest.

        The state comes from the store: rounds that somebody invents take no memory. It is kept only while work on the
        round is in progress, which is bounded, and ``state`` is what was read while this message was handled.
        """
        transition = round_machine.step(state or await self._state(key), event)
        # If something cannot be persisted, what is stored counts.
        self._rounds.pop(key, None)
        stored: bytes | None = None
        for effect in transition.effects:
            stored = await self._persist(key, effect, event) or stored
        if any(isinstance(effect, _WORK) for effect in transition.effects):
            self._rounds[key] = transition.state
        for effect in transition.effects:
            await self._carry_out(key, effect, event, stored)

    async def _state(self, key: RoundKey) -> round_machine.PartyRound:
        if key in self._rounds:
            return self._rounds[key]
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
                await self._refuse(key, error)
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
        own = await own_knowledge(self._context, self._jobs, request, await self._state(key))
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
            await self._take(key, event)

    async def _send_stored(self, key: RoundKey, data: bytes | None, reply: Reply | None = None) -> None:
        try:
            messages = self._context.padded.outgoing(data, reply)
        except AlreadyAnswered as gone:
            await record_refusal(self._context, gone, None, key)
            await self._refuse(key, gone)
            return
        for message in messages:
            await self._say(message)

    async def _refuse(self, key: RoundKey, error: CoterieError) -> None:
        log.error("refused", job=key[0], round=key[1], code=error.code, why=error.message, culprits=error.culprits)
        # An error in the party's own data or configuration quotes it; only its code may leave the house.
        detail = one_line(error.public_message)
        await self._say(Rejection(code=error.code, detail=detail, job_id=key[0], round_number=key[1]))

    async def _say(self, message: Outgoing) -> None:
        """Send if connected; the aggregator asks again for anything lost."""
        if self._send is None:
            return
        try:
            await self._send(message)
        except TransientError:
            log.debug("not sent, the stream has ended", kind=type(message).__name__)
