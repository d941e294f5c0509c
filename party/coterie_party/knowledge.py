# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""This party's own knowledge of jobs and rounds, against which every message of the aggregator is checked."""

from __future__ import annotations

from coterie_common.errors import ConsentDenied, StaleRound, UnknownRound
from coterie_common.identifiers import JobId
from coterie_common.learning.agreement import round_quorum
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Decision, DecryptionRequest
from coterie_common.protocol.terms import JobTerms
from coterie_common.protocol.verification.query import AcceptedJob
from coterie_common.protocol.verification.request import OwnKnowledge
from coterie_party.context import Context
from coterie_party.round import PartyRound
from coterie_party.store import PartyJob


async def running_job(context: Context, job_id: JobId) -> PartyJob:
    """Return a job whose queries this party answers.

    Raises:
        UnknownRound: it was never proposed to this party.
        ConsentDenied: this party did not accept it.
        StaleRound: it has ended.
    """
    job = await context.write(context.store.job, job_id)
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
    job = await context.write(context.store.job, job_id)
    if job is None:
        raise UnknownRound("this party was never asked about this job")
    if job.decision is not Decision.ACCEPTED:
        raise ConsentDenied("this party did not accept the job, and keeps no model of it")
    return job


async def accepted_job(context: Context, job: PartyJob) -> AcceptedJob:
    """Return the terms that this party accepted for a job, with the rounds that it has seen so far."""
    return AcceptedJob(
        spec_digest=job.spec_digest,
        terms=JobTerms.from_bytes(job.terms),
        round_quorum=round_quorum(JobSpec.from_bytes(job.spec), context.roster.parameters),
        previous_cohort=await context.write(context.store.previous_cohort, job.job_id),
        transcripts=await context.write(context.store.transcripts, job.job_id),
    )


async def own_knowledge(context: Context, request: DecryptionRequest, state: PartyRound) -> OwnKnowledge:
    """Return this party's knowledge of the round that it is asked to open, and of its job.

    Raises:
        StaleRound: the job has ended and asked this party nothing: its terms, against which to check, are gone.
    """
    job = await context.write(context.store.job, request.fields.job_id)
    if job is not None and job.decision is Decision.ACCEPTED and not job.terms:
        raise StaleRound("the job has ended")
    return OwnKnowledge(
        party_id=context.party_id,
        roster=context.roster,
        session_id=state.session_id,
        contribution_digest=state.contribution_digest,
        spec_digest=job.spec_digest if job else None,
        job=await accepted_job(context, job) if job and job.decision is Decision.ACCEPTED else None,
        random=context.random,
    )
