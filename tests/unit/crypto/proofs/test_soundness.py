# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Cheating provers are caught at the stated rate: with challenges and weights of b bits, all but 2^-b of the time.

Everything is seeded, so the counts never change. Each is a binomial draw of 64·2^b trials at rate 2^-b, so of mean 64.
Four standard deviations, at most 30, are what a right implementation leaves for one seed in 16,000; half the rate or
twice the rate is further off. That many trials need seconds.
"""

from dataclasses import replace
from math import sqrt

import pytest
from gmpy2 import powmod_base_list

from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from coterie_common.crypto.proofs.partial_decryption import Proof, Statement
from coterie_common.crypto.proofs.plaintext_knowledge import Witness
from coterie_common.crypto.threshold import partial_decrypt
from coterie_common.errors import InvalidProof
from tests.support.cheating_provers import guess_decryption, guess_knowledge, proven, sealed, with_factors
from tests.support.dealings import load_dealing, load_encryptor
from tests.support.seeded_random import SeededRandom

ENCRYPTOR = load_encryptor()
KEY = ENCRYPTOR.public_key
DEALING = load_dealing()
BITS = [2, 3]
EXPECTED = 64
FULL = 128


def assert_rate(accepted: list[bool], bits: int) -> None:
    assert len(accepted) == EXPECTED * 2**bits
    assert abs(sum(accepted) - EXPECTED) < 4 * sqrt(EXPECTED * (1 - 2**-bits))


def stranger(seed: str) -> tuple[plaintext_knowledge.Statement, Witness]:
    """Return a statement whose last ciphertext is another's, and the witness for the others."""
    statement, witness = sealed(ENCRYPTOR, 2, "stranger")
    foreign, _ = sealed(ENCRYPTOR, 1, "victim")
    ciphertexts = (*statement.ciphertexts, *foreign.ciphertexts)
    return replace(statement, session_id=f"session {seed}".encode(), ciphertexts=ciphertexts), witness


@pytest.mark.parametrize("bits", BITS)
def test_knowledge_of_anothers_plaintext_is_proven_at_the_rate_of_the_challenge(bits):
    statement, witness = stranger("")
    accepted = []
    for seed in range(EXPECTED * 2**bits):
        proof = guess_knowledge(statement, witness, ENCRYPTOR, bits, seed)
        plaintext_knowledge._check_ranges(statement, proof)
        accepted.append(plaintext_knowledge._holds(statement, proof, ENCRYPTOR, bits))
    assert_rate(accepted, bits)


def test_knowledge_of_anothers_plaintext_is_never_proven_at_full_length():
    statement, witness = stranger("")
    for seed in range(100):
        proof = guess_knowledge(statement, witness, ENCRYPTOR, FULL, seed)
        with pytest.raises(InvalidProof) as raised:
            plaintext_knowledge.verify(statement, proof, ENCRYPTOR)
        assert raised.value.check == 4


def cancelling(seed: int) -> list[tuple[plaintext_knowledge.Statement, plaintext_knowledge.Proof]]:
    """Return two claims of colluders, each wrong, together right if their weights are equal."""
    (one, first), (two, second) = proven(ENCRYPTOR, 1, seed), proven(ENCRYPTOR, 1, -seed, "hospital-b")
    space = KEY.plaintext_modulus
    return [
        (one, replace(first, plaintext_response=(first.plaintext_response + 1) % space)),
        (two, replace(second, plaintext_response=(second.plaintext_response - 1) % space)),
    ]


@pytest.mark.parametrize("bits", BITS)
def test_errors_of_colluders_cancel_at_the_rate_of_the_weights(bits):
    random = SeededRandom("weights")
    claims = cancelling(1)
    accepted = [
        plaintext_knowledge._hold_together(claims, [random.randbits(bits) for _ in claims])
        for _ in range(EXPECTED * 2**bits)
    ]
    assert_rate(accepted, bits)


def test_errors_of_colluders_never_cancel_at_full_length():
    random = SeededRandom("weights")
    for seed in range(1, 101):
        claims = cancelling(seed)
        assert not plaintext_knowledge._hold_together(claims, [random.randbits(FULL) for _ in claims])


def decrypted(count: int) -> Statement:
    random = SeededRandom("decrypted")
    ciphertexts = tuple(ENCRYPTOR.encrypt(k, ENCRYPTOR.draw_nonce(random)) for k in range(count))
    partials = partial_decrypt(DEALING.key, DEALING.shares[1], ciphertexts)
    return partial_decryption.Statement(b"session", b"transcript", 2, DEALING.key, ciphertexts, partials)


def accepts(statement: Statement, proof: Proof, challenge_bits: int = FULL, weight_bits: int = FULL) -> bool:
    try:
        partial_decryption._verify(statement, proof, challenge_bits, weight_bits)
    except InvalidProof as error:
        if error.check < 5:  # it must fail for nothing but the equations
            raise
        return False
    return True


@pytest.mark.parametrize("bits", BITS)
def test_wrong_partial_decryptions_are_proven_at_the_rate_of_the_challenge(bits):
    statement = with_factors(decrypted(2), (1, 4))
    accepted = [accepts(statement, guess_decryption(statement, bits, seed), bits) for seed in range(EXPECTED * 2**bits)]
    assert_rate(accepted, bits)


def test_wrong_partial_decryptions_are_never_proven_at_full_length():
    statement = with_factors(decrypted(2), (1, 4))
    assert not any(accepts(statement, guess_decryption(statement, FULL, seed)) for seed in range(50))


def prove_with_weights(statement: Statement, weight_bits: int, seed: int) -> Proof:
    """Prove as the owner of the share would under shorter weights."""
    modulus = KEY.modulus
    x, y = partial_decryption._batched(statement, weight_bits)
    r = SeededRandom(seed).randbits(partial_decryption.nonce_bits(statement.key))
    a, b = map(int, powmod_base_list([x, statement.key.verification_base], r, modulus))
    e = partial_decryption._challenge(statement, x, y, a, b)
    return partial_decryption.Proof(a, b, r + e * DEALING.shares[1].value.reveal())


@pytest.mark.parametrize("bits", BITS)
def test_errors_in_two_values_cancel_at_the_rate_of_the_weights(bits):
    honest = decrypted(2)
    wrong = with_factors(honest, (4, pow(4, -1, KEY.modulus)))
    accepted = []
    for seed in range(EXPECTED * 2**bits):
        statement = replace(wrong, session_id=f"session {seed}".encode())
        accepted.append(accepts(statement, prove_with_weights(statement, bits, seed), weight_bits=bits))
    assert_rate(accepted, bits)


def test_errors_in_two_values_never_cancel_at_full_length():
    wrong = with_factors(decrypted(2), (4, pow(4, -1, KEY.modulus)))
    for seed in range(50):
        statement = replace(wrong, session_id=f"session {seed}".encode())
        assert not accepts(statement, partial_decryption.prove(statement, DEALING.shares[1], SeededRandom(seed)))
