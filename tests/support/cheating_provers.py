# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Provers that do not play fair: of plaintext knowledge, and of correct partial decryption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gmpy2 import powmod_base_list

from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from tests.support.seeded_random import SeededRandom

Knowledge = tuple[plaintext_knowledge.Statement, plaintext_knowledge.Proof]


def sealed(
    encryptor: Encryptor, count: int, seed: str | int, party_id: str = "hospital-a"
) -> tuple[plaintext_knowledge.Statement, plaintext_knowledge.Witness]:
    """Return a statement about ``count`` fresh ciphertexts, and its witness."""
    random = SeededRandom(seed)
    key = encryptor.public_key
    plaintexts = tuple(random.randbelow(key.plaintext_modulus) for _ in range(count))
    nonces = tuple(encryptor.draw_nonce(random) for _ in range(count))
    statement = plaintext_knowledge.Statement(
        session_id=b"session",
        party_id=party_id,
        public_key=key,
        padded_digest=b"digest",
        ciphertexts=tuple(map(encryptor.encrypt, plaintexts, nonces)),
    )
    return statement, plaintext_knowledge.Witness(plaintexts, nonces)


def proven(encryptor: Encryptor, count: int, seed: str | int, party_id: str = "hospital-a") -> Knowledge:
    """Return an honest claim."""
    statement, witness = sealed(encryptor, count, seed, party_id)
    return statement, plaintext_knowledge.prove(statement, witness, encryptor, SeededRandom(f"proof {seed}"))


def prove_off_by(
    statement: plaintext_knowledge.Statement,
    witness: plaintext_knowledge.Witness,
    encryptor: Encryptor,
    factor: int,
    seed: str | int,
) -> plaintext_knowledge.Proof:
    """Prove as an honest prover, but with ``factor`` times the commitment: the equation is off by it."""
    random = SeededRandom(seed)
    key = statement.public_key
    u, w = random.randbelow(key.plaintext_modulus), random.randbits(statement.nonce_bits)
    commitment = encryptor.masked(u, w) * factor % key.ciphertext_modulus
    for e, m, alpha in zip(
        plaintext_knowledge._challenges(statement, commitment), witness.plaintexts, witness.nonces, strict=True
    ):
        u, w = u + e * m, w + e * alpha.reveal()
    return plaintext_knowledge.Proof(commitment, u % key.plaintext_modulus, w)


def guess_knowledge(
    statement: plaintext_knowledge.Statement,
    witness: plaintext_knowledge.Witness,
    encryptor: Encryptor,
    challenge_bits: int,
    seed: str | int,
) -> plaintext_knowledge.Proof:
    """Prove with no knowledge of the last ciphertext, whose challenge is guessed; the witness is of the others."""
    random = SeededRandom(seed)
    key = statement.public_key
    modulus = key.ciphertext_modulus
    u, w = random.randbelow(key.plaintext_modulus), random.randbits(statement.nonce_bits)
    guess = random.randbits(challenge_bits)
    commitment = encryptor.masked(u, w) * pow(statement.ciphertexts[-1].value, -guess, modulus) % modulus
    challenges = plaintext_knowledge._challenges(statement, commitment, challenge_bits)[:-1]
    for e, m, alpha in zip(challenges, witness.plaintexts, witness.nonces, strict=True):
        u, w = u + e * m, w + e * alpha.reveal()
    return plaintext_knowledge.Proof(commitment, u % key.plaintext_modulus, w)


def guess_decryption(
    statement: partial_decryption.Statement, challenge_bits: int, seed: str | int
) -> partial_decryption.Proof:
    """Prove partial decryptions of any origin, without a share: the challenge is guessed."""
    random = SeededRandom(seed)
    modulus = statement.key.public_key.modulus
    z = random.randbits(partial_decryption.nonce_bits(statement.key))
    guess = random.randbits(challenge_bits)
    x, y = partial_decryption._batched(statement)
    x_power, v_power = powmod_base_list([x, statement.key.verification_base], z, modulus)
    y_power, key_power = powmod_base_list([y, statement.verification_key], -guess, modulus)
    return partial_decryption.Proof(int(x_power * y_power % modulus), int(v_power * key_power % modulus), z)


def with_factors(statement: partial_decryption.Statement, factors: Sequence[int]) -> partial_decryption.Statement:
    """Return the statement with each partial decryption multiplied by a factor."""
    modulus = statement.key.public_key.modulus
    values = tuple(c * factor % modulus for c, factor in zip(statement.partials, factors, strict=True))
    return replace(statement, partials=values)


def roots_of_one(p: int, q: int, s: int = 1) -> tuple[int, int]:
    """Return −1 and another square root of 1 modulo (pq)^{s+1}: the only elements of small order, up to sign."""
    left, right = p ** (s + 1), q ** (s + 1)
    other = (1 + left * (-2 * pow(left, -1, right) % right)) % (left * right)
    return left * right - 1, other
