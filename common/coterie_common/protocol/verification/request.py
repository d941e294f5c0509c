# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's checks before it helps to open a sum. Here it relies on no statement of the aggregator.

The checks of a decryption request, ``REQUEST_CHECKS``, cheap ones first:

1. made under the roster and key epoch in force
2. for the query that this party accepted, if it accepted one
3. of the job as it was proposed to this party, if it was, and within what it accepted
4. signed by the aggregator over the recomputed transcript
5. contributors are distinct members of the roster, in its order
6. cohort and contributors are members; contributors are in the cohort
7. at least the round's quorum, which is at least the federation's and divides the noise
8. without noise: the contributors are all members of the roster
9. under its own id exactly what this party sent, or nothing
10. every contribution signed by its party for this session
11. every key part has the exact number of ciphertexts, each in range and a unit
12. every contributor knows what it encrypted

Each is a function of the request and of what the party itself knows, which raises. Nothing is recorded or decrypted
unless all pass. Up to check 9 a failure is the aggregator's doing and names nobody; from check 10 on what fails bears
the culprit's own signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import Equivocation, NotInCohort, ParameterMismatch, PeerError, QuorumTooSmall
from coterie_common.identifiers import PartyId
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.messages import DecryptionRequest
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.verification.check import Check, run_checks
from coterie_common.protocol.verification.contribution import check_form, verify_signature
from coterie_common.protocol.verification.query import JobKnowledge, verify_fields
from coterie_common.protocol.verification.quorum_noise import check_everybody, check_shares
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKnowledge:
    """A party's own knowledge of the round that it is asked to open.

    Attributes:
        party_id: its own id.
        roster: in force, verified under the pinned founder's key.
        session_id: the one that it accepted for this job and round; ``None`` if it never saw the query.
        contribution_digest: of its contribution; ``None`` if it sent none.
        spec_digest: of the specification that this job was first proposed with; ``None`` if it never was.
        job: the terms that it accepted for the job; ``None`` if it accepted none, or the query itself.
        random: source of weights that nobody else can foresee, for checking proofs together.
    """

    party_id: PartyId
    roster: Roster
    session_id: bytes | None
    contribution_digest: bytes | None
    spec_digest: bytes | None = None
    job: JobKnowledge | None = None
    random: RandomSource


@dataclass
class RequestReceived:
    """A received decryption request, and the party's own knowledge.

    Attributes:
        request: as it came.
        own: this party's knowledge.
        sealing: for the terms that the request names.
        session_id: recomputed.
        ciphertexts: of every contribution, once their form was checked.
    """

    request: DecryptionRequest
    own: OwnKnowledge
    sealing: EncryptedSealing
    session_id: bytes
    ciphertexts: list[tuple[Ciphertext, ...]] = field(default_factory=list)

    @cached_property
    def transcript_digest(self) -> bytes:
        """The transcript digest, recomputed from the received contributions."""
        return self.request.transcript_digest


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """The sum that the party may open: it multiplied the ciphertexts itself.

    Attributes:
        session_id: recomputed.
        transcript_digest: recomputed.
        total: the ciphertexts of the sum.
        contributors: number of replies in it.
    """

    session_id: bytes
    transcript_digest: bytes
    total: tuple[Ciphertext, ...]
    contributors: int


def verify_request(request: DecryptionRequest, own: OwnKnowledge, sealing: EncryptedSealing) -> VerifiedRequest:
    """Run all checks and multiply the ciphertexts.

    Args:
        request: as it came.
        own: this party's knowledge.
        sealing: for the terms that the request names.

    Raises:
        PeerError: the first check that fails. Up to check 9 the aggregator is at fault and nobody is named; from check
            10 on the failed content bears the culprit's own signature.
        QuorumTooSmall, NoiseInsufficient: fewer contributors than round quorum or federation demand, or too little
            honest noise.
    """
    return _verify_request(RequestReceived(request, own, sealing, request.fields.session_id), REQUEST_CHECKS)


def _verify_request(received: RequestReceived, checks: tuple[Check[RequestReceived], ...]) -> VerifiedRequest:
    """Run ``checks`` only: private, so that nobody but a test of the checks themselves can leave one out."""
    run_checks(checks, received)
    return VerifiedRequest(
        session_id=received.session_id,
        transcript_digest=received.transcript_digest,
        total=received.sealing.add(received.ciphertexts),
        contributors=len(received.request.contributions),
    )


def shows_forgotten_reply(
    request: DecryptionRequest, own_id: PartyId, contribution_digest: bytes | None, roster: Roster
) -> bool:
    """Return true if a request shows a reply that a party signed but does not know.

    Then its store is not the one that it answered with: it was restored from a backup, or another daemon uses its keys.
    Nobody else can make such a request, which requires the party's own signature.

    Args:
        request: as it came.
        own_id: of the party that checks.
        contribution_digest: of the contribution that it remembers for the round; ``None`` if there is none.
        roster: in force.
    """
    for contribution in request.contributions:
        if contribution.party_id == own_id and contribution.digest != contribution_digest:
            try:
                verify_signature(contribution, request.fields.session_id, roster)
            except PeerError:
                continue
            return True
    return False


