# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from coterie_common.errors import CoterieError
from coterie_common.protocol.encrypted_reply import EncryptedReply, KeyPart
from coterie_common.protocol.padded_part import PaddedDigest, PaddedFacts
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.terms import SealingKind
from coterie_common.protocol.verification.contribution import (
    REPLY_CHECKS,
    check_form,
    verify_reply,
    verify_signature,
)
from tests.support.federation import digest_of, make_federation
from tests.support.powers import power

FEDERATION = make_federation()
FIELDS = FEDERATION.fields()
SESSION = FIELDS.session_id
SENDER = FEDERATION.parties[2]
SEALING = FEDERATION.sealing()
KEY = FEDERATION.dealing.key.public_key
CONTRIBUTION = FEDERATION.contribution(SENDER, SESSION)
REPLY = FEDERATION.reply(CONTRIBUTION, SESSION)


def resealed(key_part: KeyPart, padded: bytes = b"") -> EncryptedReply:
    """A reply with this key part, signed by its sender all the same."""
    return FEDERATION.reply(FEDERATION.signed(SENDER, SESSION, key_part, padded), SESSION)


def inverted() -> EncryptedReply:
    copies = tuple(power(KEY.check(c), -1).to_bytes() for c in CONTRIBUTION.key_part.ciphertexts)
    return resealed(replace(CONTRIBUTION.key_part, ciphertexts=copies))


def of_another() -> EncryptedReply:
    """The key part of another party, under the sender's own name and signature."""
    return resealed(FEDERATION.contribution(FEDERATION.parties[0], SESSION).key_part)


def of_another_session() -> EncryptedReply:
    contribution = FEDERATION.contribution(SENDER, digest_of("another session"))
    return resealed(contribution.key_part)


def with_ciphertexts(*ciphertexts: bytes) -> EncryptedReply:
    return resealed(replace(CONTRIBUTION.key_part, ciphertexts=ciphertexts))


def number(value: int) -> bytes:
    return value.to_bytes(KEY.ciphertext_bytes, "big")


FIRST = CONTRIBUTION.key_part.ciphertexts[0]
PROOF = CONTRIBUTION.key_part.proof


@dataclass(frozen=True)
class Bad:
    check: int
    name: str
    code: str
    make: Callable[[], EncryptedReply]
    padded: bytes = b""


BAD = [
    Bad(1, "another session", "parameter-mismatch", lambda: replace(REPLY, session_id=digest_of("another"))),
    Bad(
        2,
        "not asked",
        "not-in-cohort",
        lambda: FEDERATION.reply(FEDERATION.contribution(FEDERATION.parties[4], SESSION), SESSION),
    ),
    Bad(3, "padded part that nobody signed", "malformed-message", lambda: REPLY, b"four"),
    Bad(3, "padded part of a direct sealing", "malformed-message", lambda: resealed_padded(), b"x"),
    Bad(4, "named padded part is missing", "malformed-message", lambda: resealed(CONTRIBUTION.key_part, b"x")),
    Bad(
        5,
        "signature of another session",
        "invalid-signature",
        lambda: FEDERATION.reply(
            replace(CONTRIBUTION, signature=FEDERATION.contribution(SENDER, digest_of("another")).signature), SESSION
        ),
    ),
    Bad(
        5,
        "no signature",
        "invalid-signature",
        lambda: FEDERATION.reply(replace(CONTRIBUTION, signature=bytes(64)), SESSION),
    ),
    Bad(6, "no ciphertext", "malformed-message", with_ciphertexts),
    Bad(6, "a ciphertext too many", "malformed-message", lambda: with_ciphertexts(FIRST, FIRST)),
    Bad(6, "a ciphertext cut short", "invalid-ciphertext", lambda: with_ciphertexts(FIRST[1:])),
    Bad(6, "zero", "invalid-ciphertext", lambda: with_ciphertexts(number(0))),
    Bad(6, "no unit", "invalid-ciphertext", lambda: with_ciphertexts(number(KEY.modulus))),
    Bad(6, "beyond the modulus", "invalid-ciphertext", lambda: with_ciphertexts(number(KEY.ciphertext_modulus + 1))),
    Bad(7, "an inverted ciphertext", "invalid-proof", inverted),
    Bad(7, "a copy of another party", "invalid-proof", of_another),
    Bad(7, "a copy of another session", "invalid-proof", of_another_session),
    Bad(
        7,
        "a proof cut short",
        "malformed-message",
        lambda: resealed(replace(CONTRIBUTION.key_part, proof=PROOF[:-1])),
    ),
]


def resealed_padded() -> EncryptedReply:
    return resealed(CONTRIBUTION.key_part, b"x")


def facts_of(padded: bytes) -> PaddedFacts:
    digest = PaddedDigest()
    digest.update(padded)
    return digest.facts()


