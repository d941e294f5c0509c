# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's checks of the acceptances that the aggregator relays, before a job that is sealed completely asks anything.

The checks, ``ACCEPTANCES_CHECKS``:

1. signed by the aggregator
2. this party's own acceptance is among them as it was sent
3. of members of the roster, from the quorum to as many as may share secrets, in the order of their ids
4. every one is signed by its party
5. every one accepts this very job, under the same terms
6. every one carries well-formed ephemeral keys, and nobody has another's

A party is the culprit only of ill-formed keys under its own signature. What else fails may be the aggregator's doing:
it chooses what it proposes to whom, and which of a party's replies it relays; and of two parties with the same keys,
nothing shows which copied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from coterie_common.crypto.masks.ephemeral import EphemeralKey
from coterie_common.errors import Equivocation, MalformedMessage, NotInCohort, ParameterMismatch
from coterie_common.limits import MAX_COMPLETE_COHORT
from coterie_common.protocol.acceptance import Acceptances, Decision, JobReply
from coterie_common.protocol.agreement import Agreement, Participant
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.verification.check import Check, run_checks
from coterie_common.protocol.verification.contribution import blaming


@dataclass(kw_only=True)
class AcceptancesReceived:
    """Acceptances as they came, and what the party that checks them knows.

    Attributes:
        acceptances: as they came.
        own: the acceptance that this party sent.
        roster: in force.
        keys: in the acceptances, once they were parsed.
    """

    acceptances: Acceptances
    own: JobReply
    roster: Roster
    keys: list[EphemeralKey] = field(default_factory=list)


def verify_acceptances(acceptances: Acceptances, own: JobReply, roster: Roster) -> Agreement:
    """Check the acceptances of everybody who takes part in a job.

    Args:
        acceptances: as the aggregator relayed them.
        own: the acceptance that this party sent.
        roster: in force.

    Raises:
        PeerError: one of the numbered checks fails.
    """
    return _verify_acceptances(AcceptancesReceived(acceptances=acceptances, own=own, roster=roster), ACCEPTANCES_CHECKS)


def _verify_acceptances(received: AcceptancesReceived, checks: tuple[Check[AcceptancesReceived], ...]) -> Agreement:
    """Run ``checks`` only: private, so that nobody but a test of the checks themselves can leave one out."""
    run_checks(checks, received)
    return agreement_of(received.acceptances, received.roster)


def agreement_of(acceptances: Acceptances, roster: Roster) -> Agreement:
    """Return the agreement of acceptances that were checked; raises ``MalformedMessage`` where a key is none."""
    return Agreement(
        job_id=acceptances.job_id,
        roster_digest=roster.digest,
        digest=acceptances.digest,
        participants={
            reply.party_id: Participant(acceptance=reply.acceptance_digest, key=EphemeralKey(reply.ephemeral_key))
            for reply in acceptances.replies
        },
    )


# Check 1.
def _relayed(v: AcceptancesReceived) -> None:
    v.acceptances.verify(v.roster.aggregator.verify_key)


# Check 2.
def _own(v: AcceptancesReceived) -> None:
    if v.own not in v.acceptances.replies:
        raise Equivocation("the acceptances of the job do not hold the one that this party sent")


# Check 3.
def _members(v: AcceptancesReceived) -> None:
    parties = [reply.party_id for reply in v.acceptances.replies]
    if parties != sorted(set(parties)):
        raise MalformedMessage("acceptances must be in the order of their parties' ids, none twice")
    for party_id in parties:
        v.roster.member(party_id)
    minimum = v.roster.parameters.quorum
    if not minimum <= len(parties) <= MAX_COMPLETE_COHORT:
        raise NotInCohort(
            f"{len(parties)} parties take part, and complete sealing takes {minimum} to {MAX_COMPLETE_COHORT}"
        )


# Check 4.
def _signatures(v: AcceptancesReceived) -> None:
    for reply in v.acceptances.replies:
        reply.verify(v.roster.member(reply.party_id).verify_key)


# Check 5.
def _same_job(v: AcceptancesReceived) -> None:
    if v.acceptances.job_id != v.own.job_id:
        raise ParameterMismatch("the acceptances are relayed for another job")
    job = (v.own.job_id, v.own.spec_digest, v.own.terms_digest)
    for reply in v.acceptances.replies:
        if (reply.job_id, reply.spec_digest, reply.terms_digest) != job:
            raise ParameterMismatch("an acceptance is of another job, or of other terms")
        if reply.decision is not Decision.ACCEPTED:
            raise ParameterMismatch("among the acceptances is a reply that accepts nothing")


# Check 6.
def _keys(v: AcceptancesReceived) -> None:
    for reply in v.acceptances.replies:
        with blaming(reply.party_id):
            key = EphemeralKey(reply.ephemeral_key)
        if key in v.keys:
            raise MalformedMessage("two acceptances carry the same ephemeral keys")
        v.keys.append(key)


ACCEPTANCES_CHECKS: Final[tuple[Check[AcceptancesReceived], ...]] = (
    Check(1, "signed by the aggregator", _relayed),
    Check(2, "this party's own acceptance is among them as it was sent", _own),
    Check(
        3,
        "of members of the roster, from the quorum to as many as may share secrets, in the order of their ids",
        _members,
    ),
    Check(4, "every one is signed by its party", _signatures),
    Check(5, "every one accepts this very job, under the same terms", _same_job),
    Check(6, "every one carries well-formed ephemeral keys, and nobody has another's", _keys),
)
