# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie_common.crypto import threshold
from coterie_common.crypto.pads.pad import ERROR_BOUND, key_packing
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import (
    CapacityExceeded,
    InvalidPadKey,
    InvalidProof,
    MalformedMessage,
    PlaintextOutOfRange,
    StateError,
)
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedSum, padded_digest
from coterie_common.protocol.sealing.direct import DirectSealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.padded import PaddedSealing
from coterie_common.protocol.sealing.sealing import SealedVector
from coterie_common.protocol.signed import UNSIGNED
from tests.support.federation import digest_of, make_federation, with_encoding
from tests.support.noise import gaussian, noise_terms
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key
PARTIES = FEDERATION.parameters.parties
PARTY = FEDERATION.parties[0]
SESSION = digest_of("session")
TERMS = FEDERATION.terms()
LENGTH = 5000
KEY_PLAINTEXTS = key_packing(PARTIES, KEY.public_key.plaintext_bits).plaintexts

NARROW = TERMS.noise
"""Shares of a standard deviation of 12: errors are drawn."""
WIDE = replace(gaussian(NARROW), variance=Fraction(4096) * NARROW.shares)
"""Shares of a standard deviation of 64: they are the errors."""
NO_NOISE = noise_terms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.NONE, shares=1)


def make_sealing(length: int = LENGTH, noise: NoiseTerms = NARROW, **encoding: int) -> PaddedSealing:
    terms = replace(with_encoding(TERMS, length=length, **encoding), noise=noise)
    return PaddedSealing(terms, PARTIES, FEDERATION.encryptor)


SEALING = make_sealing()
EXACT = make_sealing(noise=WIDE)


def vector(seed: int, length: int = LENGTH) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 400, length, endpoint=True)


def seal(values: NDArray[np.int64], sealing: EncryptedSealing = SEALING, seed: str = "seal") -> SealedVector[KeyPart]:
    return sealing.seal(values, SESSION, PARTY, SeededRandom(seed))


def decrypt(ciphertexts: tuple[Ciphertext, ...]) -> tuple[int, ...]:
    shares = FEDERATION.dealing.shares[: KEY.decryption_threshold]
    partials = {share.index: threshold.partial_decrypt(KEY, share, ciphertexts) for share in shares}
    return threshold.combine(KEY, ciphertexts, partials)


def add_up(sealing: EncryptedSealing, sealed: Sequence[SealedVector[KeyPart]]) -> tuple[tuple[int, ...], PaddedSum]:
    """What the aggregator does between collecting and opening."""
    padded_sum = sealing.new_padded_sum(SESSION)
    for one in sealed:
        sealing.check_padded(len(one.padded))
        padded_sum.add(one.padded)
    total = sealing.add([sealing.check_ciphertexts(one.key_part) for one in sealed])
    return decrypt(total), padded_sum


@settings(max_examples=6)
@given(
    st.integers(1, 9000) | st.sampled_from([2047, 2048, 2049]),
    st.integers(1, PARTIES),
    st.sampled_from([NARROW, WIDE, NO_NOISE]),
    st.integers(0, 2**32),
)
def test_open_of_the_sum_is_the_sum_of_what_was_sealed_and_of_bounded_errors(length, contributors, noise, seed):
    sealing = make_sealing(length, noise)
    vectors = [vector(seed + party, length) for party in range(contributors)]
    sealed = [seal(values, sealing, f"{seed} {party}") for party, values in enumerate(vectors)]
    plaintexts, padded_sum = add_up(sealing, sealed)
    errors = sealing.open(plaintexts, contributors, padded_sum) - sum(vectors)
    assert np.abs(errors).max() <= (0 if noise is WIDE else ERROR_BOUND * contributors)


