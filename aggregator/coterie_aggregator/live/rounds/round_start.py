# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The beginning of a round: its query, made of what the algorithm asks next, or as it was stored before a restart.

States, asks and queries may hold a model: they are converted on workers, never on the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.submission import Progress, Submission
from coterie_aggregator.live.timing import RoundTimes
from coterie_aggregator.machines import round_machine as machine
from coterie_aggregator.machines.job_machine import AggregatorJob
from coterie_aggregator.machines.round_state import AggregatorRound, Phase, RoundParameters
from coterie_aggregator.store import StoredRound
from coterie_common.errors import MalformedMessage, StorageError
from coterie_common.identifiers import PartyId
from coterie_common.learning.agreement import round_quorum
from coterie_common.protocol.masked_reply import ReplyList
from coterie_common.protocol.messages import Query
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import RoundTerms
from coterie_common.wire.federation import (
    aggregator_message_from_wire,
    aggregator_message_to_wire,
    is_former_query,
)
from coterie_common.wire.masked_reply import reply_list_from_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRound:
    """A round that is stored.

    Attributes:
        query: signed.
        progress: of the algorithm, before the round.
        state: folded from the stored events.
        times: from which its deadlines count.
    """

    query: Query
    progress: Progress
    state: AggregatorRound
    times: RoundTimes


async def start_round(
    context: Context,
    submission: Submission,
    job: AggregatorJob,
    number: int,
    saved: bytes | None = None,
    acceptances: bytes = b"",
) -> StartedRound | None:
    """Load a round, or make its query and store it.

    A round that was begun under protocol version 1 cannot go on, since replies are bound to its session id: it is
    ``None``.

    Args:
        context: of the aggregator.
        submission: of the job.
        job: that runs.
        number: of the round, 1-based.
        saved: the algorithm's state after the round before, as stored, where it is at hand.
        acceptances: digest of all of them, if the job is sealed completely.

    Raises:
        StorageError: what is stored is damaged, or the algorithm's state does not ask for this round.
    """
    store, job_id = context.store, submission.job_id
    stored = await context.on_writer(store.round, job_id, number)
    if stored is None:
        progress = await latest_progress(context, submission, saved)
        transcripts = await context.on_writer(store.transcripts, job_id)
        previous = transcripts[-1] if transcripts else b""
        listed: ReplyList | None = None
        if acceptances and previous:
            listed = reply_list_from_bytes(await context.on_writer(context.spool.reply_list, job_id, previous))
        maker = _QueryMaker(
            context, submission, job, number, frozenset(context.outboxes), previous, acceptances, listed
        )
        query, data, encoded = await context.compute(maker.make, progress, saved)
        now = context.clock.now()
        await context.on_writer(store.start_round, job_id, number, data, encoded, now, query.fields.round_quorum)
        times = RoundTimes(now)
    else:
        read = await context.compute(_read, submission, number, stored)
        if read is None:
            return None
        query, progress = read
        times = RoundTimes(stored.started_at)
    state = AggregatorRound(
        parameters=RoundParameters(
            # Holders that are not asked for replies can still help to open the sum.
            holders=context.roster.key_holders,
            cohort=tuple(p for p in job.parameters.members if p in query.fields.cohort),
            round_quorum=query.fields.round_quorum,
            least_quorum=job.parameters.round_quorum,
            is_repeatable=submission.terms.spares.allow(job.plan_step, job.repeated),
            decryption_threshold=decryption_threshold(query.fields.terms, context.roster),
        )
    )
    happened = await context.on_writer(store.round_event_times, job_id, number)
    for event, at in zip(await context.on_writer(store.round_events, job_id, number), happened, strict=True):
        state = machine.step(state, event)
        if state.phase is Phase.DECRYPTING:
            times.fixed_at = times.fixed_at or at
    return StartedRound(query=query, progress=progress, state=state, times=times)


