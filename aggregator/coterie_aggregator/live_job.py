# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One live job: connects its state machine with the algorithm, the store, its running round and the parties."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial as bind
from typing import assert_never

import structlog

from coterie_aggregator import job as machine
from coterie_aggregator import job_effects as effects
from coterie_aggregator import job_events as events
from coterie_aggregator import round as round_machine
from coterie_aggregator.context import Context
from coterie_aggregator.live_round import LiveRound
from coterie_aggregator.machine import Machine, Running
from coterie_aggregator.reasons import aborted, unusable
from coterie_aggregator.shown_job import ShownJob, ShownRound
from coterie_aggregator.submission import Progress, Submission, make_delivery
from coterie_aggregator.supervised import Supervised
from coterie_aggregator.timing import RoundTimes, remaining_s
from coterie_aggregator.unfinished import unfinished_model
from coterie_common.errors import InvalidPadKey, PlaintextOutOfRange, StorageError, UnexpectedMessage
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.agreement import round_quorum
from coterie_common.learning.algorithm import Ask, Release
from coterie_common.limits import HELD_REPLIES_MOST, QUERY_BODY_BYTES
from coterie_common.protocol.messages import Decision, JobEnd, JobOutcome, JobReply, ModelDelivery, ModelReceipt, Query
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.party_messages import verify_job_reply, verify_receipt
from coterie_common.wire.federation import aggregator_message_from_wire, aggregator_message_to_wire

log = structlog.get_logger(__name__)


