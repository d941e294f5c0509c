# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Acceptances of a job that is sealed completely, with ephemeral keys from seeds, and agreements of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Acceptances, Decision, JobReply
from coterie_common.protocol.agreement import Agreement
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import agreement_of
from tests.support.federation import JOB, digest_of, make_federation
from tests.support.seeded_random import SeededRandom

ROSTER_AND_KEYS = make_federation()


@cache
def secret_of(name: str) -> EphemeralSecret:
    """The ephemeral keys of whoever has that name."""
    return EphemeralSecret.generate(SeededRandom(f"ephemeral {name}"))


def accepted_by(party_id: PartyId, job_id: JobId = JOB) -> JobReply:
    """The signed acceptance of a party."""
    reply = JobReply(
        job_id=job_id,
        party_id=party_id,
        spec_digest=digest_of("spec"),
        terms_digest=digest_of("terms"),
        decision=Decision.ACCEPTED,
        code="",
        detail="",
        ephemeral_key=secret_of(party_id).public.encoded,
        signature=UNSIGNED,
    )
    return reply.signed_by(ROSTER_AND_KEYS.party_keys[party_id])


def relayed_acceptances(replies: Sequence[JobReply], job_id: JobId = JOB) -> Acceptances:
    """What the aggregator shows to everybody."""
    message = Acceptances(job_id=job_id, replies=tuple(replies), signature=UNSIGNED)
    return message.signed_by(ROSTER_AND_KEYS.aggregator_key)


def agreement_between(cohort: Sequence[PartyId], job_id: JobId = JOB) -> Agreement:
    """What all of a cohort know once they have checked the acceptances."""
    acceptances = relayed_acceptances([accepted_by(party_id, job_id) for party_id in sorted(cohort)], job_id)
    return agreement_of(acceptances, ROSTER_AND_KEYS.roster)
