# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common.crypto import threshold
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import InvalidCiphertext, InvalidProof, MalformedMessage, PlaintextOutOfRange
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.padded_part import NOTHING_PADDED
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.signed import UNSIGNED
from tests.support.federation import digest_of, make_federation, with_values
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key
SEALING = FEDERATION.sealing()
SESSION = digest_of("session")
PARTY = FEDERATION.parties[0]
TAIL = FEDERATION.terms().noise.share_tail()
LOWER, UPPER = -TAIL, 400 + TAIL


def decrypt(ciphertexts: tuple[Ciphertext, ...]) -> tuple[int, ...]:
    shares = FEDERATION.dealing.shares[: KEY.decryption_threshold]
    partials = {share.index: threshold.partial_decrypt(KEY, share, ciphertexts) for share in shares}
    return threshold.combine(KEY, ciphertexts, partials)


def seal(exact: list[int], sealing: EncryptedSealing = SEALING) -> KeyPart:
    return sealing.seal(np.array(exact, np.int64), SESSION, PARTY, SeededRandom("seal")).key_part


@settings(max_examples=25)
@given(st.data(), st.integers(1, 60), st.integers(1, 5))
def test_open_of_the_sum_is_the_sum_of_what_was_sealed(data, length, contributors):
    sealing = FEDERATION.sealing(with_values(FEDERATION.terms(length), l0=1))
    vectors = st.lists(st.integers(LOWER, UPPER), min_size=length, max_size=length)
    exact = [data.draw(vectors) for _ in range(contributors)]
    sealed = [sealing.check_ciphertexts(seal(vector, sealing)) for vector in exact]
    opened = sealing.open(decrypt(sealing.add(sealed)), contributors)
    assert opened.tolist() == np.sum(exact, axis=0).tolist()


@pytest.mark.parametrize("extreme", [LOWER, UPPER])
def test_sum_of_extremes_of_all_parties_does_not_overflow(extreme):
    sealed = [SEALING.check_ciphertexts(seal([extreme] * 6)) for _ in range(5)]
    assert SEALING.open(decrypt(SEALING.add(sealed)), 5).tolist() == [5 * extreme] * 6


@pytest.mark.parametrize("value", [LOWER - 1, UPPER + 1, -(2**63), 2**63 - 1])
def test_seal_of_a_value_outside_its_range_raises(value):
    with pytest.raises(PlaintextOutOfRange) as refusal:
        seal([0, 0, value, 0, 0, 0])
    assert refusal.value.code == "plaintext-out-of-range"
    assert str(value) not in refusal.value.message


@pytest.mark.parametrize("length", [0, 5, 7])
def test_seal_of_another_length_raises(length):
    with pytest.raises(PlaintextOutOfRange):
        seal([0] * length)


def test_sealing_twice_gives_different_ciphertexts():
    random = SeededRandom("one stream")
    vector = np.zeros(6, np.int64)
    one, other = (SEALING.seal(vector, SESSION, PARTY, random).key_part for _ in range(2))
    assert one.ciphertexts != other.ciphertexts


def test_sealed_vector_has_nothing_padded():
    assert SEALING.seal(np.zeros(6, np.int64), SESSION, PARTY, SeededRandom("seal")).padded == b""


@pytest.mark.parametrize("count", [0, 2])
def test_key_part_with_another_number_of_ciphertexts_is_malformed(count):
    key_part = seal([1] * 6)
    with pytest.raises(MalformedMessage, match=f"{count} ciphertexts instead of 1"):
        SEALING.check_ciphertexts(replace(key_part, ciphertexts=key_part.ciphertexts * count))


def test_key_part_with_a_ciphertext_of_another_length_is_malformed_or_invalid():
    key_part = seal([1] * 6)
    (ciphertext,) = key_part.ciphertexts
    for wrong in (ciphertext[1:], b"\0" + ciphertext, b""):
        with pytest.raises((MalformedMessage, InvalidCiphertext)):
            SEALING.check_ciphertexts(replace(key_part, ciphertexts=(wrong,)))


@pytest.mark.parametrize("value", [0, KEY.public_key.modulus, KEY.public_key.ciphertext_modulus])
def test_key_part_with_a_number_that_is_no_ciphertext_is_invalid(value):
    octets = value.to_bytes(KEY.public_key.ciphertext_bytes, "big")
    with pytest.raises(InvalidCiphertext) as refusal:
        SEALING.check_ciphertexts(replace(seal([1] * 6), ciphertexts=(octets,)))
    assert refusal.value.code == "invalid-ciphertext"