class LiveJob:
    """One job.

    Args:
        context: of the aggregator.
        submission: stored before.
        state: folded from the stored events.
        changed: called after every change that people may want to see.
    """

    def __init__(
        self, context: Context, submission: Submission, state: machine.AggregatorJob, changed: Callable[[], None]
    ) -> None:
        self.submission = submission
        self.round: LiveRound | None = None
        self.last_round: ShownRound | None = None
        self.waiting: dict[PartyId, str] = {}
        self.finished_at: datetime | None = None
        self.delivering_since: datetime | None = None
        self._context = context
        self._changed = changed
        self._held: Counter[PartyId] = Counter()
        self._delivery: ModelDelivery | None = None
        self._model_digest = b""
        self._loading = asyncio.Lock()
        self._finishing: Callable[[datetime], None] | None = None
        self._persisted_at: datetime | None = None
        self._work = Supervised(context, self._broken)
        self._machine = Machine(
            state, step=machine.step, outstanding=machine.outstanding, persist=self._persist, start=self._start
        )

    @property
    def state(self) -> machine.AggregatorJob:
        """Where the job stands."""
        return self._machine.state

    @property
    def job_id(self) -> JobId:
        """The job's id."""
        return self.submission.job_id

    @property
    def shown(self) -> ShownJob:
        """The view of the job for people."""
        live = self.round
        return ShownJob(
            job_id=self.job_id,
            spec=self.submission.planned.spec,
            rounds_planned=len(self.submission.terms.rounds),
            state=self.state,
            round=ShownRound(live.query.fields.round_number, live.state) if live else self.last_round,
            waiting=dict(self.waiting),
            submitter=self.submission.submitter,
            submitted_at=self.submission.submitted_at,
            finished_at=self.finished_at,
        )

    def resume(self) -> None:
        """Begin, or resume after a restart."""
        self._machine.carry_out()

    def stop(self) -> None:
        """Cancel timers and computations; everything is stored."""
        self._machine.stop()
        if self.round:
            self.round.stop()

    def party_connected(self, party_id: PartyId) -> None:
        """Repeat everything that this party has not answered yet."""
        self._machine.repeat(
            [effects.SendProposal(party_id), effects.SendJobEnd(party_id), effects.SendModel(party_id)]
        )
        if self.round:
            self.round.party_connected(party_id)

    async def take(self, event: events.Event) -> None:
        """Take an event in the coordinator's task."""
        if not await self._machine.take(event):
            return
        if self.state.phase is not machine.Phase.RUNNING and self.round:
            self.round.stop()
        if self.state.phase is machine.Phase.ENDED and self.finished_at is None:
            self.finished_at = self._persisted_at
            log.info("job ended", job=self.job_id, outcome=self.state.outcome, reason=self.state.reason)
            # Recorded contributions could be opened by shares that are stolen later: they go with the job.
            await self._context.write(self._context.spool.delete_job, self.job_id)
            self._delivery = None
        self._changed()

    async def reply_received(self, reply: JobReply) -> None:
        """Take a party's answer to the proposal; raises ``PeerError``."""
        if reply.decision is Decision.HELD:
            self._held[reply.party_id] += 1
            if self._held[reply.party_id] > HELD_REPLIES_MOST:
                raise UnexpectedMessage("too many replies that hold the same job", culprits=(reply.party_id,))
        verify_job_reply(reply, self.submission.proposal, self._context.roster)
        log.info("party decided", job=self.job_id, party=reply.party_id, decision=reply.decision, code=reply.code)
        await self.take(events.PartyReplied(reply.party_id, reply.decision, reply.code, reply.detail))

    async def receipt_received(self, receipt: ModelReceipt) -> None:
        """Take a party's receipt for the model; raises ``PeerError``."""
        # Nobody can have a model that does not exist; looking for it in the store would find a damaged one.
        if not self.state.has_model:
            raise UnexpectedMessage("a receipt of a model that does not exist")
        if not self._model_digest:
            await self._model_delivery()
        verify_receipt(receipt, self._model_digest, self._context.roster)
        self._context.deliveries.settled(receipt.party_id, self.job_id)
        await self.take(events.ReceiptReceived(receipt.party_id))

    async def _persist(self, event: events.Event) -> None:
        self._persisted_at = now = self._context.clock.now()
        if self._finishing:
            # The release, the new state and the event that announces them become durable together.
            await self._context.write(self._finishing, now)
        else:
            ends = machine.step(self.state, event).phase is machine.Phase.ENDED
            await self._context.write(self._context.store.append_job_event, self.job_id, event, now, ends)

    def _start(self, effect: effects.Effect) -> Running | None:
        match effect:
            case effects.SendProposal(party_id):
                self._context.send(party_id, self.submission.proposal)
            case effects.SendModel(party_id):
                self._context.deliveries.want(
                    party_id, self.job_id, lambda: self._work.spawn(self._send_model(party_id))
                )
            case effects.SendJobEnd(party_id):
                self._context.send(party_id, self._job_end())
            case effects.KeepUnfinishedModel():
                return self._work.spawn(self._keep_unfinished())
            case effects.RunRound(number):
                return self._work.spawn(self._run_round(number))
            case effects.Timer(event):
                loop = asyncio.get_running_loop()
                return loop.call_later(self._remaining_s(event), self._work.post, bind(self.take, event))
            case _:
                assert_never(effect)
        return None

    def _remaining_s(self, event: effects.Timed) -> float:
        rounds, now = self.submission.planned.spec.rounds, self._context.clock.now()
        match event:
            case events.ProposalDeadlinePassed():
                return remaining_s(rounds.proposal_deadline_s, self.submission.submitted_at, now)
            case events.ProposalTimedOut():
                longest = max(rounds.proposal_deadline_s, rounds.timeout_s)
                return remaining_s(longest, self.submission.submitted_at, now)
            case events.DeliveryPatiencePassed():
                self.delivering_since = self.delivering_since or now
                return remaining_s(rounds.patience_s, self.delivering_since, now)
            case _:
                assert_never(event)

    async def _broken(self, failure: BaseException) -> None:
        # Not ours: proofs show that contributors know what they sealed, not that it is in range, or a key of a pad.
        if isinstance(failure, PlaintextOutOfRange | InvalidPadKey):
            out_of_range = isinstance(failure, PlaintextOutOfRange)
            words = "values outside the agreed range" if out_of_range else f"no key of a pad ({failure.code})"
            number, suspects = self.state.round_number, self.round.state.contributors if self.round else ()
            log.error("no sum of replies", job=self.job_id, round=number, code=failure.code, contributors=suspects)
            await self.take(events.JobFailed(unusable(number, words, suspects)))
            return
        taken = self._context.incidents.take(failure, "job", job=self.job_id, round=self.state.round_number)
        await self.take(events.JobFailed(taken.public_message))

    async def _run_round(self, number: int) -> None:
        """Load or create the round, then hand it to the coordinator's task."""
        store = self._context.store
        stored = await self._context.write(store.round, self.job_id, number)
        if stored is None:
            progress = await self._latest_progress()
            query = await self._create_query(number, progress)
            now = self._context.clock.now()
            data, saved = aggregator_message_to_wire(query), await self._encoded(progress)
            await self._context.write(store.start_round, self.job_id, number, data, saved, now)
            times = RoundTimes(now)
        else:
            times = RoundTimes(stored.started_at)
            loaded = aggregator_message_from_wire(stored.query)
            if not isinstance(loaded, Query):
                raise StorageError(f"the stored query of job {self.job_id} round {number} is another message")
            query, progress = loaded, await self._context.compute(self.submission.decode, stored.state)
        fields = query.fields
        state = round_machine.AggregatorRound(
            parameters=round_machine.RoundParameters(
                # A party that is not asked for replies can still help to open the sum.
                members=tuple(member.party_id for member in self._context.roster.members),
                cohort=tuple(p for p in self.state.parameters.members if p in fields.cohort),
                round_quorum=fields.round_quorum,
                decryption_threshold=self._context.roster.parameters.decryption_threshold,
            )
        )
        happened = await self._context.write(store.round_event_times, self.job_id, number)
        for event, at in zip(await self._context.write(store.round_events, self.job_id, number), happened, strict=True):
            state = round_machine.step(state, event)
            if state.phase is round_machine.Phase.DECRYPTING:
                times.fixed_at = times.fixed_at or at
        live = LiveRound(
            self._context,
            query,
            state,
            self.submission.planned.spec.rounds,
            times,
            released=bind(self._released, query, progress),
            aborted=self._aborted,
            broken=self._broken,
            changed=self._changed,
        )
        self._work.post(bind(self._begin, live))

    async def _begin(self, live: LiveRound) -> None:
        if self.state.phase is machine.Phase.RUNNING:
            if self.round:
                # Whatever still comes of it is too late, and its files go.
                self.round.stop()
            self.round = live
            self.waiting.clear()
            live.resume()
            self._changed()
            if (number := live.query.fields.round_number) > 1:
                await self._context.write(self._context.spool.delete_rounds_before, self.job_id, number)

    async def _create_query(self, number: int, progress: Progress) -> Query:
        planned, roster = self.submission.planned, self._context.roster
        ask = await self._context.compute(planned.algorithm.next_ask, progress.state)
        if ask is None or ask.round_number != number:
            raise StorageError(f"the stored state of job {self.job_id} does not ask for round {number}")
        body = ask.to_bytes()
        transcripts = await self._context.write(self._context.store.transcripts, self.job_id)
        fields = SessionFields(
            roster_digest=roster.digest(),
            key_epoch=roster.key_epoch,
            job_id=self.job_id,
            spec_digest=self.submission.proposal.spec_digest,
            round_number=number,
            body_digest=body_digest(body),
            cohort=tuple(sorted(self.state.cohort)),
            round_quorum=round_quorum(planned.spec, roster.parameters),
            terms=self.submission.terms.rounds[number - 1].shortened(ask.length),
            previous_transcript=transcripts[-1] if transcripts else b"",
        )
        return Query(fields=fields, body=body, signature=UNSIGNED).signed_by(self._context.signing_key)

    async def _released(self, query: Query, progress: Progress, transcript: bytes, release: Release) -> None:
        """Update the algorithm's state with a release, then start the next round or finish."""
        number = query.fields.round_number
        algorithm = self.submission.planned.algorithm
        ask = Ask.from_bytes(number, query.body, most=QUERY_BODY_BYTES)
        state = await self._context.compute(algorithm.update, progress.state, ask, release)
        following = Progress(state, (*progress.contributors, release.contributors))
        model: bytes | None = None
        event: events.RoundReleased | events.ModelFinished = events.RoundReleased(number)
        if await self._context.compute(algorithm.next_ask, state) is None:
            transcripts = await self._context.write(self._context.store.transcripts, self.job_id)
            digests = (*transcripts, transcript)
            model = await self._context.compute(self._finished, following, digests)
            event = events.ModelFinished()
        saved = await self._encoded(following)

        def finish(now: datetime) -> None:
            self._context.store.finish_round(
                self.job_id, number, transcript_digest=transcript, state=saved, event=event, model=model, at=now
            )

        log.info("round released", job=self.job_id, round=number, contributors=release.contributors)
        self._work.post(bind(self._take_released, event, finish))

    async def _keep_unfinished(self) -> None:
        """Store the model of the last released round: it was paid for."""
        progress = await self._latest_progress()
        model = await unfinished_model(self._context, self.submission, progress, self.state.outcome)
        event = events.UnfinishedModelKept(model is not None)

        def finish(now: datetime) -> None:
            self._context.store.keep_unfinished(self.job_id, event, model, now)

        self._work.post(bind(self._take_released, event, finish))

    async def _take_released(
        self,
        event: events.RoundReleased | events.ModelFinished | events.UnfinishedModelKept,
        finish: Callable[[datetime], None],
    ) -> None:
        self._finishing = finish
        try:
            await self.take(event)
        finally:
            self._finishing = None

    async def _aborted(self, state: round_machine.AggregatorRound) -> None:
        await self.take(events.JobFailed(aborted(self.state.round_number, state)))

    async def _send_model(self, party_id: PartyId) -> None:
        self._context.send(party_id, await self._model_delivery())

    async def _model_delivery(self) -> ModelDelivery:
        # All parties are sent the model at the same time: it is read once, and they share it.
        async with self._loading:
            if self._delivery is None:
                model = await self._context.write(self._context.store.model, self.job_id)
                if model is None:
                    raise StorageError(f"the model of job {self.job_id} is not stored")
                made = await self._context.compute(make_delivery, self.job_id, model, self._context.signing_key)
                delivery, self._model_digest = made
                if self.state.phase is not machine.Phase.DELIVERING:
                    # To a party that comes late. A party that withholds its receipts must not keep it in memory.
                    return delivery
                self._delivery = delivery
            return self._delivery

    def _job_end(self) -> JobEnd:
        outcome = self.state.outcome or JobOutcome.FAILED
        end = JobEnd(job_id=self.job_id, outcome=outcome, reason=self.state.reason, signature=UNSIGNED)
        return end.signed_by(self._context.signing_key)

    async def _latest_progress(self) -> Progress:
        saved = await self._context.write(self._context.store.latest_state, self.job_id)
        if saved is not None:
            return await self._context.compute(self.submission.decode, saved)
        planned = self.submission.planned
        return Progress(
            await self._context.compute(planned.algorithm.initial_state, planned.config, planned.schema), ()
        )

    # The algorithm's own code runs on a worker, where any error that it raises is contained.

    async def _encoded(self, progress: Progress) -> bytes:
        return await self._context.compute(self.submission.encode, progress)

    def _finished(self, progress: Progress, transcripts: tuple[bytes, ...]) -> bytes:
        return self.submission.model(progress, transcripts, self._context.roster).to_bytes()
