# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""This party's own knowledge of jobs and rounds, against which every message of the aggregator is checked."""

from __future__ import annotations

from coterie_common.errors import ConsentDenied, StaleRound, UnknownRound
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.masked_reply import ReplyList
from coterie_common.protocol.messages import DecryptionRequest
from coterie_common.protocol.verification.query import AgreedParties, JobKnowledge
from coterie_common.protocol.verification.request import OwnKnowledge
from coterie_party.live.accepted_jobs import AcceptedJob, AcceptedJobs
from coterie_party.live.context import Context
from coterie_party.round import PartyRound
from coterie_party.store import PartyJob


async def running_job(context: Context, job_id: JobId) -> PartyJob:
    """Return a job whose queries this party answers.

    Raises:
        UnknownRound: it was never proposed to this party.
        ConsentDenied: this party did not accept it.
        StaleRound: it has ended.
    """
    job = await context.on_writer(context.store.job, job_id)
    if job is None:
        raise UnknownRound("this party was never asked about this job")
    if job.decision is not Decision.ACCEPTED:
        raise ConsentDenied("this party did not accept the job")
    if job.outcome is not None:
        raise StaleRound("the job has ended")
    return job


async def delivered_job(context: Context, job_id: JobId) -> PartyJob:
    """Return a job whose model this party keeps; it may have ended.

    Raises:
        UnknownRound: it was never proposed to this party.
        ConsentDenied: this party did not accept it.
    """
    job = await context.on_writer(context.store.job, job_id)
    if job is None:
        raise UnknownRound("this party was never asked about this job")
    if job.decision is not Decision.ACCEPTED:
        raise ConsentDenied("this party did not accept the job, and keeps no model of it")
    return job


async def job_knowledge(
    context: Context,
    job: AcceptedJob,
    plan_step: int,
    agreement: AgreedParties | None = None,
    listed: ReplyList | None = None,
) -> JobKnowledge:
    """Return what this party accepted for a job, and what it saw of it before a step.

    Args:
        context: of the party.
        job: accepted.
        plan_step: that is asked.
        agreement: with whom it shares secrets, if the job is sealed completely.
        listed: the replies that a query lists.
    """
    before = await context.on_writer(context.store.opened_step, job.job_id, plan_step - 1)
    return JobKnowledge(
        spec_digest=job.row.spec_digest,
        terms=job.terms,
        round_quorum=job.round_quorum,
        asked=await context.on_writer(context.store.asked_steps, job.job_id),
        previous_cohort=await context.on_writer(context.store.previous_cohort, job.job_id),
        opened={} if before is None else {plan_step - 1: before},
        agreement=agreement,
        listed_reply=None
        if listed is None
        else await context.on_writer(context.store.reply_in_session, job.job_id, listed.session_id),
    )


async def own_knowledge(
    context: Context, jobs: AcceptedJobs, request: DecryptionRequest, state: PartyRound
) -> OwnKnowledge:
    """Return this party's knowledge of the round that it is asked to open, and of its job.

    Raises:
        StaleRound: the job has ended and asked this party nothing: its terms, against which to check, are gone.
    """
    row = await context.on_writer(context.store.job, request.fields.job_id)
    accepted = row if row is not None and row.decision is Decision.ACCEPTED else None
    if accepted is not None and not accepted.terms:
        raise StaleRound("the job has ended")
    job: JobKnowledge | None = None
    # A round whose query this party accepted is held against that query: nothing else of the job is needed.
    if accepted is not None and state.session_id is None:
        job = await job_knowledge(context, await jobs.of(accepted), request.fields.plan_step)
    return OwnKnowledge(
        party_id=context.party_id,
        roster=context.roster,
        session_id=state.session_id,
        contribution_digest=state.contribution_digest,
        spec_digest=row.spec_digest if row else None,
        job=job,
        random=context.random,
    )