# Check 1.
def _roster(v: RequestReceived) -> None:
    if v.request.fields.roster_digest != v.own.roster.digest:
        raise ParameterMismatch("the decryption request was made under another roster")
    if v.request.fields.key_epoch != v.own.roster.key_epoch:
        raise ParameterMismatch("the decryption request is for another key epoch")


# Check 2.
def _session(v: RequestReceived) -> None:
    if v.own.session_id is not None and v.session_id != v.own.session_id:
        raise Equivocation("the decryption request is for another query than the one this party accepted for the round")


# Check 3.
def _job(v: RequestReceived) -> None:
    if v.own.spec_digest is not None and v.request.fields.spec_digest != v.own.spec_digest:
        raise Equivocation("the decryption request names another specification than the job was proposed with")
    # A query that it accepted passed these checks already, before later rounds could be seen.
    if v.own.job is not None and v.own.session_id is None:
        verify_fields(v.request.fields, v.own.roster, v.own.job)


# Check 4.
def _aggregator_signature(v: RequestReceived) -> None:
    v.request.verify(v.own.roster.aggregator.verify_key)


# Check 5.
def _distinct_members(v: RequestReceived) -> None:
    indices = [v.own.roster.member(c.party_id).index for c in v.request.contributions]
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise ParameterMismatch("the contributors are not distinct members in the order of the roster")


# Check 6.
def _cohort(v: RequestReceived) -> None:
    cohort = v.request.fields.cohort
    for party_id in cohort:
        v.own.roster.member(party_id)
    if any(contribution.party_id not in cohort for contribution in v.request.contributions):
        raise NotInCohort("a contributor is not in the cohort of the round")


# Check 7.
def _quorum(v: RequestReceived) -> None:
    round_quorum = v.request.fields.round_quorum
    v.own.roster.parameters.honest_shares(round_quorum)
    # Also of a job that this party knows nothing of: its replies hold noise for this quorum, and for no smaller one.
    check_shares(v.request.fields, v.own.roster)
    if len(v.request.contributions) < round_quorum:
        raise QuorumTooSmall(
            f"a sum of {len(v.request.contributions)} replies may not be opened: the round's quorum is {round_quorum}"
        )


# Check 8.
def _everybody(v: RequestReceived) -> None:
    # From the terms under which the replies were sealed: a decrypting party need not know the job.
    check_everybody(v.request.fields, v.own.roster)
    if v.request.fields.terms.noise.placement is Placement.NONE and len(v.request.contributions) != len(
        v.own.roster.members
    ):
        raise QuorumTooSmall(
            f"a sum without noise holds the replies of all {len(v.own.roster.members)} parties or is not opened, "
            f"this one holds {len(v.request.contributions)}"
        )


# Check 9.
def _own_contribution(v: RequestReceived) -> None:
    for contribution in v.request.contributions:
        if contribution.party_id == v.own.party_id and contribution.digest != v.own.contribution_digest:
            raise Equivocation("the contribution under this party's own id is not what it sent for this round")


# Check 10.
def _signatures(v: RequestReceived) -> None:
    for contribution in v.request.contributions:
        verify_signature(contribution, v.session_id, v.own.roster)


# Check 11.
def _forms(v: RequestReceived) -> None:
    v.ciphertexts = [check_form(c, v.sealing) for c in v.request.contributions]


# Check 12.
def _knowledge(v: RequestReceived) -> None:
    v.sealing.verify_knowledge_together(v.request.contributions, v.ciphertexts, v.session_id, v.own.random)


REQUEST_CHECKS: Final[tuple[Check[RequestReceived], ...]] = (
    Check(1, "made under the roster and key epoch in force", _roster),
    Check(2, "for the query that this party accepted, if it accepted one", _session),
    Check(3, "of the job as it was proposed to this party, if it was, and within what it accepted", _job),
    Check(4, "signed by the aggregator over the recomputed transcript", _aggregator_signature),
    Check(5, "contributors are distinct members of the roster, in its order", _distinct_members),
    Check(6, "cohort and contributors are members; contributors are in the cohort", _cohort),
    Check(7, "at least the round's quorum, which is at least the federation's and divides the noise", _quorum),
    Check(8, "without noise: the contributors are all members of the roster", _everybody),
    Check(9, "under its own id exactly what this party sent, or nothing", _own_contribution),
    Check(10, "every contribution signed by its party for this session", _signatures),
    Check(11, "every key part has the exact number of ciphertexts, each in range and a unit", _forms),
    Check(12, "every contributor knows what it encrypted", _knowledge),
)