@settings(max_examples=5)
@given(st.integers(1, 40), st.integers(1, PARTIES), st.integers(0, 2**32))
def test_both_sealings_behind_the_interface_open_to_the_same(length, contributors, seed):
    terms = replace(with_encoding(TERMS, length=length), noise=WIDE)
    vectors = [vector(seed + party, length) for party in range(contributors)]
    opened = []
    for kind in (DirectSealing, PaddedSealing):
        sealing: EncryptedSealing = kind(terms, PARTIES, FEDERATION.encryptor)
        sealed = [seal(values, sealing, f"{seed} {party}") for party, values in enumerate(vectors)]
        plaintexts, padded_sum = add_up(sealing, sealed)
        opened.append(sealing.open(plaintexts, contributors, padded_sum).tolist())
    assert opened[0] == opened[1] == np.sum(vectors, axis=0).tolist()


def test_sum_without_a_party_that_is_missing_opens():
    vectors = [vector(party) for party in range(PARTIES)]
    sealed = [seal(values, EXACT, f"party {party}") for party, values in enumerate(vectors)]
    plaintexts, padded_sum = add_up(EXACT, sealed[1:])
    assert np.array_equal(EXACT.open(plaintexts, PARTIES - 1, padded_sum), sum(vectors[1:]))


@pytest.mark.parametrize("sign", [-1, 1])
def test_sum_of_extremes_of_all_parties_does_not_wrap(sign):
    # The most that capacity allows here.
    maximum = (2**31 - 1 - NARROW.sum_tail(PARTIES) - PARTIES * ERROR_BOUND) // PARTIES
    sealing = make_sealing(3000, lower=-maximum, upper=maximum, scale_bits=0)
    extreme = np.full(3000, sign * (maximum + NARROW.share_tail() // 4), dtype=np.int64)
    sealed = [seal(extreme, sealing, f"party {party}") for party in range(PARTIES)]
    plaintexts, padded_sum = add_up(sealing, sealed)
    errors = sealing.open(plaintexts, PARTIES, padded_sum) - PARTIES * extreme
    assert np.abs(errors).max() <= ERROR_BOUND * PARTIES
    with pytest.raises(CapacityExceeded, match="32 bits"):
        make_sealing(3000, lower=-maximum - 1, upper=maximum, scale_bits=0)


def test_padded_part_has_four_bytes_a_value_and_key_part_the_same_size_for_any_length():
    short, long = seal(vector(1, 10), make_sealing(10)), seal(vector(1, 50_000), make_sealing(50_000))
    assert (len(short.padded), len(long.padded)) == (40, 200_000)
    assert len(short.key_part.ciphertexts) == len(long.key_part.ciphertexts) == KEY_PLAINTEXTS


def test_sealing_twice_gives_another_key_and_another_padded_part():
    random = SeededRandom("one stream")
    one, other = (SEALING.seal(vector(1), SESSION, PARTY, random) for _ in range(2))
    numbers = [np.frombuffer(sealed.padded, "<u4") for sealed in (one, other)]
    assert one.key_part.ciphertexts != other.key_part.ciphertexts
    assert np.mean(numbers[0] == numbers[1]) < 0.01


def test_padded_part_of_another_session_does_not_open():
    plaintexts, padded_sum = add_up(EXACT, [seal(vector(1), EXACT)])
    other = PaddedSum(digest_of("another session"), LENGTH)
    other.values[:] = padded_sum.values
    with pytest.raises(PlaintextOutOfRange) as caught:
        EXACT.open(plaintexts, 1, other)
    assert caught.value.code == "plaintext-out-of-range"


def test_knowledge_holds_for_its_session_party_and_padded_part_only():
    sealed = seal(vector(1))
    ciphertexts = SEALING.check_ciphertexts(sealed.key_part)
    padded = sealed.padded_digest
    assert padded == padded_digest(sealed.padded)
    made = Contribution(party_id=PARTY, key_part=sealed.key_part, padded_digest=padded, signature=UNSIGNED)
    SEALING.verify_knowledge(made, ciphertexts, SESSION)
    for session_id, party_id, digest in (
        (digest_of("another session"), PARTY, padded),
        (SESSION, FEDERATION.parties[1], padded),
        (SESSION, PARTY, NOTHING_PADDED),
        (SESSION, PARTY, padded_digest(sealed.padded[:-1] + b"\0")),
    ):
        with pytest.raises(InvalidProof) as refusal:
            SEALING.verify_knowledge(replace(made, party_id=party_id, padded_digest=digest), ciphertexts, session_id)
        assert refusal.value.code == "invalid-proof"


# Piece by piece.


@pytest.mark.parametrize("piece", [2048, 2 * 2048, LENGTH])
def test_vector_sealed_in_pieces_is_sealed_as_at_once(piece):
    written: list[bytes] = []
    pieces = (vector(1)[start : start + piece] for start in range(0, LENGTH, piece))
    key_part, digest = EXACT.seal_pieces(pieces, SESSION, PARTY, SeededRandom("seal"), written.append)
    assert SealedVector(key_part, b"".join(written), digest) == seal(vector(1), EXACT)
    assert len(written) == -(-LENGTH // piece)


def test_vector_is_drawn_and_written_piece_by_piece():
    events: list[str] = []

    def pieces() -> object:
        for start in range(0, LENGTH, 2048):
            events.append("drawn")
            yield vector(1)[start : start + 2048]

    EXACT.seal_pieces(pieces(), SESSION, PARTY, SeededRandom("seal"), lambda _: events.append("written"))  # type: ignore[arg-type]  # a generator
    assert events == ["drawn", "written"] * 3


@pytest.mark.parametrize(
    "lengths", [(), (4096,), (4096, 903), (4096, 905), (4096, 904, 1), (LENGTH, 0), (100, 4900), (2049, 2951)]
)
def test_pieces_that_are_not_one_vector_raise(lengths):
    pieces = [np.zeros(length, np.int64) for length in lengths]
    with pytest.raises(PlaintextOutOfRange) as refusal:
        EXACT.seal_pieces(pieces, SESSION, PARTY, SeededRandom("seal"), lambda _: None)
    assert refusal.value.code == "plaintext-out-of-range"


def test_sum_opened_in_pieces_is_the_sum_opened_at_once():
    length = 2**20 + 3000
    sealing = make_sealing(length, WIDE)
    plaintexts, padded_sum = add_up(sealing, [seal(vector(1, length), sealing)])
    pieces = list(sealing.open_pieces(plaintexts, 1, padded_sum))
    assert [len(piece) for piece in pieces] == [2**20, 3000]
    assert np.array_equal(np.concatenate(pieces), vector(1, length))
    assert np.array_equal(sealing.open(plaintexts, 1, padded_sum), vector(1, length))


# What is refused.


@pytest.mark.parametrize("value", [-NARROW.share_tail() - 1, 401 + NARROW.share_tail(), -(2**63), 2**63 - 1, 2**32])
def test_seal_of_a_value_outside_its_range_raises(value):
    values = vector(1)
    values[4321] = value
    with pytest.raises(PlaintextOutOfRange) as refusal:
        seal(values)
    assert refusal.value.code == "plaintext-out-of-range"
    assert str(value) not in refusal.value.message


@pytest.mark.parametrize(
    "values",
    [np.zeros(0, np.int64), np.zeros(LENGTH - 1, np.int64), np.zeros(LENGTH + 1, np.int64), np.zeros(LENGTH)],
    ids=["empty", "short", "long", "float"],
)
def test_seal_of_another_length_or_type_raises(values):
    with pytest.raises(PlaintextOutOfRange):
        seal(values)


@pytest.mark.parametrize("count", [0, KEY_PLAINTEXTS - 1, KEY_PLAINTEXTS + 1])
def test_key_part_with_another_number_of_ciphertexts_is_malformed(count):
    key_part = seal(vector(1)).key_part
    with pytest.raises(MalformedMessage, match=f"{count} ciphertexts instead of {KEY_PLAINTEXTS}"):
        SEALING.check_ciphertexts(replace(key_part, ciphertexts=(key_part.ciphertexts * 2)[:count]))


@pytest.mark.parametrize("size", [0, 4 * LENGTH - 1, 4 * LENGTH + 1, 4 * LENGTH - 4, 4 * LENGTH + 4])
def test_padded_part_of_another_length_is_malformed(size):
    with pytest.raises(MalformedMessage, match=f"{size} bytes instead of {4 * LENGTH}") as refusal:
        SEALING.check_padded(size)
    assert refusal.value.code == "malformed-message"


def test_contribution_that_names_no_padded_part_is_malformed():
    SEALING.check_padded_digest(digest_of("something padded"))
    with pytest.raises(MalformedMessage, match="no padded part"):
        SEALING.check_padded_digest(NOTHING_PADDED)


def test_direct_sealing_has_no_padded_part():
    direct = FEDERATION.sealing()
    direct.check_padded_digest(NOTHING_PADDED)
    with pytest.raises(MalformedMessage, match="has a padded part"):
        direct.check_padded_digest(digest_of("something padded"))
    direct.check_padded(0)
    with pytest.raises(MalformedMessage):
        direct.check_padded(4)
    with pytest.raises(StateError, match="no padded sum"):
        direct.open((0,), 1, PaddedSum(SESSION, 1))


def key_part_of(plaintexts: tuple[int, ...]) -> KeyPart:
    """What a party sends that encrypts something else than a key, and knows it."""
    return EXACT._seal_plaintexts(plaintexts, SESSION, PARTY, NOTHING_PADDED, SeededRandom("forged"))


def forged_key(number: int) -> tuple[int, ...]:
    """A packed vector that is no key: ``number`` throughout."""
    slots = key_packing(PARTIES, KEY.public_key.plaintext_bits)
    wide = replace(slots, lower=-64, upper=number, max_contributors=1)
    assert wide.slot_bits <= slots.slot_bits
    packed = 0
    for _ in range(slots.slots_per_plaintext):
        packed = (packed << slots.slot_bits) + number + 64
    return (packed,) * slots.plaintexts


@pytest.mark.parametrize(
    "forged",
    [forged_key(400), (KEY.public_key.plaintext_modulus // 2,) * KEY_PLAINTEXTS, (1 << 508,) * KEY_PLAINTEXTS],
    ids=["beyond-12-deviations", "half-the-modulus", "beyond-the-slots"],
)
def test_open_with_a_key_part_that_is_no_key_raises(forged):
    honest = seal(vector(1), EXACT)
    plaintexts, padded_sum = add_up(EXACT, [honest, replace(honest, key_part=key_part_of(forged))])
    with pytest.raises(InvalidPadKey) as refusal:
        EXACT.open(plaintexts, 2, padded_sum)
    assert (refusal.value.code, refusal.value.culprits) == ("invalid-pad-key", ())
    with pytest.raises(InvalidPadKey):
        EXACT.open_pieces(plaintexts, 2, padded_sum)


@pytest.mark.parametrize("contributors", [0, PARTIES + 1])
def test_open_for_another_number_of_contributors_than_possible_raises(contributors):
    plaintexts, padded_sum = add_up(EXACT, [seal(vector(1), EXACT)])
    with pytest.raises(StateError):
        EXACT.open(plaintexts, contributors, padded_sum)


def test_open_without_the_padded_sum_or_all_plaintexts_raises():
    plaintexts, padded_sum = add_up(EXACT, [seal(vector(1), EXACT)])
    for fewer, padded in ((plaintexts, None), (plaintexts, PaddedSum(SESSION, 1)), (plaintexts[1:], padded_sum)):
        with pytest.raises(StateError) as refusal:
            EXACT.open(fewer, 1, padded)
        assert refusal.value.code == "state"


def test_open_with_the_key_of_another_pad_finds_values_that_no_replies_add_up_to():
    honest, other = seal(vector(1), seed="honest"), seal(vector(2), seed="other")
    # A key like any other, whose proof would hold: but not the one that covers the vector.
    mixed = replace(seal(vector(3), seed="mixed"), padded=other.padded)
    plaintexts, padded_sum = add_up(SEALING, [honest, mixed])
    with pytest.raises(PlaintextOutOfRange, match="a sum of 2 replies has a value outside") as caught:
        SEALING.open(plaintexts, 2, padded_sum)
    assert caught.value.code == "plaintext-out-of-range"
