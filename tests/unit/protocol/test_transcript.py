# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.messages import DecryptionRequest
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from tests.support.federation import digest_of, make_federation

FIELDS = make_federation().fields()
KEY_PART = KeyPart(ciphertexts=(b"one", b"two"), proof=b"proof")
CONTRIBUTIONS = tuple(
    Contribution(party_id=PartyId(name), key_part=KEY_PART, padded_digest=digest_of(name), signature=bytes(64))
    for name in ("alpha", "beta", "gamma")
)


def transcript_digest(fields: SessionFields, contributions: tuple[Contribution, ...]) -> bytes:
    return DecryptionRequest(fields=fields, contributions=contributions, signature=UNSIGNED).transcript_digest


DIGEST = transcript_digest(FIELDS, CONTRIBUTIONS)


def with_first(contribution: Contribution) -> tuple[Contribution, ...]:
    return (contribution, *CONTRIBUTIONS[1:])


FIRST = CONTRIBUTIONS[0]


@pytest.mark.parametrize(
    "contributions",
    [
        (),
        CONTRIBUTIONS[:2],
        CONTRIBUTIONS[1:],
        (*CONTRIBUTIONS, FIRST),
        tuple(reversed(CONTRIBUTIONS)),
        with_first(replace(FIRST, party_id=PartyId("delta"))),
        with_first(replace(FIRST, padded_digest=digest_of("other"))),
        with_first(replace(FIRST, key_part=replace(KEY_PART, proof=b"other"))),
        with_first(replace(FIRST, key_part=replace(KEY_PART, ciphertexts=(b"two", b"one")))),
        with_first(replace(FIRST, key_part=replace(KEY_PART, ciphertexts=(b"onet", b"wo")))),
        with_first(replace(FIRST, key_part=KeyPart(ciphertexts=(b"one",), proof=b"twoproof"))),
    ],
)
def test_transcript_with_other_contributions_differs(contributions):
    assert transcript_digest(FIELDS, contributions) != DIGEST


def test_transcript_of_another_session_differs():
    assert transcript_digest(replace(FIELDS, body_digest=digest_of("another body")), CONTRIBUTIONS) != DIGEST


def test_transcript_does_not_hang_on_the_signatures():
    # Two valid signatures of one party on the same reply make no second sum, so no second transcript either.
    resigned = tuple(replace(contribution, signature=b"x" * 64) for contribution in CONTRIBUTIONS)
    assert transcript_digest(FIELDS, resigned) == DIGEST
