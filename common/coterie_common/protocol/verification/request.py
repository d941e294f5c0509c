# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a party checks before it helps to open a sum. Here it relies on nothing that the aggregator says.

Every check is a numbered entry of ``CHECKS``: a function of the request and of what the party itself knows, which
raises. They run in order, cheap ones first; nothing is recorded or decrypted unless all pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import Equivocation, NotInCohort, ParameterMismatch, PeerError, QuorumTooSmall
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import DecryptionRequest
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing import DirectSealing
from coterie_common.protocol.transcript import transcript_digest
from coterie_common.protocol.verification.contribution import verify_sealing, verify_signature


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKnowledge:
    """What a party knows by itself about the round that it is asked to open.

    Attributes:
        party_id: its own id.
        roster: in force, verified under the pinned founder's key.
        session_id: that it accepted for this job and round; ``None`` if it never saw the query.
        contribution_digest: of what it sent; ``None`` if it sent nothing.
    """

    party_id: PartyId
    roster: Roster
    session_id: bytes | None
    contribution_digest: bytes | None


@dataclass(slots=True)
class _Verification:
    request: DecryptionRequest
    own: OwnKnowledge
    sealing: DirectSealing
    session_id: bytes = b""
    ciphertexts: list[tuple[Ciphertext, ...]] = field(default_factory=list)

    @property
    def transcript_digest(self) -> bytes:
        return transcript_digest(self.session_id, self.request.contributions)


class Check(NamedTuple):
    """One numbered check."""

    number: int
    says: str
    run: Callable[[_Verification], None]


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """What the party may open: it multiplied the ciphertexts itself.

    Attributes:
        session_id: recomputed.
        transcript_digest: recomputed.
        total: the ciphertexts of the sum.
        contributors: how many replies are in it.
    """

    session_id: bytes
    transcript_digest: bytes
    total: tuple[Ciphertext, ...]
    contributors: int


def verify_request(
    request: DecryptionRequest, own: OwnKnowledge, sealing: DirectSealing, checks: tuple[Check, ...] | None = None
) -> VerifiedRequest:
    """Run all checks and multiply the ciphertexts.

    Args:
        request: as it came.
        own: what this party knows.
        sealing: for the terms that the request names.
        checks: ``CHECKS``; tests of the checks themselves pass fewer.

    Raises:
        PeerError: the first check that fails, with culprits where a member is to blame.
        QuorumTooSmall: fewer contributors than round quorum or federation demand.
    """
    verification = _Verification(request, own, sealing, request.fields.session_id)
    for check in CHECKS if checks is None else checks:
        check.run(verification)
    if len(verification.ciphertexts) != len(request.contributions):
        verification.ciphertexts = [sealing.check_ciphertexts(c.key_part) for c in request.contributions]
    return VerifiedRequest(
        session_id=verification.session_id,
        transcript_digest=verification.transcript_digest,
        total=sealing.add(verification.ciphertexts),
        contributors=len(request.contributions),
    )


def shows_forgotten_reply(
    request: DecryptionRequest, own_id: PartyId, contribution_digest: bytes | None, roster: Roster
) -> bool:
    """Tell whether a request shows a reply that a party signed and does not know.

    Then its store is not the one that it answered with: restored from a backup, or another daemon uses its keys. Nobody
    else can make such a request, which takes the party's own signature.

    Args:
        request: as it came.
        own_id: of the party that looks.
        contribution_digest: of what it remembers to have sent for the round; ``None`` if nothing.
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


def _roster(v: _Verification) -> None:
    if v.request.fields.roster_digest != v.own.roster.digest():
        raise ParameterMismatch("the decryption request was made under another roster")
    if v.request.fields.key_epoch != v.own.roster.key_epoch:
        raise ParameterMismatch("the decryption request is for another key epoch")


def _session(v: _Verification) -> None:
    if v.own.session_id is not None and v.session_id != v.own.session_id:
        raise Equivocation("the decryption request is for another query than the one this party accepted for the round")


def _aggregator_signature(v: _Verification) -> None:
    label, items = DecryptionRequest.signed_items(v.transcript_digest)
    v.own.roster.aggregator.verify_key.verify(v.request.signature, label, *items)


def _distinct_members(v: _Verification) -> None:
    indices = [v.own.roster.member(c.party_id).index for c in v.request.contributions]
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise ParameterMismatch("the contributors are not distinct members in the order of the roster")


def _cohort(v: _Verification) -> None:
    cohort = v.request.fields.cohort
    for party_id in cohort:
        v.own.roster.member(party_id)
    strangers = tuple(c.party_id for c in v.request.contributions if c.party_id not in cohort)
    if strangers:
        raise NotInCohort("a contributor is not in the cohort of the round", culprits=strangers)


def _quorum(v: _Verification) -> None:
    round_quorum = v.request.fields.round_quorum
    v.own.roster.parameters.honest_shares(round_quorum)
    if len(v.request.contributions) < round_quorum:
        raise QuorumTooSmall(
            f"a sum of {len(v.request.contributions)} replies may not be opened: the round's quorum is {round_quorum}"
        )


def _own_contribution(v: _Verification) -> None:
    for contribution in v.request.contributions:
        if contribution.party_id == v.own.party_id and contribution.digest != v.own.contribution_digest:
            raise Equivocation("the contribution under this party's own id is not what it sent for this round")


def _signatures(v: _Verification) -> None:
    for contribution in v.request.contributions:
        verify_signature(contribution, v.session_id, v.own.roster)


def _sealing(v: _Verification) -> None:
    v.ciphertexts = [verify_sealing(c, v.session_id, v.sealing) for c in v.request.contributions]


CHECKS: tuple[Check, ...] = (
    Check(1, "made under the roster and key epoch in force", _roster),
    Check(2, "for the query that this party accepted, if it accepted one", _session),
    Check(3, "signed by the aggregator over the recomputed transcript", _aggregator_signature),
    Check(4, "contributors are distinct members of the roster, in its order", _distinct_members),
    Check(5, "cohort and contributors are members; contributors are in the cohort", _cohort),
    Check(6, "at least the round's quorum, which is at least the federation's", _quorum),
    Check(7, "under its own id exactly what this party sent, or nothing", _own_contribution),
    Check(8, "every contribution signed by its party for this session", _signatures),
    Check(9, "every key part has the exact form and a proof of plaintext knowledge", _sealing),
)