def test_honest_reply_returns_its_ciphertexts():
    ciphertexts = verify_reply(REPLY, facts_of(b""), FIELDS, FEDERATION.roster, SEALING)
    assert tuple(c.to_bytes() for c in ciphertexts) == CONTRIBUTION.key_part.ciphertexts


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_reply_with_one_thing_wrong_names_its_sender(bad):
    reply = bad.make()
    fields = replace(FIELDS, cohort=FIELDS.cohort[:4]) if bad.check == 2 else FIELDS
    if bad.check == 2:
        reply = replace(reply, session_id=fields.session_id)
    with pytest.raises(CoterieError) as refusal:
        verify_reply(reply, facts_of(bad.padded), fields, FEDERATION.roster, SEALING)
    assert refusal.value.code == bad.code
    assert refusal.value.culprits == (reply.contribution.party_id,)


PADDED = replace(FEDERATION.terms(), sealing=SealingKind.PADDED)


def padded_reply() -> tuple[EncryptedReply, bytes, SessionFields]:
    """An honest reply to a round whose vectors are padded, with its padded part."""
    fields = FEDERATION.fields(terms=PADDED)
    sealed = FEDERATION.sealing(PADDED).seal(np.arange(6, dtype=np.int64), fields.session_id, SENDER, FEDERATION.random)
    contribution = FEDERATION.signed(SENDER, fields.session_id, sealed.key_part, sealed.padded)
    return FEDERATION.reply(contribution, fields.session_id), sealed.padded, fields


def test_honest_padded_reply_returns_the_ciphertexts_of_its_key():
    reply, padded, fields = padded_reply()
    ciphertexts = verify_reply(reply, facts_of(padded), fields, FEDERATION.roster, FEDERATION.sealing(PADDED))
    assert tuple(c.to_bytes() for c in ciphertexts) == reply.contribution.key_part.ciphertexts


@pytest.mark.parametrize(
    "spoil",
    [lambda padded: b"", lambda padded: padded[:-4], lambda padded: padded + bytes(4), lambda padded: bytes(24)],
    ids=["missing", "a value short", "a value too many", "another"],
)
def test_reply_with_another_padded_part_than_it_names_is_malformed(spoil):
    reply, padded, fields = padded_reply()
    with pytest.raises(CoterieError) as refusal:
        verify_reply(reply, facts_of(spoil(padded)), fields, FEDERATION.roster, FEDERATION.sealing(PADDED))
    assert refusal.value.code == "malformed-message"
    assert refusal.value.culprits == (SENDER,)


def test_direct_reply_to_a_padded_round_is_malformed():
    fields = FEDERATION.fields(terms=PADDED)
    contribution = FEDERATION.contribution(SENDER, fields.session_id)
    with pytest.raises(CoterieError) as refusal:
        check_form(contribution, FEDERATION.sealing(PADDED))
    assert refusal.value.code == "malformed-message"


def test_every_numbered_check_is_exercised():
    numbers = [check.number for check in REPLY_CHECKS]
    assert numbers == list(range(1, len(REPLY_CHECKS) + 1))
    assert {bad.check for bad in BAD} == set(numbers)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_signature_with_a_padded_digest_of_another_length_is_malformed(length):
    with pytest.raises(CoterieError) as refusal:
        verify_signature(replace(CONTRIBUTION, padded_digest=bytes(length)), SESSION, FEDERATION.roster)
    assert refusal.value.code == "malformed-message"
    assert refusal.value.culprits == ()


def test_signature_of_somebody_who_is_no_member_raises():
    stranger = replace(CONTRIBUTION, party_id="stranger")  # type: ignore[arg-type]  # as it could come from outside
    with pytest.raises(CoterieError) as refusal:
        verify_signature(stranger, SESSION, FEDERATION.roster)
    assert refusal.value.code == "not-in-cohort"
    assert refusal.value.culprits == ()


def test_contribution_that_its_party_did_not_sign_is_held_against_nobody():
    # Whoever brings it may have made it.
    for forged in (replace(CONTRIBUTION, signature=bytes(64)), replace(CONTRIBUTION, party_id=FEDERATION.parties[1])):
        with pytest.raises(CoterieError) as refusal:
            verify_signature(forged, SESSION, FEDERATION.roster)
        assert (refusal.value.code, refusal.value.culprits) == ("invalid-signature", ())


def test_form_with_a_padded_part_that_belongs_to_no_sum_is_malformed():
    padded = FEDERATION.signed(SENDER, SESSION, CONTRIBUTION.key_part, b"x")
    with pytest.raises(CoterieError) as refusal:
        check_form(padded, SEALING)
    assert refusal.value.code == "malformed-message"
    assert refusal.value.culprits == (SENDER,)
