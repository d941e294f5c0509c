# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every way to seal a vector must do behind the one interface; a new one is tested by its name in the terms."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.crypto import threshold
from coterie_common.errors import InvalidProof, MalformedMessage, PlaintextOutOfRange
from coterie_common.protocol.messages import Contribution
from coterie_common.protocol.sealing.choice import make_sealing
from coterie_common.protocol.sealing.direct import SealedVector, Sealing
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import SealingKind
from tests.support.federation import digest_of, make_federation, with_encoding
from tests.support.noise import gaussian
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key
PARTIES = FEDERATION.parameters.parties
PARTY, OTHER = FEDERATION.parties[:2]
SESSION = digest_of("session")
LENGTH = 2100
"""A block of a pad, and some more."""
NOISE = FEDERATION.terms().noise
# Shares of a standard deviation of 64: a pad needs no errors besides, and every sum is exact.
TERMS = replace(
    with_encoding(FEDERATION.terms(), length=LENGTH),
    noise=replace(gaussian(NOISE), variance=4096 * Fraction(NOISE.shares)),
)
LOWER, UPPER = TERMS.encoding.contribution_range(TERMS.noise)


@pytest.fixture(params=SealingKind, ids=str)
def sealing(request: pytest.FixtureRequest) -> Sealing:
    return make_sealing(replace(TERMS, sealing=request.param), PARTIES, FEDERATION.encryptor)


def vector(seed: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64(seed)).integers(LOWER, UPPER, LENGTH, endpoint=True)


def seal(sealing: Sealing, values: NDArray[np.int64], seed: str = "seal") -> SealedVector:
    return sealing.seal(values, SESSION, PARTY, SeededRandom(seed))


def contribution(sealed: SealedVector) -> Contribution:
    return Contribution(
        party_id=PARTY, key_part=sealed.key_part, padded_digest=sealed.padded_digest, signature=UNSIGNED
    )


def opened(sealing: Sealing, sealed: list[SealedVector]) -> list[int]:
    """What the aggregator makes of sealed vectors."""
    padded_sum = sealing.new_padded_sum(SESSION)
    for one in sealed:
        sealing.check_padded(len(one.padded))
        sealing.check_padded_digest(one.padded_digest)
        padded_sum.add(one.padded)
    total = sealing.add([sealing.check_ciphertexts(one.key_part) for one in sealed])
    shares = FEDERATION.dealing.shares[: KEY.decryption_threshold]
    partials = {share.index: threshold.partial_decrypt(KEY, share, total) for share in shares}
    values: list[int] = sealing.open(threshold.combine(KEY, partials), len(sealed), padded_sum).tolist()
    return values


def test_every_sealing_is_that_of_one_kind_of_terms():
    made = [type(make_sealing(replace(TERMS, sealing=kind), PARTIES, FEDERATION.encryptor)) for kind in SealingKind]
    assert len(set(made)) == len(made)
    # Benchmarks, which other tests import, have one of their own.
    ours = {kind for kind in Sealing.__subclasses__() if kind.__module__.startswith("coterie_common.")}
    assert set(made) == ours


@pytest.mark.parametrize("contributors", [1, PARTIES])
def test_open_of_the_sum_is_the_sum_of_what_was_sealed(sealing, contributors):
    vectors = [vector(seed) for seed in range(contributors)]
    sealed = [seal(sealing, values, f"seal {seed}") for seed, values in enumerate(vectors)]
    assert opened(sealing, sealed) == np.sum(vectors, axis=0).tolist()


@pytest.mark.parametrize("extreme", [LOWER, UPPER])
def test_sum_of_extremes_of_all_parties_does_not_overflow(sealing, extreme):
    values = np.full(LENGTH, extreme, np.int64)
    sealed = [seal(sealing, values, f"seal {party}") for party in FEDERATION.parties]
    assert opened(sealing, sealed) == [PARTIES * extreme] * LENGTH


def test_vector_sealed_in_pieces_opens_as_one(sealing):
    values, parts = vector(1), list[bytes]()
    pieces = (values[:2048], values[2048:])
    key_part, digest = sealing.seal_pieces(pieces, SESSION, PARTY, SeededRandom("seal"), parts.append)
    assert opened(sealing, [SealedVector(key_part, b"".join(parts), digest)]) == values.tolist()


def test_sealing_twice_gives_different_ciphertexts(sealing):
    random = SeededRandom("one stream")
    one, other = (sealing.seal(vector(1), SESSION, PARTY, random).key_part.ciphertexts for _ in range(2))
    assert set(one).isdisjoint(other)


@pytest.mark.parametrize("value", [LOWER - 1, UPPER + 1, -(2**63), 2**63 - 1])
def test_seal_of_a_value_outside_its_range_raises(sealing, value):
    values = vector(1)
    values[-1] = value
    with pytest.raises(PlaintextOutOfRange) as refusal:
        seal(sealing, values)
    assert refusal.value.code == "plaintext-out-of-range"
    assert str(value) not in refusal.value.message


@pytest.mark.parametrize("length", [0, LENGTH - 1, LENGTH + 1])
def test_seal_of_another_length_raises(sealing, length):
    with pytest.raises(PlaintextOutOfRange):
        seal(sealing, np.zeros(length, np.int64))


def test_key_part_with_another_number_of_ciphertexts_is_malformed(sealing):
    key_part = seal(sealing, vector(1)).key_part
    for ciphertexts in ((), key_part.ciphertexts[1:], key_part.ciphertexts + key_part.ciphertexts[:1]):
        with pytest.raises(MalformedMessage):
            sealing.check_ciphertexts(replace(key_part, ciphertexts=ciphertexts))


def test_padded_part_of_another_length_is_malformed(sealing):
    padded = seal(sealing, vector(1)).padded
    for size in {0, len(padded) - 4, len(padded) + 1, len(padded) + 4} - {len(padded), -4}:
        with pytest.raises(MalformedMessage):
            sealing.check_padded(size)


def test_knowledge_holds_for_its_session_party_and_padded_part_only(sealing):
    made = contribution(seal(sealing, vector(1)))
    ciphertexts = sealing.check_ciphertexts(made.key_part)
    sealing.verify_knowledge(made, ciphertexts, SESSION)
    sealing.verify_knowledge_together([made], [ciphertexts], SESSION, SeededRandom("weights"))
    for wrong, session_id in (
        (made, digest_of("another session")),
        (replace(made, party_id=OTHER), SESSION),
        (replace(made, padded_digest=digest_of("another padded part")), SESSION),
    ):
        with pytest.raises(InvalidProof) as alone:
            sealing.verify_knowledge(wrong, ciphertexts, session_id)
        with pytest.raises(InvalidProof) as together:
            sealing.verify_knowledge_together([wrong], [ciphertexts], session_id, SeededRandom("weights"))
        assert alone.value.culprits == together.value.culprits == (wrong.party_id,)


def test_knowledge_with_a_proof_of_another_length_names_its_sender(sealing):
    made = contribution(seal(sealing, vector(1)))
    wrong = replace(made, key_part=replace(made.key_part, proof=made.key_part.proof + b"\0"))
    with pytest.raises(MalformedMessage) as refusal:
        sealing.verify_knowledge(wrong, sealing.check_ciphertexts(made.key_part), SESSION)
    assert refusal.value.culprits == (PARTY,)