def decryption_threshold(terms: RoundTerms, roster: Roster) -> int:
    """Return the number of partial decryptions that a round needs: none if it is sealed completely."""
    return 0 if terms.sealing.is_complete else roster.parameters.decryption_threshold


async def latest_progress(context: Context, submission: Submission, saved: bytes | None = None) -> Progress:
    """Return how far a job's algorithm has come, where it is not at hand as ``saved``; raises ``StorageError``."""
    if saved is None:
        saved = await context.on_writer(context.store.latest_state, submission.job_id)
    if saved is not None:
        return await context.compute(submission.decode, saved)
    planned = submission.planned
    return Progress(await context.compute(planned.algorithm.initial_state, planned.config, planned.schema), ())


@dataclass(frozen=True, slots=True)
class _QueryMaker:
    context: Context
    submission: Submission
    job: AggregatorJob
    number: int
    connected: frozenset[PartyId]
    previous_transcript: bytes
    acceptances: bytes
    listed: ReplyList | None

    def make(self, progress: Progress, saved: bytes | None) -> tuple[Query, bytes, bytes]:
        """Return the signed query, its bytes, and the algorithm's state as it is stored with it, or is ``saved``."""
        planned, roster = self.submission.planned, self.context.roster
        ask = planned.algorithm.next_ask(progress.state)
        step = self.job.plan_step
        if ask is None or ask.round_number != step:
            raise StorageError(f"the stored state of job {self.submission.job_id} does not ask for step {step}")
        body = ask.to_bytes()
        terms = self.submission.terms.rounds[step - 1].shortened(ask.length)
        cohort = self._cohort(terms)
        quorum = self._quorum(terms, cohort)
        fields = SessionFields(
            roster_digest=roster.digest,
            key_epoch=roster.key_epoch,
            job_id=self.submission.job_id,
            spec_digest=self.submission.proposal.spec_digest,
            round_number=self.number,
            plan_step=step,
            body_digest=body_digest(body),
            cohort=tuple(sorted(cohort)),
            round_quorum=quorum,
            terms=terms.in_shares(roster.parameters.honest_shares(quorum)),
            previous_transcript=self.previous_transcript,
            acceptances=self.acceptances,
        )
        query = Query(fields=fields, body=body, previous=self.listed, signature=UNSIGNED).signed_by(
            self.context.signing_key
        )
        return query, aggregator_message_to_wire(query), saved or self.submission.encode(progress)

    def _cohort(self, terms: RoundTerms) -> tuple[PartyId, ...]:
        """Return the parties that are asked: all of the job, but where all must answer only those counted on."""
        there = tuple(party_id for party_id in self.job.cohort if party_id not in self.job.absent)
        is_smaller = terms.sealing.is_complete and len(there) >= self._fewest
        return there if is_smaller else self.job.cohort

    @property
    def _fewest(self) -> int:
        return round_quorum(self.submission.planned.spec, self.context.roster.parameters)

    def _quorum(self, terms: RoundTerms, cohort: tuple[PartyId, ...]) -> int:
        """Return m_r: all members of the cohort that can be counted on, and at least the job's quorum.

        Without a spare round for the step nobody is counted on: a party that vanishes then would end the job.
        """
        if terms.sealing.is_complete:
            return len(cohort)
        if not self.submission.terms.spares.allow(self.job.plan_step, self.job.repeated):
            return self._fewest
        there = sum(party_id in self.connected and party_id not in self.job.absent for party_id in cohort)
        return max(there, self._fewest)


def _read(submission: Submission, number: int, stored: StoredRound) -> tuple[Query, Progress] | None:
    try:
        query = aggregator_message_from_wire(stored.query)
    except MalformedMessage:
        if is_former_query(stored.query):
            return None
        raise
    if not isinstance(query, Query):
        raise StorageError(f"the stored query of job {submission.job_id} round {number} is another message")
    return query, submission.decode(stored.state)
