# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a party checks of a job's proposal and of each query before it computes anything."""

from __future__ import annotations

from dataclasses import dataclass

from coterie_common.errors import (
    Equivocation,
    MalformedMessage,
    NoiseInsufficient,
    NotInCohort,
    ParameterMismatch,
    UnknownRound,
)
from coterie_common.identifiers import PartyId
from coterie_common.privacy.noise import Placement
from coterie_common.protocol.messages import JobEnd, JobProposal, ModelDelivery, Query
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import body_digest
from coterie_common.protocol.terms import JobTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedJob:
    """What a party accepted for a job, and what it saw of its rounds so far.

    Attributes:
        spec_digest: of the accepted specification.
        terms: accepted for each round.
        round_quorum: that the specification names, or else the federation's.
        previous_cohort: the smallest of the queries that it accepted; ``None`` before the first.
        transcripts: round number → transcript digest of the rounds that it helped to open.
    """

    spec_digest: bytes
    terms: JobTerms
    round_quorum: int
    previous_cohort: tuple[PartyId, ...] | None
    transcripts: dict[int, bytes]


def verify_proposal(proposal: JobProposal, roster: Roster) -> None:
    """Check that the aggregator proposes this job under the roster in force.

    Raises:
        ParameterMismatch: another roster.
        InvalidSignature: not the aggregator's.
    """
    if proposal.roster_digest != roster.digest():
        raise ParameterMismatch("the job is proposed under another roster")
    label, items = JobProposal.signed_items(proposal.job_id, proposal.roster_digest, proposal.spec, proposal.terms)
    roster.aggregator.verify_key.verify(proposal.signature, label, *items)


def verify_query(query: Query, own_id: PartyId, roster: Roster, job: AcceptedJob) -> None:
    """Check a query against roster, accepted job and earlier rounds.

    Args:
        query: as it came.
        own_id: of the party that checks.
        roster: in force.
        job: what this party accepted.

    Raises:
        ParameterMismatch, NotInCohort, UnknownRound, MalformedMessage, InvalidSignature, Equivocation: the
            aggregator asks something else than what was agreed on.
        QuorumTooSmall, NoiseInsufficient: the release would hold too few replies or too little honest noise.
    """
    fields = query.fields
    # 1. Roster and key epoch in force.
    if fields.roster_digest != roster.digest() or fields.key_epoch != roster.key_epoch:
        raise ParameterMismatch("the query was made under another roster or key epoch")
    # 2. The aggregator signed the session id, which covers everything below.
    label, items = Query.signed_items(fields.session_id)
    roster.aggregator.verify_key.verify(query.signature, label, *items)
    # 3. The body is the one that the session id names.
    if body_digest(query.body) != fields.body_digest:
        raise MalformedMessage("the body of the query is not the one that its fields name")
    # 4. The job is the accepted one.
    if fields.spec_digest != job.spec_digest:
        raise Equivocation("the query names another specification than the job that this party accepted")
    # 5. The round is planned and its terms are the accepted ones.
    if fields.round_number > len(job.terms.rounds):
        raise UnknownRound(f"the job has {len(job.terms.rounds)} rounds, the query is for round {fields.round_number}")
    terms = job.terms.rounds[fields.round_number - 1]
    if fields.terms != terms.shortened(fields.terms.encoding.length):
        raise ParameterMismatch("the terms of the query are not those that this party accepted for the round")
    # 6. The cohort: members, this party among them, never growing.
    for party_id in fields.cohort:
        roster.member(party_id)
    if own_id not in fields.cohort:
        raise NotInCohort("this party is not in the cohort of the query")
    if job.previous_cohort is not None and not set(fields.cohort) <= set(job.previous_cohort):
        raise NotInCohort("the cohort of the query has members that an earlier round of the job did not have")
    # 7. The quorum is the job's, at least the federation's, and the noise is sized for it. The cohort is no smaller.
    shares = roster.parameters.honest_shares(fields.round_quorum)
    if fields.round_quorum != job.round_quorum:
        raise ParameterMismatch(f"the quorum of the query is {fields.round_quorum}, that of the job {job.round_quorum}")
    if terms.noise.placement is Placement.DISTRIBUTED and terms.noise.shares > shares:
        raise NoiseInsufficient(
            f"the noise is divided by {terms.noise.shares} although only {shares} honest shares are guaranteed"
        )
    # 8. It continues from the release that this party helped to open.
    seen = job.transcripts.get(fields.round_number - 1)
    if seen is not None and seen != fields.previous_transcript:
        raise Equivocation("the query continues from another release than the one that this party helped to open")


def verify_delivery(delivery: ModelDelivery, roster: Roster) -> None:
    """Check that the aggregator signed this model; raises ``InvalidSignature``."""
    label, items = ModelDelivery.signed_items(delivery.job_id, delivery.model)
    roster.aggregator.verify_key.verify(delivery.signature, label, *items)


def verify_job_end(end: JobEnd, roster: Roster) -> None:
    """Check that the aggregator ended this job; raises ``InvalidSignature``."""
    label, items = JobEnd.signed_items(end.job_id, end.outcome, end.reason)
    roster.aggregator.verify_key.verify(end.signature, label, *items)
