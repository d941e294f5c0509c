# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Agreeing on secrets with the other parties of a job that is sealed completely, and forgetting them in time.

Invariants:
- The ephemeral keys of a job are made once, and their file is durable before the acceptance leaves.
- This party agrees with one set of acceptances per job. What it encapsulates is stored before it leaves, and sent again
  as it is.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.crypto.masks.mask import PairSecrets, SessionMasks
from coterie_common.errors import (
    ConsentDenied,
    Equivocation,
    InternalError,
    QuorumTooSmall,
    SecretsErased,
    UnexpectedMessage,
)
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Acceptances, Decision, Encapsulations, JobReply, RelayedEncapsulations
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import agreement_of, verify_acceptances
from coterie_common.protocol.verification.encapsulation import verify_relayed
from coterie_common.protocol.verification.query import AgreedParties
from coterie_common.wire.federation import (
    aggregator_message_from_wire,
    aggregator_message_to_wire,
    party_message_from_wire,
    party_message_to_wire,
)
from coterie_party.live.accepted_jobs import AcceptedJobs
from coterie_party.live.context import Context
from coterie_party.live.knowledge import running_job
from coterie_party.store import PartyJob
from coterie_party.store.files.job_secrets import KeptSecrets

log = structlog.get_logger(__name__)


def make_keys(context: Context, job_id: JobId, spec: JobSpec) -> KeptSecrets:
    """Make the ephemeral keys of a job that is about to be accepted; nothing of them is kept yet."""
    secret = EphemeralSecret.generate(context.random)
    return KeptSecrets(
        job_id=job_id,
        expires_at=context.clock.now() + spec.max_duration,
        public=secret.public.encoded,
        secret=secret,
        pairs={},
    )


def signed_reply(job: PartyJob, context: Context, ephemeral_key: bytes = b"") -> JobReply:
    """Return this party's reply to a proposal: of one decision always the same bytes."""
    reply = JobReply(
        job_id=job.job_id,
        party_id=context.party_id,
        spec_digest=job.spec_digest,
        terms_digest=job.terms_digest,
        decision=job.decision,
        code=job.code,
        detail=job.detail,
        ephemeral_key=ephemeral_key,
        signature=UNSIGNED,
    )
    return reply.signed_by(context.signing_key)


async def reply_of(job: PartyJob, context: Context, jobs: AcceptedJobs) -> JobReply:
    """Return this party's reply to a proposal, an acceptance with the keys that were made for it.

    Raises:
        SecretsErased: the job is sealed completely, and its keys are gone.
        ConsentDenied: they are gone because the steward withdrew.
    """
    if job.decision is not Decision.ACCEPTED or job.outcome is not None:
        return signed_reply(job, context)
    accepted = await jobs.of(job)
    if not accepted.planned.spec.is_complete:
        return signed_reply(job, context)
    return signed_reply(job, context, (await _kept(context, job.job_id)).public)


async def agree(message: Acceptances, context: Context, jobs: AcceptedJobs) -> Encapsulations:
    """Check the acceptances of everybody who takes part, and encapsulate to those with higher ids.

    Raises:
        PeerError: they are not all those of the job, or differ from what this party agreed with before.
        QuorumTooSmall: fewer take part than a sum of the job must hold.
        SecretsErased: this party's keys are gone.
        ConsentDenied: they are gone because the steward withdrew.
    """
    row = await running_job(context, message.job_id)
    job = await jobs.of(row)
    if not job.planned.spec.is_complete:
        raise UnexpectedMessage("acceptances of a job that is not sealed completely")
    kept = await _kept(context, message.job_id)
    agreement = await context.look(verify_acceptances, message, signed_reply(row, context, kept.public), context.roster)
    if kept.acceptances:
        before = aggregator_message_from_wire(kept.acceptances)
        sent = party_message_from_wire(kept.sent)
        if not isinstance(before, Acceptances) or not isinstance(sent, Encapsulations):
            raise InternalError("the file of a job's secrets holds other messages")
        if before.digest != message.digest:
            raise Equivocation("this party agreed with other acceptances of this job")
        return sent
    if len(agreement.cohort) < job.round_quorum:
        raise QuorumTooSmall(f"{len(agreement.cohort)} parties take part, a sum of the job needs {job.round_quorum}")
    if kept.secret is None:
        raise InternalError("the keys of a job are gone before its acceptances came")
    made, pairs = await context.compute(agreement.encapsulate, context.party_id, kept.secret, context.signing_key)
    reply = Encapsulations(job_id=message.job_id, party_id=context.party_id, encapsulations=made)
    is_lowest = agreement.cohort[0] == context.party_id
    agreed = replace(
        kept,
        acceptances=aggregator_message_to_wire(message),
        sent=party_message_to_wire(reply),
        pairs=pairs,
        secret=None if is_lowest else kept.secret,
    )
    await context.on_writer(context.secrets.keep, agreed)
    log.info("acceptances checked", job=message.job_id, parties=len(agreement.cohort))
    return reply


