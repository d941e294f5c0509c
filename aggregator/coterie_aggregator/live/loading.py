# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading jobs from the store when the aggregator starts: jobs that continue, and ended jobs that are only shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import reduce

import structlog

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.live_job import LiveJob
from coterie_aggregator.live.submission import load_submission, members_asked, stored_proposal
from coterie_aggregator.machines import job_events, job_machine, round_machine
from coterie_aggregator.machines.round_state import AggregatorRound, RoundParameters
from coterie_aggregator.reporting.shown_job import ShownJob, ShownRound
from coterie_aggregator.store import StoredJob
from coterie_common.errors import MalformedMessage, QuorumTooSmall, StorageError
from coterie_common.identifiers import JobId, MemberId
from coterie_common.learning.agreement import round_quorum
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import JobProposal
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.spares import Spares
from coterie_common.protocol.terms import JobTerms

log = structlog.get_logger(__name__)


def initial_state(spec: JobSpec, spares: Spares, roster: Roster, *, is_new: bool = True) -> job_machine.AggregatorJob:
    """Return the state of a job that no party has answered yet.

    Args:
        spec: of the job.
        spares: of its terms.
        roster: in force.
        is_new: under the rules of this version; else of those that released sums without noise of fewer than all.

    Raises:
        QuorumTooSmall: its quorum is not possible; not of a job that was submitted before, unless the roster changed.
    """
    earlier = roster.parameters.quorum if spec.rounds.quorum is None else spec.rounds.quorum
    return job_machine.AggregatorJob(
        parameters=job_machine.JobParameters(
            members=members_asked(spec, roster),
            round_quorum=round_quorum(spec, roster.parameters) if is_new else earlier,
            spares=spares,
            is_complete=spec.is_complete,
        )
    )


async def load_job(context: Context, stored: StoredJob, changed: Callable[[], None]) -> LiveJob | ShownJob | None:
    """Read one job as its events left it.

    Returns:
        A job that can go on; or, of one that ended and whose algorithm is not there any more, what is shown of it;
        ``None`` if it ended and is damaged.

    Raises:
        StorageError: it is damaged, or has not ended and is not understood any more.
    """
    ended_at = await context.on_writer(context.store.ended_at, stored.job_id)
    if ended_at is not None:
        # A crash may have come between the end of the job and this.
        await context.on_writer(context.spool.delete_job, stored.job_id)
    try:
        submission = await context.compute(load_submission, stored)
    except StorageError as error:
        if ended_at is None:
            raise
        log.error("an ended job is not understood any more", job=stored.job_id, why=error.message)
        try:
            return await _load_shown(context, stored, ended_at)
        except (StorageError, MalformedMessage):
            return None
    spec, spares = submission.planned.spec, submission.terms.spares
    state = await _folded(context, stored.job_id, spec, spares, has_ended=ended_at is not None)
    live = LiveJob(context, submission, state, changed)
    live.finished_at = ended_at
    live.delivering_since = await context.on_writer(context.store.model_stored_at, stored.job_id)
    if ended_at is not None:
        live.last_round = await _last_round(context, stored.job_id, state)
    return live


async def _load_shown(context: Context, stored: StoredJob, ended_at: datetime) -> ShownJob:
    proposal: JobProposal = stored_proposal(stored)
    spec, terms = JobSpec.from_bytes(proposal.spec), JobTerms.from_bytes(proposal.terms)
    state = await _folded(context, stored.job_id, spec, terms.spares, has_ended=True)
    return ShownJob(
        job_id=stored.job_id,
        spec=spec,
        rounds_planned=len(terms.rounds),
        state=state,
        round=await _last_round(context, stored.job_id, state),
        submitter=MemberId(stored.submitter),
        submitted_at=stored.submitted_at,
        finished_at=ended_at,
    )


async def _folded(
    context: Context, job_id: JobId, spec: JobSpec, spares: Spares, *, has_ended: bool
) -> job_machine.AggregatorJob:
    events = await context.on_writer(context.store.job_events, job_id)
    # Every party that answered was a member when the job ran; the roster may have another epoch by now.
    answered = tuple(event.party_id for event in events if isinstance(event, job_events.PartyReplied))

    def folded(state: job_machine.AggregatorJob) -> job_machine.AggregatorJob:
        members = tuple(dict.fromkeys((*state.parameters.members, *answered)))
        return reduce(job_machine.step, events, replace(state, parameters=replace(state.parameters, members=members)))

    try:
        state = folded(initial_state(spec, spares, context.roster))
        if state.phase is job_machine.Phase.ENDED or not has_ended:
            return state
    except QuorumTooSmall as error:
        log.warning("a job is read by the rules of an earlier version", job=job_id, why=error.message)
    # It was agreed upon, and may have ended, under those. Its parties hold it to theirs.
    return folded(initial_state(spec, spares, context.roster, is_new=False))


async def _last_round(context: Context, job_id: JobId, state: job_machine.AggregatorJob) -> ShownRound | None:
    """Fold the events of the last round that was asked."""
    number = await context.on_writer(context.store.last_round, job_id)
    if not number:
        return None
    quorum = await context.on_writer(context.store.quorum, job_id, number)
    folded = AggregatorRound(
        parameters=RoundParameters(
            holders=context.roster.key_holders,
            cohort=state.cohort,
            round_quorum=quorum or state.parameters.round_quorum,
            least_quorum=state.parameters.round_quorum,
            is_repeatable=state.parameters.spares.rounds > 0,
            decryption_threshold=0 if state.parameters.is_complete else context.roster.parameters.decryption_threshold,
        )
    )
    for event in await context.on_writer(context.store.round_events, job_id, number):
        folded = round_machine.step(folded, event)
    return ShownRound(number, folded)