def contribution(party_id: PartyId = PARTY) -> Contribution:
    key_part = SEALING.seal(np.array([1] * 6), SESSION, party_id, SeededRandom(party_id)).key_part
    return Contribution(party_id=party_id, key_part=key_part, padded_digest=NOTHING_PADDED, signature=UNSIGNED)


def with_proof(made: Contribution, proof: bytes) -> Contribution:
    return replace(made, key_part=replace(made.key_part, proof=proof))


def test_knowledge_holds_for_its_session_party_and_padded_part_only():
    made = contribution()
    ciphertexts = SEALING.check_ciphertexts(made.key_part)
    SEALING.verify_knowledge(made, ciphertexts, SESSION)
    for session_id, party_id, padded in (
        (digest_of("another session"), PARTY, NOTHING_PADDED),
        (SESSION, FEDERATION.parties[1], NOTHING_PADDED),
        (SESSION, PARTY, digest_of("something padded")),
    ):
        with pytest.raises(InvalidProof) as refusal:
            SEALING.verify_knowledge(replace(made, party_id=party_id, padded_digest=padded), ciphertexts, session_id)
        assert (refusal.value.code, refusal.value.culprits) == ("invalid-proof", (party_id,))


def test_knowledge_of_other_ciphertexts_raises():
    made = contribution()
    others = tuple(KEY.public_key.add([c, c]) for c in SEALING.check_ciphertexts(made.key_part))
    with pytest.raises(InvalidProof):
        SEALING.verify_knowledge(made, others, SESSION)


@pytest.mark.parametrize("wrong", [b"", b"\0"])
def test_knowledge_with_a_proof_of_another_length_is_malformed(wrong):
    made = contribution()
    ciphertexts = SEALING.check_ciphertexts(made.key_part)
    with pytest.raises(MalformedMessage) as refusal:
        SEALING.verify_knowledge(with_proof(made, made.key_part.proof[:-1] + wrong * 2), ciphertexts, SESSION)
    assert refusal.value.culprits == (PARTY,)


def verify_together(
    made: list[Contribution], session_id: bytes = SESSION, ciphertexts: list[tuple[Ciphertext, ...]] | None = None
) -> None:
    own = ciphertexts or [SEALING.check_ciphertexts(each.key_part) for each in made]
    SEALING.verify_knowledge_together(made, own, session_id, SeededRandom("weights"))


def contributions() -> list[Contribution]:
    return [contribution(party_id) for party_id in FEDERATION.parties]


def test_knowledge_of_all_parties_holds_together():
    verify_together(contributions())


def test_knowledge_together_holds_for_its_session_parties_and_padded_parts_only():
    with pytest.raises(InvalidProof) as refusal:
        verify_together(contributions(), digest_of("another session"))
    assert refusal.value.culprits == (PARTY,)
    for position, party_id in enumerate(FEDERATION.parties):
        made = contributions()
        made[position] = replace(made[position], padded_digest=digest_of("something padded"))
        with pytest.raises(InvalidProof) as refusal:
            verify_together(made)
        assert refusal.value.culprits == (party_id,)
        made = contributions()
        ciphertexts = [SEALING.check_ciphertexts(each.key_part) for each in made]
        ciphertexts[position] = ciphertexts[position - 1]
        with pytest.raises(InvalidProof) as refusal:
            verify_together(made, ciphertexts=ciphertexts)
        assert refusal.value.culprits == (party_id,)


def test_knowledge_together_with_a_proof_of_another_length_names_its_sender():
    made = contributions()
    made[2] = with_proof(made[2], made[2].key_part.proof[:-1])
    with pytest.raises(MalformedMessage) as refusal:
        verify_together(made)
    assert refusal.value.culprits == (FEDERATION.parties[2],)


def test_open_of_something_that_is_no_sum_of_packed_vectors_raises():
    beyond = KEY.public_key.plaintext_modulus - 1
    with pytest.raises(PlaintextOutOfRange):
        SEALING.open((beyond,), 1)


def test_open_for_more_contributors_than_parties_raises():
    with pytest.raises(PlaintextOutOfRange):
        SEALING.open((0,), 6)