async def take_relayed(message: RelayedEncapsulations, context: Context) -> None:
    """Take what everybody with a lower id encapsulated; the keys go as soon as every pair secret is there.

    Raises:
        PeerError: an encapsulation is not that of its sender for this party, or came before the acceptances.
        SecretsErased: this party's keys are gone.
        ConsentDenied: they are gone because the steward withdrew.
    """
    kept = await _kept(context, message.job_id)
    if not kept.acceptances:
        raise UnexpectedMessage("encapsulations before the acceptances that they answer")
    if kept.secret is None:
        return
    acceptances = aggregator_message_from_wire(kept.acceptances)
    if not isinstance(acceptances, Acceptances):
        raise InternalError("the file of a job's secrets holds another message")
    agreement = agreement_of(acceptances, context.roster)
    received = await context.look(verify_relayed, message, context.party_id, agreement, context.roster)
    pairs = await context.compute(agreement.decapsulate, context.party_id, kept.secret, received)
    await context.on_writer(context.secrets.keep, replace(kept, secret=None, pairs={**kept.pairs, **pairs}))
    log.info("secrets agreed", job=message.job_id)


async def agreed_parties(context: Context, job_id: JobId) -> AgreedParties | None:
    """Return with whom this party shares secrets in a job; ``None`` before that, and once they were erased.

    Raises:
        ConsentDenied: they were erased because the steward withdrew.
    """
    kept = await context.on_writer(context.secrets.of, job_id, context.clock.now())
    if kept is None:
        await _check_consent(context, job_id)
        return None
    if not kept.is_agreed:
        return None
    acceptances = aggregator_message_from_wire(kept.acceptances)
    if not isinstance(acceptances, Acceptances):
        raise InternalError("the file of a job's secrets holds another message")
    return AgreedParties(digest=acceptances.digest, cohort=tuple(sorted((context.party_id, *kept.pairs))))


async def masks_for(context: Context, fields: SessionFields) -> SessionMasks:
    """Return the masks of a query that was accepted; raises ``SecretsErased``, ``ConsentDenied``."""
    kept = await _kept(context, fields.job_id)
    if not kept.is_agreed:
        raise SecretsErased("this party has not agreed on secrets with the others yet")
    secrets = PairSecrets(context.party_id, kept.pairs)
    return secrets.masks_for(fields.session_id, fields.cohort)


async def erase_expired(context: Context) -> None:
    """Erase the secrets of jobs that are over for this party, and of those that have run for as long as they declared.

    A job is over if it ended, was never accepted, or if the steward withdrew from it.
    """
    for job_id in await context.on_writer(context.secrets.jobs):
        row = await context.on_writer(context.store.job, job_id)
        is_over = row is None or row.decision is not Decision.ACCEPTED or row.outcome is not None
        if is_over or await _is_withdrawn(context, job_id):
            await erase(context, job_id)
        elif await context.on_writer(context.secrets.of, job_id, context.clock.now()) is None:
            log.warning("secrets erased: the job has run for as long as it declared", job=job_id)


async def erase(context: Context, job_id: JobId) -> None:
    """Erase the secrets of a job, if there are any; no further round of it is answered."""
    if job_id in await context.on_writer(context.secrets.jobs):
        await context.on_writer(context.secrets.erase, job_id)
        log.info("secrets erased", job=job_id)


async def _kept(context: Context, job_id: JobId) -> KeptSecrets:
    kept = await context.on_writer(context.secrets.of, job_id, context.clock.now())
    if kept is None:
        await _check_consent(context, job_id)
        raise SecretsErased("this party's secrets of the job are gone")
    return kept


async def _check_consent(context: Context, job_id: JobId) -> None:
    # Without secrets nothing is answered any more; the aggregator learns the cause, as of any other job.
    if await _is_withdrawn(context, job_id):
        raise ConsentDenied("this party's steward withdrew from the job")


async def _is_withdrawn(context: Context, job_id: JobId) -> bool:
    ruling = await context.on_writer(context.store.ruling, job_id)
    return ruling is not None and not ruling.is_approved
