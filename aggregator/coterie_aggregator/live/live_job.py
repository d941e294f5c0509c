# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One live job: connects its state machine with the algorithm, the store, its running round and the parties."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial as bind
from typing import assert_never

import structlog

from coterie_aggregator.live.agreeing import Agreeing
from coterie_aggregator.live.context import Context
from coterie_aggregator.live.model_delivery import StoredModelDelivery
from coterie_aggregator.live.rounds.live_round import LiveRound
from coterie_aggregator.live.rounds.round_start import start_round
from coterie_aggregator.live.submission import Progress, Submission
from coterie_aggregator.live.supervised import Supervised
from coterie_aggregator.live.timing import remaining_s
from coterie_aggregator.live.unfinished import unfinished_model
from coterie_aggregator.machines import job_effects as effects
from coterie_aggregator.machines import job_events as events
from coterie_aggregator.machines import job_machine as machine
from coterie_aggregator.machines.driver import Machine, Running
from coterie_aggregator.machines.round_state import AggregatorRound
from coterie_aggregator.reporting.reasons import begun_earlier, ended_without_release, not_agreed, unusable
from coterie_aggregator.reporting.shown_job import ShownJob, ShownRound
from coterie_common.errors import InvalidPadKey, PlaintextOutOfRange, UnexpectedMessage
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.algorithm import Release
from coterie_common.limits import MAX_HELD_REPLIES
from coterie_common.protocol.acceptance import Decision, Encapsulations, JobReply
from coterie_common.protocol.messages import JobEnd, JobOutcome, ModelReceipt, Query
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.party_messages import verify_job_reply, verify_receipt

log = structlog.get_logger(__name__)

