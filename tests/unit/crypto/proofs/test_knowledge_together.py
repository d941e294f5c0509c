# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from dataclasses import replace

import pytest

from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.proofs import plaintext_knowledge
from coterie_common.crypto.proofs.plaintext_knowledge import Proof, Statement, prove, verify, verify_together
from coterie_common.crypto.threshold import combine, partial_decrypt
from coterie_common.errors import InvalidProof, KeyMismatch
from tests.support.cheating_provers import prove_off_by, proven, roots_of_one, sealed
from tests.support.dealings import load_dealing, load_encryptor, load_primes, make_dealing
from tests.support.recording_random import RecordingRandom
from tests.support.seeded_random import SeededRandom

ENCRYPTOR = load_encryptor()
KEY = ENCRYPTOR.public_key
PARTIES = [f"hospital-{letter}" for letter in "abcde"]
CLAIMS = [proven(ENCRYPTOR, count, count, party) for count, party in enumerate(PARTIES, start=1)]


def refused(claims: list[tuple[Statement, Proof]]) -> tuple[int, tuple[str, ...]]:
    with pytest.raises(InvalidProof) as raised:
        verify_together(claims, ENCRYPTOR, SeededRandom("weights"))
    assert raised.value.code == "invalid-proof"
    return raised.value.check, raised.value.culprits


def refused_alone(statement: Statement, proof: Proof) -> bool:
    try:
        verify(statement, proof, ENCRYPTOR)
    except InvalidProof:
        return True
    return False


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("parties", [1, 2, 9])
def test_honest_proofs_pass_together(s, parties):
    encryptor = Encryptor(make_dealing(s=s).key.public_key)
    claims = [proven(encryptor, 1 + k % 3, k, f"party-{k}") for k in range(parties)]
    verify_together(claims, encryptor, SeededRandom("weights"))


def test_no_proofs_pass_together():
    verify_together([], ENCRYPTOR, SeededRandom("weights"))


def test_proofs_of_different_sessions_pass_together():
    statement, witness = sealed(ENCRYPTOR, 2, "other")
    statement = replace(statement, session_id=b"another session")
    other = (statement, prove(statement, witness, ENCRYPTOR, SeededRandom(1)))
    verify_together([*CLAIMS, other], ENCRYPTOR, SeededRandom("weights"))


def test_every_proof_gets_a_fresh_weight_of_128_bits():
    random = RecordingRandom("weights")
    verify_together(CLAIMS, ENCRYPTOR, random)
    assert (random.bits, random.bounds) == ([128] * 5, [])
    assert len(set(random.results)) == 5


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"commitment": 0}, 1),
        ({"commitment": load_primes()[0]}, 1),
        ({"commitment": KEY.ciphertext_modulus}, 1),
        ({"plaintext_response": KEY.plaintext_modulus}, 2),
        ({"plaintext_response": -1}, 2),
        ({"nonce_response": 1 << 1000}, 3),
        ({"nonce_response": -1}, 3),
        ({"plaintext_response": 4711}, 4),
        ({"nonce_response": 4711}, 4),
        ({"commitment": 4711}, 4),
    ],
)
def test_one_bad_proof_is_found_among_good_ones_with_the_check_that_fails_alone(position, change, check):
    claims = list(CLAIMS)
    statement, proof = claims[position]
    claims[position] = (statement, replace(proof, **change))
    assert refused(claims) == (check, (PARTIES[position],))
    with pytest.raises(InvalidProof) as alone:
        verify(claims[position][0], claims[position][1], ENCRYPTOR)
    assert (alone.value.check, alone.value.culprits) == (check, (PARTIES[position],))


def test_exchanged_proofs_are_found():
    (one, proof_one), (two, proof_two) = CLAIMS[1], CLAIMS[2]
    assert refused([CLAIMS[0], (one, proof_two), (two, proof_one)]) == (4, ("hospital-b",))


def test_proof_of_another_partys_ciphertexts_is_found():
    statement, proof = CLAIMS[0]
    copied = replace(statement, party_id="hospital-z")
    assert refused([*CLAIMS, (copied, proof)]) == (4, ("hospital-z",))


def test_errors_that_cancel_each_other_are_found():
    (one, proof_one), (two, proof_two) = CLAIMS[0], CLAIMS[1]
    up = replace(proof_one, plaintext_response=(proof_one.plaintext_response + 1) % KEY.plaintext_modulus)
    down = replace(proof_two, plaintext_response=(proof_two.plaintext_response - 1) % KEY.plaintext_modulus)
    claims = [(one, up), (two, down)]
    # Equal weights would not see them.
    assert plaintext_knowledge._hold_together(claims, [1 << 127, 1 << 127])
    assert not plaintext_knowledge._hold_together(claims, [1 << 127, 1 << 126])
    assert refused(claims) == (4, ("hospital-a",))


@pytest.mark.parametrize("root", [0, 1], ids=["minus one", "a root that takes the factors"])
def test_signs_pass_alone_and_together_whatever_the_weights(root):
    # Were the equation not squared, the weights would see such a proof half of the time, and verifiers disagree.
    factor = roots_of_one(*load_primes())[root]
    assert factor != 1
    assert pow(factor, 2, KEY.ciphertext_modulus) == 1
    statement, witness = sealed(ENCRYPTOR, 2, "sign", "hospital-f")
    off = (statement, prove_off_by(statement, witness, ENCRYPTOR, factor, "off"))
    assert not refused_alone(*off)
    for seed in range(12):
        verify_together([*CLAIMS[:2], off], ENCRYPTOR, SeededRandom(seed))


@pytest.mark.parametrize("factor", [2, 4, 1 + KEY.modulus, KEY.generator], ids=["2", "4", "1 + N", "h"])
def test_any_other_factor_is_refused_alone_and_together(factor):
    statement, witness = sealed(ENCRYPTOR, 2, "factor", "hospital-f")
    off = (statement, prove_off_by(statement, witness, ENCRYPTOR, factor, "off"))
    assert refused_alone(*off)
    assert refused([*CLAIMS[:2], off]) == (4, ("hospital-f",))


def test_ciphertext_with_the_other_sign_has_the_same_plaintext():
    dealing = load_dealing()
    statement, witness = sealed(ENCRYPTOR, 1, "sign")
    negated = KEY.check(KEY.ciphertext_modulus - statement.ciphertexts[0].value)
    partials = {share.index: partial_decrypt(dealing.key, share, [negated]) for share in dealing.shares}
    assert combine(dealing.key, [negated], partials) == witness.plaintexts


def test_another_keys_encryptor_raises():
    with pytest.raises(KeyMismatch):
        verify_together(CLAIMS, load_encryptor(4, 3), SeededRandom("weights"))
