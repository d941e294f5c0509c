# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's checks of each query, before it computes anything.

The checks of a query, ``QUERY_CHECKS``, cheap ones first:

1. made under the roster and key epoch in force
2. signed by the aggregator over the recomputed session id
3. the body is the one that the session id names
4. this party is in the cohort
5. of the specification that this party accepted for the job
6. for a step of the job's plan, after no more abandoned rounds than the job has spare ones
7. under the terms that this party accepted for the step: sealing, encoding, noise, sensitivity
8. the cohort consists of members of the roster
9. the cohort has nobody whom an earlier round of the job did not have
10. the quorum is at least the job's and the federation's, at most the cohort
11. the noise is divided into the honest shares that the query's quorum and the roster guarantee
12. continues from the release that this party helped to open, if it did and answered no later round of that step
13. without noise: all members are asked, and the replies of all are needed
14. without noise: the same parties are asked as in earlier rounds of the job
15. sealed completely: asks parties whose acceptances this party checked, and needs the replies of all of them
16. sealed completely: lists the replies in the last release, this party's as it was sent
17. newer than every query that this party accepted, and for no earlier step
18. a step that this party answered before is within the job's spare rounds

Of the message, checks 5 to 15 look only at what the session id covers. ``verify_fields`` runs them alone, for a round
that a party is asked to open without having accepted its query: check 3 of ``request``. That the steward's policy
allows a query, and that the ledger can afford it, was decided on the proposal and is not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from coterie_common.errors import (
    AlteredReplyList,
    Equivocation,
    MalformedMessage,
    NotInCohort,
    ParameterMismatch,
    QuorumTooSmall,
    SecretsErased,
    UnknownRound,
)
from coterie_common.identifiers import PartyId
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.messages import Query
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.terms import JobTerms, RoundTerms
from coterie_common.protocol.verification.check import Check, run_checks
from coterie_common.protocol.verification.quorum_noise import check_everybody, check_shares
from coterie_common.protocol.verification.repeated_steps import check_newer, check_spare


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedParties:
    """The parties with which this one shares secrets in a job.

    Attributes:
        digest: of their acceptances.
        cohort: their ids, this party's among them.
    """

    digest: bytes
    cohort: tuple[PartyId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRound:
    """A round that a party helped to open; whether it was released, it does not know.

    Attributes:
        number: of the round.
        transcript: its digest.
    """

    number: int
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKnowledge:
    """The terms that a party accepted for a job, and its record of the job's rounds so far.

    Attributes:
        spec_digest: of the accepted specification.
        terms: accepted for each round.
        round_quorum: the least that a query may have: the specification's, or otherwise the federation's.
        asked: round number → plan step of the queries that it accepted.
        previous_cohort: the smallest of the queries that it accepted; ``None`` before the first.
        opened: plan step → the last round of that step that it helped to open; the step before is enough.
        agreement: of a job that is sealed completely, if its secrets are there.
        listed_reply: digest of the reply that this party sent in the session whose replies the query lists; ``None`` if
            it sent none.
    """

    spec_digest: bytes
    terms: JobTerms
    round_quorum: int
    previous_cohort: tuple[PartyId, ...] | None
    opened: Mapping[int, OpenedRound]
    agreement: AgreedParties | None = None
    listed_reply: bytes | None = None
    asked: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The ask of a round, beside the accepted job.

    Attributes:
        fields: covered by the session id.
        roster: in force.
        job: the terms that this party accepted.
    """

    fields: SessionFields
    roster: Roster
    job: JobKnowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryReceived(Asked):
    """A received query, and the party that checks it.

    Attributes:
        query: with ``fields``.
        own_id: of the party that checks.
    """

    query: Query
    own_id: PartyId


def verify_query(query: Query, own_id: PartyId, roster: Roster, job: JobKnowledge) -> None:
    """Check a query against roster, accepted job and earlier rounds.

    Args:
        query: as it came.
        own_id: of the party that checks.
        roster: in force.
        job: the terms that this party accepted.

    Raises:
        ParameterMismatch, NotInCohort, UnknownRound, MalformedMessage, InvalidSignature, Equivocation: the
            aggregator asks something other than what was agreed.
        QuorumTooSmall, NoiseInsufficient: the release would hold too few replies or too little honest noise.
    """
    received = QueryReceived(fields=query.fields, roster=roster, job=job, query=query, own_id=own_id)
    run_checks(QUERY_CHECKS, received)


def verify_fields(fields: SessionFields, roster: Roster, job: JobKnowledge) -> None:
    """Check the query to other parties in a job that this party accepted; raises as ``verify_query``."""
    run_checks(_FIELD_CHECKS, Asked(fields=fields, roster=roster, job=job))


# Check 1.
def _roster(v: QueryReceived) -> None:
    if v.fields.roster_digest != v.roster.digest or v.fields.key_epoch != v.roster.key_epoch:
        raise ParameterMismatch("the query was made under another roster or key epoch")


# Check 2.
def _signature(v: QueryReceived) -> None:
    # The session id covers everything checked below.
    v.query.verify(v.roster.aggregator.verify_key)


# Check 3.
def _body(v: QueryReceived) -> None:
    if body_digest(v.query.body) != v.fields.body_digest:
        raise MalformedMessage("the body of the query is not the one that its fields name")


# Check 4.
def _own_place(v: QueryReceived) -> None:
    if v.own_id not in v.fields.cohort:
        raise NotInCohort("this party is not in the cohort of the query")


# Check 5.
def _specification(v: Asked) -> None:
    if v.fields.spec_digest != v.job.spec_digest:
        raise Equivocation("the query names another specification than the job that this party accepted")


# Check 6.
def _step(v: Asked) -> None:
    if v.fields.plan_step > len(v.job.terms.rounds):
        raise UnknownRound(f"the job plans {len(v.job.terms.rounds)} steps, the query is for step {v.fields.plan_step}")
    abandoned, spare = v.fields.round_number - v.fields.plan_step, v.job.terms.spares.rounds
    if abandoned > spare:
        raise UnknownRound(f"{abandoned} rounds were abandoned before this one, the job has {spare} spare rounds")


# Check 7.
def _terms(v: Asked) -> None:
    asked = v.fields.terms
    # Into how many shares the noise is divided depends on the quorum of the query, and is a check of its own.
    if asked.in_shares(_agreed_terms(v).noise.shares) != _agreed_terms(v).shortened(asked.encoding.length):
        raise ParameterMismatch("the terms of the query are not those that this party accepted for the step")


# Check 8.
def _members(v: Asked) -> None:
    for party_id in v.fields.cohort:
        v.roster.member(party_id)


# Check 9.
def _never_growing(v: Asked) -> None:
    if v.job.previous_cohort is not None and not set(v.fields.cohort) <= set(v.job.previous_cohort):
        raise NotInCohort("the cohort of the query has members that an earlier round of the job did not have")


# Check 10.
def _quorum(v: Asked) -> None:
    v.roster.parameters.honest_shares(v.fields.round_quorum)
    if not v.job.round_quorum <= v.fields.round_quorum <= len(v.fields.cohort):
        raise QuorumTooSmall(
            f"the quorum of the query is {v.fields.round_quorum}, not from {v.job.round_quorum} (the job's) to "
            f"{len(v.fields.cohort)} (the cohort)"
        )


# Check 11.
def _noise(v: Asked) -> None:
    check_shares(v.fields, v.roster)


# Check 12.
def _continuation(v: Asked) -> None:
    before = v.fields.plan_step - 1
    opened = v.job.opened.get(before)
    # A party that answered the step again knows that the round it opened was abandoned, for want of other partial
    # decryptions. Others may have opened the later round without it.
    if opened is None or any(step == before and number > opened.number for number, step in v.job.asked.items()):
        return
    if opened.transcript != v.fields.previous_transcript:
        raise Equivocation("the query continues from another release than the one that this party helped to open")


# Check 13.
def _everybody(v: Asked) -> None:
    check_everybody(v.fields, v.roster)


# Check 14.
def _same_parties(v: Asked) -> None:
    if v.fields.terms.noise.placement is not Placement.NONE or v.job.previous_cohort is None:
        return
    # All members of a new roster are a different set from those of the previous one.
    if set(v.fields.cohort) != set(v.job.previous_cohort):
        raise NotInCohort("a round without noise asks other parties than an earlier round of the job")


# Check 15.
def _agreed_cohort(v: Asked) -> None:
    if not v.fields.terms.sealing.is_complete:
        return
    if v.job.agreement is None:
        raise SecretsErased("this party has no secrets with the others any more, or none yet, and masks nothing")
    if v.fields.acceptances != v.job.agreement.digest or not set(v.fields.cohort) <= set(v.job.agreement.cohort):
        raise Equivocation("the query is for other acceptances than those that this party checked")
    if v.fields.round_quorum != len(v.fields.cohort):
        raise QuorumTooSmall(
            f"a round that is sealed completely needs the replies of all {len(v.fields.cohort)} parties that it asks, "
            f"not of {v.fields.round_quorum}"
        )


# Check 16.
def _listed(v: QueryReceived) -> None:
    if not v.fields.terms.sealing.is_complete:
        return
    listed = v.query.previous
    if (b"" if listed is None else listed.digest) != v.fields.previous_transcript:
        raise MalformedMessage("the query does not list the replies in the last release")
    if listed is not None and (v.own_id, v.job.listed_reply) not in listed.replies:
        raise AlteredReplyList("the list of the replies in the last release omits this party's, or alters it")


# Check 17.
def _newer(v: QueryReceived) -> None:
    check_newer(v.fields, v.job.asked)


# Check 18.
def _spare(v: QueryReceived) -> None:
    check_spare(v.fields, v.job.asked, v.job.terms.spares)


def _agreed_terms(v: Asked) -> RoundTerms:
    # A step beyond the plan is refused by its own check, and has no terms to compare with.
    return v.job.terms.rounds[min(v.fields.plan_step, len(v.job.terms.rounds)) - 1]


_FIELD_CHECKS: Final[tuple[Check[Asked], ...]] = (
    Check(5, "of the specification that this party accepted for the job", _specification),
    Check(6, "for a step of the job's plan, after no more abandoned rounds than the job has spare ones", _step),
    Check(7, "under the terms that this party accepted for the step: sealing, encoding, noise, sensitivity", _terms),
    Check(8, "the cohort consists of members of the roster", _members),
    Check(9, "the cohort has nobody whom an earlier round of the job did not have", _never_growing),
    Check(10, "the quorum is at least the job's and the federation's, at most the cohort", _quorum),
    Check(11, "the noise is divided into the honest shares that the query's quorum and the roster guarantee", _noise),
    Check(
        12,
        "continues from the release that this party helped to open, if it did and answered no later round of that step",
        _continuation,
    ),
    Check(13, "without noise: all members are asked, and the replies of all are needed", _everybody),
    Check(14, "without noise: the same parties are asked as in earlier rounds of the job", _same_parties),
    Check(
        15,
        "sealed completely: asks parties whose acceptances this party checked, and needs the replies of all of them",
        _agreed_cohort,
    ),
)

QUERY_CHECKS: Final[tuple[Check[QueryReceived], ...]] = (
    Check(1, "made under the roster and key epoch in force", _roster),
    Check(2, "signed by the aggregator over the recomputed session id", _signature),
    Check(3, "the body is the one that the session id names", _body),
    Check(4, "this party is in the cohort", _own_place),
    *_FIELD_CHECKS,
    Check(16, "sealed completely: lists the replies in the last release, this party's as it was sent", _listed),
    Check(17, "newer than every query that this party accepted, and for no earlier step", _newer),
    Check(18, "a step that this party answered before is within the job's spare rounds", _spare),
)
