# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every check of a decryption request has an attack that it stops, and without the check the attack succeeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import CoterieError
from coterie_common.protocol.messages import DecryptionRequest, KeyPart
from coterie_common.protocol.verification.request import CHECKS, OwnKnowledge, VerifiedRequest, verify_request
from tests.support.federation import Federation, digest_of, make_federation
from tests.support.seeded_random import SeededRandom


@dataclass(frozen=True)
class Attack:
    check: int
    name: str
    code: str
    culprits: tuple[str, ...]
    make: Callable[[Federation], tuple[DecryptionRequest, OwnKnowledge]]


def honest(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    fields = federation.fields()
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties)
    own = OwnKnowledge(
        party_id=federation.parties[0],
        roster=federation.roster,
        session_id=fields.session_id,
        contribution_digest=contributions[0].digest,
    )
    return federation.request(fields, contributions), own


def another_roster(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    fields = federation.fields(roster_digest=digest_of("a roster of the aggregator's own"))
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties)
    own = OwnKnowledge(
        party_id=federation.parties[0], roster=federation.roster, session_id=None, contribution_digest=None
    )
    return federation.request(fields, contributions[1:]), own


def another_query(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    """The others answered a query that the victim never saw, while the victim answered another."""
    _, own = honest(federation)
    fields = federation.fields(body_digest=digest_of("a model on which everyone answers zero"))
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties[1:])
    return federation.request(fields, contributions), own


def unsigned(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    request, own = honest(federation)
    outsider = SigningKey.generate(SeededRandom("outsider"))
    return replace(request, signature=outsider.sign(Label.TRANSCRIPT_SIGNATURE, b"")), own


def same_party_twice(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    """A quorum made of one colluder's many contributions."""
    request, own = honest(federation)
    fields, colluder = request.fields, federation.parties[1]
    many = tuple(federation.contribution(colluder, fields.session_id) for _ in range(4))
    return federation.request(fields, (request.contributions[0], *many)), own


def outside_cohort(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    cohort = tuple(sorted(federation.parties[:4]))
    fields = federation.fields(cohort=cohort)
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties)
    own = OwnKnowledge(
        party_id=federation.parties[0],
        roster=federation.roster,
        session_id=fields.session_id,
        contribution_digest=contributions[0].digest,
    )
    return federation.request(fields, contributions), own


def single_reply(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    request, own = honest(federation)
    return federation.request(request.fields, request.contributions[:1]), own


def swapped_own_contribution(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    """Under the victim's id stands something that the victim signed, but did not send: its key was misused."""
    request, own = honest(federation)
    forged = federation.contribution(own.party_id, request.fields.session_id, values=[0] * 6)
    return federation.request(request.fields, (forged, *request.contributions[1:])), own


def forged_member(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    """The aggregator makes a member's contribution itself: it has no member's key."""
    request, own = honest(federation)
    forged = replace(request.contributions[4], signature=bytes(64))
    return federation.request(request.fields, (*request.contributions[:4], forged)), own


def inverted_copy(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    """A colluder submits the inverse of the victim's ciphertexts, which would cancel the victim's reply."""
    request, own = honest(federation)
    victim, colluder = request.contributions[0], federation.parties[1]
    key = federation.dealing.key.public_key
    inverted = tuple(key.multiply(key.check(c), -1).to_bytes() for c in victim.key_part.ciphertexts)
    key_part = KeyPart(ciphertexts=inverted, proof=victim.key_part.proof)
    mauled = federation.contribution(colluder, request.fields.session_id, key_part=key_part)
    return federation.request(request.fields, (victim, mauled, *request.contributions[2:])), own


ATTACKS = (
    Attack(1, "another roster", "parameter-mismatch", (), another_roster),
    Attack(2, "another query", "equivocation", (), another_query),
    Attack(3, "not signed by the aggregator", "invalid-signature", (), unsigned),
    Attack(4, "the same party twice", "parameter-mismatch", (), same_party_twice),
    Attack(5, "outside the cohort", "not-in-cohort", ("party-5",), outside_cohort),
    Attack(6, "a single reply", "quorum-too-small", (), single_reply),
    Attack(7, "swapped own contribution", "equivocation", (), swapped_own_contribution),
    Attack(8, "a forged member", "invalid-signature", ("party-5",), forged_member),
    Attack(9, "an inverted copy", "invalid-proof", ("party-2",), inverted_copy),
)


def test_verify_request_of_honest_round_opens_the_sum_of_all() -> None:
    federation = make_federation()
    request, own = honest(federation)
    verified = verify_request(request, own, federation.sealing())
    assert isinstance(verified, VerifiedRequest)
    assert verified.contributors == 5
    assert verified.session_id == request.fields.session_id


def test_verify_request_without_own_reply_is_accepted() -> None:
    federation = make_federation()
    request, own = honest(federation)
    late = federation.request(request.fields, request.contributions[1:])
    verified = verify_request(late, own, federation.sealing())
    assert verified.contributors == 4


def test_verify_request_of_another_key_epoch_is_refused() -> None:
    federation = make_federation()
    _, own = honest(federation)
    fields = federation.fields(key_epoch=2)
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties)
    with pytest.raises(CoterieError) as refusal:
        verify_request(federation.request(fields, contributions), own, federation.sealing())
    assert refusal.value.code == "parameter-mismatch"


def test_checks_are_numbered_in_order_and_each_has_an_attack() -> None:
    assert [check.number for check in CHECKS] == [attack.check for attack in ATTACKS] == list(range(1, len(CHECKS) + 1))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_is_refused_with_code_and_culprit(attack: Attack) -> None:
    federation = make_federation()
    request, own = attack.make(federation)
    with pytest.raises(CoterieError) as refusal:
        verify_request(request, own, federation.sealing())
    assert refusal.value.code == attack.code
    assert refusal.value.culprits == attack.culprits


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_without_its_check_succeeds(attack: Attack) -> None:
    federation = make_federation()
    request, own = attack.make(federation)
    others = tuple(check for check in CHECKS if check.number != attack.check)
    verified = verify_request(request, own, federation.sealing(), others)
    assert verified.contributors == len(request.contributions)
