# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import Contribution, KeyPart
from coterie_common.protocol.transcript import transcript_digest
from tests.support.federation import digest_of

SESSION = digest_of("session")
KEY_PART = KeyPart(ciphertexts=(b"one", b"two"), proof=b"proof")
CONTRIBUTIONS = tuple(
    Contribution(party_id=PartyId(name), key_part=KEY_PART, padded_digest=digest_of(name), signature=bytes(64))
    for name in ("alpha", "beta", "gamma")
)
DIGEST = transcript_digest(SESSION, CONTRIBUTIONS)


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
def test_transcript_with_other_contributions_differs(contributions: tuple[Contribution, ...]) -> None:
    assert transcript_digest(SESSION, contributions) != DIGEST


def test_transcript_of_another_session_differs() -> None:
    assert transcript_digest(digest_of("another session"), CONTRIBUTIONS) != DIGEST


def test_transcript_does_not_hang_on_the_signatures() -> None:
    # Two valid signatures of one party on the same reply make no second sum, so no second transcript either.
    resigned = tuple(replace(contribution, signature=b"x" * 64) for contribution in CONTRIBUTIONS)
    assert transcript_digest(SESSION, resigned) == DIGEST