Persist = Callable[[events.Event], Awaitable[None]]


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
        self.steps_epsilon = ""
        self._context = context
        self._changed = changed
        self._agreeing = Agreeing(context, submission.job_id, is_complete=submission.planned.spec.is_complete)
        self._held: Counter[PartyId] = Counter()
        self._delivery = StoredModelDelivery(context, submission.job_id, self._delivers)
        self._persisted_at: datetime | None = None
        # The algorithm's state as it was just stored, for the round that follows at once.
        self._saved: bytes | None = None
        self._work = Supervised(context, self._broken)
        self._machine = Machine(
            state, step=machine.step, outstanding=machine.outstanding, persist=self._persist, start=self._start
        )

    @property
    def state(self) -> machine.AggregatorJob:
        """The state of the job."""
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
            steps_epsilon=self.steps_epsilon,
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
        self._agreeing.forget(party_id)
        self._machine.repeat(
            [
                effects.SendProposal(party_id),
                effects.SendAcceptances(party_id),
                effects.SendJobEnd(party_id),
                effects.SendModel(party_id),
            ]
        )
        if self.round:
            self.round.party_connected(party_id)

    async def take(self, event: events.Event, persist: Persist | None = None) -> None:
        """Take an event in the coordinator's task; ``persist`` stores it with what it tells of."""
        if not await self._machine.take(event, persist):
            return
        is_over = isinstance(event, events.RoundReleased | events.RoundAbandoned)
        if self.round and (self.state.phase is not machine.Phase.RUNNING or is_over):
            # What still comes of it is too late; and what it holds is as long as a model: also the sum of a round that
            # was abandoned, which nobody opens any more.
            self.round.stop()
        if self.state.phase is machine.Phase.ENDED and self.finished_at is None:
            self.finished_at = self._persisted_at
            log.info("job ended", job=self.job_id, outcome=self.state.outcome, reason=self.state.reason)
            # Recorded contributions could be opened by shares that are stolen later: they go with the job.
            await self._context.on_writer(self._context.spool.delete_job, self.job_id)
            self._delivery.drop()
        self._changed()

    async def reply_received(self, reply: JobReply) -> None:
        """Take a party's answer to the proposal; raises ``PeerError``."""
        if reply.decision is Decision.HELD:
            self._held[reply.party_id] += 1
            if self._held[reply.party_id] > MAX_HELD_REPLIES:
                raise UnexpectedMessage("too many replies that hold the same job", culprits=(reply.party_id,))
        verify_job_reply(reply, self.submission.proposal, self._context.roster)
        is_over = self.state.phase in (machine.Phase.DELIVERING, machine.Phase.ENDED)
        await self._agreeing.keep_acceptance(reply, is_over=is_over)
        log.info("party decided", job=self.job_id, party=reply.party_id, decision=reply.decision, code=reply.code)
        await self.take(events.PartyReplied(reply.party_id, reply.decision, reply.code, reply.detail))

    async def encapsulations_received(self, message: Encapsulations) -> None:
        """Take what a party encapsulated to the others; raises ``PeerError``."""
        if self.state.phase is not machine.Phase.AGREEING:
            # Repeated, or too late: either way it changes nothing any more.
            return
        await self._agreeing.keep_encapsulations(message, self.state.cohort)
        await self.take(events.EncapsulationsReceived(message.party_id))

    async def refused(self, party_id: PartyId, code: str) -> None:
        """Take a party's refusal outside any round: nobody else can take its place in agreeing on secrets."""
        if self.state.phase is machine.Phase.AGREEING and party_id in self.state.cohort:
            await self.take(events.JobFailed(not_agreed(party_id, code)))

    async def receipt_received(self, receipt: ModelReceipt) -> None:
        """Take a party's receipt for the model; raises ``PeerError``."""
        # Nobody can have a model that does not exist; looking for it in the store would find a damaged one.
        if not self.state.has_model:
            raise UnexpectedMessage("a receipt of a model that does not exist")
        verify_receipt(receipt, await self._delivery.digest(), self._context.roster)
        self._context.deliveries.settled(receipt.party_id, self.job_id)
        await self.take(events.ReceiptReceived(receipt.party_id))

    async def _persist(self, event: events.Event) -> None:
        self._persisted_at = now = self._context.clock.now()
        ends = machine.step(self.state, event).phase is machine.Phase.ENDED
        await self._context.on_writer(self._context.store.append_job_event, self.job_id, event, now, ends)

    async def _persist_with(self, finish: Callable[[datetime], None], event: events.Event) -> None:
        # The release, the new state and the event that announces them become durable together.
        self._persisted_at = now = self._context.clock.now()
        await self._context.on_writer(finish, now)

    def _start(self, effect: effects.Effect) -> Running | None:
        match effect:
            case effects.SendProposal(party_id):
                self._context.send(party_id, self.submission.proposal)
            case effects.SendAcceptances(party_id):
                self._work.spawn(self._send_acceptances(party_id))
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
            case events.AgreementTimedOut():
                longest = max(rounds.proposal_deadline_s, rounds.timeout_s) + rounds.timeout_s
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
        saved, self._saved = self._saved, None
        agreed = b""
        if self.submission.planned.spec.is_complete:
            agreed = (await self._agreeing.acceptances(self.state.cohort)).digest
        started = await start_round(self._context, self.submission, self.state, number, saved, agreed)
        del saved
        if started is None:
            log.warning("round of an earlier protocol version", job=self.job_id, round=number)
            self._work.post(bind(self.take, events.JobFailed(begun_earlier(number))))
            return
        live = LiveRound(
            self._context,
            started.query,
            started.state,
            self.submission.planned.spec.rounds,
            started.times,
            released=bind(self._released, started.progress),
            abandoned=self._abandoned,
            aborted=self._aborted,
            broken=self._broken,
            changed=self._changed,
            before_query=self._before_query if self.submission.planned.spec.is_complete else None,
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
                await self._context.on_writer(self._context.spool.delete_rounds_before, self.job_id, number)

    async def _released(self, progress: Progress, query: Query, transcript: bytes, release: Release) -> None:
        """Update the algorithm's state with a release, then start the next round or finish."""
        number = query.fields.round_number
        advanced = await self._context.compute(self.submission.advance, progress, query, release)
        saved, model = advanced.saved, None
        event: events.RoundReleased | events.ModelFinished = events.RoundReleased(number)
        if advanced.is_finished:
            transcripts = await self._context.on_writer(self._context.store.transcripts, self.job_id)
            model = await self._context.compute(self._finished, advanced.progress, (*transcripts, transcript))
            event = events.ModelFinished()

        def finish(now: datetime) -> None:
            self._context.store.finish_round(
                self.job_id,
                number,
                transcript_digest=transcript,
                state=saved,
                event=event,
                model=model,
                at=now,
            )

        self._saved = None if advanced.is_finished else saved
        log.info("round released", job=self.job_id, round=number, contributors=release.contributors)
        self._work.post(bind(self.take, event, bind(self._persist_with, finish)))

    async def _keep_unfinished(self) -> None:
        """Store the model of the last released round: it was paid for."""
        model = await unfinished_model(self._context, self.submission, self.state.outcome)
        event = events.UnfinishedModelKept(model is not None)

        def finish(now: datetime) -> None:
            self._context.store.keep_unfinished(self.job_id, event, model, now)

        self._work.post(bind(self.take, event, bind(self._persist_with, finish)))

    async def _abandoned(self, state: AggregatorRound) -> None:
        number, absent = self.state.round_number, state.absent
        log.warning("round abandoned", job=self.job_id, round=number, why=state.reason, absent=absent)
        await self.take(events.RoundAbandoned(number, absent, ended_without_release(number, state)))

    async def _aborted(self, state: AggregatorRound) -> None:
        await self.take(events.JobFailed(ended_without_release(self.state.round_number, state)))

    async def _send_acceptances(self, party_id: PartyId) -> None:
        self._context.send(party_id, await self._agreeing.acceptances(self.state.cohort))

    async def _before_query(self, party_id: PartyId) -> None:
        await self._agreeing.inform(party_id, self.state.cohort)

    async def _send_model(self, party_id: PartyId) -> None:
        self._context.send(party_id, await self._delivery.load())

    def _delivers(self) -> bool:
        return self.state.phase is machine.Phase.DELIVERING

    def _job_end(self) -> JobEnd:
        outcome = self.state.outcome or JobOutcome.FAILED
        end = JobEnd(job_id=self.job_id, outcome=outcome, reason=self.state.reason, signature=UNSIGNED)
        return end.signed_by(self._context.signing_key)

    def _finished(self, progress: Progress, transcripts: tuple[bytes, ...]) -> bytes:
        return self.submission.model(progress, transcripts, self._context.roster).to_bytes()
